//! `tenon migrate`.

use serde_json::json;
use tenon_db::migrations;

use crate::{config::Config, database::Database, output::Output};

/// Applies what is pending.
pub(crate) async fn run(config: &Config, output: &Output) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let applied = migrations::run(&database.db).await;
    database.close().await?;
    let applied = applied?;
    output.print(&json!({ "applied": applied }), || match applied.as_slice() {
        [] => "The database is up to date.".to_owned(),
        [one] => format!("Applied the migration {one}."),
        several => format!("Applied {} migrations: {}.", several.len(), several.join(", ")),
    })
}
