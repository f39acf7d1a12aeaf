//! The hub of a process: one ear on the bus, one channel for each stream somebody here subscribed to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};
use tenon_app::{App, changes, worker::tidings, write::Bell};
use tenon_core::{
    callers::Person,
    changes::Stream,
    ids::UserId,
    ports::bus::{Heard, Listener},
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    board::Board,
    channel::{Channel, Member, Message},
    mailbox::{Letters, Mailbox, mailbox},
};

/// How often the heads of subscribed streams are compared with the log, in case a bell was lost.
const POLL: Duration = Duration::from_secs(3);
/// How long to wait before the bus is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long the bus may take for a message that may be lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// Holds the live side of a process.
pub struct Hub {
    pub(super) app: Arc<App>,
    channels: Mutex<HashMap<Stream, Mailbox<Message>>>,
    /// How many sockets each person has here.
    sockets: Mutex<HashMap<UserId, usize>>,
    ear: mpsc::UnboundedSender<Ear>,
    pub(super) board: Board,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
    pub(super) me: Weak<Hub>,
}

/// What the ear is told.
enum Ear {
    Listen(Stream),
    Ignore(Stream),
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("channels", &self.channels().len()).finish_non_exhaustive()
    }
}

impl Hub {
    /// Starts the hub. Its tasks, sockets included, are in `tasks` and end when `shutdown` is cancelled.
    pub fn start(app: Arc<App>, tasks: TaskTracker, shutdown: CancellationToken) -> Arc<Self> {
        let (ear, orders) = mpsc::unbounded_channel();
        let board = Board::start(Arc::clone(&app), &tasks, shutdown.clone());
        let hub = Arc::new_cyclic(|me| Self {
            app,
            board,
            channels: Mutex::default(),
            sockets: Mutex::default(),
            ear,
            tasks,
            shutdown,
            me: Weak::clone(me),
        });
        let listening = Arc::clone(&hub).listen(orders);
        hub.tasks.spawn(hub.shutdown.clone().run_until_cancelled_owned(listening));
        let polling = Arc::clone(&hub).poll();
        hub.tasks.spawn(hub.shutdown.clone().run_until_cancelled_owned(polling));
        hub
    }

    /// The tasks that shutdown waits for.
    pub fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Lets a socket join a stream. The channel answers on the socket itself.
    pub(super) fn join(&self, stream: Stream, member: Member) {
        let mut channels = self.channels();
        let message = Message::Join(Box::new(member));
        let message = match channels.get(&stream) {
            Some(channel) => match channel.send(message) {
                Ok(()) => return,
                Err(message) => message,
            },
            None => message,
        };
        let (sender, mailbox) = mailbox();
        // The mailbox is new and its other end is at hand, so this cannot fail.
        sender.send(message).ok();
        channels.insert(stream, sender);
        if let Some(hub) = self.me.upgrade() {
            let channel = Channel::new(hub, stream, mailbox);
            self.tasks.spawn(self.shutdown.clone().run_until_cancelled_owned(channel.run()));
        }
    }

    /// Has the bus listened to for a stream; its channel is told to catch up once that is so.
    pub(super) fn listen_to(&self, stream: Stream) {
        // Without an ear the heads are polled.
        self.ear.send(Ear::Listen(stream)).ok();
    }

    /// Counts one more socket of a person, for as long as what is given is held; none when there are too many.
    pub(super) fn admit(&self, user: UserId) -> Option<Place> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sockets.entry(user).or_insert(0);
        if *count >= self.app.settings.live_connections_per_user {
            return None;
        }
        *count += 1;
        Some(Place { hub: Weak::clone(&self.me), user })
    }

    /// Lets a socket leave a stream.
    pub(super) fn leave(&self, stream: Stream, socket: u64, watch: bool) {
        if let Some(channel) = self.channels().get(&stream) {
            // A channel that is gone holds nobody.
            channel.send(Message::Leave { socket, watch }).ok();
        }
    }

    /// Takes an empty channel out, unless somebody has just written to it.
    pub(super) fn retire(&self, stream: Stream, mailbox: &Letters<Message>) -> bool {
        let mut channels = self.channels();
        if !mailbox.is_empty() {
            return false;
        }
        channels.remove(&stream);
        // Without an ear there is nothing to ignore.
        self.ear.send(Ear::Ignore(stream)).ok();
        true
    }

    /// Tells everybody on a stream, in whatever process, what a socket is at.
    pub(super) async fn publish_presence(&self, stream: Stream, socket: u64, person: &Person, state: &Value) {
        let who = json!({
            "id": person.id, "username": person.username, "full_name": person.full_name, "color": person.color,
        });
        let frame = json!({ "stream": stream.to_string(), "socket": socket, "person": who, "state": state });
        let body = Bytes::from(frame.to_string());
        let topic = presence_topic(stream);
        let published = tokio::time::timeout(PATIENCE, self.app.bus.publish(&topic, body)).await;
        if !matches!(published, Ok(Ok(()))) {
            tracing::debug!(%stream, "presence could not be published");
        }
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<Stream, Mailbox<Message>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, stream: Stream, message: Message) {
        if let Some(channel) = self.channels().get(&stream) {
            // A channel that is just retiring needs no bell.
            channel.send(message).ok();
        }
    }

    /// The same for what somebody wrote, of `bytes`.
    fn pass_on(&self, stream: Stream, message: Message, bytes: usize) {
        if let Some(channel) = self.channels().get(&stream) {
            channel.offer(message, bytes);
        }
    }

    fn tell_all_to_catch_up(&self) {
        for channel in self.channels().values() {
            channel.send(Message::CatchUp).ok();
        }
    }

    /// Listens to the bus for as long as the process lives.
    async fn listen(self: Arc<Self>, mut orders: mpsc::UnboundedReceiver<Ear>) {
        loop {
            match self.app.bus.listener().await {
                Ok(listener) => self.hear(listener, &mut orders).await,
                Err(error) => tracing::warn!(%error, "the bus cannot be heard; changes are found by polling"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Listens with one listener until it fails.
    async fn hear(&self, mut listener: Box<dyn Listener>, orders: &mut mpsc::UnboundedReceiver<Ear>) {
        if let Err(error) = listener.listen(tidings::TOPIC).await {
            tracing::warn!(%error, "jobs cannot be heard of");
            return;
        }
        let present: Vec<Stream> = self.channels().keys().copied().collect();
        for stream in present {
            if let Err(error) = listen_to(&mut *listener, stream).await {
                tracing::warn!(%error, "a stream cannot be heard; its changes are found by polling");
                return;
            }
        }
        self.tell_all_to_catch_up();
        loop {
            let obeyed = tokio::select! {
                order = orders.recv() => match order {
                    Some(Ear::Listen(stream)) => {
                        let listening = listen_to(&mut *listener, stream).await;
                        // What happened between the channel's first look and now.
                        self.tell(stream, Message::CatchUp);
                        listening
                    }
                    Some(Ear::Ignore(stream)) => ignore(&mut *listener, stream).await,
                    None => return,
                },
                heard = listener.next() => {
                    match heard {
                        Heard::Message { topic, body } => self.route(&topic, &body),
                        Heard::Lost => self.tell_all_to_catch_up(),
                    }
                    Ok(())
                }
            };
            if let Err(error) = obeyed {
                tracing::warn!(%error, "the bus was lost; changes are found by polling until it is back");
                return;
            }
        }
    }

    fn route(&self, topic: &str, body: &Bytes) {
        if topic == tidings::TOPIC {
            self.board.hear(body);
        } else if let Some(stream) = topic.strip_prefix("jobs:").and_then(|s| s.parse().ok()) {
            if let Ok(news) = serde_json::from_slice(body) {
                self.pass_on(stream, Message::Job(news), body.len());
            }
        } else if let Some(stream) = topic.strip_prefix("presence:").and_then(|s| s.parse().ok()) {
            if let Ok(state) = serde_json::from_slice(body) {
                self.pass_on(stream, Message::Presence(state), body.len());
            }
        } else if let Some(stream) = topic.strip_prefix("stream:").and_then(|s| s.parse().ok()) {
            match serde_json::from_slice::<Bell>(body) {
                Ok(bell) => self.pass_on(stream, Message::Bell(bell.changes), body.len()),
                Err(_) => self.tell(stream, Message::CatchUp),
            }
        }
    }

    /// Compares heads every few seconds, in one statement for all streams.
    async fn poll(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let streams: Vec<Stream> = self.channels().keys().copied().collect();
            if streams.is_empty() {
                continue;
            }
            match changes::heads(&self.app, &streams).await {
                Ok(heads) => {
                    let heads: HashMap<_, _> = heads.into_iter().collect();
                    for stream in streams {
                        if let Some(head) = heads.get(&stream.uuid()) {
                            self.tell(stream, Message::Head(*head));
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "the heads of live streams could not be read"),
            }
        }
    }
}

/// A socket's place among those of its person.
pub(super) struct Place {
    hub: Weak<Hub>,
    user: UserId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(hub) = self.hub.upgrade() else { return };
        let mut sockets = hub.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sockets.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                sockets.remove(&self.user);
            }
        }
    }
}

fn presence_topic(stream: Stream) -> String {
    format!("presence:{stream}")
}

async fn listen_to(
    listener: &mut dyn Listener,
    stream: Stream,
) -> Result<(), tenon_core::ports::bus::BusError> {
    listener.listen(&stream.topic()).await?;
    if let Stream::Person(owner) = stream {
        listener.listen(&tidings::topic_of(owner)).await?;
    }
    listener.listen(&presence_topic(stream)).await
}

async fn ignore(listener: &mut dyn Listener, stream: Stream) -> Result<(), tenon_core::ports::bus::BusError> {
    listener.ignore(&stream.topic()).await?;
    if let Stream::Person(owner) = stream {
        listener.ignore(&tidings::topic_of(owner)).await?;
    }
    listener.ignore(&presence_topic(stream)).await
}
