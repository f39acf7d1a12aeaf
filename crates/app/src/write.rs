//! Every change of shared state: one transaction under the locks of its streams, its changes recorded, its jobs
//! enqueued, its bells rung after commit.

mod enqueue;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tenon_core::{
    Error, Result, Time,
    callers::{Caller, Person},
    changes::{Change, Kind, Recorded, Stream},
    ids::{ProjectId, StoryId, WorkspaceId},
    ports::queue::NewJob,
    users::PersonRef,
};
use tenon_db::{Connection, PooledConnection, log, transaction};
use uuid::Uuid;

pub use self::enqueue::{Options, new_job};
use crate::{App, access, delegations};

/// How long a bell may take; what was written is committed, so nobody should wait for a bus that is away.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

/// The longest notice that brings its changes along, in bytes; longer texts are read from the log, by who needs them.
const BELL_BYTES: usize = 64 << 10;

/// What is rung on the bus after a commit: enough to deliver without reading the log again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bell {
    /// `project:<id>` and the like.
    pub stream: String,
    /// The changes, in order; none when they are too long for the bus and are to be read from the log.
    pub changes: Vec<Recorded>,
}

impl Bell {
    /// As it goes over the bus: of bounded length, however much was written.
    fn body(stream: Stream, changes: Vec<Recorded>) -> serde_json::Result<Vec<u8>> {
        let stream = stream.to_string();
        let whole = serde_json::to_vec(&Self { stream: stream.clone(), changes })?;
        if whole.len() <= BELL_BYTES {
            return Ok(whole);
        }
        serde_json::to_vec(&Self { stream, changes: vec![] })
    }
}

/// A write in progress.
pub struct Tx<'a> {
    app: &'a App,
    conn: PooledConnection,
    correlation_id: String,
    actor: Option<PersonRef>,
    now: Time,
    heads: BTreeMap<Uuid, i64>,
    changes: Vec<(Stream, i64, Change)>,
    jobs: Vec<NewJob>,
}

/// How often a write is tried anew when the streams it touches change under it.
pub(crate) const ATTEMPTS: usize = 5;
const OUTDATED: &str = "membership-changing";

/// The streams that a write locked are no longer all it touches.
pub(crate) fn outdated() -> Error {
    Error::conflict(OUTDATED, "This person's memberships are changing at this moment. Try again.")
}

/// Whether a write was refused as [`outdated`].
pub(crate) fn is_outdated<T>(tried: &Result<T>) -> bool {
    matches!(tried, Err(Error::Conflict { code, .. }) if *code == OUTDATED)
}

impl App {
    /// Runs `work` in one transaction that holds the locks of `streams`.
    ///
    /// When `work` succeeds, what it took from people ends with it ([`delegations`]), its changes and jobs are written
    /// with it and everything is committed; then the bells ring.
    /// When it fails, nothing happened. A stream that does not exist is not locked: `work` will find that its
    /// thing is not there either.
    pub async fn write<T, F>(&self, streams: &[Stream], correlation_id: &str, work: F) -> Result<T>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T>,
    {
        let mut tx = self.begin(streams, correlation_id).await?;
        let worked = match work(&mut tx).await {
            Ok(value) => delegations::end_unfounded(&mut tx).await.map(|()| value),
            Err(error) => Err(error),
        };
        match worked {
            Ok(value) => {
                tx.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // A connection that cannot roll back is closed by the pool, which comes to the same.
                if let Err(e) = transaction::rollback(&mut tx.conn).await {
                    tracing::debug!(error = %e, "a rollback failed");
                }
                Err(error)
            }
        }
    }

    async fn begin(&self, streams: &[Stream], correlation_id: &str) -> Result<Tx<'_>> {
        let mut conn = self.db.conn().await?;
        transaction::begin(&mut conn).await?;
        let heads = if streams.is_empty() {
            BTreeMap::new()
        } else {
            log::lock(&mut conn, streams).await?.into_iter().collect()
        };
        Ok(Tx {
            app: self,
            conn,
            correlation_id: correlation_id.to_owned(),
            actor: None,
            now: self.now(),
            heads,
            changes: vec![],
            jobs: vec![],
        })
    }
}

impl Tx<'_> {
    /// The connection, for query functions.
    pub fn conn(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// The instant of this write; the same for everything in it.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The application.
    pub fn app(&self) -> &App {
        self.app
    }

    /// The request that writes.
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// The caller's person, from then on the author of what is recorded.
    pub async fn person(&mut self, caller: &Caller) -> Result<Person> {
        let person = access::person(self.app, &mut self.conn, caller).await?;
        self.act_as(person.as_ref());
        Ok(person)
    }

    /// The caller as an administrator of the instance, from then on the author.
    pub async fn admin(&mut self, caller: &Caller) -> Result<Person> {
        let person = access::admin(self.app, &mut self.conn, caller).await?;
        self.act_as(person.as_ref());
        Ok(person)
    }

    /// The caller in a workspace, from then on the author.
    pub async fn workspace(&mut self, caller: &Caller, id: WorkspaceId) -> Result<access::WorkspaceAccess> {
        let access = access::workspace(self.app, &mut self.conn, caller, id).await?;
        self.act_as(access.person.as_ref());
        Ok(access)
    }

    /// The caller in a project that may be changed, from then on the author. One in the trash is not found; one that is
    /// archived is refused, here and for every write.
    pub async fn project(&mut self, caller: &Caller, id: ProjectId) -> Result<access::ProjectAccess> {
        let access = self.project_even_archived(caller, id).await?;
        access.refuse_archived()?;
        Ok(access)
    }

    /// Like [`Tx::project`], for the few writes that an archived project takes: un-archiving it, moving it to the trash.
    pub async fn project_even_archived(
        &mut self,
        caller: &Caller,
        id: ProjectId,
    ) -> Result<access::ProjectAccess> {
        let access = access::project(self.app, &mut self.conn, caller, id).await?;
        self.act_as(access.person.as_ref());
        Ok(access)
    }

    /// The caller in the project of a story, which may be changed; from then on the author.
    pub async fn project_of_story(&mut self, caller: &Caller, id: StoryId) -> Result<access::ProjectAccess> {
        let access = access::project_of_story(self.app, &mut self.conn, caller, id).await?;
        access.refuse_archived()?;
        self.act_as(access.person.as_ref());
        Ok(access)
    }

    /// What was recorded so far: where, and which kind.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = (Stream, Kind)> {
        self.changes.iter().map(|(stream, _, change)| (*stream, change.kind))
    }

    /// Names the author of what is recorded.
    pub fn act_as(&mut self, person: PersonRef) {
        self.actor = Some(person);
    }

    /// Opens the log of a thing that this write makes.
    pub async fn open(&mut self, stream: Stream) -> Result<()> {
        log::open(&mut self.conn, stream).await?;
        self.heads.insert(stream.uuid(), 0);
        Ok(())
    }

    /// Locks further streams. Only for streams whose id is greater than those already held, or that no other
    /// write locks together with them; prefer to name all at the start.
    pub async fn lock(&mut self, streams: &[Stream]) -> Result<()> {
        let new: Vec<Stream> =
            streams.iter().copied().filter(|s| !self.heads.contains_key(&s.uuid())).collect();
        if !new.is_empty() {
            self.heads.extend(log::lock(&mut self.conn, &new).await?);
        }
        Ok(())
    }

    /// Whether this write holds the locks of all these streams.
    pub fn holds(&self, streams: &[Stream]) -> bool {
        streams.iter().all(|s| self.heads.contains_key(&s.uuid()))
    }

    /// Records a change in a stream that this write holds.
    pub fn record(&mut self, stream: Stream, change: Change) -> Result<()> {
        let head = self
            .heads
            .get_mut(&stream.uuid())
            .ok_or_else(|| Error::internal(format!("stream {stream} is written to without its lock")))?;
        *head += 1;
        self.changes.push((stream, *head, change));
        Ok(())
    }

    /// The latest position of a stream that this write holds, what it recorded included.
    pub fn head(&self, stream: Stream) -> Result<i64> {
        let head = self.heads.get(&stream.uuid()).copied();
        head.ok_or_else(|| Error::internal(format!("stream {stream} is read without its lock")))
    }

    async fn commit(mut self) -> Result<()> {
        let author = log::Author {
            actor: self.actor.as_ref().map(|a| a.id),
            correlation_id: &self.correlation_id,
            at: self.now,
        };
        log::append(&mut self.conn, &author, &self.changes).await?;
        let transactional = self.app.queue.capabilities().transactional;
        if transactional {
            tenon_db::jobs::insert(&mut self.conn, &self.jobs).await?;
        } else {
            tenon_db::jobs::insert_outbox(&mut self.conn, &self.jobs).await?;
        }
        transaction::commit(&mut self.conn).await?;
        let Self { app, conn, changes, jobs, actor, correlation_id, now, .. } = self;
        drop(conn);
        ring(app, actor, &correlation_id, now, changes).await;
        if !jobs.is_empty() && !transactional {
            app.outbox_filled.notify_one();
        } else if !jobs.is_empty() {
            let mut queues: Vec<String> = jobs.into_iter().map(|j| j.queue).collect();
            queues.sort();
            queues.dedup();
            app.queue.notify(&queues).await;
        }
        Ok(())
    }
}

/// Rings one bell per stream. A bell that is lost is made up for by readers, who poll the heads.
async fn ring(
    app: &App,
    actor: Option<PersonRef>,
    correlation_id: &str,
    at: Time,
    changes: Vec<(Stream, i64, Change)>,
) {
    let mut bells: BTreeMap<Stream, Vec<Recorded>> = BTreeMap::new();
    for (stream, seq, change) in changes {
        bells.entry(stream).or_default().push(Recorded {
            seq,
            kind: change.kind.as_str().to_owned(),
            at,
            actor: actor.clone(),
            correlation_id: correlation_id.to_owned(),
            subject: change.subject,
            data: change.data,
            before: change.before,
        });
    }
    for (stream, changes) in bells {
        let rung = match Bell::body(stream, changes) {
            Ok(body) => {
                match tokio::time::timeout(PATIENCE, app.bus.publish(&stream.topic(), body.into())).await {
                    Ok(rung) => rung.map_err(|e| e.to_string()),
                    Err(_) => Err("the bus took too long".to_owned()),
                }
            }
            Err(e) => Err(e.to_string()),
        };
        if let Err(error) = rung {
            tracing::warn!(%stream, error, "a bell could not be rung; readers will find the change when they poll");
        }
    }
}
