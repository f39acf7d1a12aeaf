//! `tenon owner`: workspaces and projects whose owners' accounts are not active get an owner who can act.

use clap::Subcommand;
use serde_json::{Value, json};
use tenon_app::{App, ownership, users::Operator::System};
use tenon_core::{
    Error,
    accounts::Belonging,
    ids::{ProjectId, WorkspaceId},
    page::Page,
};

use super::shell::{self, explained, find};
use crate::{config::Config, output::Output};

const PAGE: i64 = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum OwnerCommand {
    /// List workspaces and projects without an active owner.
    Missing,
    /// List what only this user owns: deactivating the account would leave it without an owner.
    Sole {
        /// Address or handle.
        user: String,
    },
    /// Give a workspace without an active owner a new one.
    ///
    /// The user becomes a member of the workspace if need be. The change is in the logs of both.
    SetWorkspace {
        /// Id of the workspace, as `missing` shows it.
        workspace: WorkspaceId,
        /// Address or handle of the new owner.
        user: String,
    },
    /// Give a project without an active owner a new one.
    ///
    /// The user becomes a member of the project and of its workspace if need be. The change is in the logs of both.
    SetProject {
        /// Id of the project, as `missing` shows it.
        project: ProjectId,
        /// Address or handle of the new owner.
        user: String,
    },
}

/// Runs one of the commands on the database of this installation.
pub(crate) async fn run(command: OwnerCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    shell::with_app(config, async |app| execute(command, app, output).await).await
}

async fn execute(command: OwnerCommand, app: &App, output: &Output) -> anyhow::Result<()> {
    match command {
        OwnerCommand::Missing => list(&missing(app).await?, output),
        OwnerCommand::Sole { user } => {
            let user = find(app, &user).await?;
            list(&ownership::sole(app, System, user.id).await.map_err(explained)?, output)
        }
        OwnerCommand::SetWorkspace { workspace, user } => {
            let user = find(app, &user).await?;
            match ownership::set_workspace_owner(app, System, workspace, user.id).await {
                Err(Error::NotFound(_)) => anyhow::bail!("there is no workspace {workspace}"),
                set => set.map_err(explained)?,
            };
            let json = json!({ "kind": "workspace", "id": workspace, "owner": user.id });
            output.print(&json, || format!("{} owns the workspace {workspace}.", user.username.as_str()))
        }
        OwnerCommand::SetProject { project, user } => {
            let user = find(app, &user).await?;
            match ownership::set_project_owner(app, System, project, user.id).await {
                Err(Error::NotFound(_)) => anyhow::bail!("there is no project {project}"),
                set => set.map_err(explained)?,
            };
            let json = json!({ "kind": "project", "id": project, "owner": user.id });
            output.print(&json, || format!("{} owns the project {project}.", user.username.as_str()))
        }
    }
}

async fn missing(app: &App) -> anyhow::Result<Vec<Belonging>> {
    let mut page = Page { limit: PAGE, after: None };
    let mut places = vec![];
    loop {
        let found = ownership::ownerless(app, System, &page).await.map_err(explained)?;
        places.extend(found.items);
        match found.next {
            Some(next) => page.after = Some(next),
            None => return Ok(places),
        }
    }
}

fn list(places: &[Belonging], output: &Output) -> anyhow::Result<()> {
    output.print(&views(places), || if places.is_empty() { "None.".to_owned() } else { lines(places) })
}

/// Workspaces and projects, as JSON.
pub(super) fn views(places: &[Belonging]) -> Vec<Value> {
    places.iter().map(|p| json!({ "kind": kind(p), "id": p.id, "name": p.name })).collect()
}

/// Workspaces and projects, one a line.
pub(super) fn lines(places: &[Belonging]) -> String {
    let line = |p: &Belonging| format!("{} {} {}", kind(p), p.id, p.name);
    places.iter().map(line).collect::<Vec<_>>().join("\n")
}

const fn kind(place: &Belonging) -> &'static str {
    if place.is_project { "project" } else { "workspace" }
}
