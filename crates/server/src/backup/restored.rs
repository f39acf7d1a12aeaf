//! What a restore puts back beside the database: files and keys; and the look at the result.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use tenon_adapters::{bus, cache, limiter, mail, queue};
use tenon_app::invariants::{self, Seen};
use tenon_core::{
    ports::blob::{BlobError, BlobStore, Key},
    secrets::Secret,
};
use tenon_db::{Db, backups};

use super::{
    Manifest, Target,
    create::Keys,
    files::{self, Entry, Lines, Spool, copy_checked},
    target::{Damaged, pipe},
};
use crate::{config::Config, keys, wiring};

/// Files looked for, or restored, at once.
const AT_ONCE: usize = 4;
/// Most names of lost files that are told.
const MOST_LOST: usize = 100;

/// What became of the files that a database refers to.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The storage had them.
    pub(crate) present: u64,
    /// The storage has them again.
    pub(crate) restored: u64,
    /// Neither the storage nor a backup has them.
    pub(crate) lost: Vec<String>,
}

/// Gives the storage every file that the database at `db` refers to and the storage lacks, from the first of
/// `manifests` that has it whole.
pub(super) async fn files(
    db: &Db,
    storage: &Arc<dyn BlobStore>,
    target: &Target,
    manifests: &[Manifest],
) -> anyhow::Result<Files> {
    seek(db, storage, target, manifests, true).await
}

/// The same without touching the storage: those that a backup has count as restored.
pub(super) async fn account_for(
    db: &Db,
    storage: &Arc<dyn BlobStore>,
    target: &Target,
    manifests: &[Manifest],
) -> anyhow::Result<Files> {
    seek(db, storage, target, manifests, false).await
}

async fn seek(
    db: &Db,
    storage: &Arc<dyn BlobStore>,
    target: &Target,
    manifests: &[Manifest],
    fetching: bool,
) -> anyhow::Result<Files> {
    let mut result = Files::default();
    let mut missing = missing(db, storage, &mut result).await?;
    for manifest in manifests {
        if missing.is_empty() {
            break;
        }
        let list = match files::of(target, manifest).await {
            Ok(list) => list,
            Err(error) if error.is::<Damaged>() => {
                tracing::warn!(
                    backup.id = manifest.id,
                    error = &*error as &dyn std::error::Error,
                    "The list of files of a backup is damaged, so other backups are asked"
                );
                continue;
            }
            Err(error) => return Err(error),
        };
        let sought = stream::iter(listed(missing, list)?.read()?).map(
            |pair: anyhow::Result<(backups::File, Option<Entry>)>| async move {
                let (file, entry) = pair?;
                let found = match &entry {
                    Some(entry) if fetching => fetch(target, storage, &file, entry).await?,
                    Some(entry) => target.has(&entry.stored.object).await?,
                    None => false,
                };
                anyhow::Ok((found, file))
            },
        );
        // In their order, which the next list is compared in.
        let mut sought = sought.buffered(AT_ONCE).boxed();
        let mut still = Spool::new()?;
        while let Some((found, file)) = sought.try_next().await? {
            if found {
                result.restored += 1;
            } else {
                still.push(&file)?;
            }
        }
        drop(sought);
        missing = still;
    }
    for file in missing.read()? {
        let file = file?;
        if file.referenced && result.lost.len() < MOST_LOST {
            result.lost.push(file.key);
        }
    }
    Ok(result)
}

/// Each of the files with what a list of the same order says of it.
fn listed(
    files: Spool<backups::File>,
    list: Lines<Entry>,
) -> anyhow::Result<Spool<(backups::File, Option<Entry>)>> {
    let mut list = list.peekable();
    let mut pairs = Spool::new()?;
    for file in files.read()? {
        let file: backups::File = file?;
        while list.next_if(|entry| entry.as_ref().is_ok_and(|entry| entry.key < file.key)).is_some() {}
        let same = |entry: &anyhow::Result<Entry>| entry.as_ref().map_or(true, |entry| entry.key == file.key);
        let entry = list.next_if(same).transpose()?;
        pairs.push(&(file, entry))?;
    }
    Ok(pairs)
}

/// The files that the storage lacks, or has cut short.
async fn missing(
    db: &Db,
    storage: &Arc<dyn BlobStore>,
    result: &mut Files,
) -> anyhow::Result<Spool<backups::File>> {
    let mut snapshot = backups::Snapshot::take(db).await?;
    let known = files::known(snapshot.conn()).await?;
    drop(snapshot);
    let looked = stream::iter(known.read()?).map(|file| async move {
        let file = file?;
        let key = key(&file.key)?;
        match storage.head(&key).await {
            Ok(meta) => anyhow::Ok((u64::try_from(file.size) == Ok(meta.size), file)),
            Err(BlobError::NotFound) => Ok((false, file)),
            Err(error) => Err(anyhow::Error::new(error).context("the storage cannot be read")),
        }
    });
    let mut looked = looked.buffered(AT_ONCE).boxed();
    let mut missing = Spool::new()?;
    while let Some((there, file)) = looked.try_next().await? {
        if there {
            result.present += 1;
        } else {
            missing.push(&file)?;
        }
    }
    Ok(missing)
}

/// Brings one file back, if the target still has its bytes; the storage shows it only when it is the one that was
/// uploaded.
async fn fetch(
    target: &Target,
    storage: &Arc<dyn BlobStore>,
    file: &backups::File,
    entry: &Entry,
) -> anyhow::Result<bool> {
    let (mut sink, body) = pipe();
    let (size, sha256) = (file.size, file.sha256.clone());
    let reading = target.get(&entry.stored, move |source| {
        copy_checked(source, size, &sha256, &mut sink)?;
        sink.finish().map(drop)
    });
    let key = key(&file.key)?;
    let (read, stored) = tokio::join!(reading, storage.put(&key, &file.media_type, body));
    match (stored, read) {
        (Ok(_), Ok(())) => Ok(true),
        (Err(error), _) if !matches!(error, BlobError::Aborted(_)) => {
            Err(anyhow::Error::new(error).context(format!("cannot store the file {}", file.key)))
        }
        (_, Err(error)) if !is_transient(&error) => {
            tracing::warn!(
                file.key,
                error = &*error as &dyn std::error::Error,
                "A file cannot be restored from this backup"
            );
            Ok(false)
        }
        (_, Err(error)) => Err(error.context(format!("cannot restore the file {}", file.key))),
        (Err(error), Ok(())) => {
            Err(anyhow::Error::new(error).context(format!("cannot restore the file {}", file.key)))
        }
    }
}

/// Whether another attempt may go better. What is damaged, locked or unreadable stays so, and keeps nothing else back.
fn is_transient(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let streamed = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let cause = cause.downcast_ref().or_else(|| streamed.and_then(|cause| cause.downcast_ref()));
        matches!(cause, Some(BlobError::Transient(_)))
    })
}

/// Reads every file that the database refers to from the backup, and compares it with what the database says.
pub(super) async fn rehearse_files(db: &Db, target: &Target, manifest: &Manifest) -> anyhow::Result<u64> {
    let mut snapshot = backups::Snapshot::take(db).await?;
    let known = files::known(snapshot.conn()).await?;
    drop(snapshot);
    let mut pairs = Spool::new()?;
    for pair in listed(known, files::of(target, manifest).await?)?.read()? {
        match pair? {
            (file, Some(entry)) => pairs.push(&(file, entry))?,
            (file, None) if file.referenced && !manifest.lost_files.contains(&file.key) => {
                anyhow::bail!("the database refers to the file {}, which the backup lacks", file.key)
            }
            (_, None) => {}
        }
    }
    let read = stream::iter(pairs.read()?).map(|pair: anyhow::Result<(backups::File, Entry)>| async move {
        let (file, entry) = pair?;
        let (size, sha256) = (file.size, file.sha256);
        target
            .get(&entry.stored, move |source| copy_checked(source, size, &sha256, &mut std::io::sink()))
            .await
            .with_context(|| format!("the file {}", file.key))
    });
    read.buffer_unordered(AT_ONCE).try_fold(0, |count, ()| async move { Ok(count + 1) }).await
}

fn key(text: &str) -> anyhow::Result<Key> {
    Key::parse(text).map_err(|e| anyhow::anyhow!("{text}: {}", e.detail))
}

/// The keys of a backup, if it has any.
pub(super) async fn keys_of(target: &Target, manifest: &Manifest) -> anyhow::Result<Option<Secret>> {
    let Some(stored) = &manifest.keys else { return Ok(None) };
    let keys: Keys = target.get(stored, |source| Ok(serde_json::from_reader(source)?)).await?;
    Ok(Some(Secret::new(keys.signing_keys)))
}

/// Puts the keys of a backup into their place; answers where those went that were there.
pub(super) fn place_keys(config: &Config, keys: &Secret, id: &str) -> anyhow::Result<Option<PathBuf>> {
    let path = keys::file(&config.data_dir);
    let mut aside = None;
    match fs::read_to_string(&path) {
        Ok(text) if text == *keys.expose() => return Ok(None),
        Ok(_) => {
            let beside = path.with_extension(format!("before-{id}"));
            fs::rename(&path, &beside).with_context(|| format!("cannot move {}", path.display()))?;
            aside = Some(beside);
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
    let write = || -> std::io::Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let unfinished = path.with_extension(std::process::id().to_string());
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(keys.expose().as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)
    };
    write().with_context(|| format!("cannot write the signing keys to {}", path.display()))?;
    Ok(aside)
}

/// Looks at the instance over `db` as its members do. Nothing is mailed, rung or kept.
pub(super) async fn look(config: &Config, db: &Db, keys: Option<&Secret>) -> anyhow::Result<Seen> {
    let mut config = Config {
        bus: bus::Config::default(),
        limiter: limiter::Config::default(),
        cache: cache::Config::default(),
        mail: mail::Config::default(),
        queue: queue::Config::default(),
        ..config.clone()
    };
    if let Some(keys) = keys {
        let lines = keys.expose().lines().filter(|line| !line.trim().is_empty());
        config.auth.signing_keys = lines.map(|line| Secret::new(line.to_owned())).collect();
    }
    let app = wiring::app(&config, db.clone()).await?;
    invariants::as_members(&app).await.context("the restored instance is not as its members left it")
}

/// Compares what the database holds with what the manifest says it held.
pub(super) async fn compare_counts(db: &Db, manifest: &Manifest) -> anyhow::Result<()> {
    // In one snapshot, which may take as long as it needs.
    let counts = backups::count(backups::Snapshot::take(db).await?.conn()).await?;
    anyhow::ensure!(
        counts == manifest.counts,
        "the restored database does not hold what was backed up: {}, not {}",
        serde_json::to_string(&counts)?,
        serde_json::to_string(&manifest.counts)?
    );
    Ok(())
}

/// Whether a directory is absent, or holds nothing.
pub(super) fn is_vacant(dir: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", dir.display())),
    }
}
