//! Invitations into workspaces and projects.

use diesel::{QueryableByName, prelude::*, sql_types as st, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    emails::Email,
    ids::{InvitationId, UserId, WorkspaceId},
    invitations::{Invitation, InvitationStatus, InvitedTo, Place},
    page::Page,
    secrets::TokenHash,
    text::{TextError, shown},
    users::{Lang, PersonRef, Username},
};
use uuid::Uuid;

use crate::{
    error::Result,
    people::ActorRow,
    schema::{invitations, project_members, users, workspace_members},
    sql::sql,
    workspace_members::role_of_word,
};

/// An invitation with what its inviter does not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What is seen.
    pub invitation: Invitation,
    /// Where its mails go.
    pub email: Email,
    /// The account behind the address, once that is verified.
    pub user_id: Option<UserId>,
    /// Name of the workspace, or of the project's.
    pub workspace_name: String,
    /// Name and language of the account behind the address.
    pub receiver: Option<(String, Lang)>,
    /// The latest mailed link and when it ends.
    pub link: Option<(TokenHash, Time)>,
}

macro_rules! columns {
    () => {
        "SELECT i.id, i.workspace_id, i.project_id, i.workspace_role, i.role_id, i.email, i.user_id, i.by_handle,
           i.status, i.sent_count, i.last_sent_at, i.created_at, i.version, i.hash, i.hash_expires_at,
           w.name AS workspace_name, p.name AS project_name, r.slug AS role_slug,
           u.username, u.full_name, u.color, u.lang,
           a.id AS actor_id, a.username AS actor_username, a.full_name AS actor_full_name, a.color AS actor_color "
    };
}

macro_rules! joined {
    () => {
        "FROM invitations i JOIN workspaces w ON w.id = i.workspace_id
           LEFT JOIN projects p ON p.id = i.project_id LEFT JOIN project_roles r ON r.id = i.role_id
           LEFT JOIN users u ON u.id = i.user_id LEFT JOIN users a ON a.id = i.invited_by "
    };
}

macro_rules! tables {
    () => {
        concat!(joined!(), "WHERE w.deleted_at IS NULL AND p.deleted_at IS NULL AND ")
    };
}

macro_rules! stored {
    () => {
        concat!(columns!(), tables!())
    };
}

macro_rules! of_place {
    () => {
        "(i.project_id = $1 OR (i.workspace_id = $2 AND i.project_id IS NULL)) AND ($3 IS NULL OR i.status = $3) "
    };
}

macro_rules! own {
    () => {
        "i.status = 'pending' AND (i.user_id = $1 OR (i.user_id IS NULL AND i.email =
           (SELECT email FROM users WHERE id = $1 AND verified_at IS NOT NULL))) "
    };
}

/// An invitation into a place that is not in the trash.
pub async fn find(conn: &mut AsyncPgConnection, id: InvitationId) -> Result<Option<Stored>> {
    let rows: Vec<Row> =
        sql(concat!(stored!(), "i.id = $1")).bind::<st::Uuid, _>(id.uuid()).load(conn).await?;
    rows.into_iter().next().map(Stored::try_from).transpose()
}

/// Invitations into places that are in the trash or not, in order.
pub async fn of_ids(conn: &mut AsyncPgConnection, ids: &[InvitationId]) -> Result<Vec<Stored>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<Row> = sql(concat!(columns!(), joined!(), "WHERE i.id = ANY($1) ORDER BY i.id"))
        .bind::<st::Array<st::Uuid>, _>(ids)
        .load(conn)
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// The invitation of a mailed link that has not expired: pending, or withdrawn since.
pub async fn of_link(conn: &mut AsyncPgConnection, hash: TokenHash, now: Time) -> Result<Option<Stored>> {
    let rows: Vec<Row> = sql(concat!(
        stored!(),
        "i.hash = $1 AND i.hash_expires_at > $2 AND i.status IN ('pending', 'revoked')"
    ))
    .bind::<st::Bytea, _>(hash.0)
    .bind::<st::Timestamptz, _>(now)
    .load(conn)
    .await?;
    rows.into_iter().next().map(Stored::try_from).transpose()
}

/// Invitations into a place, oldest first; those of one status, or all.
pub async fn into_place(
    conn: &mut AsyncPgConnection,
    place: Place,
    status: Option<InvitationStatus>,
    page: &Page<Uuid>,
) -> Result<Vec<Stored>> {
    let (workspace, project) = keys(place);
    let rows: Vec<Row> = sql(concat!(stored!(), of_place!(), "AND i.id > $4 ORDER BY i.id LIMIT $5"))
        .bind::<st::Nullable<st::Uuid>, _>(project)
        .bind::<st::Nullable<st::Uuid>, _>(workspace)
        .bind::<st::Nullable<st::Text>, _>(status.map(InvitationStatus::as_str))
        .bind::<st::Uuid, _>(page.after.unwrap_or_default())
        .bind::<st::BigInt, _>(page.fetch())
        .load(conn)
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Pending invitations of a person: those linked to the account, and those to its address when it is verified.
pub async fn of_person(
    conn: &mut AsyncPgConnection,
    person: UserId,
    page: &Page<Uuid>,
) -> Result<Vec<Stored>> {
    let rows: Vec<Row> = sql(concat!(stored!(), own!(), "AND i.id > $2 ORDER BY i.id LIMIT $3"))
        .bind::<st::Uuid, _>(person.uuid())
        .bind::<st::Uuid, _>(page.after.unwrap_or_default())
        .bind::<st::BigInt, _>(page.fetch())
        .load(conn)
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// How many [`into_place`] would answer without a limit.
pub async fn count_into_place(
    conn: &mut AsyncPgConnection,
    place: Place,
    status: Option<InvitationStatus>,
) -> Result<i64> {
    let (workspace, project) = keys(place);
    let row: CountRow = sql(concat!("SELECT count(*) AS n ", tables!(), of_place!()))
        .bind::<st::Nullable<st::Uuid>, _>(project)
        .bind::<st::Nullable<st::Uuid>, _>(workspace)
        .bind::<st::Nullable<st::Text>, _>(status.map(InvitationStatus::as_str))
        .get_result(conn)
        .await?;
    Ok(row.n)
}

/// How many [`of_person`] would answer without a limit.
pub async fn count_of_person(conn: &mut AsyncPgConnection, person: UserId) -> Result<i64> {
    let row: CountRow = sql(concat!("SELECT count(*) AS n ", tables!(), own!()))
        .bind::<st::Uuid, _>(person.uuid())
        .get_result(conn)
        .await?;
    Ok(row.n)
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = st::BigInt)]
    n: i64,
}

/// Pending invitations of a person into a workspace and into its projects.
pub async fn of_person_in(
    conn: &mut AsyncPgConnection,
    workspace: WorkspaceId,
    person: UserId,
) -> Result<Vec<Stored>> {
    let rows: Vec<Row> = sql(concat!(stored!(), own!(), "AND i.workspace_id = $2 ORDER BY i.id"))
        .bind::<st::Uuid, _>(person.uuid())
        .bind::<st::Uuid, _>(workspace.uuid())
        .load(conn)
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Invitations into a place to any of these addresses or people, whatever their status.
pub async fn among(
    conn: &mut AsyncPgConnection,
    place: Place,
    emails: &[Email],
    people: &[UserId],
) -> Result<Vec<Stored>> {
    let (workspace, project) = keys(place);
    let emails: Vec<&str> = emails.iter().map(Email::as_str).collect();
    let people: Vec<Uuid> = people.iter().map(|id| id.uuid()).collect();
    let rows: Vec<Row> = sql(concat!(
        stored!(),
        "(i.project_id = $1 OR (i.workspace_id = $2 AND i.project_id IS NULL)) AND (i.email = ANY($3) OR i.user_id = ANY($4))
         ORDER BY i.id"
    ))
    .bind::<st::Nullable<st::Uuid>, _>(project)
    .bind::<st::Nullable<st::Uuid>, _>(workspace)
    .bind::<st::Array<st::Text>, _>(emails)
    .bind::<st::Array<st::Uuid>, _>(people)
    .load(conn)
    .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Adds invitations, or writes those that are there already.
pub async fn save(conn: &mut AsyncPgConnection, all: &[Stored]) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = all.iter().map(values).collect();
    diesel::insert_into(invitations::table)
        .values(rows)
        .on_conflict(invitations::id)
        .do_update()
        .set((
            invitations::email.eq(excluded(invitations::email)),
            invitations::user_id.eq(excluded(invitations::user_id)),
            invitations::by_handle.eq(excluded(invitations::by_handle)),
            invitations::workspace_role.eq(excluded(invitations::workspace_role)),
            invitations::role_id.eq(excluded(invitations::role_id)),
            invitations::status.eq(excluded(invitations::status)),
            invitations::invited_by.eq(excluded(invitations::invited_by)),
            invitations::hash.eq(excluded(invitations::hash)),
            invitations::hash_expires_at.eq(excluded(invitations::hash_expires_at)),
            invitations::sent_count.eq(excluded(invitations::sent_count)),
            invitations::last_sent_at.eq(excluded(invitations::last_sent_at)),
            invitations::version.eq(excluded(invitations::version)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Links the pending invitations to a person's verified address that are not linked yet; answers which.
pub async fn link(conn: &mut AsyncPgConnection, person: UserId) -> Result<Vec<Stored>> {
    let linked: Vec<IdRow> =
        sql("UPDATE invitations SET user_id = $1 WHERE status = 'pending' AND user_id IS NULL AND email =
           (SELECT email FROM users WHERE id = $1 AND verified_at IS NOT NULL) RETURNING id")
        .bind::<st::Uuid, _>(person.uuid())
        .load(conn)
        .await?;
    let ids: Vec<Uuid> = linked.into_iter().map(|row| row.id).collect();
    let rows: Vec<Row> = sql(concat!(stored!(), "i.id = ANY($1) ORDER BY i.id"))
        .bind::<st::Array<st::Uuid>, _>(ids)
        .load(conn)
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// An account that an invitation may be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What others see.
    pub person: PersonRef,
    /// Address, verified.
    pub email: Email,
    /// Language.
    pub lang: Lang,
}

/// The active accounts with any of these verified addresses or handles.
pub async fn accounts(
    conn: &mut AsyncPgConnection,
    emails: &[Email],
    handles: &[Username],
) -> Result<Vec<Account>> {
    let emails: Vec<&str> = emails.iter().map(Email::as_str).collect();
    let handles: Vec<&str> = handles.iter().map(Username::as_str).collect();
    let rows: Vec<(Uuid, String, String, i16, String, String)> = users::table
        .filter(users::is_active)
        .filter(users::verified_at.is_not_null())
        .filter(users::email.eq_any(emails).or(users::username.eq_any(handles)))
        .order(users::id)
        .select((users::id, users::username, users::full_name, users::color, users::email, users::lang))
        .load(conn)
        .await?;
    let account = |(id, username, full_name, color, email, lang): (Uuid, _, String, _, String, String)| {
        Ok(Account {
            person: PersonRef { id: id.into(), username, full_name: shown(&full_name), color },
            email: Email::stored(&email),
            lang: Lang::of(&lang).unwrap_or_default(),
        })
    };
    rows.into_iter().map(account).collect()
}

/// Which of these people are in a place.
pub async fn members_among(
    conn: &mut AsyncPgConnection,
    place: Place,
    people: &[UserId],
) -> Result<Vec<UserId>> {
    let people: Vec<Uuid> = people.iter().map(|id| id.uuid()).collect();
    let ids: Vec<Uuid> = match place {
        Place::Workspace(id) => {
            workspace_members::table
                .filter(workspace_members::workspace_id.eq(id.uuid()))
                .filter(workspace_members::user_id.eq_any(people))
                .select(workspace_members::user_id)
                .load(conn)
                .await?
        }
        Place::Project(id) => {
            project_members::table
                .filter(project_members::project_id.eq(id.uuid()))
                .filter(project_members::user_id.eq_any(people))
                .select(project_members::user_id)
                .load(conn)
                .await?
        }
    };
    Ok(ids.into_iter().map(Into::into).collect())
}

/// Whether a person's address is verified and this one.
pub async fn has_address(conn: &mut AsyncPgConnection, person: UserId, email: &Email) -> Result<bool> {
    let it = users::table
        .find(person.uuid())
        .filter(users::email.eq(email.as_str()))
        .filter(users::verified_at.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(it)).get_result(conn).await?)
}

fn keys(place: Place) -> (Option<Uuid>, Option<Uuid>) {
    match place {
        Place::Workspace(id) => (Some(id.uuid()), None),
        Place::Project(id) => (None, Some(id.uuid())),
    }
}

/// An invitation's columns as stored.
#[derive(Insertable)]
#[diesel(table_name = invitations)]
struct Values<'a> {
    id: Uuid,
    workspace_id: Uuid,
    project_id: Option<Uuid>,
    email: &'a str,
    user_id: Option<Uuid>,
    by_handle: bool,
    workspace_role: Option<&'static str>,
    role_id: Option<Uuid>,
    status: &'static str,
    invited_by: Option<Uuid>,
    hash: Option<&'a [u8]>,
    hash_expires_at: Option<Time>,
    sent_count: i32,
    last_sent_at: Option<Time>,
    created_at: Time,
    version: i64,
}

fn values(stored: &Stored) -> Values<'_> {
    let i = &stored.invitation;
    let (workspace_role, role_id) = match i.to {
        InvitedTo::Workspace { role, .. } => (Some(role.as_str()), None),
        InvitedTo::Project { role_id, .. } => (None, Some(role_id.uuid())),
    };
    Values {
        id: i.id.uuid(),
        workspace_id: i.to.workspace_id().uuid(),
        project_id: i.to.project_id().map(Uuid::from),
        email: stored.email.as_str(),
        user_id: stored.user_id.map(Uuid::from),
        by_handle: i.user.is_some(),
        workspace_role,
        role_id,
        status: i.status.as_str(),
        invited_by: i.invited_by.as_ref().map(|p| p.id.uuid()),
        hash: stored.link.as_ref().map(|(hash, _)| hash.0.as_slice()),
        hash_expires_at: stored.link.map(|(_, ends)| ends),
        sent_count: i.sent_count,
        last_sent_at: i.last_sent_at,
        created_at: i.created_at,
        version: i.version,
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = invitations)]
struct IdRow {
    id: Uuid,
}

#[derive(QueryableByName)]
#[diesel(table_name = invitations)]
struct Row {
    id: Uuid,
    workspace_id: Uuid,
    project_id: Option<Uuid>,
    workspace_role: Option<String>,
    role_id: Option<Uuid>,
    email: String,
    user_id: Option<Uuid>,
    by_handle: bool,
    status: String,
    sent_count: i32,
    last_sent_at: Option<Time>,
    created_at: Time,
    version: i64,
    hash: Option<Vec<u8>>,
    hash_expires_at: Option<Time>,
    #[diesel(sql_type = st::Text)]
    workspace_name: String,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    project_name: Option<String>,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    role_slug: Option<String>,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    username: Option<String>,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    full_name: Option<String>,
    #[diesel(sql_type = st::Nullable<st::SmallInt>)]
    color: Option<i16>,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    lang: Option<String>,
    #[diesel(embed)]
    inviter: ActorRow,
}

impl TryFrom<Row> for Stored {
    type Error = crate::Error;
    fn try_from(row: Row) -> Result<Self> {
        let odd = || TextError::new("invalid-invitation", "opens neither a workspace nor a project");
        let workspace_id = row.workspace_id.into();
        let (to, role_slug) = match (row.project_id, row.role_id, row.workspace_role) {
            (Some(project), Some(role_id), None) => (
                InvitedTo::Project { workspace_id, project_id: project.into(), role_id: role_id.into() },
                row.role_slug.ok_or_else(odd)?,
            ),
            (None, None, Some(word)) => {
                (InvitedTo::Workspace { workspace_id, role: role_of_word(&word)? }, word)
            }
            _ => return Err(odd().into()),
        };
        let email = Email::stored(&row.email);
        let person = (|| {
            Some(PersonRef {
                id: row.user_id?.into(),
                username: row.username?,
                full_name: shown(row.full_name.as_deref()?),
                color: row.color?,
            })
        })();
        let status = InvitationStatus::of(&row.status)
            .ok_or_else(|| TextError::new("invalid-status", "is no status of an invitation"))?;
        let lang = row.lang.as_deref().and_then(Lang::of).unwrap_or_default();
        let link = row.hash.and_then(|hash| <[u8; 32]>::try_from(hash).ok()).map(TokenHash);
        Ok(Self {
            invitation: Invitation {
                id: row.id.into(),
                to,
                place_name: shown(row.project_name.as_deref().unwrap_or(&row.workspace_name)),
                role_slug,
                email: (!row.by_handle).then(|| email.clone()),
                user: person.filter(|_| row.by_handle),
                status,
                invited_by: row.inviter.person(),
                sent_count: row.sent_count,
                last_sent_at: row.last_sent_at,
                created_at: row.created_at,
                version: row.version,
            },
            email,
            user_id: row.user_id.map(Into::into),
            workspace_name: shown(&row.workspace_name),
            receiver: row.full_name.map(|name| (shown(&name), lang)),
            link: link.zip(row.hash_expires_at),
        })
    }
}
