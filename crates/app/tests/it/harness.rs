//! The application of a test: a database of its own, a clock that stands still, a mailer that obeys.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tenon_adapters::{blob, bus, cache, limiter, queue::MemoryQueue, randomness::SystemRandomness};
use tenon_app::{
    App, Keys, Parts, Settings, crypto::SigningKey, scheduler::Schedules, settings::PasswordCost,
};
use tenon_core::{
    ports::{
        clock::Clock,
        mail::{Mail, MailError, Mailer},
        queue::Queue,
    },
    secrets::Secret,
};
use tenon_db::Db;
use tenon_testkit::{TestDb, clock::FakeClock};
use tokio::sync::Semaphore;

/// An application with what a test needs to look into it.
pub(crate) struct House {
    pub(crate) app: Arc<App>,
    pub(crate) clock: FakeClock,
    pub(crate) post: Arc<Post>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) db: TestDb,
}

impl House {
    /// With a queue in memory.
    pub(crate) async fn new() -> Self {
        let clock = FakeClock::new();
        let queue = Arc::new(MemoryQueue::new(Arc::new(clock.clone())));
        let db = TestDb::new().await;
        let post = Arc::new(Post::default());
        let app = app(&db, &clock, queue.clone(), post.clone()).await;
        Self { app, clock, post, queue, db }
    }

    /// The same house with other schedules.
    pub(crate) async fn scheduling(&self, schedules: Schedules) -> Arc<App> {
        let (db, clock) = (self.db.db().clone(), Arc::new(self.clock.clone()));
        let parts = parts(db, clock, self.queue.clone(), self.post.clone()).await;
        let settings = Settings { schedules, ..parts.settings };
        Arc::new(App::new(Parts { settings, ..parts }))
    }
}

/// An application on `db`.
pub(crate) async fn app(
    db: &TestDb,
    clock: &FakeClock,
    queue: Arc<dyn Queue>,
    mailer: Arc<dyn Mailer>,
) -> Arc<App> {
    Arc::new(App::new(parts(db.db().clone(), Arc::new(clock.clone()), queue, mailer).await))
}

/// What an application is made of.
pub(crate) async fn parts(
    db: Db,
    clock: Arc<dyn Clock>,
    queue: Arc<dyn Queue>,
    mailer: Arc<dyn Mailer>,
) -> Parts {
    let keys =
        Keys::new(vec![SigningKey { kid: "test".to_owned(), secret: Secret::new(vec![7; 32]) }]).unwrap();
    Parts {
        db,
        blobs: blob::connect(blob::Config::Memory {}).await.unwrap(),
        queue,
        mailer,
        bus: bus::connect(bus::Config::default()).await.unwrap(),
        limiter: limiter::connect(limiter::Config::default(), clock.clone()).await.unwrap(),
        cache: cache::connect(cache::Config::default(), clock.clone()).await.unwrap(),
        clock,
        randomness: Arc::new(SystemRandomness),
        keys,
        settings: Settings { password_cost: PasswordCost::Least, ..Settings::default() },
    }
}

/// What the post does with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// Takes it.
    #[default]
    Takes,
    /// Takes it when the test opens the door.
    TakesAtTheDoor,
    /// Is away for now.
    IsAway,
    /// Refuses it for good.
    Refuses,
    /// Refuses it for good, with what no database keeps.
    Garbles,
    /// Falls over.
    Panics,
}

/// A mailer that keeps what it is given and fails as told.
pub(crate) struct Post {
    mood: Mutex<Mood>,
    sent: Mutex<Vec<Mail>>,
    /// Counts the mails that arrived at a closed door.
    pub(crate) at_the_door: Semaphore,
    /// Each permit lets one mail in.
    pub(crate) door: Semaphore,
}

impl Default for Post {
    fn default() -> Self {
        Self {
            mood: Mutex::default(),
            sent: Mutex::default(),
            at_the_door: Semaphore::new(0),
            door: Semaphore::new(0),
        }
    }
}

impl Post {
    pub(crate) fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn sent(&self) -> Vec<Mail> {
        self.sent.lock().unwrap().clone()
    }

    /// Returns when `n` more mails stand at the door.
    pub(crate) async fn awaits(&self, n: u32) {
        self.at_the_door.acquire_many(n).await.unwrap().forget();
    }
}

#[async_trait]
impl Mailer for Post {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Takes => {}
            Mood::TakesAtTheDoor => {
                self.at_the_door.add_permits(1);
                self.door.acquire().await.unwrap().forget();
            }
            Mood::IsAway => return Err(MailError::Transient("connection refused".into())),
            Mood::Garbles => return Err(MailError::Permanent("550 no\0such\u{202e} user\r\n".into())),
            Mood::Refuses => return Err(MailError::Permanent("550 no such user".into())),
            Mood::Panics => panic!("the post fell over"),
        }
        self.sent.lock().unwrap().push(mail.clone());
        Ok(())
    }

    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}
