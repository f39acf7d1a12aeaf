//! The archive of the write-ahead log.
//!
//! A segment's object has the hash of its bytes in its name: so the same segment can be pushed twice, another one of the
//! same name is refused, and what is fetched is known to be what was pushed. Segments are filed under the number that
//! their cluster was born with, so that clusters never mix.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sha2::Digest;
use tenon_adapters::blob;

use super::{
    Manifest, Target,
    manifest::Cluster,
    seal::Form,
    target::{Hashing, hex},
};
use crate::config::Config;

const PREFIX: &str = "wal/";
/// Ends the names of objects that are encrypted.
const ENCRYPTED: &str = ".age";

/// Archives the segment at `path`, which is in the log of a cluster; false when it was there already.
pub(crate) async fn push(target: &Target, path: &Path) -> anyhow::Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str()).context("a segment has a name")?;
    check_name(name)?;
    let place = place(&system(path)?, name);
    let sha256 = hash(path)?;
    let there = archived(target, &place).await?;
    if there.iter().any(|object| pushed(object, &place).0 == sha256) {
        return Ok(false);
    }
    anyhow::ensure!(
        there.is_empty(),
        "the archive in {} has a segment {name} with other bytes; two clusters must not share one archive",
        target.place()
    );
    let mut file = open(path)?;
    let suffix = if target.encrypts() { ENCRYPTED } else { "" };
    let (object, unchanged) = (format!("{place}{sha256}{suffix}"), sha256.clone());
    let stored = target.put(&object, true, move |sink| {
        let mut file = Hashing::new(&mut file);
        std::io::copy(&mut file, sink)?;
        anyhow::ensure!(hex(&file.hash.finalize()) == unchanged, "the segment changed while it was read");
        Ok(())
    });
    stored.await?;
    Ok(true)
}

/// Fetches the segment `name` to `path`, which is in the log of a cluster; false when the archive does not have it.
pub(crate) async fn fetch(target: &Target, name: &str, path: &Path) -> anyhow::Result<bool> {
    check_name(name)?;
    let place = place(&system(path)?, name);
    let there = archived(target, &place).await?;
    let [object] = there.as_slice() else {
        anyhow::ensure!(there.is_empty(), "the archive in {} has several segments {name}", target.place());
        refuse_hole(target, &system(path)?, name).await?;
        return Ok(false);
    };
    let unfinished = path.with_extension(format!("tenon-{}", std::process::id()));
    let (sha256, form) = pushed(object, &place);
    let (sha256, into) = (sha256.to_owned(), unfinished.clone());
    let fetched = target
        .open_object(object, form, move |source| {
            let mut source = Hashing::new(source);
            let mut file = File::create(&into).with_context(|| format!("cannot write {}", into.display()))?;
            std::io::copy(&mut source, &mut file)?;
            file.sync_all()?;
            anyhow::ensure!(
                hex(&source.hash.finalize()) == sha256,
                "the segment is damaged: its bytes are not those that were archived"
            );
            Ok(())
        })
        .await;
    if let Err(error) = fetched {
        let _ = std::fs::remove_file(&unfinished);
        return Err(error.context(format!("cannot fetch the segment {name}")));
    }
    std::fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// Fails when the archive has a later segment of the same timeline: the absent one is not where the log ends.
async fn refuse_hole(target: &Target, system: &str, name: &str) -> anyhow::Result<()> {
    if name.len() != 24 {
        return Ok(());
    }
    let place = place(system, name);
    let later = target.page(&format!("{PREFIX}{system}/{}", &name[..8]), Some(&format!("{place}~"))).await?;
    let segment = |object: &String| {
        let (segment, _) = object.rsplit('/').next()?.split_once('.')?;
        (segment.len() == 24 && segment > name).then(|| segment.to_owned())
    };
    match later.iter().find_map(segment) {
        Some(later) => anyhow::bail!(
            "the archive in {} does not have the segment {name}, and has {later}, which comes later: what is between is lost",
            target.place()
        ),
        None => Ok(()),
    }
}

/// What a timeline of a cluster came from: each of its ancestors, and where in the log it was left.
#[derive(Debug)]
pub(super) struct History {
    timeline: u32,
    ancestors: BTreeMap<u32, u64>,
}

impl History {
    /// Reads a `.history` file: a line for each ancestor, `1<tab>0/3000000<tab>reason`.
    fn parse(timeline: u32, text: &str) -> anyhow::Result<Self> {
        let mut ancestors = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let read =
                words.next().and_then(|word| word.parse().ok()).zip(words.next().and_then(place_in_log));
            let (ancestor, left) =
                read.with_context(|| format!("cannot read the history of timeline {timeline}"))?;
            ancestors.insert(ancestor, left);
        }
        Ok(Self { timeline, ancestors })
    }

    /// Whether a base backup is on the way to this timeline: of itself, or of an ancestor before that was left.
    pub(super) fn follows(&self, cluster: &Cluster) -> bool {
        let timeline = cluster.first_segment.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let begins = beginning(&cluster.first_segment);
        let ends = cluster.end.as_deref().and_then(place_in_log).or(begins);
        let (Some(timeline), Some(ends)) = (timeline, ends) else { return true };
        timeline == self.timeline || self.ancestors.get(&timeline).is_some_and(|left| ends <= *left)
    }
}

/// The newest timeline of a cluster, as far as the archive knows; none while it has had only one.
pub(super) async fn newest_history(target: &Target, system: &str) -> anyhow::Result<Option<History>> {
    let objects = target.all(&format!("{PREFIX}{system}/")).await?;
    let named = |object: &String| {
        let name = object.rsplit('/').next()?;
        let (digits, _) = name.split_once(".history.")?;
        u32::from_str_radix(digits, 16).ok().map(|timeline| (timeline, object.clone()))
    };
    let Some((timeline, object)) = objects.iter().filter_map(named).max() else { return Ok(None) };
    let form = if object.ends_with(ENCRYPTED) { Form::ZstdAge } else { Form::Zstd };
    let text = target
        .open_object(&object, form, |source| {
            let mut text = String::new();
            source.read_to_string(&mut text)?;
            Ok(text)
        })
        .await?;
    History::parse(timeline, &text).map(Some)
}

/// Of a place in the log such as `0/3000138`, its number.
fn place_in_log(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let (high, low) = (u64::from_str_radix(high, 16).ok()?, u64::from_str_radix(low, 16).ok()?);
    Some(high << 32 | low)
}

/// Where a segment of the usual size begins in the log.
fn beginning(segment: &str) -> Option<u64> {
    let digits = |range| u64::from_str_radix(segment.get(range)?, 16).ok();
    Some(digits(8..16)? << 32 | digits(16..24)? << 24)
}

/// Removes segments from before the oldest base backup that is kept of their cluster; says how many.
pub(super) async fn prune(target: &Target, kept: &[&Manifest], only_look: bool) -> anyhow::Result<u64> {
    let mut removed = 0;
    let oldest = kept.iter().filter_map(|manifest| manifest.cluster.as_ref()).fold(
        std::collections::BTreeMap::<&str, &str>::new(),
        |mut oldest, cluster| {
            let first = position(&cluster.first_segment);
            let known = oldest.entry(&cluster.system).or_insert(first);
            *known = (*known).min(first);
            oldest
        },
    );
    for (system, first) in oldest {
        for object in target.all(&format!("{PREFIX}{system}/")).await? {
            let name = object.rsplit('/').next().unwrap_or_default();
            let name = name.split('.').next().unwrap_or_default();
            // Histories are small, and tell timelines apart for ever.
            if name.len() == 24 && position(name) < first {
                removed += 1;
                if !only_look {
                    target.delete(&object).await?;
                }
            }
        }
    }
    Ok(removed)
}

/// Settings that let a server archive its log.
pub(crate) fn archive_settings(config: &Config) -> Vec<(String, String)> {
    // Five minutes are the most that is lost with a database that nobody writes much to.
    let settings = [("archive_mode", "on".to_owned()), ("archive_timeout", "300".to_owned())];
    let command = command(config, "push").map(|command| ("archive_command", command));
    settings.into_iter().chain(command).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What PostgreSQL runs to archive or to fetch, in whatever directory.
pub(super) fn command(config: &Config, verb: &str) -> anyhow::Result<String> {
    let quoted =
        |path: &Path| format!("'{}'", path.display().to_string().replace('%', "%%").replace('\'', "'\\''"));
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let file = config.file.as_deref().map(std::path::absolute).transpose()?;
    let file = file.map(|file| format!("--config {} ", quoted(&file))).unwrap_or_default();
    // As it is meant here, whatever said so.
    let directory = match &config.backup.target {
        blob::Config::Filesystem(fs) => {
            let directory = std::path::absolute(&fs.directory)?;
            format!("TENON__BACKUP__TARGET__DIRECTORY={} ", quoted(&directory))
        }
        _ => String::new(),
    };
    // Other files may be named relative to here. The server need not be let in when none is.
    let here = std::env::current_dir().context("cannot tell the current directory")?;
    let what = if verb == "fetch" { "%f " } else { "" };
    Ok(format!(
        "P=\"$PWD/%p\"; cd {} 2>/dev/null; {directory}exec {} {file}wal {verb} {what}\"$P\"",
        quoted(&here),
        quoted(&program)
    ))
}

/// The objects of the one segment whose objects begin with `place`. A base backup leaves a note in the archive whose name
/// begins with that of the segment it began in: `….00000028.backup`.
async fn archived(target: &Target, place: &str) -> anyhow::Result<Vec<String>> {
    let mut objects = target.all(place).await?;
    objects.retain(|object| !pushed(object, place).0.contains('.'));
    Ok(objects)
}

/// The hash in the name of an object below `place`, and what was done to the segment's bytes.
fn pushed<'a>(object: &'a str, place: &str) -> (&'a str, Form) {
    let rest = &object[place.len()..];
    match rest.strip_suffix(ENCRYPTED) {
        Some(sha256) => (sha256, Form::ZstdAge),
        None => (rest, Form::Zstd),
    }
}

/// Of a segment's name, what tells its age: a timeline may begin anywhere.
fn position(name: &str) -> &str {
    name.get(8..24).unwrap_or_default()
}

fn place(system: &str, name: &str) -> String {
    format!("{PREFIX}{system}/{name}.")
}

/// `000000010000000000000003`, `00000002.history`, `….00000028.backup`, `….partial`.
fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    anyhow::ensure!(
        name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_hexdigit()),
        "{name} is not the name of a segment of the write-ahead log"
    );
    Ok(())
}

/// What the cluster around a segment calls itself: the first number of its control file.
fn system(segment: &Path) -> anyhow::Result<String> {
    let log = segment.parent().filter(|parent| !parent.as_os_str().is_empty());
    let cluster: PathBuf = match log.map(|log| log.parent().unwrap_or(Path::new(""))) {
        Some(cluster) => cluster.to_owned(),
        None => anyhow::bail!("{} is not in the log of a cluster", segment.display()),
    };
    let control = cluster.join("global/pg_control");
    let mut number = [0; 8];
    File::open(&control)
        .and_then(|mut file| file.read_exact(&mut number))
        .with_context(|| format!("cannot read {}", control.display()))?;
    Ok(u64::from_ne_bytes(number).to_string())
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

fn hash(path: &Path) -> anyhow::Result<String> {
    let mut source = Hashing::new(open(path)?);
    std::io::copy(&mut source, &mut std::io::sink())?;
    Ok(hex(&source.hash.finalize()))
}
