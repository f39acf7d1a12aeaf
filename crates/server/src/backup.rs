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
    base::base,
    create::{Made, create},
    drill::{Drilled, drill},
    files::known as known_files,
    manifest::{Found, Kind, Manifest, State, find, list},
    prune::{Pruned, prune},
    recovery::{Recovered, Timeline, prepare, recover},
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
    let lists = recovery::lists_for(target, now()).await?;
    restored::files(db, &storage, target, &lists.iter().collect::<Vec<_>>()).await
}

/// The present instant; these commands are the edge of the program.
fn now() -> DateTime<Utc> {
    SystemClock.now()
}

/// Makes sure that nobody else makes or removes backups of this database while the answer lives; waits for `patience`
/// until whoever does is done.
async fn alone(db: &Db, patience: Duration) -> anyhow::Result<Connection> {
    let mut conn = db.dedicated().await.context("the database could not be reached")?;
    let began = Instant::now();
    while !backups::try_lock(&mut conn).await? {
        anyhow::ensure!(
            began.elapsed() < patience,
            "another backup of this database is running; wait until it is done"
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(conn)
}
