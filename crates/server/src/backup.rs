//! Backups: what they are made of, and how an installation comes back from one.
//!
//! A backup is a set of objects at the target, each compressed and encrypted, and a manifest that names them with their
//! sizes and hashes. Nothing is ever overwritten, and the manifest is written last: without one there is no backup,
//! however much of it was stored before it broke off.
//!
//! ```text
//! backups/<id>/database                 pg_dump's custom format      (or `base`: pg_basebackup's tar)
//! backups/<id>/files                    the files of that moment, a line each: which object holds its bytes
//! backups/<id>/keys                     the keys that this installation made for itself
//! backups/<id>/manifest-<sha256>.json   names them all; readable without any key, and holds no secret
//! files/<key of the file>.<id>          the bytes of a file, stored by the backup that first met it
//! wal/<cluster>/<segment>.<sha256>      a segment of the write-ahead log
//! ```

mod base;
mod create;
mod drill;
mod files;
mod leftovers;
mod manifest;
mod postgres;
mod prune;
mod recovery;
mod restore;
mod restored;
mod seal;
mod target;
mod verify;
mod wal;

pub(crate) use self::{
    base::{base, youngest as youngest_base},
    create::{Made, create},
    drill::{Drill, Drilled, drill},
    files::known as known_files,
    leftovers::{Beside, look as look_beside},
    manifest::{Found, Kind, Manifest, State, find, list},
    prune::{Pruned, prune},
    recovery::{Goal, Moment, Recovered, Timeline, prepare, recover},
    restore::{Restored, Wish, restore},
    restored::Files,
    seal::{identities, recipients},
    target::{Target, hex},
    verify::{Verified, verify},
    wal::{archive_settings, fetch, push},
};

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use tenon_adapters::{blob, clock::SystemClock};
use tenon_core::ports::clock::Clock;
use tenon_db::{Connection, Db, backups};

use crate::config::Config;

/// Time between two looks whether another backup is done.
const LOOK: Duration = Duration::from_secs(1);

/// Gives the storage the files that the database refers to and the storage lacks, from whichever backup has them.
pub(crate) async fn restore_files(config: &Config, db: &Db, target: &Target) -> anyhow::Result<Files> {
    let storage = blob::connect(config.storage.clone()).await?;
    restored::files(db, &storage, target, &recovery::lists_for(target, now()).await?).await
}

/// The present instant; these commands are the edge of the program.
fn now() -> DateTime<Utc> {
    SystemClock.now()
}

/// Leaves word in the database when something that is done by the clock has failed, for the figures of whoever runs.
async fn noting_failure<T>(
    db: &Db,
    figure: &str,
    done: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let done = done.await;
    if done.is_err() {
        let noted = async {
            let mut conn = db.conn().await?;
            backups::set_figure(&mut conn, figure, create::seconds(now())).await
        };
        if let Err(error) = noted.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "The failure could not be left in the database"
            );
        }
    }
    done
}

/// The right to make and remove backups of a database: nobody else has it while this and its connection live.
struct Alone(Connection);

impl Alone {
    /// Waits for the right for as long as `patience`, while somebody else has it.
    async fn with(db: &Db, patience: Duration) -> anyhow::Result<Self> {
        let mut conn = db.dedicated().await.context("the database could not be reached")?;
        backups::at_leisure(&mut conn).await?;
        let began = Instant::now();
        while !backups::try_lock(&mut conn).await? {
            anyhow::ensure!(
                began.elapsed() < patience,
                "another backup of this database is running; wait until it is done"
            );
            tokio::time::sleep(LOOK).await;
        }
        Ok(Self(conn))
    }

    /// The connection that has it.
    const fn conn(&mut self) -> &mut Connection {
        &mut self.0
    }

    /// Fails when the connection was lost meanwhile: somebody else may have had the right since, and have removed what
    /// was counted on.
    async fn still(&mut self) -> anyhow::Result<()> {
        backups::server(&mut self.0)
            .await
            .map(drop)
            .context("the connection that keeps other backups away was lost, so this one is given up")
    }
}
