//! `tenon doctor`.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tenon_adapters::{
    blob, bus, cache, clock::SystemClock, limiter, mail, queue, randomness::SystemRandomness,
};
use tenon_db::migrations;

use crate::{
    backup::{self, Beside},
    config::Config,
    database::Database,
    keys,
    output::{self, Output},
};

const PATIENCE: Duration = Duration::from_secs(15);

/// One thing that was tried.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    name: &'static str,
    well: bool,
    detail: String,
}

/// Tries everything and tells all; fails if anything did.
pub(crate) async fn run(config: &Config, output: &Output) -> anyhow::Result<()> {
    let findings = examine_all(config).await?;
    output.print(&findings, || as_text(&findings))?;
    well(&findings)
}

/// Tries everything.
pub(super) async fn examine_all(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let clock = Arc::new(SystemClock);
    let mut findings = vec![];
    let mut database = None;
    findings.push(
        examine("database", async {
            let open = Database::open(config).await?;
            let conn = open.db.conn().await.map(drop);
            database = Some(open);
            conn?;
            Ok("answers".to_owned())
        })
        .await,
    );
    if let Some(database) = &database {
        findings.push(
            examine("migrations", async {
                migrations::check(&database.db).await?;
                Ok("at this release".to_owned())
            })
            .await,
        );
        findings.push(
            examine("leftovers", async {
                let beside = backup::look_beside(&database.db).await?;
                Ok(as_leftovers(&beside))
            })
            .await,
        );
        findings.push(
            examine("queue", async {
                let queue = queue::connect(&config.queue, &database.db, clock.clone()).await?;
                match queue.remote() {
                    Some(remote) => remote.running().await.map(|_| "answers".to_owned()).map_err(Into::into),
                    None => Ok("is the database".to_owned()),
                }
            })
            .await,
        );
    }
    findings.push(
        examine("storage", async {
            blob::connect(config.storage.clone()).await?;
            Ok("can be used".to_owned())
        })
        .await,
    );
    findings.push(
        examine("mail", async {
            mail::connect(config.mail.clone(), clock.clone()).await?.check().await?;
            Ok("can be handed over".to_owned())
        })
        .await,
    );
    findings.push(
        examine("bus", async {
            bus::connect(config.bus.clone()).await?.check().await?;
            Ok("answers".to_owned())
        })
        .await,
    );
    findings.push(
        examine("limiter", async {
            limiter::connect(config.limiter.clone(), clock.clone()).await?;
            Ok("answers".to_owned())
        })
        .await,
    );
    findings.push(
        examine("cache", async {
            cache::connect(config.cache.clone(), clock.clone()).await?;
            Ok("answers".to_owned())
        })
        .await,
    );
    findings.push(
        examine("signing keys", async {
            let found =
                keys::load(&config.auth.signing_keys, &config.data_dir.join("keys"), &SystemRandomness)?;
            let names: Vec<_> = found.iter().map(|key| key.kid.as_str()).collect();
            Ok(format!("valid: {}", names.join(", ")))
        })
        .await,
    );
    if let Some(database) = database {
        database.close().await?;
    }
    Ok(findings)
}

/// Databases that take room and are nobody's concern, which is why somebody should hear of them.
fn as_leftovers(beside: &Beside) -> String {
    let Beside { restored, replaced } = beside;
    let mut said = Vec::new();
    if !restored.is_empty() {
        said.push(format!(
            "{} of restores that broke off, unless one is running; the next restore or `tenon backup prune` removes them",
            restored.join(", ")
        ));
    }
    if !replaced.is_empty() {
        said.push(format!(
            "{} of what restores replaced, which nothing removes; drop them when nobody misses them",
            replaced.join(", ")
        ));
    }
    if said.is_empty() { "none".to_owned() } else { said.join("; ") }
}

async fn examine(name: &'static str, work: impl Future<Output = anyhow::Result<String>>) -> Finding {
    let result = match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(anyhow::anyhow!("does not answer within {} s", PATIENCE.as_secs())),
    };
    match result {
        Ok(detail) => Finding { name, well: true, detail },
        Err(error) => Finding { name, well: false, detail: output::sentence(&error) },
    }
}

/// A line for each.
pub(super) fn as_text(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let mark = if finding.well { "ok    " } else { "FAILED" };
        format!("{mark}  {:<12}  {}", finding.name, finding.detail)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Fails if anything did.
pub(super) fn well(findings: &[Finding]) -> anyhow::Result<()> {
    let failed: Vec<_> =
        findings.iter().filter(|finding| !finding.well).map(|finding| finding.name).collect();
    anyhow::ensure!(failed.is_empty(), "not well: {}", failed.join(", "));
    Ok(())
}
