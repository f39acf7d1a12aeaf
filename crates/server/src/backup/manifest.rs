//! What a backup says of itself, and which backups there are.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenon_db::backups::Counts;

use super::{
    seal::Form,
    target::{Stored, Target, hex},
};

/// Of what this release writes; it reads this and what is older.
pub(crate) const FORMAT: u32 = 1;
const PREFIX: &str = "backups/";

/// What a backup holds of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A dump, to be restored by any server that is not older.
    Full,
    /// The cluster's own files: with the write-ahead log after it, every moment since.
    Base,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Base => "base",
        }
    }
}

/// What a backup says of itself. Whoever reads the target reads it, so it holds counts and hashes only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Of this description and of what it describes.
    pub(crate) format: u32,
    /// Begins with the time, so that ids sort by age.
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// The release that made it.
    pub(crate) tenon: String,
    /// The newest migration of its database.
    pub(crate) migration: String,
    /// Major version of its server.
    pub(crate) postgres: u32,
    pub(crate) started_at: DateTime<Utc>,
    /// The moment that it holds.
    pub(crate) snapshot_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
    /// Public keys that it is encrypted to; empty when it is not.
    pub(crate) recipients: Vec<String>,
    /// The dump, or the cluster's files.
    pub(crate) database: Stored,
    /// The list of files.
    pub(crate) files: Stored,
    /// The generated keys; none when they are configured and so kept elsewhere.
    pub(crate) keys: Option<Stored>,
    /// What the database held.
    pub(crate) counts: Counts,
    pub(crate) file_count: u64,
    /// Bytes of the files, as they lie at the target.
    pub(crate) file_bytes: u64,
    /// Files that the storage had lost before the backup.
    pub(crate) lost_files: Vec<String>,
    /// Made by a restore, of what it was about to replace. It may be what somebody wanted to be rid of, so it is taken
    /// only when it is named.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) safety: bool,
    /// Of a base backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<Cluster>,
}

/// The cluster that a base backup is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// What the cluster calls itself, and its archive is filed under.
    pub(crate) system: String,
    /// The first segment of the write-ahead log that is needed.
    pub(crate) first_segment: String,
    /// Where in that log it ended, such as `0/3000138`; not known of those that older releases made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<String>,
}

impl Manifest {
    /// Bytes that it takes to keep it, files that other backups share included.
    pub(crate) fn size(&self) -> u64 {
        let keys = self.keys.as_ref().map_or(0, |keys| keys.size);
        self.database.size + self.files.size + keys + self.file_bytes
    }

    /// Its objects, but for the bytes of the files.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Stored> {
        [&self.database, &self.files].into_iter().chain(&self.keys)
    }

    /// Writes it, which makes the backup one.
    pub(super) async fn write(&self, target: &Target) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let object = format!("{PREFIX}{}/manifest-{}.json", self.id, hex(&Sha256::digest(&text)));
        target.put_as(&object, Form::Plain, move |sink| Ok(sink.write_all(&text)?)).await?;
        Ok(())
    }
}

/// Begins every object of a backup but for files.
pub(super) fn place(id: &str) -> String {
    format!("{PREFIX}{id}/")
}

/// A new id, which sorts by age: the time, what is over of its second in units of 1/65 536, and two digits by chance.
pub(super) fn new_id(now: DateTime<Utc>) -> String {
    let fraction = (u64::from(now.timestamp_subsec_nanos()) << 16) / 1_000_000_000;
    let random = uuid::Uuid::now_v7().as_u64_pair().1;
    format!("{}-{:04x}{:02x}", now.format("%Y%m%dT%H%M%SZ"), fraction.min(0xffff), random & 0xff)
}

/// Whether `text` is such an id; letters that are not digits may be large.
pub(super) fn is_id(text: &str) -> bool {
    let shape = b"00000000T000000Z-xxxxxx";
    text.len() == shape.len()
        && text.bytes().zip(shape).all(|(byte, kind)| match kind {
            b'0' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            other => byte == *other,
        })
}

/// What there is of a backup.
#[derive(Debug)]
pub(crate) enum State {
    /// Everything, as far as the manifest says.
    Whole(Box<Manifest>),
    /// Its manifest cannot be used, and why.
    Unreadable(String),
    /// No manifest: it broke off, or it is being made.
    Unfinished,
}

/// A backup, or what there is of it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) state: State,
    /// What of it is stored under its own name.
    pub(super) objects: Vec<String>,
}

/// All backups at the target, oldest first, and what is left of those that broke off.
pub(crate) async fn list(target: &Target) -> anyhow::Result<Vec<Found>> {
    let mut by_id: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for object in target.all(PREFIX).await? {
        let id = object[PREFIX.len()..].split('/').next().unwrap_or_default();
        by_id.entry(id.to_owned()).or_default().push(object);
    }
    let mut found = Vec::new();
    for (id, objects) in by_id {
        let state = match objects.iter().find(|object| object.contains("/manifest-")) {
            None => State::Unfinished,
            Some(object) => match read(target, &id, object).await {
                Ok(manifest) => State::Whole(Box::new(manifest)),
                Err(error) => State::Unreadable(crate::output::sentence(&error)),
            },
        };
        found.push(Found { id, state, objects });
    }
    Ok(found)
}

/// The whole backup of this id, or with `newest` or none the newest one of `kind` that is no safety backup.
///
/// One that cannot be read and may be newer is not passed over: an older one in its place would be a loss that nobody
/// notices.
pub(crate) async fn find(target: &Target, id: Option<&str>, kind: Kind) -> anyhow::Result<Manifest> {
    let wanted = id.filter(|id| *id != "newest");
    let mut safety = None;
    for found in list(target).await?.into_iter().rev() {
        match (wanted, found.state) {
            (Some(wanted), _) if wanted != found.id => {}
            (None, State::Whole(manifest)) if manifest.kind != kind => {}
            (None, State::Whole(manifest)) if manifest.safety => safety = safety.or(Some(manifest.id)),
            (_, State::Whole(manifest)) => return Ok(*manifest),
            (Some(id), State::Unfinished) => anyhow::bail!("the backup {id} broke off before it was whole"),
            (Some(_), State::Unreadable(why)) => anyhow::bail!(why),
            (None, State::Unreadable(why)) => {
                anyhow::bail!("{why}. It is the newest one; an older one must be named (`tenon backup list`)")
            }
            _ => {}
        }
    }
    match (wanted, safety) {
        (Some(id), _) => anyhow::bail!("there is no backup {id} in {}", target.place()),
        (None, Some(id)) => anyhow::bail!(
            "there is no {} backup in {} but what restores made of what they replaced; name one of those, such as {id}",
            kind.as_str(),
            target.place()
        ),
        (None, None) => anyhow::bail!("there is no {} backup in {}", kind.as_str(), target.place()),
    }
}

async fn read(target: &Target, id: &str, object: &str) -> anyhow::Result<Manifest> {
    #[derive(Deserialize)]
    struct Origin {
        format: u32,
        tenon: String,
    }
    let bytes = target.raw(object).await?;
    let named = object.rsplit_once("/manifest-").and_then(|(_, name)| name.strip_suffix(".json"));
    anyhow::ensure!(
        named == Some(&hex(&Sha256::digest(&bytes))),
        "the manifest of the backup {id} is damaged: its bytes are not those that were stored"
    );
    let broken = || format!("the manifest of the backup {id} cannot be read");
    let origin: Origin = serde_json::from_slice(&bytes).with_context(broken)?;
    anyhow::ensure!(
        origin.format <= FORMAT,
        "the backup {id} was made by a newer release ({}) in a format that this one does not know; use that release",
        origin.tenon
    );
    serde_json::from_slice(&bytes).with_context(broken)
}

impl Manifest {
    /// Refuses a backup whose database this release does not know.
    pub(crate) fn refuse_newer(&self) -> anyhow::Result<()> {
        let known: BTreeSet<String> = tenon_db::migrations::known()?.into_iter().collect();
        anyhow::ensure!(
            known.contains(&self.migration),
            "the backup {} was made by a newer release ({}): its database has migration {}, which this release does not know; use that release, or an older backup",
            self.id,
            self.tenon,
            self.migration
        );
        Ok(())
    }
}
