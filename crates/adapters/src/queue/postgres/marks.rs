//! How far each worker has walked through what is ready.
//!
//! A worker goes on from there for about a second, or until it finds nothing; then it begins at the start again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tenon_db::jobs::Marks;

/// The longest that a job behind the marks waits.
const GOES_ON_FOR: Duration = Duration::from_secs(1);
/// Workers remembered; one that is forgotten begins at the start.
const WORKERS: usize = 1000;

#[derive(Default)]
pub(super) struct MarksOfWorkers(Mutex<HashMap<(String, Vec<String>), Walk>>);

/// A worker on its way.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) marks: Marks,
    began: Option<Instant>,
}

impl Walk {
    /// Whether to go on from the marks.
    pub(super) fn goes_on(&self) -> bool {
        self.began.is_some_and(|began| began.elapsed() < GOES_ON_FOR)
    }

    pub(super) fn began_anew(&mut self) {
        self.began = Some(Instant::now());
    }
}

impl MarksOfWorkers {
    pub(super) fn of(&self, worker: &str, queues: &[String]) -> Walk {
        self.lock().remove(&(worker.to_owned(), queues.to_owned())).unwrap_or_default()
    }

    pub(super) fn keep(&self, worker: &str, queues: &[String], walk: Walk) {
        let mut walks = self.lock();
        if walks.len() >= WORKERS {
            walks.clear();
        }
        walks.insert((worker.to_owned(), queues.to_owned()), walk);
    }

    /// Everybody begins at the start: a job may have come back behind the marks.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Vec<String>), Walk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
