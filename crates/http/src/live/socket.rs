//! One socket: what its client says, what it is told, and when it is closed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture};
use salvo::websocket::{Message as Frame, WebSocket};
use serde_json::{Value, json};
use tenon_app::access;
use tenon_core::{
    Error, Time,
    callers::{Caller, Person},
    changes::{Kind, Recorded, Stream},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at},
};
use tokio_tungstenite::tungstenite;

use super::{
    allowance::{Allowance, Drawn},
    board,
    channel::Member,
    close::Close,
    frames::{self, ClientFrame},
    hub::{Hub, Place},
    outbox::{Out, Outbox, Parcel, outbox},
    presence::Presence,
    subscription::{self, Subscription},
};

/// The longest frame of a client, in bytes.
const LONGEST: usize = 64 << 10;
/// The longest one that is read to its end, to be told that it is too long.
pub(crate) const READ: usize = 256 << 10;
/// How often the server pings and looks its client's credential up again.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// How long a client may stay silent.
const SILENCE: Duration = Duration::from_secs(65);
/// How long a client may take to read a frame.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a client has to say who it is, and in how many frames.
const INTRODUCTION: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 10;
/// How long the end of a connection may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// The most streams on one socket.
const MAX_STREAMS: usize = 100;

/// Whose socket it is.
#[derive(Debug)]
pub(crate) struct Holder {
    /// The credential.
    pub(crate) caller: Caller,
    /// The person behind it.
    pub(crate) person: Person,
    /// When the credential ends by itself, as far as is known.
    pub(crate) until: Option<Time>,
    /// How much the client may say.
    pub(crate) allowance: Allowance,
}

/// Finds out whose token a client shows.
pub(crate) type Introduce = Box<dyn Fn(String) -> BoxFuture<'static, Result<Holder, Error>> + Send + Sync>;

/// Serves one socket until it closes. Without a `holder` the client has to introduce itself first.
pub(crate) async fn serve(hub: Arc<Hub>, socket: WebSocket, holder: Option<Holder>, introduce: Introduce) {
    metrics::gauge!("ws_connections").increment(1.0);
    let (end, outbox) = outbox();
    let id = rand_id(&hub);
    let mut session = Session {
        hub: &hub,
        id,
        socket,
        outbox,
        end,
        holder,
        place: None,
        own: None,
        streams: HashMap::new(),
        watches_jobs: false,
    };
    let close = match session.introduced(introduce).await {
        Ok(()) => session.run().await,
        Err(close) => close,
    };
    session.end_with(close).await;
    metrics::gauge!("ws_connections").decrement(1.0);
}

fn rand_id(hub: &Hub) -> u64 {
    // 53 bits: JSON numbers of JavaScript hold them exactly.
    u64::from_be_bytes(hub.app.random::<8>()) >> 11
}

/// A step of a session; when it ends, why: none when the client went.
type Step<T = ()> = Result<T, Option<Close>>;

struct Session<'a> {
    hub: &'a Hub,
    id: u64,
    socket: WebSocket,
    outbox: mpsc::UnboundedReceiver<Parcel>,
    end: Outbox,
    holder: Option<Holder>,
    place: Option<Place>,
    /// The watch over the person's own stream.
    own: Option<Subscription>,
    /// Streams asked for; what may be done there follows from the subscription alone.
    streams: HashMap<Stream, Held>,
    watches_jobs: bool,
}

/// A stream asked for.
struct Held {
    subscription: Subscription,
    presence: Presence,
}

impl Session<'_> {
    /// Waits for the client to say who it is, if that is not known.
    async fn introduced(&mut self, introduce: Introduce) -> Step {
        let deadline = Instant::now() + INTRODUCTION;
        let mut attempts = 0;
        while self.holder.is_none() {
            let (shutdown, maintenance) = (self.hub.shutdown.clone(), &self.hub.app.maintenance);
            let frame = tokio::select! {
                () = shutdown.cancelled() => return Err(Some(Close::Restarting)),
                () = maintenance.turned(true) => return Err(Some(Close::Maintenance)),
                frame = timeout_at(deadline, self.socket.next()) => frame,
            };
            let frame = received(frame.map_err(|_| Some(Close::Unauthenticated))?)?;
            attempts += 1;
            if attempts > ATTEMPTS {
                return Err(Some(Close::Unauthenticated));
            }
            let Ok(text) = frame.as_str() else { continue };
            if let Ok(ClientFrame::Auth { token }) = serde_json::from_str(text) {
                let holder = introduce(token).await.map_err(|_| Some(Close::Unauthenticated))?;
                self.holder = Some(holder);
                self.tell(json!({ "op": "authenticated" })).await?;
            } else {
                let detail = "Say who you are first: {\"op\":\"auth\",\"token\":…}.";
                self.tell(frames::error(None, "unauthenticated", detail)).await?;
            }
        }
        self.watch_person()
    }

    /// Takes a place among the person's sockets, and hears of the end of the session or token from their own stream.
    fn watch_person(&mut self) -> Step {
        let Some(holder) = &self.holder else { return Err(Some(Close::Unauthenticated)) };
        self.place = Some(self.hub.admit(holder.person.id).ok_or(Some(Close::TooManyConnections))?);
        let (subscription, member) = self.ask(holder, None, None);
        self.hub.join(Stream::Person(holder.person.id), member);
        self.own = Some(subscription);
        Ok(())
    }

    fn ask(&self, holder: &Holder, after: Option<i64>, id: Option<i64>) -> (Subscription, Member) {
        let (subscription, admission) = subscription::ask();
        let (caller, outbox) = (holder.caller.clone(), self.end.clone());
        (subscription, Member { socket: self.id, caller, outbox, after, id, admission, told: false })
    }

    /// Carries frames both ways; answers why it ended, none when the client went.
    async fn run(&mut self) -> Option<Close> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.tick().await;
        let (shutdown, outbox) = (self.hub.shutdown.clone(), self.end.clone());
        let closed = self.hub.app.maintenance.clone();
        let mut closed = std::pin::pin!(closed.turned(true));
        let mut heard = Instant::now();
        let mut ends = self.ends();
        loop {
            let step = tokio::select! {
                () = shutdown.cancelled() => Err(Some(Close::Restarting)),
                () = &mut closed => Err(Some(Close::Maintenance)),
                () = outbox.overflowed() => Err(Some(Close::SlowReader)),
                () = sleep_until(ends) => {
                    let checked = self.check_credential(true).await;
                    ends = self.ends();
                    checked
                }
                frame = self.socket.next() => {
                    heard = Instant::now();
                    match received(frame) {
                        Ok(frame) => self.hear(&frame).await,
                        Err(close) => Err(close),
                    }
                }
                Some(parcel) = self.outbox.recv() => {
                    let (out, _room) = parcel.open();
                    self.pass_on(out).await
                }
                _ = heartbeat.tick() => {
                    if heard.elapsed() > SILENCE {
                        Err(Some(Close::Silent))
                    } else {
                        let beat = self.beat().await;
                        ends = self.ends();
                        beat
                    }
                }
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    /// When the credential is to be looked up because it ends by then.
    fn ends(&self) -> Instant {
        const LONG: Duration = Duration::from_hours(24);
        const SHORT: Duration = Duration::from_millis(20);
        let until = self.holder.as_ref().and_then(|holder| holder.until);
        let left = until.map_or(LONG, |until| (until - self.hub.app.now()).to_std().unwrap_or_default());
        Instant::now() + left.clamp(SHORT, LONG)
    }

    async fn hear(&mut self, frame: &Frame) -> Step {
        if frame.is_ping() || frame.is_pong() {
            return Ok(());
        }
        let Some(holder) = &mut self.holder else { return Err(Some(Close::Unauthenticated)) };
        match holder.allowance.draw().await {
            Drawn::Allowed => {}
            Drawn::Exhausted => return Err(Some(Close::TooManyFrames)),
            Drawn::Refused(after) => {
                return self.tell(frames::rate_limited(id_of(frame), after)).await;
            }
        }
        let Ok(text) = frame.as_str() else {
            return self.tell(frames::error(None, "malformed", "Frames are JSON text.")).await;
        };
        match serde_json::from_str::<ClientFrame>(text) {
            Ok(ClientFrame::Ping {}) => self.tell(json!({ "op": "pong" })).await,
            Ok(ClientFrame::Auth { .. }) => {
                self.tell(frames::error(None, "authenticated", "It is known who you are.")).await
            }
            Ok(ClientFrame::Subscribe { id, stream, after }) => self.subscribe(id, &stream, after).await,
            Ok(ClientFrame::Unsubscribe { id, stream }) => {
                if let Ok(stream) = stream.parse::<Stream>() {
                    self.leave(stream).await;
                } else if stream == board::STREAM {
                    self.hub.board.leave(self.id);
                }
                self.tell(frames::unsubscribed(id, &stream)).await
            }
            Ok(ClientFrame::Presence { stream, state }) => self.tell_presence(&stream, &state).await,
            Err(error) => self.tell(frames::error(id_of(frame), "malformed", &error.to_string())).await,
        }
    }

    async fn subscribe(&mut self, id: i64, stream: &str, after: Option<i64>) -> Step {
        if stream == board::STREAM {
            return self.watch_jobs(id);
        }
        let stream = match stream.parse::<Stream>() {
            Ok(stream) => stream,
            Err(error) => return self.tell(frames::error(Some(id), error.code, &error.detail)).await,
        };
        self.forget_ended().await;
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&stream) {
            let detail = format!("At most {MAX_STREAMS} streams on one socket.");
            return self.tell(frames::error(Some(id), "too-many-streams", &detail)).await;
        }
        let Some(holder) = &self.holder else { return Err(Some(Close::Unauthenticated)) };
        let (subscription, member) = self.ask(holder, after, Some(id));
        // Asked for anew, it goes on with the presence it had.
        let presence = self.streams.remove(&stream).map_or_else(Presence::default, |held| held.presence);
        self.streams.insert(stream, Held { subscription, presence });
        self.hub.join(stream, member);
        Ok(())
    }

    fn watch_jobs(&mut self, id: i64) -> Step {
        let Some(holder) = &self.holder else { return Err(Some(Close::Unauthenticated)) };
        self.watches_jobs = true;
        let (caller, outbox) = (holder.caller.clone(), self.end.clone());
        self.hub.board.join(board::Viewer { socket: self.id, caller, outbox, id });
        Ok(())
    }

    async fn tell_presence(&mut self, stream: &str, state: &Value) -> Step {
        let stream = stream.parse::<Stream>().ok();
        let held = stream.and_then(|stream| Some((stream, self.streams.get_mut(&stream)?)));
        let Some((stream, held)) = held.filter(|(_, held)| held.subscription.is_admitted()) else {
            return self.tell(frames::error(None, "not-subscribed", "Subscribe to the stream first.")).await;
        };
        match held.presence.change(state) {
            Ok(true) => self.publish(stream, state).await,
            Ok(false) => {}
            Err(detail) => return self.tell(frames::error(None, "too-large", &detail)).await,
        }
        Ok(())
    }

    // Of `&mut`, since a socket cannot be shared between threads.
    async fn publish(&mut self, stream: Stream, state: &Value) {
        if let Some(holder) = &self.holder {
            self.hub.publish_presence(stream, self.id, &holder.person, state).await;
        }
    }

    /// Passes on what a channel has for the client.
    async fn pass_on(&mut self, out: Out) -> Step {
        match out {
            Out::Text(text) => self.transmit(Frame::text(text.as_ref())).await,
            Out::Revoked(stream) => {
                self.forget_ended().await;
                self.tell(frames::revoked(stream)).await
            }
            Out::Watch(change) => {
                if self.ends_credential(&change) {
                    self.revoke_all().await
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Whether a change in the person's stream is the end of this socket's credential.
    fn ends_credential(&self, change: &Recorded) -> bool {
        let Some(holder) = &self.holder else { return true };
        let names = |member: &str, id: Option<String>| {
            id.is_some() && change.data[member].as_str().map(str::to_owned) == id
        };
        match Kind::of(&change.kind) {
            Some(Kind::SessionRevoked) => names("session_id", holder.person.session.map(|s| s.to_string())),
            Some(Kind::TokenRevoked) => names("token_id", holder.person.token.map(|t| t.to_string())),
            Some(Kind::AccountActivityChanged) => change.data["is_active"] == json!(false),
            Some(Kind::AccountDeleted) => true,
            _ => false,
        }
    }

    /// The credential is no longer good: neither is any subscription.
    async fn revoke_all(&mut self) -> Step {
        let streams: Vec<Stream> = self.streams.keys().copied().collect();
        for stream in streams {
            self.leave(stream).await;
            self.tell(frames::revoked(stream)).await?;
        }
        Err(Some(Close::Unauthenticated))
    }

    /// Pings, and looks the credential up again: sessions and tokens also end with their person.
    async fn beat(&mut self) -> Step {
        self.check_credential(false).await?;
        self.transmit(Frame::ping(Vec::new())).await
    }

    /// Looks the credential up. At its known end one that cannot be looked up counts as ended.
    async fn check_credential(&mut self, at_its_end: bool) -> Step {
        let Some(holder) = &mut self.holder else { return Err(Some(Close::Unauthenticated)) };
        let app = &self.hub.app;
        let found = match app.read().await {
            Ok(mut conn) => access::person_until(app, &mut conn, &holder.caller).await,
            Err(error) => Err(error),
        };
        let is_over = holder.until.is_some_and(|until| until <= app.now());
        match found {
            Ok((person, until)) => {
                (holder.person, holder.until) = (person, until);
                Ok(())
            }
            Err(Error::Unauthenticated | Error::Inactive { .. }) => self.revoke_all().await,
            Err(_) if at_its_end && is_over => Err(Some(Close::Unavailable)),
            Err(_) => Ok(()),
        }
    }

    /// Lets go of subscriptions that their channels ended, and of the presence told there.
    async fn forget_ended(&mut self) {
        let ended = self.streams.iter().filter(|(_, held)| held.subscription.has_ended());
        let ended: Vec<Stream> = ended.map(|(stream, _)| *stream).collect();
        for stream in ended {
            self.leave(stream).await;
        }
    }

    async fn leave(&mut self, stream: Stream) {
        let Some(held) = self.streams.remove(&stream) else { return };
        drop(held.subscription);
        self.hub.leave(stream, self.id, false);
        if held.presence.is_told() {
            self.publish(stream, &Value::Null).await;
        }
    }

    async fn tell(&mut self, frame: Value) -> Step {
        self.transmit(Frame::text(frame.to_string())).await
    }

    /// Sends a frame, unless the client takes too long to read or the socket has to close meanwhile.
    async fn transmit(&mut self, frame: Frame) -> Step {
        tokio::select! {
            biased;
            sent = self.socket.send(frame) => sent.map_err(|_| None),
            () = self.hub.shutdown.cancelled() => Err(Some(Close::Restarting)),
            () = self.end.overflowed() => Err(Some(Close::SlowReader)),
            () = sleep(PATIENCE) => Err(Some(Close::SlowReader)),
        }
    }

    async fn end_with(mut self, close: Option<Close>) {
        // First what waits: it is no longer sent.
        self.outbox.close();
        while self.outbox.try_recv().is_ok() {}
        let streams: Vec<Stream> = self.streams.keys().copied().collect();
        for stream in streams {
            self.leave(stream).await;
        }
        if let Some(holder) = &self.holder {
            self.hub.leave(Stream::Person(holder.person.id), self.id, true);
        }
        if self.watches_jobs {
            self.hub.board.leave(self.id);
        }
        if let Some(close) = close {
            let (code, reason) = close.frame();
            // The client may be gone already, or not read.
            timeout(FAREWELL, self.socket.send(Frame::close_with(code, reason))).await.ok();
            if close == Close::TooLarge {
                // Closing on what is still coming in would take the reason from the client.
                sleep(FAREWELL).await;
            }
        }
        timeout(FAREWELL, self.socket.close()).await.ok();
    }
}

/// A frame of the client, or why there is none any more.
fn received(frame: Option<Result<Frame, salvo::Error>>) -> Step<Frame> {
    match frame {
        Some(Ok(frame)) if frame.is_close() => Err(None),
        Some(Ok(frame)) if frame.as_bytes().len() > LONGEST => Err(Some(Close::TooLarge)),
        Some(Ok(frame)) => Ok(frame),
        Some(Err(salvo::Error::Other(error)))
            if matches!(error.downcast_ref(), Some(tungstenite::Error::Capacity(_))) =>
        {
            Err(Some(Close::TooLarge))
        }
        Some(Err(_)) | None => Err(None),
    }
}

/// The id in a frame of any kind.
fn id_of(frame: &Frame) -> Option<i64> {
    serde_json::from_str::<Value>(frame.as_str().ok()?).ok()?["id"].as_i64()
}
