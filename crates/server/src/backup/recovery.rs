//! Coming back to a moment, from a base backup and the archived write-ahead log.
//!
//! This is about a whole cluster: its directory is prepared, and a server that starts on it replays the log up to the
//! moment and goes on from there as a timeline of its own. For the PostgreSQL of `tenon up` all of it is done here; for
//! one that is somebody else's to run, only the directory is.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use tenon_adapters::blob;
use tenon_app::invariants::Seen;
use tenon_db::{
    Db,
    address::Address,
    backups,
    managed::{Inhabitant, Managed, ManagedConfig, Vacancy},
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
    pub(crate) moment: Moment,
    pub(crate) files: Files,
    pub(crate) seen: Seen,
    pub(crate) migrations: Vec<String>,
    /// The cluster that was replaced.
    pub(crate) kept_cluster: Option<PathBuf>,
    pub(crate) kept_keys: Option<PathBuf>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
}

/// What a cluster is brought back to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// As it was then.
    At(DateTime<Utc>),
    /// As far as the archived log goes.
    Latest,
}

impl Moment {
    /// No later than this.
    fn by(self) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Latest => now(),
        }
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Latest => f.write_str("its end"),
        }
    }
}

/// What somebody wants back, and from what.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) moment: Moment,
    pub(crate) timeline: Timeline,
    /// The base backup; when absent the newest one from before the moment.
    pub(crate) from: Option<String>,
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

/// Prepares `dir` so that a server started on it recovers as `goal` says.
pub(crate) async fn prepare(
    config: &Config,
    target: &Target,
    goal: &Goal,
    dir: &Path,
) -> anyhow::Result<Manifest> {
    anyhow::ensure!(
        restored::is_vacant(dir)?,
        "{} is not empty; move it away, or name another directory",
        dir.display()
    );
    let manifest = base_for(target, goal).await?;
    refuse_anew(target, goal, &manifest).await?;
    manifest.refuse_newer()?;
    verify_first(target, &manifest).await?;
    unpack(config, target, &manifest, goal, dir).await?;
    Ok(manifest)
}

/// Recovers as `goal` says into a place that is vacant and will be thrown away, whosever the cluster was; answers the base
/// backup, and the server once it has recovered. Nothing of it is archived.
pub(super) async fn rehearse(
    config: &Config,
    live: &Db,
    target: &Target,
    goal: &Goal,
    scratch: &Path,
) -> anyhow::Result<(Manifest, Managed)> {
    let manifest = base_for(target, goal).await?;
    manifest.refuse_newer()?;
    verify_first(target, &manifest).await?;
    let live = Address::of(live.url())?;
    // The settings of a server of yours are elsewhere; its people come in through a door that is ours alone.
    let (settings, door) = (scratch.join("postgresql.conf"), scratch.join("pg_hba.conf"));
    fs::write(&settings, "")?;
    fs::write(&door, "local all all trust\n")?;
    let own = [
        ("config_file", settings.display().to_string()),
        ("hba_file", door.display().to_string()),
        // Else the server would have to be as large as the one that was backed up.
        ("hot_standby", "off".to_owned()),
        ("archive_mode", "off".to_owned()),
        ("shared_preload_libraries", String::new()),
        ("ssl", "off".to_owned()),
        ("fsync", "off".to_owned()),
        ("full_page_writes", "off".to_owned()),
    ];
    let managed = ManagedConfig {
        data_dir: scratch.join("postgres"),
        bin_dir: config.database.bin_dir.clone(),
        run_as: config.database.run_as.clone(),
        settings: own.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        patience: Some(CONSISTENT_WITHIN),
        // As they are called there.
        inhabitant: Some(Inhabitant {
            user: live.user.unwrap_or_else(|| live.database.clone()),
            database: live.database,
        }),
    };
    let vacancy = Vacancy::claim(&managed)?;
    let unpacked = vacancy.recovered();
    unpack(config, target, &manifest, goal, &unpacked).await?;
    vacancy.fill(&unpacked)?;
    let server = Managed::start(managed).await.context("the recovered database does not start")?;
    Ok((manifest, server))
}

/// Recovers the PostgreSQL of `tenon up` as `goal` says, and gives the storage the files of that moment.
pub(crate) async fn recover(
    config: &Config,
    target: &Target,
    goal: &Goal,
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
    let manifest = base_for(target, goal).await?;
    refuse_anew(target, goal, &manifest).await?;
    manifest.refuse_newer()?;
    verify_first(target, &manifest).await?;
    let unfinished = vacancy.recovered();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    unpack(config, target, &manifest, goal, &unfinished).await?;
    let kept_cluster = if vacant {
        None
    } else {
        let beside = vacancy.replaced(&now().format("%Y%m%dT%H%M%SZ").to_string());
        fs::rename(&data, &beside).with_context(|| format!("cannot move {}", data.display()))?;
        Some(beside)
    };
    if let Err(error) = vacancy.fill(&unfinished) {
        if let Some(beside) = &kept_cluster {
            fs::rename(beside, &data)?;
        }
        return Err(anyhow::Error::new(error).context("cannot put the recovered cluster in its place"));
    }
    match finish(config, target, &manifest, goal.moment, managed).await {
        Ok((files, seen, migrations, kept_keys)) => Ok(Recovered {
            manifest,
            moment: goal.moment,
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
    moment: Moment,
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
        let files = restored::files(&db, &storage, target, &lists_for(target, moment.by()).await?).await?;
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
                        "the server ended before it reached that moment, and its log says why: either the archive cannot \
                         be read, or the moment is later than the last change that was archived (--to-latest goes as far \
                         as there is), or it came after an earlier recovery (--timeline latest)"
                    )
                );
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The base backup to begin with: the one that is named, or the newest that was whole by then and leads there.
async fn base_for(target: &Target, goal: &Goal) -> anyhow::Result<Manifest> {
    let by = goal.moment.by();
    anyhow::ensure!(by <= now(), "{} is in the future", goal.moment);
    if let Some(id) = &goal.from {
        let manifest = manifest::find(target, Some(id), Kind::Base).await?;
        anyhow::ensure!(
            manifest.kind == Kind::Base,
            "the backup {} is no base backup, from which a moment could be restored",
            manifest.id
        );
        anyhow::ensure!(
            manifest.snapshot_at <= by,
            "the base backup {} is of {}, which is after that moment",
            manifest.id,
            manifest.snapshot_at.format("%Y-%m-%dT%H:%M:%SZ")
        );
        return Ok(manifest);
    }
    let (mut oldest, mut abandoned) = (None, None);
    let mut histories: BTreeMap<String, Option<wal::History>> = BTreeMap::new();
    for found in manifest::list(target).await?.into_iter().rev() {
        let State::Whole(manifest) = found.state else { continue };
        let Some(cluster) = manifest.cluster.as_ref().filter(|_| manifest.kind == Kind::Base) else {
            continue;
        };
        oldest = Some(manifest.snapshot_at);
        if manifest.snapshot_at > by {
            continue;
        }
        if goal.timeline == Timeline::Latest {
            let known = match histories.entry(cluster.system.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let newest = wal::newest_history(target, &cluster.system).await?;
                    unknown.insert(newest)
                }
            };
            // One of a past that a recovery has left does not lead to what came after that.
            if known.as_ref().is_some_and(|history| !history.follows(cluster)) {
                abandoned = abandoned.or(Some(manifest.id));
                continue;
            }
        }
        return Ok(*manifest);
    }
    match (abandoned, oldest) {
        (Some(id), _) => anyhow::bail!(
            "no base backup leads to that moment: {id}, and those before it, are of a past that a recovery has left; \
             restore that past with --timeline current"
        ),
        (None, Some(oldest)) => {
            anyhow::bail!("the oldest moment that can be restored is {}", oldest.format("%Y-%m-%dT%H:%M:%SZ"))
        }
        (None, None) => anyhow::bail!(
            "there is no base backup in {}; without one only whole backups can be restored",
            target.place()
        ),
    }
}

/// Refuses to take for the latest what is of a cluster that was begun after the one that is missed.
async fn refuse_anew(target: &Target, goal: &Goal, newest: &Manifest) -> anyhow::Result<()> {
    if !matches!(goal.moment, Moment::Latest) || goal.from.is_some() {
        return Ok(());
    }
    let system = |manifest: &Manifest| manifest.cluster.as_ref().map(|cluster| cluster.system.clone());
    for found in manifest::list(target).await?.into_iter().rev() {
        if let State::Whole(older) = found.state
            && older.kind == Kind::Base
            && system(&older) != system(newest)
        {
            anyhow::bail!(
                "the newest base backup, {} with {} people, is of another cluster than {} with {}; say which with --from",
                newest.id,
                newest.counts.users,
                older.id,
                older.counts.users
            );
        }
    }
    Ok(())
}

/// Backups whose lists may have the files of the moment `to`: first those right after it, for they have them all.
pub(super) async fn lists_for(target: &Target, to: DateTime<Utc>) -> anyhow::Result<Vec<Manifest>> {
    let whole = manifest::list(target).await?.into_iter().filter_map(|found| match found.state {
        State::Whole(manifest) => Some(*manifest),
        State::Unreadable(why) => {
            tracing::warn!("Files of a backup are not looked for, for it cannot be used: {why}");
            None
        }
        State::Unfinished => None,
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
    goal: &Goal,
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
        instruct(config, goal, dir)
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
fn instruct(config: &Config, goal: &Goal, dir: &Path) -> anyhow::Result<()> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let command = wal::command(config, "fetch")?;
    let mut settings = OpenOptions::new().append(true).create(true).open(dir.join("postgresql.auto.conf"))?;
    writeln!(settings, "restore_command = {}", quoted(&command))?;
    // Whatever an earlier recovery of the cluster was told is in the base backup as well, and would hold.
    for other in ["", "_name", "_xid", "_lsn"] {
        writeln!(settings, "recovery_target{other} = ''")?;
    }
    let time = match goal.moment {
        Moment::At(to) => to.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string(),
        Moment::Latest => String::new(),
    };
    writeln!(settings, "recovery_target_time = '{time}'")?;
    writeln!(settings, "recovery_target_inclusive = 'on'")?;
    writeln!(settings, "recovery_target_action = 'promote'")?;
    // By itself the server follows the newest one, which may have left this one before the moment, in an earlier
    // recovery, and would stop short of it without a word.
    let timeline = match goal.timeline {
        Timeline::Current => "current",
        Timeline::Latest => "latest",
    };
    writeln!(settings, "recovery_target_timeline = '{timeline}'")?;
    settings.sync_all()?;
    fs::write(dir.join("recovery.signal"), "")?;
    // One of a standby would follow for ever.
    match fs::remove_file(dir.join("standby.signal")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
