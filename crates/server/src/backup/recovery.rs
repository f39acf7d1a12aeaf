//! Coming back to a moment, from a base backup and the archived write-ahead log.
//!
//! This is about a whole cluster: its directory is prepared, and a server that starts on it replays the log up to the
//! moment and goes on from there as a timeline of its own. For the PostgreSQL of `tenon up` all of it is done here; for
//! one that is somebody else's to run, only the directory is.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use tenon_adapters::blob;
use tenon_app::invariants::Seen;
use tenon_db::{
    Db, backups,
    managed::{Managed, ManagedConfig, Vacancy},
    migrations,
};

use super::{
    Kind, Manifest, State, Target, manifest, now,
    restore::verify_first,
    restored::{self, Files},
    wal,
};
use crate::{config::Config, database};

/// How long a server may take until what it replayed is consistent.
const CONSISTENT_WITHIN: Duration = Duration::from_hours(6);
const POLL: Duration = Duration::from_millis(200);
/// Looks at a server that does not answer before it is given up.
const LOOKS: u32 = 50;

/// What was recovered.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) manifest: Manifest,
    pub(crate) to: DateTime<Utc>,
    pub(crate) files: Files,
    pub(crate) seen: Seen,
    pub(crate) migrations: Vec<String>,
    /// The cluster that was replaced.
    pub(crate) kept_cluster: Option<PathBuf>,
    pub(crate) kept_keys: Option<PathBuf>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
}

/// Which of the pasts that a cluster has had, when it was recovered to a moment before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Timeline {
    /// The one that the base backup was made in: what was, as if nothing had been recovered since.
    #[default]
    Current,
    /// The newest one: what came after the last recovery.
    Latest,
}

/// Prepares `dir` so that a server started on it recovers to the moment `to`.
pub(crate) async fn prepare(
    config: &Config,
    target: &Target,
    to: DateTime<Utc>,
    timeline: Timeline,
    dir: &Path,
) -> anyhow::Result<Manifest> {
    anyhow::ensure!(
        restored::is_vacant(dir)?,
        "{} is not empty; move it away, or name another directory",
        dir.display()
    );
    let manifest = base_for(target, to).await?;
    verify_first(target, &manifest).await?;
    unpack(config, target, &manifest, (to, timeline), dir).await?;
    Ok(manifest)
}

/// Recovers the PostgreSQL of `tenon up` to the moment `to`, and gives the storage the files of that moment.
pub(crate) async fn recover(
    config: &Config,
    target: &Target,
    to: DateTime<Utc>,
    timeline: Timeline,
    force: bool,
) -> anyhow::Result<Recovered> {
    let started_at = now();
    anyhow::ensure!(
        config.database.url.is_none(),
        "the server of database.url is not Tenon's to recover; prepare a directory for it with --into, and start it on that"
    );
    let managed = database::managed(config)?;
    let vacancy = Vacancy::claim(&managed)?;
    let data = vacancy.data().to_owned();
    let vacant = restored::is_vacant(&data)?;
    anyhow::ensure!(
        vacant || force,
        "there is a database in {}; with --force it is moved aside and then replaced",
        data.display()
    );
    let manifest = base_for(target, to).await?;
    manifest.refuse_newer()?;
    verify_first(target, &manifest).await?;
    let unfinished = data.with_extension("recovered");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    unpack(config, target, &manifest, (to, timeline), &unfinished).await?;
    let kept_cluster = if vacant {
        None
    } else {
        let beside = data.with_extension(format!("before-{}", now().format("%Y%m%dT%H%M%SZ")));
        fs::rename(&data, &beside).with_context(|| format!("cannot move {}", data.display()))?;
        Some(beside)
    };
    if let Err(error) = vacancy.fill(&unfinished) {
        if let Some(beside) = &kept_cluster {
            fs::rename(beside, &data)?;
        }
        return Err(anyhow::Error::new(error).context("cannot put the recovered cluster in its place"));
    }
    match finish(config, target, &manifest, to, managed).await {
        Ok((files, seen, migrations, kept_keys)) => Ok(Recovered {
            manifest,
            to,
            files,
            seen,
            migrations,
            kept_cluster,
            kept_keys,
            started_at,
            finished_at: now(),
        }),
        Err(error) => {
            // As it was before, and what was tried beside it.
            fs::rename(&data, &unfinished)?;
            if let Some(beside) = &kept_cluster {
                fs::rename(beside, &data)?;
            }
            Err(error.context(format!("what was recovered is left in {}", unfinished.display())))
        }
    }
}

type Finished = (Files, Seen, Vec<String>, Option<PathBuf>);

/// Starts the server, waits until it has recovered, and sees to what a cluster does not hold.
async fn finish(
    config: &Config,
    target: &Target,
    manifest: &Manifest,
    to: DateTime<Utc>,
    mut managed: ManagedConfig,
) -> anyhow::Result<Finished> {
    // What is not kept in the end must leave no timeline in the archive, where later recoveries would follow it. What is
    // kept is archived from its next start on.
    managed.settings.push(("archive_command".to_owned(), String::new()));
    let server = Managed::start(ManagedConfig { patience: Some(CONSISTENT_WITHIN), ..managed })
        .await
        .context("the recovered database does not start")?;
    let done = async {
        let db = Db::open(database::db_config(config, server.url()));
        promoted(&db).await?;
        backups::forget_recovery(&mut db.dedicated().await?).await?;
        let migrations = migrations::run(&db).await?;
        let storage = blob::connect(config.storage.clone()).await?;
        let lists = lists_for(target, to).await?;
        let files = restored::files(&db, &storage, target, &lists.iter().collect::<Vec<_>>()).await?;
        let keys = restored::keys_of(target, manifest).await?;
        let seen = restored::look(config, &db, keys.as_ref()).await?;
        let kept_keys = match &keys {
            Some(keys) if config.auth.signing_keys.is_empty() => {
                restored::place_keys(config, keys, &manifest.id)?
            }
            _ => None,
        };
        anyhow::Ok((files, seen, migrations, kept_keys))
    }
    .await;
    server.stop().await.context("cannot stop the database")?;
    done
}

/// Waits until the server has replayed the log to the moment. One that cannot reach it ends.
async fn promoted(db: &Db) -> anyhow::Result<()> {
    let mut silent = 0;
    loop {
        match db.dedicated().await {
            Ok(mut conn) => {
                silent = 0;
                if matches!(backups::recovers(&mut conn).await, Ok(false)) {
                    return Ok(());
                }
            }
            Err(error) => {
                silent += 1;
                anyhow::ensure!(
                    silent < LOOKS,
                    anyhow::Error::new(error).context(
                        "the server ended before it reached that moment: it is later than the last one archived, or \
                         came after an earlier recovery (--timeline latest)"
                    )
                );
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The newest base backup that was whole by `to`.
async fn base_for(target: &Target, to: DateTime<Utc>) -> anyhow::Result<Manifest> {
    anyhow::ensure!(to <= now(), "{} is in the future", to.to_rfc3339());
    let mut oldest = None;
    for found in manifest::list(target).await?.into_iter().rev() {
        if let State::Whole(manifest) = found.state
            && manifest.kind == Kind::Base
        {
            if manifest.snapshot_at <= to {
                return Ok(*manifest);
            }
            oldest = Some(manifest.snapshot_at);
        }
    }
    match oldest {
        Some(oldest) => {
            anyhow::bail!("the oldest moment that can be restored is {}", oldest.format("%Y-%m-%dT%H:%M:%SZ"))
        }
        None => anyhow::bail!(
            "there is no base backup in {}; without one only whole backups can be restored",
            target.place()
        ),
    }
}

/// Backups whose lists may have the files of the moment `to`: first those right after it, for they have them all.
pub(super) async fn lists_for(target: &Target, to: DateTime<Utc>) -> anyhow::Result<Vec<Manifest>> {
    let whole = manifest::list(target).await?.into_iter().filter_map(|found| match found.state {
        State::Whole(manifest) => Some(*manifest),
        _ => None,
    });
    let (mut before, mut after): (Vec<_>, Vec<_>) = whole.partition(|manifest| manifest.snapshot_at < to);
    before.reverse();
    after.extend(before);
    Ok(after)
}

/// Unpacks a base backup into `dir`, which is vacant, and tells the server that will start there what to do. What fails
/// leaves the directory as it was.
async fn unpack(
    config: &Config,
    target: &Target,
    manifest: &Manifest,
    (to, timeline): (DateTime<Utc>, Timeline),
    dir: &Path,
) -> anyhow::Result<()> {
    let made = !dir.exists();
    if made {
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let into = dir.to_owned();
    let unpacked = async {
        target
            .get(&manifest.database, move |source| {
                tar::Archive::new(source)
                    .unpack(&into)
                    .with_context(|| format!("cannot write to {}", into.display()))
            })
            .await?;
        instruct(config, to, timeline, dir)
    }
    .await;
    if unpacked.is_err() {
        for entry in fs::read_dir(dir)?.flatten() {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        if made {
            let _ = fs::remove_dir(dir);
        }
    }
    unpacked
}

/// Tells the server where the log is, and when to stop.
fn instruct(config: &Config, to: DateTime<Utc>, timeline: Timeline, dir: &Path) -> anyhow::Result<()> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let command = wal::command(config, "fetch")?;
    let mut settings = OpenOptions::new().append(true).create(true).open(dir.join("postgresql.auto.conf"))?;
    writeln!(settings, "restore_command = {}", quoted(&command))?;
    writeln!(settings, "recovery_target_time = '{}+00'", to.format("%Y-%m-%d %H:%M:%S%.6f"))?;
    // By itself the server follows the newest one, which may have left this one before the moment, in an earlier
    // recovery, and would stop short of it without a word.
    let timeline = match timeline {
        Timeline::Current => "current",
        Timeline::Latest => "latest",
    };
    writeln!(settings, "recovery_target_timeline = '{timeline}'")?;
    writeln!(settings, "recovery_target_action = 'promote'")?;
    settings.sync_all()?;
    fs::write(dir.join("recovery.signal"), "")?;
    Ok(())
}
