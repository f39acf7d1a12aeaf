//! Coming back from a dump.
//!
//! The backup is verified first and restored into a database of another name, which is brought to this release and
//! looked at. Only then do the two change names. Whatever fails before that leaves everything as it was, but for files
//! that the storage had lost and has again.

use anyhow::Context;
use chrono::{DateTime, Utc};
use tenon_adapters::blob;
use tenon_app::invariants::Seen;
use tenon_core::secrets::Secret;
use tenon_db::{
    Connection, Db,
    address::{Address, with_database},
    backups::{self, Content},
    databases, migrations,
};

use super::{
    Kind, Manifest, State, Target, create,
    leftovers::{self, Part, Restoring},
    manifest, now,
    postgres::Program,
    recovery::lists_for,
    restored::{self, Files},
    verify::verify,
};
use crate::{
    config::Config,
    database::{Database, db_config},
};

/// Longest wait for connections of our own to be closed.
const CLOSED_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// What somebody wants back.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// The backup; the newest one when absent.
    pub(crate) from: Option<String>,
    /// Even if there is something that would be replaced.
    pub(crate) force: bool,
    /// Without a backup of what is replaced; it is kept under another name then.
    pub(crate) without_safety: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) manifest: Manifest,
    pub(crate) files: Files,
    pub(crate) seen: Seen,
    /// Migrations of this release that the backup did not have.
    pub(crate) migrations: Vec<String>,
    /// The backup of what was replaced.
    pub(crate) safety: Option<String>,
    /// The database that was replaced, if it was kept.
    pub(crate) kept_database: Option<String>,
    /// The keys that were replaced.
    pub(crate) kept_keys: Option<std::path::PathBuf>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
}

/// Replaces the database of this installation by that of a backup, and gives it its files and keys.
pub(crate) async fn restore(
    config: &Config,
    database: &Database,
    target: &Target,
    wish: &Wish,
) -> anyhow::Result<Restored> {
    let started_at = now();
    let manifest = manifest::find(target, wish.from.as_deref(), Kind::Full).await?;
    anyhow::ensure!(
        manifest.kind == Kind::Full,
        "the backup {} is a base backup; restore it with --to-time",
        manifest.id
    );
    manifest.refuse_newer()?;
    let mut place = Place::of(config, database, &manifest).await?;
    place.refuse_visitors(&place.name.clone()).await?;
    let inhabited = place.content().await? == Content::People;
    anyhow::ensure!(
        !inhabited || wish.force,
        "the database {} is not empty; with --force a backup of it is made and then it is replaced",
        place.name
    );
    if wish.from.is_none() && manifest.counts.users == 0 {
        refuse_emptied(target, &manifest).await?;
    }
    verify_first(target, &manifest).await?;
    let safety = if inhabited && !wish.without_safety {
        let live = Db::open(db_config(config, place.url.clone()));
        let made = create::create_for_safety(config, &live, target).await.context(
            "no backup of what would be replaced can be made, so it is not replaced; with --without-safety-backup it is kept as a database of another name",
        )?;
        Some(made.id)
    } else {
        None
    };

    let keys = restored::keys_of(target, &manifest).await?;
    let name = Part::Restored.name(&place.name, &manifest.id);
    place.make(&name).await?;
    let filled = fill(config, target, &manifest, &place, &name, keys.as_ref()).await;
    let filled = match filled {
        Ok(filled) => filled,
        Err(error) => {
            let _ = databases::drop(&mut place.admin, &name).await;
            return Err(error.context("nothing was changed, for the backup could not be restored"));
        }
    };
    let kept = match place.swap(&name).await {
        Ok(kept) => kept,
        Err(error) => {
            let _ = databases::drop(&mut place.admin, &name).await;
            return Err(error.context("nothing was changed, for the databases could not change names"));
        }
    };
    let kept_keys = match &keys {
        Some(keys) if config.auth.signing_keys.is_empty() => {
            restored::place_keys(config, keys, &manifest.id).with_context(|| {
                let kept = kept.as_ref().map(|name| format!(", and what was there is the database {name}"));
                format!(
                    "the database was restored{}, but its signing keys are not in their place: restore again with --force",
                    kept.unwrap_or_default()
                )
            })?
        }
        _ => None,
    };
    let kept_database = match kept {
        // Nobody misses an empty one; of the other there is the backup.
        Some(old) if safety.is_some() || !inhabited => match databases::drop(&mut place.admin, &old).await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "What was replaced could not be removed"
                );
                Some(old)
            }
        },
        kept => kept,
    };
    let Filled { files, seen, migrations } = filled;
    Ok(Restored {
        manifest,
        files,
        seen,
        migrations,
        safety,
        kept_database,
        kept_keys,
        started_at,
        finished_at: now(),
    })
}

/// What was made of a backup before anything was replaced by it.
pub(super) struct Filled {
    pub(super) files: Files,
    pub(super) seen: Seen,
    pub(super) migrations: Vec<String>,
}

async fn fill(
    config: &Config,
    target: &Target,
    manifest: &Manifest,
    place: &Place,
    name: &str,
    keys: Option<&Secret>,
) -> anyhow::Result<Filled> {
    let url = with_database(&place.url, name);
    load(config, target, manifest, &url, place.major).await?;
    let db = Db::open(db_config(config, url));
    restored::compare_counts(&db, manifest).await?;
    let migrations = migrations::run(&db).await?;
    backups::analyze(&mut db.dedicated().await?).await?;
    let storage = blob::connect(config.storage.clone()).await?;
    // Its own list has them all; others may have bytes of their own of what is damaged there.
    let mut lists = vec![manifest.clone()];
    lists.extend(
        lists_for(target, manifest.snapshot_at).await?.into_iter().filter(|one| one.id != manifest.id),
    );
    let files = restored::files(&db, &storage, target, &lists).await?;
    let seen = restored::look(config, &db, keys).await?;
    Ok(Filled { files, seen, migrations })
}

/// Loads the dump of a backup into the empty database at `url`.
pub(super) async fn load(
    config: &Config,
    target: &Target,
    manifest: &Manifest,
    url: &str,
    major: u32,
) -> anyhow::Result<()> {
    let name = Address::of(url)?.database;
    let program = Program::find(config, "pg_restore", major, url).await?.args([
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        "--dbname",
        &name,
    ]);
    target.get(&manifest.database, move |source| program.read_from(source)).await
}

/// Refuses a backup that is not what was stored, or that cannot be opened.
pub(super) async fn verify_first(target: &Target, manifest: &Manifest) -> anyhow::Result<()> {
    anyhow::ensure!(
        manifest.recipients.is_empty() || target.decrypts(),
        "the backup {} is encrypted, and backup.identity is not set; set backup.identity_file to the file with the private key",
        manifest.id
    );
    let verified = verify(target, manifest).await?;
    anyhow::ensure!(
        verified.problems.is_empty(),
        "the backup {} cannot be restored: {}",
        manifest.id,
        verified.problems.join("; ")
    );
    if verified.damaged_files > 0 {
        tracing::warn!(
            backup.id = manifest.id,
            files = verified.damaged_files,
            "Files of the backup are damaged; those that the storage lacks are sought in other backups: {}",
            verified.file_problems.join("; ")
        );
    }
    Ok(())
}

/// Refuses the newest backup when it is of an installation without people, as it is after a loss, and there is one with.
async fn refuse_emptied(target: &Target, newest: &Manifest) -> anyhow::Result<()> {
    for found in manifest::list(target).await?.into_iter().rev() {
        if let State::Whole(older) = found.state
            && older.kind == Kind::Full
            && !older.safety
            && older.counts.users > 0
        {
            anyhow::bail!(
                "the newest backup, {}, is of an installation without people, and {} has {}; say which with --from",
                newest.id,
                older.id,
                older.counts.users
            );
        }
    }
    Ok(())
}

/// The database to be replaced, seen from another one of its server.
struct Place {
    url: String,
    name: String,
    major: u32,
    admin: Connection,
    exists: bool,
}

impl Place {
    /// Looks at what is there, and refuses what could not go well.
    async fn of(config: &Config, database: &Database, manifest: &Manifest) -> anyhow::Result<Self> {
        let url = database.db.url().to_owned();
        let name = Address::of(&url)?.database;
        let alone = Restoring::try_at(leftovers::beside(config, &url).await?, &name).await?;
        let Some(mut alone) = alone else {
            anyhow::bail!("another restore of the database {name} is running; wait until it is done");
        };
        // Some hold as much as what is to be restored.
        alone.clear(&name, false).await?;
        let mut admin = alone.0;
        // A large database is not dropped in a moment.
        backups::at_leisure(&mut admin).await?;
        let server = backups::server(&mut admin).await?;
        let major = u32::try_from(server.major).context("the server does not say its version")?;
        anyhow::ensure!(
            major >= manifest.postgres,
            "the backup {} was made by PostgreSQL {}, and the server is the older PostgreSQL {major}",
            manifest.id,
            manifest.postgres
        );
        if !databases::may_create(&mut admin).await? {
            let user = Address::of(&url)?.user.unwrap_or_else(|| "of the database".to_owned());
            anyhow::bail!(
                "the account {user} may not make databases, which a restore needs; let it with: ALTER ROLE \"{user}\" CREATEDB"
            );
        }
        let exists = databases::exists(&mut admin, &name).await?;
        Ok(Self { url, name, major, admin, exists })
    }

    async fn content(&self) -> anyhow::Result<Content> {
        if !self.exists {
            return Ok(Content::Nothing);
        }
        let live = Db::open(tenon_db::DbConfig::new(self.url.clone()));
        let content = backups::content(&mut live.dedicated().await?).await?;
        anyhow::ensure!(
            content != Content::Strange,
            "the database {} holds tables that are not Tenon's, so it is not replaced; choose another with database.url",
            self.name
        );
        Ok(content)
    }

    /// Refuses while anybody is connected: what they wrote from now on would be lost.
    async fn refuse_visitors(&mut self, name: &str) -> anyhow::Result<()> {
        let started = tokio::time::Instant::now();
        loop {
            let visitors = databases::visitors(&mut self.admin, name).await?;
            if visitors.is_empty() {
                return Ok(());
            }
            // Those of this process are being closed.
            if started.elapsed() > CLOSED_WITHIN {
                let mut names = visitors.clone();
                names.dedup();
                anyhow::bail!(
                    "the database {name} is in use by {} connections ({}); stop what is running and try again",
                    visitors.len(),
                    names.join(", ")
                );
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn make(&mut self, name: &str) -> anyhow::Result<()> {
        databases::create_alike(&mut self.admin, name)
            .await
            .context("cannot make a database to restore into")?;
        Ok(())
    }

    /// Lets the restored database take the name of the old one; answers the old one's new name.
    async fn swap(&mut self, restored: &str) -> anyhow::Result<Option<String>> {
        let name = self.name.clone();
        // Nobody but us knows of it.
        databases::disconnect(&mut self.admin, restored).await?;
        if !self.exists {
            databases::rename(&mut self.admin, restored, &name).await?;
            return Ok(None);
        }
        self.refuse_visitors(&name).await?;
        let old = Part::Replaced.name(&name, &manifest::new_id(now()));
        databases::replace(&mut self.admin, &name, &old, restored)
            .await
            .context("cannot put the restored database in the place of the old one")?;
        Ok(Some(old))
    }
}
