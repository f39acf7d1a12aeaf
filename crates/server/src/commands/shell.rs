//! What commands have in common that do one thing to the installation and end.

use std::sync::Arc;

use tenon_app::{
    App,
    users::{self, Operator::System},
};
use tenon_core::{Error, users::User};

use crate::{config::Config, database::Database, wiring};

/// Does `work` on the application over this installation's database, running or not.
pub(super) async fn with_app(
    config: &Config,
    work: impl AsyncFnOnce(&Arc<App>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let done = async {
        tenon_db::migrations::check(&database.db).await?;
        let app = wiring::app(config, database.db.clone()).await?;
        work(&app).await
    }
    .await;
    database.close().await?;
    done
}

/// The person with an address or handle.
pub(super) async fn find(app: &App, login: &str) -> anyhow::Result<User> {
    match users::find(app, System, login).await {
        Err(Error::NotFound(_)) => anyhow::bail!("there is nobody with the address or handle {login}"),
        found => found.map_err(explained),
    }
}

/// A refusal of several fields as one sentence.
pub(super) fn explained(error: Error) -> anyhow::Error {
    match error {
        Error::Invalid(fields) => {
            let problem = |field: tenon_core::FieldError| {
                format!("{} {}", field.pointer.trim_start_matches('/').replace('_', " "), field.detail)
            };
            anyhow::anyhow!("{}", fields.into_iter().map(problem).collect::<Vec<_>>().join("; "))
        }
        other => other.into(),
    }
}
