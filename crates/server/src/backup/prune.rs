//! Removing backups that are kept no longer, and what is left of those that broke off.
//!
//! A backup is unmade in the reverse order of its making: the manifest goes first. Bytes of files go last, when no
//! backup that is kept lists them.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use tenon_db::Db;

use super::{
    Alone, Manifest, Target,
    files::{self, Present},
    leftovers,
    manifest::{self, Found, Kind, State},
    now, wal,
};
use crate::config::{Config, Keep};

/// How long somebody has to miss what a restore replaced.
const SAFETY_KEPT: TimeDelta = TimeDelta::days(7);

/// What was removed.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// Backups that were kept long enough.
    pub(crate) backups: Vec<String>,
    /// Backups that broke off.
    pub(crate) leftovers: Vec<String>,
    /// Bytes of files that no backup lists any more.
    pub(crate) files: u64,
    /// Segments of the write-ahead log that no base backup needs any more.
    pub(crate) segments: u64,
    /// Databases that restores left that broke off.
    pub(crate) databases: Vec<String>,
}

impl Pruned {
    /// What was removed at both times.
    pub(super) fn and(mut self, later: Self) -> Self {
        self.backups.extend(later.backups);
        self.leftovers.extend(later.leftovers);
        self.files += later.files;
        self.segments += later.segments;
        self.databases.extend(later.databases);
        self
    }
}

/// Removes what is kept no longer before more is made, so that a target that is full is not full for ever. Whatever
/// keeps it from that is told, and does not keep a backup from being made.
pub(super) async fn make_room(config: &Config, target: &Target) -> Pruned {
    match remove(config, target, false).await {
        Ok(pruned) => pruned,
        Err(error) => {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                "Old backups could not be removed before the new one"
            );
            Pruned::default()
        }
    }
}

/// Removes what is kept no longer; with `only_look` says what that would be.
pub(crate) async fn prune(
    config: &Config,
    db: &Db,
    target: &Target,
    patience: Duration,
    only_look: bool,
) -> anyhow::Result<Pruned> {
    let _alone = Alone::with(db, patience).await?;
    let mut pruned = remove(config, target, only_look).await?;
    pruned.databases = leftovers::clear(config, db, only_look).await;
    Ok(pruned)
}

/// The same for somebody who is [`Alone`] already.
pub(super) async fn remove(config: &Config, target: &Target, only_look: bool) -> anyhow::Result<Pruned> {
    let all = manifest::list(target).await?;
    // A manifest that cannot be read might list files that are needed, so then nothing is removed that it could mean.
    let unsure = all.iter().any(|found| matches!(found.state, State::Unreadable(_)));
    let whole: Vec<&Manifest> = all
        .iter()
        .filter_map(|found| match &found.state {
            State::Whole(manifest) => Some(&**manifest),
            _ => None,
        })
        .collect();
    let kept = kept(&whole, &config.backup.keep, now());
    let mut pruned = Pruned::default();
    for found in &all {
        match &found.state {
            State::Whole(_) if !kept.contains(found.id.as_str()) => {
                pruned.backups.push(found.id.clone());
                forget(target, found, only_look).await?;
            }
            State::Unfinished => {
                pruned.leftovers.push(found.id.clone());
                forget(target, found, only_look).await?;
            }
            State::Whole(_) | State::Unreadable(_) => {}
        }
    }
    if !unsure {
        let kept: Vec<&Manifest> =
            whole.iter().copied().filter(|manifest| kept.contains(manifest.id.as_str())).collect();
        pruned.files = files_of_nobody(target, &kept, only_look).await?;
        pruned.segments = wal::prune(target, &kept, only_look).await?;
    }
    if !only_look {
        target.clear_uploads()?;
    }
    Ok(pruned)
}

/// Removes a backup's own objects, the manifest first.
async fn forget(target: &Target, found: &Found, only_look: bool) -> anyhow::Result<()> {
    if only_look {
        return Ok(());
    }
    let (manifests, rest): (Vec<_>, Vec<_>) =
        found.objects.iter().partition(|object| object.contains("/manifest-"));
    for object in manifests.into_iter().chain(rest) {
        target.delete(object).await?;
    }
    Ok(())
}

/// Removes objects with bytes of files that none of `kept` lists. All lists are read side by side.
async fn files_of_nobody(target: &Target, kept: &[&Manifest], only_look: bool) -> anyhow::Result<u64> {
    let mut lists = Vec::new();
    for manifest in kept {
        lists.push(files::of(target, manifest).await?.peekable());
    }
    let mut present = Present::new(target);
    let mut removed = 0;
    while let Some(object) = present.next().await? {
        let mut needed = false;
        for list in &mut lists {
            let before = |entry: &anyhow::Result<files::Entry>| {
                entry.as_ref().is_ok_and(|entry| entry.stored.object < object)
            };
            while list.next_if(before).is_some() {}
            match list.peek() {
                Some(Ok(entry)) => needed |= entry.stored.object == object,
                Some(Err(_)) => anyhow::bail!("a list of files cannot be read"),
                None => {}
            }
        }
        if !needed {
            removed += 1;
            if !only_look {
                target.delete(&object).await?;
            }
        }
    }
    Ok(removed)
}

/// The ids of backups that are kept: those of the last day, which somebody may have made for a reason; of each of so many days, weeks and months that have a full one, the newest; and
/// base backups for as far back as any moment can be restored. Safety backups are kept for a week, and take no other's place.
fn kept<'a>(whole: &[&'a Manifest], keep: &Keep, now: DateTime<Utc>) -> BTreeSet<&'a str> {
    let mut kept = BTreeSet::new();
    let full = |safety: bool| {
        whole.iter().rev().filter(move |manifest| manifest.kind == Kind::Full && manifest.safety == safety)
    };
    let day = |at: DateTime<Utc>| (at.year(), at.ordinal());
    let week = |at: DateTime<Utc>| (at.iso_week().year(), at.iso_week().week());
    let month = |at: DateTime<Utc>| (at.year(), at.month());
    for (count, period) in [
        (keep.daily, &day as &dyn Fn(DateTime<Utc>) -> (i32, u32)),
        (keep.weekly, &week),
        (keep.monthly, &month),
    ] {
        let mut seen = BTreeSet::new();
        for manifest in full(false) {
            let new = seen.len() < usize::try_from(count).unwrap_or(usize::MAX)
                && seen.insert(period(manifest.snapshot_at));
            if new {
                kept.insert(manifest.id.as_str());
            }
        }
    }
    for (safety, since) in [(false, now - TimeDelta::days(1)), (true, now - SAFETY_KEPT)] {
        let young = full(safety).filter(|manifest| manifest.snapshot_at > since);
        kept.extend(young.map(|manifest| manifest.id.as_str()));
    }
    let horizon = now - keep.point_in_time.duration();
    for manifest in whole.iter().rev().filter(|manifest| manifest.kind == Kind::Base) {
        kept.insert(manifest.id.as_str());
        // The one that moments right after the horizon are restored from.
        if manifest.finished_at < horizon {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use tenon_db::backups::Counts;

    use super::{Kind, Manifest, kept};
    use crate::{
        backup::{seal::Form, target::Stored},
        config::Keep,
    };

    fn made(kind: Kind, at: DateTime<Utc>) -> Manifest {
        let stored = Stored { object: String::new(), size: 0, sha256: String::new(), form: Form::Plain };
        Manifest {
            format: 1,
            id: format!("{}-{}", at.format("%Y%m%dT%H%M%SZ"), kind.as_str()),
            kind,
            tenon: String::new(),
            migration: String::new(),
            postgres: 15,
            started_at: at,
            snapshot_at: at,
            finished_at: at,
            recipients: Vec::new(),
            database: stored.clone(),
            files: stored,
            keys: None,
            counts: Counts::default(),
            file_count: 0,
            file_bytes: 0,
            lost_files: Vec::new(),
            safety: false,
            cluster: None,
        }
    }

    fn noon() -> DateTime<Utc> {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn days_kept(every: TimeDelta, count: i32, keep: &Keep) -> Vec<String> {
        let all: Vec<Manifest> = (0..count).rev().map(|n| made(Kind::Full, noon() - every * n)).collect();
        kept(&all.iter().collect::<Vec<_>>(), keep, noon())
            .into_iter()
            .map(|id| format!("{}-{} {}", &id[4..6], &id[6..8], &id[9..11]))
            .collect()
    }

    #[test]
    fn the_newest_of_each_of_the_last_days_weeks_and_months_is_kept() {
        let keep = Keep { daily: 3, weekly: 2, monthly: 3, ..Keep::default() };
        // Twice a day for a hundred days, the 20th of November being a Friday.
        let kept = days_kept(TimeDelta::hours(12), 200, &keep);
        assert_eq!(
            kept,
            ["09-30 12", "10-31 12", "11-15 12", "11-18 12", "11-19 12", "11-20 00", "11-20 12"]
        );
    }

    #[test]
    fn few_backups_are_all_kept_and_the_newest_is_in_any_case() {
        let keep = Keep { daily: 7, weekly: 4, monthly: 12, ..Keep::default() };
        assert_eq!(days_kept(TimeDelta::days(1), 5, &keep).len(), 5);
        let keep = Keep { daily: 0, weekly: 0, monthly: 1, ..Keep::default() };
        assert_eq!(days_kept(TimeDelta::days(1), 5, &keep), ["11-20 12"]);
    }

    #[test]
    fn safety_backups_are_kept_for_a_week_and_take_the_place_of_no_other() {
        let keep = Keep { daily: 2, weekly: 0, monthly: 0, ..Keep::default() };
        let mut all: Vec<Manifest> = Vec::new();
        for days in (0..10).rev() {
            let at = noon() - TimeDelta::days(days);
            all.push(made(Kind::Full, at - TimeDelta::hours(2)));
            let mut safety = made(Kind::Full, at - TimeDelta::hours(1));
            safety.safety = true;
            safety.id = format!("{}-safety", at.format("%Y%m%dT%H%M%SZ"));
            all.push(safety);
        }
        let kept = kept(&all.iter().collect::<Vec<_>>(), &keep, noon());
        let (safety, others): (Vec<&str>, Vec<&str>) = kept.iter().partition(|id| id.ends_with("-safety"));
        assert_eq!(others.iter().map(|id| &id[4..8]).collect::<Vec<_>>(), ["1119", "1120"]);
        assert_eq!(
            safety.iter().map(|id| &id[4..8]).collect::<Vec<_>>(),
            ["1114", "1115", "1116", "1117", "1118", "1119", "1120"]
        );
    }

    #[test]
    fn base_backups_are_kept_as_far_back_as_any_moment_is_promised() {
        let keep = Keep { point_in_time: "14d".parse().unwrap(), ..Keep::default() };
        let all: Vec<Manifest> =
            [28, 21, 14, 7, 0].map(|days| made(Kind::Base, noon() - TimeDelta::days(days))).into();
        let kept = kept(&all.iter().collect::<Vec<_>>(), &keep, noon());
        let days: Vec<&str> = kept.iter().map(|id| &id[4..8]).collect();
        assert_eq!(days, ["1030", "1106", "1113", "1120"], "the one from before the horizon starts the log");
    }
}
