//! What is done regularly.

use sha2::{Digest, Sha256};
use tenon_core::{
    Error, Result, Time,
    ids::JobId,
    jobs::{Job, PurgeExpired, ShortenRanks, SweepBlobs},
    users::Timezone,
};

use super::timetable::Timetable;
use crate::{Tx, write::Options};

/// A schedule as it is declared.
#[derive(Debug)]
struct Declared {
    name: &'static str,
    meaning: &'static str,
    cron: &'static str,
    enqueue: fn(&mut Tx<'_>, &Options) -> Result<JobId>,
}

/// Everything done regularly, and when unless it is configured.
const DECLARED: [Declared; 3] = [
    Declared {
        name: PurgeExpired::NAME,
        meaning: "what has ended is removed (sessions, links, the trash, finished jobs)",
        cron: "0 * * * *",
        enqueue: |tx, options| tx.enqueue_with(&PurgeExpired {}, options),
    },
    Declared {
        name: SweepBlobs::NAME,
        meaning: "stored files that nothing knows of are removed",
        cron: "15 3 * * *",
        enqueue: |tx, options| tx.enqueue_with(&SweepBlobs {}, options),
    },
    Declared {
        name: ShortenRanks::NAME,
        meaning: "stories whose ranks grew long get short ones, in the same order",
        cron: "45 3 * * *",
        enqueue: |tx, options| tx.enqueue_with(&ShortenRanks {}, options),
    },
];

/// Something done regularly.
#[derive(Debug, Clone)]
pub struct Schedule {
    declared: &'static Declared,
    /// When.
    pub timetable: Timetable,
    /// Whether it ticks; by hand its job can be enqueued all the same.
    pub is_enabled: bool,
}

impl Schedule {
    /// Stable for ever.
    pub fn name(&self) -> &'static str {
        self.declared.name
    }

    /// What happens at its ticks.
    pub fn meaning(&self) -> &'static str {
        self.declared.meaning
    }

    /// The latest tick at or before `now`; none when it is switched off.
    pub(super) fn latest_tick(&self, now: Time) -> Option<Time> {
        self.timetable.latest(now).filter(|_| self.is_enabled)
    }

    /// The next tick after `now`; none when it is switched off.
    pub(crate) fn next_tick(&self, now: Time) -> Option<Time> {
        self.timetable.next(now).filter(|_| self.is_enabled)
    }

    /// Enqueues its job. Without a lock or a unique key: a tick of a clock that was ahead would hold up those to come.
    pub(crate) fn enqueue(&self, tx: &mut Tx<'_>, id: JobId) -> Result<()> {
        (self.declared.enqueue)(tx, &Options::default().id(id)).map(drop)
    }

    /// The id of the job of a tick, the same whoever enqueues it.
    pub(super) fn job_of(&self, tick: Time) -> JobId {
        let digest = Sha256::digest(format!("{}@{}", self.name(), tick.timestamp()));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().into()
    }
}

/// All schedules, each once.
#[derive(Debug, Clone)]
pub struct Schedules(Vec<Schedule>);

impl Schedules {
    /// One after another.
    pub fn iter(&self) -> impl Iterator<Item = &Schedule> {
        self.0.iter()
    }

    /// The one of that name.
    pub fn find(&self, name: &str) -> Option<&Schedule> {
        self.iter().find(|schedule| schedule.name() == name)
    }

    /// The one of that name, to change it.
    pub fn get_mut(&mut self, name: &str) -> Result<&mut Schedule> {
        self.0.iter_mut().find(|schedule| schedule.name() == name).ok_or(Error::NotFound("schedule"))
    }
}

impl Default for Schedules {
    fn default() -> Self {
        let schedule = |declared: &'static Declared| Schedule {
            declared,
            timetable: Timetable {
                cron: declared.cron.parse().expect("the tests parse what is declared"),
                zone: Timezone::default(),
            },
            is_enabled: true,
        };
        Self(DECLARED.iter().map(schedule).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_has_a_time_and_a_name_of_its_own() {
        let schedules = Schedules::default();
        let names: std::collections::BTreeSet<_> = schedules.iter().map(Schedule::name).collect();
        assert_eq!(names.len(), DECLARED.len());
    }

    #[test]
    fn each_tick_has_its_own_job() {
        let schedules = Schedules::default();
        let schedule = schedules.iter().next().unwrap();
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(schedule.job_of(at("2026-01-02T03:00:00Z")), schedule.job_of(at("2026-01-02T03:00:00Z")));
        assert_ne!(schedule.job_of(at("2026-01-02T03:00:00Z")), schedule.job_of(at("2026-01-02T04:00:00Z")));
    }
}
