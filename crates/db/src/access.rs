//! Who asks, and what they may do there: one statement for both.
//!
//! A session or token is looked up each time it is used, together with the permissions that the
//! request needs, so that what was revoked ends with the next request and a read costs no extra round trip.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    callers::{Credential, Person},
    ids::{ProjectId, RoleId, StoryId, UserId, WorkspaceId},
    permissions::{ProjectPermissions, Rights},
    roles::WorkspaceRole,
    text::shown,
    tokens::Scope,
    users::Lang,
};
use uuid::Uuid;

use crate::{error::Result, sql::sql};

/// A good credential: its person, and its scopes when it is a token.
#[derive(Debug, Clone)]
pub struct Known {
    /// Who.
    pub person: Person,
    /// What the token may do; none for a session, which may do all its person may.
    pub scopes: Option<Vec<Scope>>,
}

/// A person's place in a workspace.
#[derive(Debug, Clone)]
pub struct InWorkspace {
    /// Who asks.
    pub known: Known,
    /// Their role; none for outsiders, and when there is no such workspace.
    pub role: Option<WorkspaceRole>,
}

/// A person's place in a project.
#[derive(Debug, Clone)]
pub struct InProject {
    /// Who asks.
    pub known: Known,
    /// Where they are; none for outsiders, and when there is no such project.
    pub place: Option<ProjectPlace>,
}

/// Membership of a project.
#[derive(Debug, Clone)]
pub struct ProjectPlace {
    /// The project.
    pub project_id: ProjectId,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// Its key.
    pub key: String,
    /// The member's role.
    pub role_id: RoleId,
    /// Whether it is an owner's.
    pub is_owner: bool,
    /// What it may do.
    pub permissions: ProjectPermissions,
    /// Archived, so read-only, since.
    pub archived_at: Option<Time>,
    /// In the trash since.
    pub deleted_at: Option<Time>,
}

impl ProjectPlace {
    /// What the member may do, and whether they own the project.
    pub const fn rights(&self) -> Rights<ProjectPermissions> {
        Rights { is_owner: self.is_owner, permissions: self.permissions }
    }
}

/// Looks a credential up: none when it is unknown, ended, revoked or its person is not active.
pub async fn known(
    conn: &mut AsyncPgConnection,
    credential: &Credential,
    now: Time,
) -> Result<Option<Known>> {
    let rows: Vec<KnownRow> = match credential {
        Credential::Session { user, session } => {
            sql("SELECT u.id, u.username, u.full_name, u.color, u.lang, u.is_admin, s.id AS session_id, NULL::uuid AS token_id, NULL::text[] AS scopes
                 FROM sessions s JOIN users u ON u.id = s.user_id
                 WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL AND s.expires_at > $3 AND u.is_active")
            .bind::<st::Uuid, _>(session.uuid())
            .bind::<st::Uuid, _>(user.uuid())
            .bind::<st::Timestamptz, _>(now)
            .load(conn)
            .await?
        }
        Credential::Token(hash) => {
            sql("SELECT u.id, u.username, u.full_name, u.color, u.lang, u.is_admin, NULL::uuid AS session_id, t.id AS token_id, t.scopes
                 FROM access_tokens t JOIN users u ON u.id = t.user_id
                 WHERE t.hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND u.is_active")
                .bind::<st::Bytea, _>(hash.0)
                .bind::<st::Timestamptz, _>(now)
                .load(conn)
                .await?
        }
    };
    Ok(rows.into_iter().next().map(KnownRow::into_known))
}

/// When a credential ends by itself, as far as is known: a session that is used may be prolonged until then.
pub async fn ends_at(conn: &mut AsyncPgConnection, credential: &Credential) -> Result<Option<Time>> {
    let (_, session, hash) = parts(credential);
    let rows: Vec<EndRow> = sql("SELECT expires_at FROM sessions WHERE id = $1
                                 UNION ALL SELECT expires_at FROM access_tokens WHERE hash = $2")
    .bind::<st::Nullable<st::Uuid>, _>(session)
    .bind::<st::Nullable<st::Bytea>, _>(hash)
    .load(conn)
    .await?;
    Ok(rows.into_iter().next().and_then(|row| row.expires_at))
}

#[derive(QueryableByName)]
struct EndRow {
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    expires_at: Option<Time>,
}

/// Whose credential it would be if that person were active: told to nobody but its holder.
pub async fn inactive_holder(
    conn: &mut AsyncPgConnection,
    credential: &Credential,
    now: Time,
) -> Result<Option<UserId>> {
    #[derive(QueryableByName)]
    struct Holder {
        #[diesel(sql_type = st::Uuid)]
        id: Uuid,
    }
    let (user, session, hash) = parts(credential);
    let rows: Vec<Holder> = sql("SELECT u.id FROM users u
         WHERE NOT u.is_active AND (
           EXISTS (SELECT FROM sessions s WHERE s.id = $1 AND s.user_id = $2 AND s.user_id = u.id)
           OR EXISTS (SELECT FROM access_tokens t
                      WHERE t.hash = $3 AND t.user_id = u.id AND (t.expires_at IS NULL OR t.expires_at > $4)))")
    .bind::<st::Nullable<st::Uuid>, _>(session)
    .bind::<st::Nullable<st::Uuid>, _>(user)
    .bind::<st::Nullable<st::Bytea>, _>(hash)
    .bind::<st::Timestamptz, _>(now)
    .load(conn)
    .await?;
    Ok(rows.into_iter().next().map(|row| row.id.into()))
}

macro_rules! who {
    () => {
        "WITH who AS (
           SELECT u.id, u.username, u.full_name, u.color, u.lang, u.is_admin, s.id AS session_id, NULL::uuid AS token_id, NULL::text[] AS scopes
           FROM sessions s JOIN users u ON u.id = s.user_id
           WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL AND s.expires_at > $4 AND u.is_active
           UNION ALL
           SELECT u.id, u.username, u.full_name, u.color, u.lang, u.is_admin, NULL, t.id, t.scopes
           FROM access_tokens t JOIN users u ON u.id = t.user_id
           WHERE t.hash = $3 AND (t.expires_at IS NULL OR t.expires_at > $4) AND u.is_active
         ) "
    };
}

/// Looks a credential up together with its person's role in a workspace that is not in the trash.
pub async fn in_workspace(
    conn: &mut AsyncPgConnection,
    credential: &Credential,
    workspace: WorkspaceId,
    now: Time,
) -> Result<Option<InWorkspace>> {
    let (user, session, hash) = parts(credential);
    let rows: Vec<WorkspaceRow> = sql(concat!(
        who!(),
        "SELECT who.*, m.role FROM who LEFT JOIN
           (workspace_members m JOIN workspaces w ON w.id = m.workspace_id AND w.deleted_at IS NULL)
           ON m.workspace_id = $5 AND m.user_id = who.id"
    ))
    .bind::<st::Nullable<st::Uuid>, _>(session)
    .bind::<st::Nullable<st::Uuid>, _>(user)
    .bind::<st::Nullable<st::Bytea>, _>(hash)
    .bind::<st::Timestamptz, _>(now)
    .bind::<st::Uuid, _>(workspace.uuid())
    .load(conn)
    .await?;
    Ok(rows.into_iter().next().map(|row| InWorkspace {
        known: row.known.into_known(),
        role: row.role.as_deref().and_then(WorkspaceRole::of),
    }))
}

macro_rules! place {
    () => {
        "SELECT who.*, p.id AS project_id, p.workspace_id, p.key, p.archived_at, p.deleted_at, r.id AS role_id, r.is_owner, r.permissions
         FROM who LEFT JOIN
           (project_members m JOIN project_roles r ON r.id = m.role_id
            JOIN projects p ON p.id = m.project_id JOIN workspaces w ON w.id = p.workspace_id AND w.deleted_at IS NULL)
           ON m.user_id = who.id AND "
    };
}

/// Looks a credential up together with its person's place in a project, be it in the trash or not.
pub async fn in_project(
    conn: &mut AsyncPgConnection,
    credential: &Credential,
    project: ProjectId,
    now: Time,
) -> Result<Option<InProject>> {
    let (user, session, hash) = parts(credential);
    let rows: Vec<ProjectRow> = sql(concat!(who!(), place!(), "p.id = $5"))
        .bind::<st::Nullable<st::Uuid>, _>(session)
        .bind::<st::Nullable<st::Uuid>, _>(user)
        .bind::<st::Nullable<st::Bytea>, _>(hash)
        .bind::<st::Timestamptz, _>(now)
        .bind::<st::Uuid, _>(project.uuid())
        .load(conn)
        .await?;
    Ok(rows.into_iter().next().map(ProjectRow::into_place))
}

/// Like [`in_project`], for the project of a story.
pub async fn in_project_of_story(
    conn: &mut AsyncPgConnection,
    credential: &Credential,
    story: StoryId,
    now: Time,
) -> Result<Option<InProject>> {
    let (user, session, hash) = parts(credential);
    let rows: Vec<ProjectRow> =
        sql(concat!(who!(), place!(), "p.id = (SELECT project_id FROM stories WHERE id = $5)"))
            .bind::<st::Nullable<st::Uuid>, _>(session)
            .bind::<st::Nullable<st::Uuid>, _>(user)
            .bind::<st::Nullable<st::Bytea>, _>(hash)
            .bind::<st::Timestamptz, _>(now)
            .bind::<st::Uuid, _>(story.uuid())
            .load(conn)
            .await?;
    Ok(rows.into_iter().next().map(ProjectRow::into_place))
}

fn parts(credential: &Credential) -> (Option<Uuid>, Option<Uuid>, Option<Vec<u8>>) {
    match credential {
        Credential::Session { user, session } => (Some(user.uuid()), Some(session.uuid()), None),
        Credential::Token(hash) => (None, None, Some(hash.0.to_vec())),
    }
}

#[derive(QueryableByName)]
struct KnownRow {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
    #[diesel(sql_type = st::Text)]
    username: String,
    #[diesel(sql_type = st::Text)]
    full_name: String,
    #[diesel(sql_type = st::SmallInt)]
    color: i16,
    #[diesel(sql_type = st::Text)]
    lang: String,
    #[diesel(sql_type = st::Bool)]
    is_admin: bool,
    #[diesel(sql_type = st::Nullable<st::Uuid>)]
    session_id: Option<Uuid>,
    #[diesel(sql_type = st::Nullable<st::Uuid>)]
    token_id: Option<Uuid>,
    #[diesel(sql_type = st::Nullable<st::Array<st::Text>>)]
    scopes: Option<Vec<String>>,
}

impl KnownRow {
    fn into_known(self) -> Known {
        Known {
            person: Person {
                id: self.id.into(),
                username: self.username,
                full_name: shown(&self.full_name),
                color: self.color,
                lang: Lang::of(&self.lang).unwrap_or_default(),
                is_admin: self.is_admin,
                session: self.session_id.map(Into::into),
                token: self.token_id.map(Into::into),
            },
            scopes: self.scopes.map(|words| words.iter().filter_map(|w| Scope::of(w)).collect()),
        }
    }
}

#[derive(QueryableByName)]
struct WorkspaceRow {
    #[diesel(embed)]
    known: KnownRow,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    role: Option<String>,
}

#[derive(QueryableByName)]
struct ProjectRow {
    #[diesel(embed)]
    known: KnownRow,
    #[diesel(sql_type = st::Nullable<st::Uuid>)]
    project_id: Option<Uuid>,
    #[diesel(sql_type = st::Nullable<st::Uuid>)]
    workspace_id: Option<Uuid>,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    key: Option<String>,
    #[diesel(sql_type = st::Nullable<st::Uuid>)]
    role_id: Option<Uuid>,
    #[diesel(sql_type = st::Nullable<st::Bool>)]
    is_owner: Option<bool>,
    #[diesel(sql_type = st::Nullable<st::Array<st::Text>>)]
    permissions: Option<Vec<String>>,
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    archived_at: Option<Time>,
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    deleted_at: Option<Time>,
}

impl ProjectRow {
    fn into_place(self) -> InProject {
        let place = (|| {
            Some(ProjectPlace {
                project_id: self.project_id?.into(),
                workspace_id: self.workspace_id?.into(),
                key: self.key?,
                role_id: self.role_id?.into(),
                is_owner: self.is_owner?,
                permissions: ProjectPermissions::from_words(
                    self.permissions.iter().flatten().map(String::as_str),
                ),
                archived_at: self.archived_at,
                deleted_at: self.deleted_at,
            })
        })();
        InProject { known: self.known.into_known(), place }
    }
}
