//! The use-cases: authorisation, transactions, job handlers, mails composed.
//!
//! A use-case is a free function `verb(app, caller, …)`. It loads, asks [`policy`], changes, records
//! what changed, and enqueues what follows: all in one transaction, through [`App::write`].

pub mod access;
pub mod accounts;
pub mod activity;
pub mod attachments;
pub mod changes;
pub mod claims;
pub mod comments;
pub mod credentials;
pub mod crypto;
pub mod delegations;
pub mod deletions;
pub mod demo;
pub mod email_changes;
pub mod idempotency;
pub mod invariants;
pub mod invitations;
pub mod job_admin;
pub mod jobs;
mod letters;
pub mod links;
pub mod mail;
pub mod maintenance;
pub mod me;
pub mod my_invitations;
mod names;
pub mod ownership;
pub mod passwords;
pub mod policy;
pub mod project_members;
pub mod project_roles;
pub mod projects;
pub mod queue_move;
mod ranks;
pub mod relay;
pub mod resets;
pub mod scheduler;
pub mod sessions;
pub mod settings;
pub mod statuses;
pub mod stories;
pub mod throttle;
pub mod tokens;
pub mod users;
mod versions;
pub mod worker;
pub mod workflows;
pub mod workspace_members;
pub mod workspaces;
pub mod write;

use std::sync::Arc;

use tenon_core::{
    Result, Time,
    ports::{
        blob::BlobStore, bus::Bus, cache::Cache, clock::Clock, limiter::Limiter, mail::Mailer, queue::Queue,
        randomness::Randomness,
    },
};
use tenon_db::{Db, PooledConnection};

pub use crypto::Keys;
pub use settings::Settings;
pub use write::Tx;

/// Everything the use-cases work with.
pub struct App {
    /// The database. Reading takes a connection; writing goes through [`App::write`].
    db: Db,
    /// Files.
    pub blobs: Arc<dyn BlobStore>,
    /// Jobs.
    pub queue: Arc<dyn Queue>,
    /// Mail.
    pub mailer: Arc<dyn Mailer>,
    /// Bells and presence.
    pub bus: Arc<dyn Bus>,
    /// Budgets.
    pub limiter: Arc<dyn Limiter>,
    /// Values that may vanish.
    pub cache: Arc<dyn Cache>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub randomness: Arc<dyn Randomness>,
    /// Keys that sign tokens, links and cursors.
    pub keys: Keys,
    /// What an administrator chose.
    pub settings: Settings,
    /// Whether the installation is being maintained.
    pub maintenance: maintenance::Maintenance,
    /// Personal access tokens used since they were last written down.
    pub(crate) token_uses: tokens::Uses,
    /// What this process can do after the answer.
    pub(crate) handlers: jobs::Handlers,
    /// Rung when a write of this process has put jobs into the outbox.
    outbox_filled: tokio::sync::Notify,
}

/// The adapters an [`App`] is made of.
#[expect(missing_docs, reason = "the fields are those of `App`, explained there")]
pub struct Parts {
    pub db: Db,
    pub blobs: Arc<dyn BlobStore>,
    pub queue: Arc<dyn Queue>,
    pub mailer: Arc<dyn Mailer>,
    pub bus: Arc<dyn Bus>,
    pub limiter: Arc<dyn Limiter>,
    pub cache: Arc<dyn Cache>,
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
    pub keys: Keys,
    pub settings: Settings,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts { db, blobs, queue, mailer, bus, limiter, cache, clock, randomness, keys, settings } =
            parts;
        let outbox_filled = tokio::sync::Notify::new();
        Self {
            db,
            blobs,
            queue,
            mailer,
            bus,
            limiter,
            cache,
            clock,
            randomness,
            keys,
            settings,
            maintenance: maintenance::Maintenance::default(),
            token_uses: tokens::Uses::default(),
            handlers: jobs::Handlers::default(),
            outbox_filled,
        }
    }

    /// The same, able to do another kind of job.
    #[must_use]
    pub fn handling<J: jobs::Handle>(self) -> Self {
        Self { handlers: self.handlers.and::<J>(), ..self }
    }

    /// The present instant.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// A connection to read with.
    pub async fn read(&self) -> Result<PooledConnection> {
        Ok(self.db.conn().await?)
    }

    /// The database, for health checks and administration.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// A new id of any kind.
    pub fn id<T: From<uuid::Uuid>>(&self) -> T {
        tenon_core::ids::v7(&*self.clock, &*self.randomness).into()
    }

    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.randomness.fill(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("settings", &self.settings).finish_non_exhaustive()
    }
}
