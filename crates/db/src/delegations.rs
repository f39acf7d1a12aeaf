//! Pending invitations with what their senders may do at this moment.

use diesel::{QueryableByName, prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    changes::Stream,
    ids::{InvitationId, UserId},
    invitations::{Delegation, InvitationStatus, PlaceRights},
    permissions::{ProjectPermissions, Rights},
    text::TextError,
};
use uuid::Uuid;

use crate::{error::Result, schema::invitations, sql::sql, workspace_members::role_of_word};

macro_rules! pending {
    () => {
        "SELECT i.id, i.workspace_role, r.is_owner AS role_is_owner, r.permissions AS role_permissions,
           wm.role AS sender_role, pr.is_owner AS sender_is_owner, pr.permissions AS sender_permissions
         FROM invitations i LEFT JOIN project_roles r ON r.id = i.role_id
           LEFT JOIN users a ON a.id = i.invited_by AND a.is_active
           LEFT JOIN workspace_members wm
             ON i.project_id IS NULL AND wm.workspace_id = i.workspace_id AND wm.user_id = a.id
           LEFT JOIN (project_members pm JOIN project_roles pr ON pr.id = pm.role_id)
             ON pm.project_id = i.project_id AND pm.user_id = a.id
         WHERE i.status = 'pending' AND "
    };
}

/// One pending invitation.
pub async fn find(conn: &mut AsyncPgConnection, id: InvitationId) -> Result<Option<Delegation>> {
    let rows: Vec<Row> =
        sql(concat!(pending!(), "i.id = $1")).bind::<st::Uuid, _>(id.uuid()).load(conn).await?;
    rows.into_iter().next().map(Delegation::try_from).transpose()
}

/// The pending invitations into workspaces and projects, in the trash or not.
pub async fn into_places(conn: &mut AsyncPgConnection, places: &[Uuid]) -> Result<Vec<Delegation>> {
    let rows: Vec<Row> = sql(concat!(
        pending!(),
        "(i.project_id = ANY($1) OR (i.project_id IS NULL AND i.workspace_id = ANY($1))) ORDER BY i.id"
    ))
    .bind::<st::Array<st::Uuid>, _>(places)
    .load(conn)
    .await?;
    rows.into_iter().map(Delegation::try_from).collect()
}

/// The pending invitations that people sent, wherever.
pub async fn by_people(conn: &mut AsyncPgConnection, people: &[Uuid]) -> Result<Vec<Delegation>> {
    let rows: Vec<Row> = sql(concat!(pending!(), "i.invited_by = ANY($1) ORDER BY i.id"))
        .bind::<st::Array<st::Uuid>, _>(people)
        .load(conn)
        .await?;
    rows.into_iter().map(Delegation::try_from).collect()
}

/// The logs of the places that somebody's pending invitations lead to.
pub async fn places_by(conn: &mut AsyncPgConnection, person: UserId) -> Result<Vec<Stream>> {
    let rows: Vec<(Uuid, Option<Uuid>)> = invitations::table
        .filter(invitations::invited_by.eq(person.uuid()))
        .filter(invitations::status.eq(InvitationStatus::Pending.as_str()))
        .select((invitations::workspace_id, invitations::project_id))
        .distinct()
        .load(conn)
        .await?;
    let stream = |(workspace, project): (Uuid, Option<Uuid>)| {
        project.map_or_else(|| Stream::Workspace(workspace.into()), |id| Stream::Project(id.into()))
    };
    Ok(rows.into_iter().map(stream).collect())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    workspace_role: Option<String>,
    #[diesel(sql_type = st::Nullable<st::Bool>)]
    role_is_owner: Option<bool>,
    #[diesel(sql_type = st::Nullable<st::Array<st::Text>>)]
    role_permissions: Option<Vec<String>>,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    sender_role: Option<String>,
    #[diesel(sql_type = st::Nullable<st::Bool>)]
    sender_is_owner: Option<bool>,
    #[diesel(sql_type = st::Nullable<st::Array<st::Text>>)]
    sender_permissions: Option<Vec<String>>,
}

impl TryFrom<Row> for Delegation {
    type Error = crate::Error;
    fn try_from(row: Row) -> Result<Self> {
        let in_project = |is_owner: Option<bool>, words: Option<Vec<String>>| {
            let permissions = ProjectPermissions::from_words(words.as_ref()?.iter().map(String::as_str));
            Some(PlaceRights::Project(Rights { is_owner: is_owner?, permissions }))
        };
        let in_workspace = |word: Option<String>| word.map(|word| role_of_word(&word)).transpose();
        let (gives, sender) = match in_workspace(row.workspace_role)? {
            Some(role) => {
                (PlaceRights::Workspace(role), in_workspace(row.sender_role)?.map(PlaceRights::Workspace))
            }
            None => (
                in_project(row.role_is_owner, row.role_permissions)
                    .ok_or_else(|| TextError::new("invalid-invitation", "gives no role"))?,
                in_project(row.sender_is_owner, row.sender_permissions),
            ),
        };
        Ok(Self { id: row.id.into(), sender, gives })
    }
}
