//! The files of a backup: which there are, which the target has already, and copying those that it has not.
//!
//! Keys of files are written once, so bytes that were stored by an earlier backup are those of today. Lists are sorted
//! by key and compared as they are read, so that a million files take no more memory than one.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Seek, Write},
    iter::Peekable,
    marker::PhantomData,
    sync::Arc,
};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::Digest;
use tenon_core::ports::blob::{BlobError, BlobStore, Key};
use tenon_db::{Connection, backups};

use super::{
    manifest::Manifest,
    target::{Hashing, Source, Stored, Target, hex},
};

/// Begins the objects that hold files.
pub(super) const PREFIX: &str = "files/";
/// Files copied at once.
const AT_ONCE: usize = 4;

/// A file of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its key in the storage.
    pub(super) key: String,
    #[serde(flatten)]
    pub(super) stored: Stored,
}

/// What a copying came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) copied: u64,
    pub(super) copied_bytes: u64,
    /// Files that the storage has lost, or whose bytes are not those that were uploaded.
    pub(super) lost: Vec<String>,
}

/// A list on its way, in a temporary file: a JSON object a line.
pub(crate) struct Spool<T> {
    file: BufWriter<File>,
    count: u64,
    items: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Spool<T> {
    pub(super) fn new() -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        Ok(Self { file: BufWriter::new(file), count: 0, items: PhantomData })
    }

    /// Whether nothing was pushed.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn push(&mut self, item: &T) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.file, item)?;
        self.count += 1;
        self.file.write_all(b"\n").context("cannot write to a temporary file")
    }

    /// From its beginning.
    pub(crate) fn read(self) -> anyhow::Result<Lines<T>> {
        Ok(Lines { lines: BufReader::new(self.into_file()?).lines(), items: PhantomData })
    }

    /// As it is written, from its beginning.
    pub(super) fn into_file(self) -> anyhow::Result<File> {
        let mut file = self.file.into_inner().context("cannot write to a temporary file")?;
        file.rewind()?;
        Ok(file)
    }
}

/// The items of a list, one after another.
pub(crate) struct Lines<T> {
    lines: std::io::Lines<BufReader<File>>,
    items: PhantomData<T>,
}

impl<T: DeserializeOwned> Iterator for Lines<T> {
    type Item = anyhow::Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        Some(line.map_err(Into::into).and_then(|line| Ok(serde_json::from_str(&line)?)))
    }
}

/// The files that the database knew at the moment that `conn` is in.
pub(crate) async fn known(conn: &mut Connection) -> anyhow::Result<Spool<backups::File>> {
    let mut spool = Spool::new()?;
    let mut files = backups::Files::open(conn).await?;
    loop {
        let next = files.next(conn).await?;
        if next.is_empty() {
            return Ok(spool);
        }
        for file in &next {
            spool.push(file)?;
        }
    }
}

/// The files of a backup.
pub(super) async fn of(target: &Target, manifest: &Manifest) -> anyhow::Result<Lines<Entry>> {
    let spool = target
        .get(&manifest.files, |source| {
            let mut spool = Spool::new()?;
            std::io::copy(source, &mut spool.file)?;
            Ok(spool)
        })
        .await?;
    spool.read()
}

/// Stores the list of files of a backup.
pub(super) async fn store(target: &Target, object: &str, list: Spool<Entry>) -> anyhow::Result<Stored> {
    let mut file = list.into_file()?;
    // Not encrypted: who makes backups compares with it and cannot decrypt. It says no more than sizes.
    let form = super::seal::Form::new(true, false);
    target.put_as(object, form, move |sink| Ok(std::io::copy(&mut file, sink).map(drop)?)).await
}

/// What becomes of a file that the database knows.
enum Decision {
    /// The target has it.
    Reuse(Entry),
    Copy(backups::File),
}

enum Outcome {
    Reused(Entry),
    Copied(Entry),
    /// It was to be removed anyhow, and meanwhile has been.
    Gone,
    Lost(String),
}

/// Sees to it that the target has all of `wanted`: reuses what `previous` lists and the target still has, and copies
/// the rest from `storage` under the name of the backup `id`. Answers the new list.
pub(super) async fn copy(
    target: &Target,
    storage: &Arc<dyn BlobStore>,
    id: &str,
    wanted: Spool<backups::File>,
    previous: Option<Lines<Entry>>,
) -> anyhow::Result<(Spool<Entry>, Tally)> {
    let comparison = Comparison {
        wanted: wanted.read()?,
        previous: previous.map(Iterator::peekable),
        present: Present::new(target),
    };
    let decisions = stream::try_unfold(comparison, |mut comparison| async move {
        Ok::<_, anyhow::Error>(comparison.next().await?.map(|decision| (decision, comparison)))
    });
    let mut outcomes = decisions
        .map_ok(|decision| async move {
            match decision {
                Decision::Reuse(entry) => Ok(Outcome::Reused(entry)),
                Decision::Copy(file) => copy_one(target, storage, id, file).await,
            }
        })
        .try_buffered(AT_ONCE)
        .boxed();
    let (mut list, mut tally) = (Spool::new()?, Tally::default());
    while let Some(outcome) = outcomes.try_next().await? {
        let entry = match outcome {
            Outcome::Reused(entry) => entry,
            Outcome::Copied(entry) => {
                tally.copied += 1;
                tally.copied_bytes += entry.stored.size;
                entry
            }
            Outcome::Gone => continue,
            Outcome::Lost(key) => {
                tally.lost.push(key);
                continue;
            }
        };
        tally.files += 1;
        tally.bytes += entry.stored.size;
        list.push(&entry)?;
    }
    drop(outcomes);
    Ok((list, tally))
}

async fn copy_one(
    target: &Target,
    storage: &Arc<dyn BlobStore>,
    id: &str,
    file: backups::File,
) -> anyhow::Result<Outcome> {
    let key = Key::parse(&file.key).map_err(|e| anyhow::anyhow!("{}: {}", file.key, e.detail))?;
    let body = match storage.get(&key, None).await {
        Ok(body) => body,
        Err(BlobError::NotFound) if !file.referenced => return Ok(Outcome::Gone),
        Err(BlobError::NotFound) => return Ok(Outcome::Lost(file.key)),
        Err(error) => {
            return Err(anyhow::Error::new(error).context(format!("cannot read the file {}", file.key)));
        }
    };
    let source = Source::new(body);
    let (size, sha256) = (file.size, file.sha256);
    let stored = target
        .put(&object(&file.key, id), false, move |sink| copy_checked(source, size, &sha256, sink))
        .await;
    match stored {
        Ok(stored) => Ok(Outcome::Copied(Entry { key: file.key, stored })),
        Err(error) if error.is::<Differs>() => Ok(Outcome::Lost(file.key)),
        Err(error) => Err(error),
    }
}

/// Where the bytes of a file are that the backup `id` met first. Keys have no `.`, ids neither.
fn object(key: &str, id: &str) -> String {
    format!("{PREFIX}{key}.{id}")
}

/// The bytes of a file are not those that were uploaded.
#[derive(Debug, thiserror::Error)]
#[error("the bytes of a file are not those that were uploaded")]
pub(super) struct Differs;

/// Copies all of `source`, or fails at its end when it was not what the database says.
pub(super) fn copy_checked(
    source: impl Read,
    size: i64,
    sha256: &str,
    sink: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut source = Hashing::new(source);
    std::io::copy(&mut source, sink)?;
    let same = u64::try_from(size).is_ok_and(|size| size == source.size);
    if same && hex(&source.hash.finalize()) == sha256 { Ok(()) } else { Err(Differs.into()) }
}

/// Three sorted lists, read side by side.
struct Comparison<'a> {
    wanted: Lines<backups::File>,
    previous: Option<Peekable<Lines<Entry>>>,
    present: Present<'a>,
}

impl Comparison<'_> {
    async fn next(&mut self) -> anyhow::Result<Option<Decision>> {
        let Some(file) = self.wanted.next().transpose()? else { return Ok(None) };
        match self.listed(&file.key)? {
            Some(entry) if self.present.has(&entry.stored.object).await? => Ok(Some(Decision::Reuse(entry))),
            _ => Ok(Some(Decision::Copy(file))),
        }
    }

    /// What the previous backup says of a file.
    fn listed(&mut self, key: &str) -> anyhow::Result<Option<Entry>> {
        let Some(previous) = &mut self.previous else { return Ok(None) };
        loop {
            let nearer = |entry: &anyhow::Result<Entry>| match entry {
                Ok(entry) => entry.key.as_str() <= key,
                Err(_) => true,
            };
            match previous.next_if(nearer).transpose()? {
                None => return Ok(None),
                Some(entry) if entry.key == key => return Ok(Some(entry)),
                Some(_) => {}
            }
        }
    }
}

/// The objects that hold files, as the target lists them: asked for in the same order.
pub(super) struct Present<'a> {
    target: &'a Target,
    page: std::vec::IntoIter<String>,
    last: Option<String>,
    over: bool,
}

impl<'a> Present<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Self { target, page: Vec::new().into_iter(), last: None, over: false }
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        self.fill().await?;
        Ok(self.page.next())
    }

    /// Whether the target has `object`; one that is asked for out of order counts as absent, and is stored again.
    async fn has(&mut self, object: &str) -> anyhow::Result<bool> {
        loop {
            self.fill().await?;
            match self.page.as_slice().first() {
                None => return Ok(false),
                Some(first) if first.as_str() > object => return Ok(false),
                Some(first) => {
                    let found = first == object;
                    self.page.next();
                    if found {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Gets the next page when this one is used up.
    async fn fill(&mut self) -> anyhow::Result<()> {
        if self.page.as_slice().is_empty() && !self.over {
            let page = self.target.page(PREFIX, self.last.as_deref()).await?;
            self.over = page.is_empty();
            self.last = page.last().cloned().or(self.last.take());
            self.page = page.into_iter();
        }
        Ok(())
    }
}
