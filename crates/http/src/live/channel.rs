//! One subscribed stream in one process: keeps its members in step with the log, each within their rights.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tenon_app::changes::{self, Sight};
use tenon_core::{
    Error,
    callers::Caller,
    changes::{Kind, Recorded, Stream},
};
use tokio::sync::mpsc;

use super::{
    frames::{self, ChangeView},
    hub::Hub,
    socket::Outbox,
};

/// How much of the log is read at once.
const BATCH: i64 = 500;

/// What a channel is told.
pub(super) enum Message {
    Join(Box<Member>),
    Leave(u64),
    /// Changes that were just committed.
    Bell(Vec<Recorded>),
    /// Something may have been missed.
    CatchUp,
    /// The log is at this position.
    Head(i64),
    /// What somebody is at.
    Presence(Value),
    /// How far a job is that the person waits for.
    Job(Value),
}

/// A socket that wants to join.
pub(super) struct Member {
    pub(super) socket: u64,
    pub(super) caller: Caller,
    pub(super) outbox: Outbox,
    /// Position after which to begin; from now on when absent.
    pub(super) after: Option<i64>,
    /// The request's id; none for the socket's own watch over its person's stream.
    pub(super) id: Option<i64>,
}

struct Seat {
    caller: Caller,
    outbox: Outbox,
    sight: Sight,
    watch: bool,
}

pub(super) struct Channel {
    hub: Arc<Hub>,
    stream: Stream,
    mailbox: mpsc::UnboundedReceiver<Message>,
    seats: HashMap<(u64, bool), Seat>,
    /// Everything up to here was delivered.
    head: Option<i64>,
}

impl Channel {
    pub(super) fn new(hub: Arc<Hub>, stream: Stream, mailbox: mpsc::UnboundedReceiver<Message>) -> Self {
        Self { hub, stream, mailbox, seats: HashMap::new(), head: None }
    }

    /// Serves until nobody is left.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.mailbox.recv().await {
            let served = match message {
                Message::Join(member) => self.join(*member).await,
                Message::Leave(socket) => {
                    self.seats.remove(&(socket, false));
                    self.seats.remove(&(socket, true));
                    Ok(())
                }
                Message::Bell(changes) => self.ring(changes).await,
                Message::CatchUp => self.catch_up().await,
                Message::Head(head) => {
                    if self.head.is_some_and(|at| at < head) {
                        self.catch_up().await
                    } else {
                        Ok(())
                    }
                }
                Message::Presence(state) => {
                    self.pass_on("presence", state);
                    Ok(())
                }
                Message::Job(news) => {
                    self.pass_on("job", news);
                    Ok(())
                }
            };
            if let Err(error) = served {
                // The head has not moved, so nothing is lost: the next bell or poll reads the gap.
                tracing::warn!(%error, stream = %self.stream, "a live stream could not be served for now");
            }
            if self.seats.is_empty() && self.hub.retire(self.stream, &self.mailbox) {
                return;
            }
        }
    }

    /// Seats a member, with what it missed.
    async fn join(&mut self, member: Member) -> Result<(), Error> {
        let Member { socket, caller, outbox, after, id } = member;
        let admitted = match changes::sight(&self.hub.app, &caller, self.stream).await {
            Ok(sight) => self.current().await.map(|head| (sight, head)),
            Err(error) => Err(error),
        };
        let (sight, head) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                outbox.refuse(id, &error);
                return Ok(());
            }
        };
        let seat = Seat { caller, outbox, sight, watch: id.is_none() };
        if let Some(id) = id {
            let begin = after.unwrap_or(head);
            if begin > head || begin < 0 {
                seat.outbox.send(&frames::reset(self.stream));
                return Ok(());
            }
            seat.outbox.send(&frames::subscribed(id, self.stream, begin));
            match self.replay(&seat, begin, head).await {
                Ok(true) => {}
                Ok(false) => {
                    seat.outbox.send(&frames::reset(self.stream));
                    return Ok(());
                }
                Err(error) => {
                    // What was sent so far is in order; the client asks again from there.
                    seat.outbox.refuse(Some(id), &error);
                    return Err(error);
                }
            }
        }
        self.seats.insert((socket, seat.watch), seat);
        Ok(())
    }

    /// Delivers the changes after `after` up to `head` to one seat; false when the log no longer holds them.
    async fn replay(&self, seat: &Seat, mut after: i64, head: i64) -> Result<bool, Error> {
        while after < head {
            let changes =
                match changes::tail(&self.hub.app, self.stream, after, BATCH.min(head - after)).await {
                    Ok(changes) => changes,
                    Err(Error::Conflict { .. }) => return Ok(false),
                    Err(error) => return Err(error),
                };
            for change in changes {
                after = change.seq;
                if seat.sight.shows(&change) {
                    // A resume may be longer than what a socket buffers, so it waits for the reader.
                    let frame = ChangeView::new(self.stream, change).frame();
                    if !seat.outbox.send_waiting(frame).await {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(true)
    }

    /// The position everything was delivered up to; that of the log for a new channel.
    async fn current(&mut self) -> Result<i64, Error> {
        match self.head {
            Some(head) => Ok(head),
            None => Ok(*self.head.insert(changes::head(&self.hub.app, self.stream).await?)),
        }
    }

    async fn ring(&mut self, changes: Vec<Recorded>) -> Result<(), Error> {
        let head = self.current().await?;
        if changes.first().is_some_and(|first| first.seq > head + 1) {
            return self.catch_up().await;
        }
        self.deliver(changes).await;
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), Error> {
        let Some(mut head) = self.head else { return Ok(()) };
        loop {
            let changes = match changes::tail(&self.hub.app, self.stream, head, BATCH).await {
                Ok(changes) => changes,
                // The log was cut behind us, which takes a month: begin anew.
                Err(Error::Conflict { .. }) => {
                    self.head = None;
                    for seat in self.seats.values() {
                        seat.outbox.send(&frames::reset(self.stream));
                    }
                    self.seats.clear();
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let Some(last) = changes.last() else { return Ok(()) };
            head = last.seq;
            self.deliver(changes).await;
        }
    }

    /// Delivers changes in order to those who may see them at this moment.
    async fn deliver(&mut self, changes: Vec<Recorded>) {
        for change in changes {
            if self.head.is_some_and(|head| change.seq <= head) {
                continue;
            }
            self.head = Some(change.seq);
            let written = change.at;
            self.apply_rights(&change).await;
            let shown: Vec<&Seat> =
                self.seats.values().filter(|s| s.watch || s.sight.shows(&change)).collect();
            if shown.is_empty() {
                continue;
            }
            let watched = shown.iter().any(|seat| seat.watch).then(|| Arc::new(change.clone()));
            let frame: Arc<str> = ChangeView::new(self.stream, change).frame().to_string().into();
            for seat in shown {
                match (&watched, seat.watch) {
                    (Some(change), true) => seat.outbox.watch(Arc::clone(change)),
                    _ => seat.outbox.send_text(Arc::clone(&frame)),
                }
            }
            // Another machine's clock may be ahead.
            let took = (self.hub.app.now() - written).to_std().unwrap_or_default();
            metrics::histogram!("ws_fanout_seconds").record(took.as_secs_f64());
        }
    }

    /// Lets a change of rights take hold before anything that follows it is delivered.
    async fn apply_rights(&mut self, change: &Recorded) {
        let touched: Box<dyn Fn(&Seat) -> bool + Send> = match Kind::of(&change.kind) {
            Some(Kind::MemberRemoved | Kind::MemberRoleChanged) => {
                let whom = change.data["user_id"].as_str().map(str::to_owned);
                Box::new(move |seat| whom.as_deref() == Some(seat.sight.user.to_string().as_str()))
            }
            Some(Kind::RoleUpdated | Kind::RoleDeleted | Kind::ProjectDeleted | Kind::WorkspaceDeleted) => {
                Box::new(|_| true)
            }
            _ => return,
        };
        let keys: Vec<(u64, bool)> =
            self.seats.iter().filter(|(_, seat)| !seat.watch && touched(seat)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(seat) = self.seats.get_mut(&key) else { continue };
            match changes::sight(&self.hub.app, &seat.caller, self.stream).await {
                Ok(sight) => seat.sight = sight,
                // Also when the database cannot tell: better a reader who has to come again than one who sees too much.
                Err(_) => {
                    if let Some(seat) = self.seats.remove(&key) {
                        seat.outbox.revoke(self.stream);
                    }
                }
            }
        }
    }

    /// Passes on what is in no log, but not to the socket that it is from.
    fn pass_on(&self, op: &str, mut frame: Value) {
        let own = frame["socket"].as_u64();
        frame["op"] = op.into();
        frame["stream"] = self.stream.to_string().into();
        let frame: Arc<str> = frame.to_string().into();
        for ((socket, watch), seat) in &self.seats {
            if !watch && Some(*socket) != own {
                seat.outbox.send_text(Arc::clone(&frame));
            }
        }
    }
}
