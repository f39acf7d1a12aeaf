//! Where backups are, as a place to put sealed objects and to read them back.

use std::{
    fs::DirBuilder,
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenon_adapters::blob;
use tenon_core::{
    BoxError,
    ports::blob::{BlobError, BlobStore, ByteStream, Key},
};
use tokio::{runtime::Handle, sync::mpsc};

use super::seal::{self, Form, Identity, Recipient};
use crate::config::Config;

/// Bytes handed on at once, and how many such parts may wait: what bounds the memory of a backup of any size.
const PART: usize = 256 * 1024;
const PARTS: usize = 8;
/// Keys asked for at once.
const PAGE: usize = 10_000;
/// An upload that nothing was added to for so long was given up.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What is stored of something: enough to tell later whether it is still what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Where.
    pub(crate) object: String,
    /// How many bytes, as they lie there.
    pub(crate) size: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub(crate) sha256: String,
    /// What was done to them before.
    pub(crate) form: Form,
}

/// What lies at the target is not what was stored, or is no longer there: no other attempt will find it otherwise.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damaged(String);

/// The configured target.
pub(crate) struct Target {
    store: Arc<dyn BlobStore>,
    /// What people know it by.
    place: String,
    /// Where uploads of a target on this machine grow.
    incoming: Option<PathBuf>,
    recipients: Arc<[Recipient]>,
    identities: Option<Arc<[Identity]>>,
}

impl Target {
    /// Opens the target, and proves that it can be used.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let (place, incoming) = match &config.backup.target {
            blob::Config::Filesystem(fs) => {
                (fs.directory.display().to_string(), Some(fs.directory.join("incoming")))
            }
            blob::Config::S3(s3) => (format!("the bucket {} at {}", s3.bucket, s3.endpoint), None),
            blob::Config::Memory {} => ("memory".to_owned(), None),
        };
        if let blob::Config::Filesystem(fs) = &config.backup.target {
            make_private(&fs.directory)
                .with_context(|| format!("the backup target {} cannot be made", fs.directory.display()))?;
        }
        let store =
            blob::connect(config.backup.target.clone()).await.context("the backup target cannot be used")?;
        let recipients = seal::recipients(&config.backup.recipients).map_err(anyhow::Error::msg)?;
        let identities = config.backup.identity.as_ref().map(seal::identities).transpose();
        Ok(Self {
            store,
            place,
            incoming,
            recipients: recipients.into(),
            identities: identities.map_err(anyhow::Error::msg)?.map(Into::into),
        })
    }

    /// What people know it by.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Whether what is stored from now on is encrypted.
    pub(crate) fn encrypts(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// Whether what is encrypted can be read.
    pub(crate) fn decrypts(&self) -> bool {
        self.identities.is_some()
    }

    /// To whom what is stored from now on is encrypted, in a fixed order.
    pub(super) fn recipients(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.recipients.iter().map(ToString::to_string).collect();
        texts.sort_unstable();
        texts
    }

    /// Stores what `produce` writes, whole or not at all: compressed if `compress`, and encrypted if there are recipients.
    pub(super) async fn put(
        &self,
        object: &str,
        compress: bool,
        produce: impl FnOnce(&mut dyn Write) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Stored> {
        self.put_as(object, Form::new(compress, self.encrypts()), produce).await
    }

    /// The same in a given form; what is not encrypted can be read by those who make backups.
    pub(super) async fn put_as(
        &self,
        object: &str,
        form: Form,
        produce: impl FnOnce(&mut dyn Write) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Stored> {
        let key = key(object)?;
        let (mut sink, body) = pipe();
        let recipients = Arc::clone(&self.recipients);
        let producing = tokio::task::spawn_blocking(move || {
            seal::write(form, &recipients, &mut sink, produce)?;
            sink.finish()
        });
        let stored = self.store.put(&key, "application/octet-stream", body).await;
        let produced = producing.await.context("the source of a backup failed")?;
        match (stored, produced) {
            (Ok(_), Ok((size, sha256))) => Ok(Stored { object: object.to_owned(), size, sha256, form }),
            (Err(BlobError::Aborted(_)) | Ok(_), Err(error)) => Err(error),
            (Err(error), _) => {
                Err(anyhow!(error).context(format!("cannot store {object} in {}", self.place)))
            }
        }
    }

    /// Lets `consume` read an object, and fails if it is not what was stored, to the last byte.
    ///
    /// What `consume` did until then was done with bytes that may be wrong.
    pub(super) async fn get<T: Send + 'static>(
        &self,
        stored: &Stored,
        consume: impl FnOnce(&mut dyn Read) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (consumed, size, sha256) = self.read(&stored.object, stored.form, consume).await?;
        self.compare(stored, size, &sha256)?;
        consumed
    }

    /// Lets `consume` read an object that tells by itself whether it is what was stored.
    pub(super) async fn open_object<T: Send + 'static>(
        &self,
        object: &str,
        form: Form,
        consume: impl FnOnce(&mut dyn Read) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.read(object, form, consume).await?.0
    }

    /// What `consume` answers, and size and hash of what is stored.
    async fn read<T: Send + 'static>(
        &self,
        object: &str,
        form: Form,
        consume: impl FnOnce(&mut dyn Read) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<(anyhow::Result<T>, u64, String)> {
        let source = self.source(object).await?;
        let identities = self.identities.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut source = Hashing::new(source);
            let consumed = seal::read(form, identities.as_deref(), &mut source, consume);
            io::copy(&mut source, &mut io::sink())?;
            anyhow::Ok((consumed, source.size, hex(&source.hash.finalize())))
        });
        reading.await?.with_context(|| format!("cannot read {object} in {}", self.place))
    }

    /// Reads an object to its end: hashes what is stored and, where there is a key for it, opens it as well.
    pub(super) async fn check(&self, stored: &Stored) -> anyhow::Result<()> {
        if stored.form.is_encrypted() && !self.decrypts() {
            let raw = Stored { form: Form::Plain, ..stored.clone() };
            return self.get(&raw, |_| Ok(())).await;
        }
        let what = format!("cannot open {}", stored.object);
        self.get(stored, |source| Ok(io::copy(source, &mut io::sink()).map(drop)?)).await.context(what)
    }

    /// A small object's bytes as they lie there.
    pub(super) async fn raw(&self, object: &str) -> anyhow::Result<Vec<u8>> {
        let mut source = self.source(object).await?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            source.read_to_end(&mut bytes).map(|_| bytes)
        });
        read.await?.with_context(|| format!("cannot read {object} in {}", self.place))
    }

    /// Whether there is such an object.
    pub(super) async fn has(&self, object: &str) -> anyhow::Result<bool> {
        match self.store.head(&key(object)?).await {
            Ok(_) => Ok(true),
            Err(BlobError::NotFound) => Ok(false),
            Err(error) => Err(anyhow!(error).context(format!("cannot read {object} in {}", self.place))),
        }
    }

    /// Up to a page of what is stored under `prefix` after `after`, in byte order.
    pub(super) async fn page(&self, prefix: &str, after: Option<&str>) -> anyhow::Result<Vec<String>> {
        let after = after.map(key).transpose()?;
        let keys = self
            .store
            .list(prefix, after.as_ref(), PAGE)
            .await
            .with_context(|| format!("cannot list {}", self.place))?;
        Ok(keys.into_iter().map(|key| key.as_str().to_owned()).collect())
    }

    /// All that is stored under `prefix`, in byte order; for what there is little of.
    pub(super) async fn all(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let mut all = Vec::new();
        loop {
            let page = self.page(prefix, all.last().map(String::as_str)).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Removes an object.
    pub(super) async fn delete(&self, object: &str) -> anyhow::Result<()> {
        self.store
            .delete(&key(object)?)
            .await
            .with_context(|| format!("cannot remove {object} from {}", self.place))
    }

    /// Removes what killed processes left of uploads to a target on this machine. Elsewhere the store does so itself.
    pub(super) fn clear_uploads(&self) -> anyhow::Result<usize> {
        let Some(incoming) = &self.incoming else { return Ok(0) };
        let mut removed = 0;
        for entry in std::fs::read_dir(incoming)?.flatten() {
            let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed());
            if age.is_ok_and(|age| age.is_ok_and(|age| age > LONGEST_PAUSE)) {
                std::fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn source(&self, object: &str) -> anyhow::Result<Source> {
        match self.store.get(&key(object)?, None).await {
            Ok(stream) => Ok(Source::new(stream)),
            Err(BlobError::NotFound) => Err(Damaged(format!("{object} is missing in {}", self.place)).into()),
            Err(error) => Err(anyhow!(error).context(format!("cannot read {object} in {}", self.place))),
        }
    }

    fn compare(&self, stored: &Stored, size: u64, sha256: &str) -> anyhow::Result<()> {
        let how = if size != stored.size {
            format!("it has {size} bytes, not {}", stored.size)
        } else if sha256 != stored.sha256 {
            "its bytes are not those that were stored".to_owned()
        } else {
            return Ok(());
        };
        Err(Damaged(format!("{} in {} is damaged: {how}", stored.object, self.place)).into())
    }
}

/// Makes a directory for whom it belongs to alone, if there is none: backups may not be encrypted.
fn make_private(dir: &Path) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn key(text: &str) -> anyhow::Result<Key> {
    Key::parse(text).map_err(|e| anyhow!("{text} cannot be the name of an object: {}", e.detail))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// What a thread that blocks writes, as a body. Unless the thread says that it has finished, the body ends in an error,
/// so that nobody takes a part for the whole.
pub(super) fn pipe() -> (Sink, ByteStream) {
    let (sender, receiver) = mpsc::channel(PARTS);
    let sink = Sink { sender, waiting: BytesMut::with_capacity(PART), size: 0, hash: Sha256::new() };
    let body = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(part)) => Some((Ok(part), Some(receiver))),
            Some(None) => None,
            None => Some((Err(BoxError::from("the source broke off")), None)),
        }
    });
    (sink, body.boxed())
}

/// The writing end of a [`pipe`]; counts and hashes.
pub(super) struct Sink {
    /// Parts, and then nothing, which is the end.
    sender: mpsc::Sender<Option<Bytes>>,
    waiting: BytesMut,
    size: u64,
    hash: Sha256,
}

impl Sink {
    /// Says that this is all; answers its size and its hash.
    pub(super) fn finish(mut self) -> anyhow::Result<(u64, String)> {
        self.flush()?;
        self.sender.blocking_send(None).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok((self.size, hex(&self.hash.finalize())))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PART {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let part = std::mem::replace(&mut self.waiting, BytesMut::with_capacity(PART)).freeze();
        self.sender.blocking_send(Some(part)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A body to be read by a thread that blocks.
pub(super) struct Source {
    stream: ByteStream,
    rest: Bytes,
    runtime: Handle,
}

impl Source {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self { stream, rest: Bytes::new(), runtime: Handle::current() }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(part) => self.rest = part.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(into.len());
        self.rest.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// Counts and hashes what is read.
pub(super) struct Hashing<R> {
    source: R,
    pub(super) size: u64,
    pub(super) hash: Sha256,
}

impl<R> Hashing<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, size: 0, hash: Sha256::new() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(into)?;
        self.hash.update(&into[..length]);
        self.size += length as u64;
        Ok(length)
    }
}
