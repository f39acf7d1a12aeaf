//! The suites must turn red when an adapter breaks one law: these break one each.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tenon_core::{
    ids::JobId,
    ports::{
        blob::{self, BlobError, BlobMeta, BlobStore, ByteStream, Key},
        bus::{Bus, BusError, Listener},
        cache::{Cache, CacheError},
        limiter::{Budget, Limiter, LimiterError, Verdict},
        mail::{Mail, MailError, Mailer},
        queue::{self, Beat, Cancel, Held, LeasedJob, NewJob, Outcome, Queue, QueueError},
    },
};
use tenon_testkit::laws::{self, is_broken};

/// Fails unless the law goes red over the sabotaged fixture.
macro_rules! caught {
    ($port:ident, $law:ident, $fixture:expr) => {
        assert!(is_broken(laws::$port::$law($fixture)).await, "nobody noticed: {}", stringify!($law));
    };
}

/// What is broken about a blob store.
#[derive(Clone, Copy, PartialEq)]
enum BlobSabotage {
    IgnoresRanges,
    ForgetsToDelete,
    CallsMissingEmpty,
    KeepsBrokenUploads,
    ListsWithoutLimit,
}

struct BrokenStore(Arc<dyn BlobStore>, BlobSabotage);

#[async_trait]
impl BlobStore for BrokenStore {
    fn capabilities(&self) -> blob::Capabilities {
        self.0.capabilities()
    }
    async fn put(&self, key: &Key, media_type: &str, body: ByteStream) -> Result<BlobMeta, BlobError> {
        use futures_util::StreamExt as _;
        if self.1 == BlobSabotage::KeepsBrokenUploads {
            let good = body.take_while(|next| std::future::ready(next.is_ok())).boxed();
            return self.0.put(key, media_type, good).await;
        }
        self.0.put(key, media_type, body).await
    }
    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, BlobError> {
        use futures_util::StreamExt as _;
        let range = range.filter(|_| self.1 != BlobSabotage::IgnoresRanges);
        match self.0.get(key, range).await {
            Err(BlobError::NotFound) if self.1 == BlobSabotage::CallsMissingEmpty => {
                Ok(futures_util::stream::empty().boxed())
            }
            other => other,
        }
    }
    async fn head(&self, key: &Key) -> Result<BlobMeta, BlobError> {
        self.0.head(key).await
    }
    async fn delete(&self, key: &Key) -> Result<(), BlobError> {
        if self.1 == BlobSabotage::ForgetsToDelete { Ok(()) } else { self.0.delete(key).await }
    }
    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<Key>, BlobError> {
        let limit = if self.1 == BlobSabotage::ListsWithoutLimit { 1000 } else { limit };
        self.0.list(prefix, after, limit).await
    }
    async fn presign(&self, key: &Key, ttl: Duration, disposition: &str) -> Result<String, BlobError> {
        self.0.presign(key, ttl, disposition).await
    }
}

#[tokio::test]
async fn a_broken_blob_store_is_caught() {
    use BlobSabotage as S;
    let broken = async |sabotage| {
        let mut fixture = crate::blob::fixtures::memory().await.unwrap();
        fixture.store = Arc::new(BrokenStore(fixture.store, sabotage));
        fixture
    };
    caught!(blob, a_range_gives_its_bytes, broken(S::IgnoresRanges).await);
    caught!(blob, what_was_deleted_is_gone, broken(S::ForgetsToDelete).await);
    caught!(blob, missing_is_not_found, broken(S::CallsMissingEmpty).await);
    caught!(blob, an_upload_that_breaks_off_leaves_nothing, broken(S::KeepsBrokenUploads).await);
    caught!(blob, a_list_goes_on_after_a_key_and_stops_at_its_limit, broken(S::ListsWithoutLimit).await);
}

/// What is broken about a mailer.
#[derive(Clone, Copy, PartialEq)]
enum MailSabotage {
    SendsTwice,
    MakesItsOwnId,
    SwapsTheBodies,
    StripsLineBreaks,
    CallsEverythingTransient,
}

struct BrokenMailer(Arc<dyn Mailer>, MailSabotage);

#[async_trait]
impl Mailer for BrokenMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let mut mail = mail.clone();
        match self.1 {
            MailSabotage::SendsTwice => self.0.send(&mail).await?,
            MailSabotage::MakesItsOwnId => "mine@tenon.example".clone_into(&mut mail.message_id),
            MailSabotage::SwapsTheBodies => std::mem::swap(&mut mail.text, &mut mail.html),
            MailSabotage::StripsLineBreaks => mail.subject = mail.subject.replace(['\r', '\n'], ""),
            MailSabotage::CallsEverythingTransient => {
                return self.0.send(&mail).await.map_err(|e| MailError::Transient(e.into()));
            }
        }
        self.0.send(&mail).await
    }
    async fn check(&self) -> Result<(), MailError> {
        self.0.check().await
    }
}

#[tokio::test]
async fn a_broken_mailer_is_caught() {
    use MailSabotage as S;
    let broken = async |sabotage| {
        let mut fixture = crate::mail::fixtures::smtp().await.unwrap();
        fixture.mailer = Arc::new(BrokenMailer(fixture.mailer, sabotage));
        fixture
    };
    caught!(mail, many_mails_at_once_all_arrive_once, broken(S::SendsTwice).await);
    caught!(mail, the_message_id_is_kept, broken(S::MakesItsOwnId).await);
    caught!(mail, a_mail_arrives_as_it_was_written, broken(S::SwapsTheBodies).await);
    caught!(mail, a_line_break_in_a_header_is_refused, broken(S::StripsLineBreaks).await);
    caught!(mail, a_refusal_for_good_is_permanent, broken(S::CallsEverythingTransient).await);
}

/// What is broken about a bus.
#[derive(Clone, Copy, PartialEq)]
enum BusSabotage {
    PublishesTwice,
    HearsItselfOnly,
}

struct BrokenBus(Arc<dyn Bus>, BusSabotage);

#[async_trait]
impl Bus for BrokenBus {
    async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        if self.1 == BusSabotage::PublishesTwice {
            self.0.publish(topic, body.clone()).await?;
        }
        self.0.publish(topic, body).await
    }
    async fn listener(&self) -> Result<Box<dyn Listener>, BusError> {
        self.0.listener().await
    }
    async fn check(&self) -> Result<(), BusError> {
        self.0.check().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_bus_is_caught() {
    let mut twice = crate::bus::fixtures::inprocess().await.unwrap();
    twice.bus = Arc::new(BrokenBus(twice.bus, BusSabotage::PublishesTwice));
    caught!(bus, every_listener_hears_each_message_once, twice);
    let mut alone = crate::bus::fixtures::inprocess().await.unwrap();
    let other = crate::bus::fixtures::inprocess().await.unwrap().bus;
    alone.elsewhere = Arc::new(BrokenBus(other, BusSabotage::HearsItselfOnly));
    caught!(bus, messages_of_one_publisher_arrive_in_order, alone);
}

/// A limiter that forgets what it allowed when a window by the clock is over.
struct FixedWindows(Arc<dyn Limiter>);

#[async_trait]
impl Limiter for FixedWindows {
    async fn take(&self, key: &str, budget: Budget) -> Result<Verdict, LimiterError> {
        self.0.take(key, Budget { window: budget.window / 2, ..budget }).await
    }
    async fn give_back(&self, _: &str, _: Budget) -> Result<(), LimiterError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_broken_limiter_is_caught() {
    let mut fixture = crate::limiter::fixtures::inprocess().await.unwrap();
    fixture.limiter = Arc::new(FixedWindows(fixture.limiter));
    caught!(limiter, never_more_than_the_budget_in_any_window, fixture);
    let mut fixture = crate::limiter::fixtures::inprocess().await.unwrap();
    fixture.elsewhere = Arc::new(FixedWindows(fixture.elsewhere));
    caught!(limiter, a_call_given_back_was_never_made, fixture);
}

/// A cache that never lets go.
struct HoardingCache(Arc<dyn Cache>);

#[async_trait]
impl Cache for HoardingCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.0.get(key).await
    }
    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.0.put(key, value, ttl * 100).await
    }
    async fn forget(&self, _: &str) -> Result<(), CacheError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_broken_cache_is_caught() {
    let broken = async || {
        let mut fixture = crate::cache::fixtures::inprocess().await.unwrap();
        fixture.cache = Arc::new(HoardingCache(fixture.cache));
        fixture
    };
    caught!(cache, nothing_outlives_its_time, broken().await);
    caught!(cache, what_was_forgotten_is_gone, broken().await);
}

/// What is broken about a queue.
#[derive(Clone, Copy, PartialEq)]
enum QueueSabotage {
    ForgetsPriorities,
    ForgetsDelays,
    RetriesForEver,
    CountsReleased,
    SettlesForAnybody,
    LeasesForNoTime,
    ForgetsLocks,
    ForgetsKeys,
    ForgetsToCancel,
    ForgetsToPause,
    KeepsWishesToItself,
}

struct BrokenQueue(Arc<dyn Queue>, QueueSabotage);

#[async_trait]
impl Queue for BrokenQueue {
    fn capabilities(&self) -> queue::Capabilities {
        self.0.capabilities()
    }
    async fn push(&self, mut jobs: Vec<NewJob>) -> Result<Vec<JobId>, QueueError> {
        for job in &mut jobs {
            match self.1 {
                QueueSabotage::ForgetsPriorities => job.priority = 0,
                QueueSabotage::ForgetsDelays => job.run_at -= Duration::from_hours(2),
                QueueSabotage::RetriesForEver => job.max_attempts = i32::MAX,
                QueueSabotage::ForgetsLocks => job.lock = None,
                QueueSabotage::ForgetsKeys => job.unique_key = None,
                _ => {}
            }
        }
        self.0.push(jobs).await
    }
    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError> {
        let lease = if self.1 == QueueSabotage::LeasesForNoTime { Duration::ZERO } else { lease };
        let worker = if self.1 == QueueSabotage::SettlesForAnybody { "anybody" } else { worker };
        self.0.fetch(worker, queues, limit, lease).await
    }
    async fn settle(&self, worker: &str, mut outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError> {
        for (_, outcome) in &mut outcomes {
            if self.1 == QueueSabotage::CountsReleased && *outcome == Outcome::Released {
                *outcome = Outcome::Retry { at: chrono::DateTime::UNIX_EPOCH, error: "".into() };
            }
        }
        let worker = if self.1 == QueueSabotage::SettlesForAnybody { "anybody" } else { worker };
        self.0.settle(worker, outcomes).await
    }
    async fn renew(&self, worker: &str, beats: &[Beat], lease: Duration) -> Result<Vec<Held>, QueueError> {
        let mut held = self.0.renew(worker, beats, lease).await?;
        if self.1 == QueueSabotage::KeepsWishesToItself {
            for held in &mut held {
                held.cancel_asked = false;
            }
        }
        Ok(held)
    }
    async fn cancel(&self, job: JobId) -> Result<Cancel, QueueError> {
        if self.1 == QueueSabotage::ForgetsToCancel { Ok(Cancel::Taken) } else { self.0.cancel(job).await }
    }
    async fn pause(&self, queue: &str, paused: bool) -> Result<(), QueueError> {
        if self.1 == QueueSabotage::ForgetsToPause { Ok(()) } else { self.0.pause(queue, paused).await }
    }
    async fn notify(&self, queues: &[String]) {
        self.0.notify(queues).await;
    }
    async fn wait(&self, queues: &[String], at_most: Duration) {
        self.0.wait(queues, at_most).await;
    }
    fn remote(&self) -> Option<&dyn queue::Remote> {
        self.0.remote()
    }
}

#[tokio::test]
async fn a_broken_queue_is_caught() {
    use QueueSabotage as S;
    let broken = async |sabotage| {
        let mut fixture = crate::queue::fixtures::memory().await.unwrap();
        fixture.queue = Arc::new(BrokenQueue(fixture.queue, sabotage));
        fixture
    };
    caught!(queue, higher_priority_comes_first_among_the_ready, broken(S::ForgetsPriorities).await);
    caught!(queue, delayed_is_not_early, broken(S::ForgetsDelays).await);
    caught!(queue, exhausted_is_dead_with_its_error, broken(S::RetriesForEver).await);
    caught!(queue, released_is_ready_at_once_and_not_counted, broken(S::CountsReleased).await);
    caught!(queue, a_worker_that_lost_its_hold_changes_nothing, broken(S::SettlesForAnybody).await);
    caught!(queue, no_two_workers_hold_one_job, broken(S::LeasesForNoTime).await);
    caught!(queue, one_lock_runs_one_after_another_in_order_of_enqueueing, broken(S::ForgetsLocks).await);
    caught!(queue, while_one_waits_another_of_its_key_is_not_added, broken(S::ForgetsKeys).await);
    caught!(queue, a_job_asked_to_end_is_not_tried_again, broken(S::ForgetsToCancel).await);
    caught!(queue, a_paused_queue_hands_out_nothing, broken(S::ForgetsToPause).await);
    caught!(queue, a_running_job_is_asked_to_end, broken(S::KeepsWishesToItself).await);
}
