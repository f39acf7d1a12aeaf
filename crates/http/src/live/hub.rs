//! The hub of a process: one ear on the bus, one channel for each stream somebody here subscribed to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use tenon_app::{App, changes, worker::tidings, write::Bell};
use tenon_core::{
    changes::Stream,
    ports::bus::{Heard, Listener},
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    board::Board,
    channel::{Channel, Member, Message},
};

/// How often the heads of subscribed streams are compared with the log, in case a bell was lost.
const POLL: Duration = Duration::from_secs(3);
/// How long to wait before the bus is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Holds the live side of a process.
pub struct Hub {
    pub(super) app: Arc<App>,
    channels: Mutex<HashMap<Stream, mpsc::UnboundedSender<Message>>>,
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
                Err(mpsc::error::SendError(message)) => message,
            },
            None => message,
        };
        let (sender, mailbox) = mpsc::unbounded_channel();
        if self.ear.send(Ear::Listen(stream)).is_err() {
            return;
        }
        // The mailbox is new and its other end is at hand, so this cannot fail.
        sender.send(message).ok();
        channels.insert(stream, sender);
        if let Some(hub) = self.me.upgrade() {
            let channel = Channel::new(hub, stream, mailbox);
            self.tasks.spawn(self.shutdown.clone().run_until_cancelled_owned(channel.run()));
        }
    }

    /// Lets a socket leave a stream.
    pub(super) fn leave(&self, stream: Stream, socket: u64) {
        if let Some(channel) = self.channels().get(&stream) {
            // A channel that is gone holds nobody.
            channel.send(Message::Leave(socket)).ok();
        }
    }

    /// Takes an empty channel out, unless somebody has just written to it.
    pub(super) fn retire(&self, stream: Stream, mailbox: &mpsc::UnboundedReceiver<Message>) -> bool {
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
    pub(super) async fn publish_presence(&self, stream: Stream, state: &Value) {
        let body = Bytes::from(state.to_string());
        if let Err(error) = self.app.bus.publish(&presence_topic(stream), body).await {
            tracing::debug!(%error, "presence could not be published");
        }
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<Stream, mpsc::UnboundedSender<Message>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, stream: Stream, message: Message) {
        if let Some(channel) = self.channels().get(&stream) {
            // A channel that is just retiring needs no bell.
            channel.send(message).ok();
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
                self.tell(stream, Message::Job(news));
            }
        } else if let Some(stream) = topic.strip_prefix("presence:").and_then(|s| s.parse().ok()) {
            if let Ok(state) = serde_json::from_slice(body) {
                self.tell(stream, Message::Presence(state));
            }
        } else if let Some(stream) = topic.strip_prefix("stream:").and_then(|s| s.parse().ok()) {
            match serde_json::from_slice::<Bell>(body) {
                Ok(bell) => self.tell(stream, Message::Bell(bell.changes)),
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
