//! Who asks, looked up with what they may do.

use tenon_core::{
    Error, Result, Time,
    callers::{Caller, Credential, Person},
    ids::{ProjectId, StoryId, UserId, WorkspaceId},
    permissions::{ProjectPermission, WorkspacePermission},
    roles::WorkspaceRole,
    tokens::Scope,
    users::User,
};
use tenon_db::{
    Connection,
    access::{InProject, Known, ProjectPlace},
};

use crate::App;

/// The caller's person, if the credential is still good for what it is used for.
pub async fn person(app: &App, conn: &mut Connection, caller: &Caller) -> Result<Person> {
    let known = tenon_db::access::known(conn, &caller.credential, app.now()).await?;
    let Some(known) = known else { return Err(refusal(app, conn, caller).await?) };
    in_scope(app, known, caller)
}

/// Why a credential opens nothing: its holder is told when their account is not active.
async fn refusal(app: &App, conn: &mut Connection, caller: &Caller) -> Result<Error> {
    let holder = tenon_db::access::inactive_holder(conn, &caller.credential, app.now()).await?;
    let Some(holder) = holder else { return Ok(Error::Unauthenticated) };
    let user = tenon_db::users::find(conn, holder).await?;
    Ok(user.as_ref().and_then(Inactive::of).map_or(Error::Unauthenticated, Inactive::unauthenticated))
}

/// Why an account is not active.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inactive {
    /// Its address was never verified.
    Unverified,
    /// An administrator switched it off.
    Deactivated,
}

impl Inactive {
    /// What keeps a person out, if anything does.
    pub(crate) fn of(user: &User) -> Option<Self> {
        if user.is_active {
            None
        } else if user.verified_at.is_none() {
            Some(Self::Unverified)
        } else {
            Some(Self::Deactivated)
        }
    }
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Unverified => (
                "email-not-verified",
                "The email address is not verified yet. Follow the link in the mail, or ask for another one.",
            ),
            Self::Deactivated => (
                "account-deactivated",
                "This account is deactivated. Ask an administrator to activate it again.",
            ),
        }
    }
    /// Said to whoever brings a credential of the account.
    pub(crate) const fn unauthenticated(self) -> Error {
        let (code, detail) = self.words();
        Error::Inactive { code, detail }
    }
    /// Said to whoever knows the account and wants something of it.
    pub(crate) fn conflict(self) -> Error {
        let (code, detail) = self.words();
        Error::conflict(code, detail)
    }
}

/// The caller's person, and when the credential ends by itself: for what outlives a request.
pub async fn person_until(
    app: &App,
    conn: &mut Connection,
    caller: &Caller,
) -> Result<(Person, Option<Time>)> {
    // In this order, so that an end that moved in between is the later one.
    let person = person(app, conn, caller).await?;
    Ok((person, tenon_db::access::ends_at(conn, &caller.credential).await?))
}

/// Whose credential it is, to name their stream at the start of a write; the write looks the credential up again.
pub async fn person_id(app: &App, caller: &Caller) -> Result<UserId> {
    match caller.credential {
        Credential::Session { user, .. } => Ok(user),
        Credential::Token(_) => {
            let mut conn = app.read().await?;
            Ok(person(app, &mut conn, caller).await?.id)
        }
    }
}

/// The caller's person, who must administer the instance; for everybody else the thing does not exist.
pub async fn admin(app: &App, conn: &mut Connection, caller: &Caller) -> Result<Person> {
    let person = person(app, conn, caller).await?;
    if person.is_admin { Ok(person) } else { Err(Error::Forbidden("administer the instance")) }
}

/// A member of a workspace.
#[derive(Debug, Clone)]
pub struct WorkspaceAccess {
    /// Who.
    pub person: Person,
    /// Where.
    pub workspace_id: WorkspaceId,
    /// As what.
    pub role: WorkspaceRole,
}

impl WorkspaceAccess {
    /// Refuses those who lack `permission`.
    pub fn allow(&self, permission: WorkspacePermission) -> Result<()> {
        if self.role.permissions().has(permission) {
            Ok(())
        } else {
            Err(Error::Forbidden(permission.as_str()))
        }
    }
}

/// The caller in a workspace; a workspace that they are not in is not found.
pub async fn workspace(
    app: &App,
    conn: &mut Connection,
    caller: &Caller,
    id: WorkspaceId,
) -> Result<WorkspaceAccess> {
    let found = tenon_db::access::in_workspace(conn, &caller.credential, id, app.now()).await?;
    let Some(found) = found else { return Err(refusal(app, conn, caller).await?) };
    let person = in_scope(app, found.known, caller)?;
    let role = found.role.ok_or(Error::NotFound("workspace"))?;
    Ok(WorkspaceAccess { person, workspace_id: id, role })
}

/// A member of a project.
#[derive(Debug, Clone)]
pub struct ProjectAccess {
    /// Who.
    pub person: Person,
    /// Where, as what, with which rights.
    pub place: ProjectPlace,
}

impl ProjectAccess {
    /// Refuses those who lack `permission`.
    pub fn allow(&self, permission: ProjectPermission) -> Result<()> {
        if self.place.permissions.has(permission) {
            Ok(())
        } else {
            Err(Error::Forbidden(permission.as_str()))
        }
    }
    /// Refuses to change a project that is archived.
    pub fn refuse_archived(&self) -> Result<()> {
        if self.place.archived_at.is_some() { Err(archived()) } else { Ok(()) }
    }
    /// Refuses those who lack `permission` to see a thing, as if the thing were not there.
    pub fn see(&self, permission: ProjectPermission, what: &'static str) -> Result<()> {
        if self.place.permissions.has(permission) { Ok(()) } else { Err(Error::NotFound(what)) }
    }
}

/// An archived project is read-only.
pub(crate) fn archived() -> Error {
    Error::conflict("project-archived", "This project is archived, so it is read-only. Un-archive it first.")
}

/// The caller in a project; a project that they are not in, or that is in the trash, is not found.
pub async fn project(
    app: &App,
    conn: &mut Connection,
    caller: &Caller,
    id: ProjectId,
) -> Result<ProjectAccess> {
    let access = project_or_trashed(app, conn, caller, id).await?;
    if access.place.deleted_at.is_some() { Err(Error::NotFound("project")) } else { Ok(access) }
}

/// Like [`project`], but a project in the trash is found too.
pub async fn project_or_trashed(
    app: &App,
    conn: &mut Connection,
    caller: &Caller,
    id: ProjectId,
) -> Result<ProjectAccess> {
    let found = tenon_db::access::in_project(conn, &caller.credential, id, app.now()).await?;
    placed(app, conn, found, caller, "project").await
}

/// The caller in the project of a story; a story whose project they are not in is not found.
pub async fn project_of_story(
    app: &App,
    conn: &mut Connection,
    caller: &Caller,
    story: StoryId,
) -> Result<ProjectAccess> {
    let found = tenon_db::access::in_project_of_story(conn, &caller.credential, story, app.now()).await?;
    let access = placed(app, conn, found, caller, "story").await?;
    if access.place.deleted_at.is_some() { Err(Error::NotFound("story")) } else { Ok(access) }
}

async fn placed(
    app: &App,
    conn: &mut Connection,
    found: Option<InProject>,
    caller: &Caller,
    what: &'static str,
) -> Result<ProjectAccess> {
    let Some(found) = found else { return Err(refusal(app, conn, caller).await?) };
    let person = in_scope(app, found.known, caller)?;
    let place = found.place.ok_or(Error::NotFound(what))?;
    Ok(ProjectAccess { person, place })
}

/// A token does no more than its scopes say; that it was used is noted.
fn in_scope(app: &App, known: Known, caller: &Caller) -> Result<Person> {
    if let Some(token) = known.person.token {
        app.token_uses.note(token, app.now());
    }
    match known.scopes {
        Some(scopes) if !scopes.iter().any(|s| s.covers(caller.needs)) => {
            Err(Error::Forbidden(scope_word(caller.needs)))
        }
        _ => Ok(known.person),
    }
}

const fn scope_word(scope: Scope) -> &'static str {
    scope.as_str()
}
