//! `tenon demo-data`.

use clap::Args;
use serde_json::json;
use tenon_app::demo;

use super::shell::{self, explained, find};
use crate::{config::Config, output::Output};

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Address or handle of somebody who shall own the workspaces, too.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Do so although there are workspaces already.
    #[arg(long)]
    force: bool,
}

/// Fills the database of this installation.
pub(crate) async fn run(options: &DemoOptions, config: &Config, output: &Output) -> anyhow::Result<()> {
    shell::with_app(config, async |app| {
        let owner = match &options.owner {
            Some(login) => Some(find(app, login).await?.id),
            None => None,
        };
        let made = demo::fill(app, owner, options.force).await.map_err(explained)?;
        let projects: Vec<_> = made
            .projects
            .iter()
            .map(|(key, name, stories)| json!({ "key": key, "name": name, "stories": stories }))
            .collect();
        let first = made.people.first().map_or("", |person| person.username.as_str());
        let result = json!({
            "people": made.people.iter().map(|person| &person.username).collect::<Vec<_>>(),
            "password": made.password.expose(),
            "workspaces": made.workspaces,
            "projects": projects,
            "comments": made.comments,
            "files": made.files,
        });
        output.print(&result, || {
            let list = made
                .projects
                .iter()
                .map(|(key, name, stories)| format!("  {key}  {name}: {stories} stories"));
            format!(
                "Made {} people, {} workspaces, {} comments, {} files, and these projects:\n{}\n\
                 Everybody has the password {}; {first} owns it all.",
                made.people.len(),
                made.workspaces,
                made.comments,
                made.files,
                list.collect::<Vec<_>>().join("\n"),
                made.password.expose()
            )
        })
    })
    .await
}
