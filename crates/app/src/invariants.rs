//! What must hold of an instance that came back from a backup, as its members see it.
//!
//! A restore can end well and leave an instance that is empty to everybody: the rows are there, and nobody is a member
//! of anything. So this asks as members do, through the use-cases and their authorisation.

use std::time::Duration;

use tenon_core::{
    Error, Result,
    callers::{Caller, Credential},
    ids::SessionId,
    page::Page,
    projects::ProjectFilter,
    sessions::Session,
    tokens::Scope,
};
use tenon_db::{
    backups::{self, Witness},
    sessions,
    stories::Filter,
};

use crate::{App, projects, stories, workspaces};

/// Most workspaces that are looked at.
const WITNESSES: i64 = 500;
/// A session that was not ended again ends by itself.
const LONGEST_LOOK: Duration = Duration::from_mins(5);

/// What members saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Seen {
    /// Workspaces that were looked at.
    pub workspaces: i64,
    /// Projects in them that the member is in.
    pub projects: i64,
    /// Stories in the first project of each.
    pub stories: i64,
}

/// Looks at every workspace as one of its members; says what is wrong as a conflict.
pub async fn as_members(app: &App) -> Result<Seen> {
    let witnesses = backups::witnesses(&mut *app.read().await?, WITNESSES).await?;
    let mut seen = Seen::default();
    for witness in &witnesses {
        let session: SessionId = app.id();
        let now = app.now();
        let login = Session {
            id: session,
            user_id: witness.person,
            created_at: now,
            last_seen_at: now,
            expires_at: now + LONGEST_LOOK,
            user_agent: "tenon restore".to_owned(),
            address: String::new(),
        };
        sessions::insert(&mut *app.read().await?, &login).await?;
        let looked = look(app, witness, session, &mut seen).await;
        sessions::forget(&mut *app.read().await?, session).await?;
        looked?;
    }
    Ok(seen)
}

async fn look(app: &App, witness: &Witness, session: SessionId, seen: &mut Seen) -> Result<()> {
    let caller = |needs| Caller {
        credential: Credential::Session { user: witness.person, session },
        needs,
        correlation_id: "restore".to_owned(),
    };
    let hidden = |what: &str| {
        Error::conflict(
            "not-restored",
            format!("A member of the workspace {} does not see {what}.", witness.workspace),
        )
    };
    match workspaces::get(app, &caller(Scope::ReadWorkspaces), witness.workspace).await {
        Err(Error::NotFound(_) | Error::Unauthenticated | Error::Inactive { .. }) => {
            return Err(hidden("it"));
        }
        found => found?,
    };
    seen.workspaces += 1;
    let of_workspace = ProjectFilter { workspace: Some(witness.workspace), archived: None, trashed: false };
    let first = Page { limit: 1, after: None };
    let (listed, total) =
        projects::list(app, &caller(Scope::ReadProjects), of_workspace, first, true).await?;
    let total = total.unwrap_or_default();
    if total != witness.projects {
        return Err(hidden(&format!("{} of its projects, but {total}", witness.projects)));
    }
    seen.projects += total;
    let Some(project) = listed.items.first() else { return Ok(()) };
    let page = Page { limit: 1, after: None };
    match stories::list(app, &caller(Scope::ReadProjects), project.project.id, &Filter::default(), page, true)
        .await
    {
        // Not everybody may see stories.
        Err(Error::NotFound(_) | Error::Forbidden(_)) => {}
        listed => seen.stories += listed?.1.unwrap_or_default(),
    }
    Ok(())
}
