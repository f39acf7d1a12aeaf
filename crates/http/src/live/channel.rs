//! One subscribed stream in one process: keeps its members in step with the log, each within their rights.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tenon_app::changes::{self, Sight, Tail};
use tenon_core::{
    Error,
    callers::Caller,
    changes::{Kind, Recorded, Stream},
};

use super::{
    frames::{self, ChangeView},
    hub::Hub,
    mailbox::Letters,
    outbox::Outbox,
    replay,
    subscription::Admission,
};

/// How many changes of the log are read at once.
pub(super) const BATCH: i64 = 500;
/// How many bytes of the log are read at once, give or take a change.
pub(super) const BYTES: i64 = 512 << 10;
/// How many changes somebody may have missed who is taken in at once; others are sent them beside the channel.
pub(super) const NEAR: i64 = 50;

/// What a channel is told.
pub(super) enum Message {
    Join(Box<Member>),
    /// A client unsubscribed, or the socket's own watch is over.
    Leave {
        socket: u64,
        watch: bool,
    },
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
    /// Our end of the subscription.
    pub(super) admission: Admission,
    /// Whether it was told that it is subscribed.
    pub(super) told: bool,
}

impl Member {
    /// Refuses it; its end of the subscription is over before its client hears of that.
    pub(super) fn refuse(self, error: &Error) {
        drop(self.admission);
        self.outbox.refuse(self.id, error);
    }
    /// The right that it had is gone.
    pub(super) fn revoke(self, stream: Stream) {
        drop(self.admission);
        self.outbox.revoke(stream);
    }
    /// The log no longer reaches back to where it wants to begin.
    pub(super) fn reset(self, stream: Stream) {
        drop(self.admission);
        self.outbox.send(&frames::reset(stream));
    }
}

struct Seat {
    caller: Caller,
    outbox: Outbox,
    sight: Sight,
    watch: bool,
    /// While it is here, the client may use the subscription.
    admission: Admission,
}

pub(super) struct Channel {
    hub: Arc<Hub>,
    stream: Stream,
    mailbox: Letters<Message>,
    seats: HashMap<(u64, bool), Seat>,
    /// Everything up to here was delivered; the log may be further.
    head: Option<i64>,
    /// Whether the bus is listened to for it.
    listens: bool,
}

impl Channel {
    pub(super) fn new(hub: Arc<Hub>, stream: Stream, mailbox: Letters<Message>) -> Self {
        Self { hub, stream, mailbox, seats: HashMap::new(), head: None, listens: false }
    }

    /// Serves until nobody is left.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.mailbox.recv().await {
            let served = match message {
                Message::Join(member) => self.join(*member).await,
                Message::Leave { socket, watch } => {
                    self.seats.remove(&(socket, watch));
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
            let served = if served.is_ok() && self.mailbox.missed() { self.catch_up().await } else { served };
            if let Err(error) = served {
                // The head has not moved, so nothing is lost: the next bell or poll reads the gap.
                tracing::warn!(%error, stream = %self.stream, "a live stream could not be served for now");
            }
            if self.seats.is_empty() && self.hub.retire(self.stream, &self.mailbox) {
                return;
            }
        }
    }

    /// Seats a member, with what it missed, if it may see the stream.
    async fn join(&mut self, member: Member) -> Result<(), Error> {
        let admitted = match changes::sight(&self.hub.app, &member.caller, self.stream).await {
            Ok(sight) => self.current().await.map(|head| (sight, head)),
            Err(error) => Err(error),
        };
        let (sight, head) = match admitted {
            Ok(admitted) => admitted,
            // Who was told that it is subscribed had the right then.
            Err(_) if member.told => {
                member.revoke(self.stream);
                return Ok(());
            }
            Err(error) => {
                member.refuse(&error);
                return Ok(());
            }
        };
        if let Some(id) = member.id {
            self.enter(member, sight, id, head).await
        } else {
            self.seat(member, sight);
            Ok(())
        }
    }

    /// Brings a member up to date, and seats it then.
    async fn enter(&mut self, mut member: Member, sight: Sight, id: i64, head: i64) -> Result<(), Error> {
        let begin = member.after.unwrap_or(head);
        let mut head = head;
        if begin > head {
            // It knows more than was delivered here, so the log is ahead of this channel.
            if let Err(error) = self.catch_up().await {
                member.refuse(&error);
                return Err(error);
            }
            head = self.current().await?;
        }
        if begin > head || begin < 0 {
            member.reset(self.stream);
            return Ok(());
        }
        if !member.told {
            member.outbox.send(&frames::subscribed(id, self.stream, begin));
            member.told = true;
        }
        member.admission.admit();
        let reached = if head - begin > NEAR {
            begin
        } else {
            match self.replay(&member, sight, begin, head).await {
                Ok(Some(reached)) => reached,
                Ok(None) => {
                    member.reset(self.stream);
                    return Ok(());
                }
                Err(error) => {
                    // What was sent so far is in order; the client asks again from there.
                    member.refuse(&error);
                    return Err(error);
                }
            }
        };
        if reached >= head {
            self.seat(member, sight);
            return Ok(());
        }
        // Somebody who reads slowly must not keep the others waiting.
        self.seats.remove(&(member.socket, false));
        let replaying = replay::run(Arc::clone(&self.hub), self.stream, member, reached);
        self.hub.tasks.spawn(self.hub.shutdown.clone().run_until_cancelled_owned(replaying));
        Ok(())
    }

    /// From here on the member hears what happens. The first one has the bus listened to, so that nobody can make us
    /// listen to what is not theirs; what happened meanwhile is caught up with then.
    fn seat(&mut self, member: Member, sight: Sight) {
        let Member { socket, caller, outbox, id, admission, .. } = member;
        if !admission.is_wanted() {
            return;
        }
        if !self.listens {
            self.listens = true;
            self.hub.listen_to(self.stream);
        }
        let watch = id.is_none();
        self.seats.insert((socket, watch), Seat { caller, outbox, sight, watch, admission });
    }

    /// Sends a member the few changes after `after` up to `head`, and answers how far it came; none when the log no longer holds
    /// them.
    async fn replay(
        &self,
        member: &Member,
        sight: Sight,
        mut after: i64,
        head: i64,
    ) -> Result<Option<i64>, Error> {
        if after == head {
            return Ok(Some(after));
        }
        let tail = changes::tail(&self.hub.app, self.stream, after, head - after, BYTES).await;
        let changes = match tail {
            Ok(tail) => tail.changes,
            Err(Error::Conflict { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        for change in changes {
            after = change.seq;
            if sight.shows(&change) {
                member.outbox.send(&ChangeView::new(self.stream, change).frame());
            }
        }
        Ok(Some(after))
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
        // One that brings nothing along is of changes too long for the bus.
        if changes.first().is_none_or(|first| first.seq > head + 1) {
            return self.catch_up().await;
        }
        self.deliver(changes).await;
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), Error> {
        let Some(mut head) = self.head else { return Ok(()) };
        loop {
            let Tail { head: end, changes } =
                match changes::tail(&self.hub.app, self.stream, head, BATCH, BYTES).await {
                    Ok(tail) => tail,
                    // The log was cut behind us, which takes a month: begin anew.
                    Err(Error::Conflict { .. }) => {
                        self.head = None;
                        for (_, seat) in self.seats.drain() {
                            drop(seat.admission);
                            seat.outbox.send(&frames::reset(self.stream));
                        }
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                };
            let Some(last) = changes.last() else { return Ok(()) };
            head = last.seq;
            self.deliver(changes).await;
            if head >= end {
                return Ok(());
            }
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
            let watched = concerns_credentials(&change);
            let shown: Vec<&Seat> = self
                .seats
                .values()
                .filter(|seat| if seat.watch { watched } else { seat.sight.shows(&change) })
                .collect();
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
                        drop(seat.admission);
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

/// Whether a socket may have to close because of a change in its person's stream.
fn concerns_credentials(change: &Recorded) -> bool {
    matches!(
        Kind::of(&change.kind),
        Some(Kind::SessionRevoked | Kind::TokenRevoked | Kind::AccountActivityChanged | Kind::AccountDeleted)
    )
}
