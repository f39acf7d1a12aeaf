//! One socket: what its client says, what it is told, and when it is closed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture};
use salvo::websocket::{Message as Frame, WebSocket};
use serde_json::{Value, json};
use tenon_app::access;
use tenon_core::{
    Error,
    callers::{Caller, Person},
    changes::{Kind, Recorded, Stream},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    board::{self, Viewer},
    channel::Member,
    frames::{self, ClientFrame},
    hub::Hub,
};

/// How many frames wait for a slow reader before it is dropped.
const BUFFER: usize = 1024;
/// How often the server pings and looks its client's credential up again.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// How long a client may stay silent.
const SILENCE: Duration = Duration::from_secs(65);
/// How long a client has to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// The most streams on one socket.
const MAX_STREAMS: usize = 100;
/// The most bytes of a presence state.
const MAX_PRESENCE: usize = 2048;

/// Why the server closes (RFC 6455 §7.4; 4000 and up are ours).
#[derive(Debug, Clone, Copy)]
enum Close {
    Restarting,
    Maintenance,
    Unauthenticated,
    SlowReader,
    Silent,
}

impl Close {
    const fn frame(self) -> (u16, &'static str) {
        match self {
            Self::Restarting => (1012, "the service restarts; resume elsewhere"),
            Self::Maintenance => (4010, "the instance is being maintained; come back later"),
            Self::Unauthenticated => (4001, "the credential is no longer good"),
            Self::SlowReader => (4008, "reading too slowly; resume from the last position"),
            Self::Silent => (4009, "no sign of life"),
        }
    }
}

enum Out {
    Text(Arc<str>),
    /// A change in the person's own stream, for the socket itself.
    Watch(Arc<Recorded>),
    /// A subscription ended.
    Revoked(Stream),
}

/// Where channels put what is meant for a socket.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: mpsc::Sender<Out>,
    overflow: CancellationToken,
}

impl Outbox {
    pub(super) fn send(&self, frame: &Value) {
        self.put(Out::Text(frame.to_string().into()));
    }
    pub(super) fn send_text(&self, frame: Arc<str>) {
        self.put(Out::Text(frame));
    }
    pub(super) fn watch(&self, change: Arc<Recorded>) {
        self.put(Out::Watch(change));
    }
    pub(super) fn revoke(&self, stream: Stream) {
        self.put(Out::Revoked(stream));
    }
    /// Refuses a subscription; without an id it is the socket's own watch that failed, and with it the socket.
    pub(super) fn refuse(&self, id: Option<i64>, error: &Error) {
        let Some(id) = id else { return self.overflow.cancel() };
        let (code, detail) = match error {
            Error::Unauthenticated => ("unauthenticated", "The credential is no longer good."),
            Error::Forbidden(_) => ("forbidden", "The credential lacks the scope."),
            Error::Unavailable { .. } => ("unavailable", "Try again in a moment."),
            _ => ("not-found", "There is no such stream, or it is not yours to see."),
        };
        self.send(&frames::error(Some(id), code, detail));
    }
    /// Waits for room, at most as long as a silent client may stay; false when the socket is gone.
    pub(super) async fn send_waiting(&self, frame: Value) -> bool {
        let sending = self.sender.send_timeout(Out::Text(frame.to_string().into()), SILENCE);
        let sent = sending.await.is_ok();
        if !sent {
            self.overflow.cancel();
        }
        sent
    }
    fn put(&self, out: Out) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(out) {
            self.overflow.cancel();
        }
    }
}

/// Whose socket it is.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    /// The credential.
    pub(crate) caller: Caller,
    /// The person behind it.
    pub(crate) person: Person,
}

/// Finds out whose token a client shows.
pub(crate) type Introduce = Box<dyn Fn(String) -> BoxFuture<'static, Result<Holder, Error>> + Send + Sync>;

/// Serves one socket until it closes. Without a `holder` the client has to introduce itself first.
pub(crate) async fn serve(hub: Arc<Hub>, socket: WebSocket, holder: Option<Holder>, introduce: Introduce) {
    metrics::gauge!("ws_connections").increment(1.0);
    let id = rand_id(&hub);
    let (sender, outbox) = mpsc::channel(BUFFER);
    let outbox_end = Outbox { sender, overflow: CancellationToken::new() };
    let mut session = Session {
        hub: &hub,
        id,
        socket,
        outbox,
        end: outbox_end,
        holder,
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

struct Session<'a> {
    hub: &'a Hub,
    id: u64,
    socket: WebSocket,
    outbox: mpsc::Receiver<Out>,
    end: Outbox,
    holder: Option<Holder>,
    /// Streams subscribed to, and whether presence was told there.
    streams: HashMap<Stream, bool>,
    watches_jobs: bool,
}

impl Session<'_> {
    /// Waits for the client to say who it is, if that is not known.
    async fn introduced(&mut self, introduce: Introduce) -> Result<(), Option<Close>> {
        let deadline = Instant::now() + INTRODUCTION;
        while self.holder.is_none() {
            let (shutdown, maintenance) = (self.hub.shutdown.clone(), &self.hub.app.maintenance);
            let frame = tokio::select! {
                () = shutdown.cancelled() => return Err(Some(Close::Restarting)),
                () = maintenance.turned(true) => return Err(Some(Close::Maintenance)),
                frame = timeout_at(deadline, self.socket.next()) => frame,
            };
            let Ok(Some(Ok(frame))) = frame else {
                return Err(if frame.is_err() { Some(Close::Unauthenticated) } else { None });
            };
            if frame.is_close() {
                return Err(None);
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
        self.watch_person();
        Ok(())
    }

    /// Hears of the end of the session or token from the person's own stream.
    fn watch_person(&self) {
        if let Some(holder) = &self.holder {
            let member = Member {
                socket: self.id,
                caller: holder.caller.clone(),
                outbox: self.end.clone(),
                after: None,
                id: None,
            };
            self.hub.join(Stream::Person(holder.person.id), member);
        }
    }

    /// Carries frames both ways; answers why it ended, none when the client went.
    async fn run(&mut self) -> Option<Close> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.tick().await;
        let (shutdown, overflow) = (self.hub.shutdown.clone(), self.end.overflow.clone());
        let closed = self.hub.app.maintenance.clone();
        let mut closed = std::pin::pin!(closed.turned(true));
        let mut heard = Instant::now();
        loop {
            let step = tokio::select! {
                () = shutdown.cancelled() => Err(Some(Close::Restarting)),
                () = &mut closed => Err(Some(Close::Maintenance)),
                () = overflow.cancelled() => Err(Some(Close::SlowReader)),
                frame = self.socket.next() => {
                    heard = Instant::now();
                    match frame {
                        Some(Ok(frame)) => self.hear(&frame).await,
                        Some(Err(_)) | None => Err(None),
                    }
                }
                Some(out) = self.outbox.recv() => self.pass_on(out).await,
                _ = heartbeat.tick() => {
                    if heard.elapsed() > SILENCE { Err(Some(Close::Silent)) } else { self.beat().await }
                }
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    async fn hear(&mut self, frame: &Frame) -> Result<(), Option<Close>> {
        if frame.is_close() {
            return Err(None);
        }
        if frame.is_ping() || frame.is_pong() {
            return Ok(());
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
            Ok(ClientFrame::Presence { stream, state }) => self.presence(&stream, state).await,
            Err(error) => {
                let id = serde_json::from_str::<Value>(text).ok().and_then(|v| v["id"].as_i64());
                self.tell(frames::error(id, "malformed", &error.to_string())).await
            }
        }
    }

    async fn subscribe(&mut self, id: i64, stream: &str, after: Option<i64>) -> Result<(), Option<Close>> {
        if stream == board::STREAM {
            return self.watch_jobs(id);
        }
        let stream = match stream.parse::<Stream>() {
            Ok(stream) => stream,
            Err(error) => return self.tell(frames::error(Some(id), error.code, &error.detail)).await,
        };
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&stream) {
            let detail = format!("At most {MAX_STREAMS} streams on one socket.");
            return self.tell(frames::error(Some(id), "too-many-streams", &detail)).await;
        }
        let Some(holder) = &self.holder else { return Err(Some(Close::Unauthenticated)) };
        self.streams.insert(stream, false);
        let member = Member {
            socket: self.id,
            caller: holder.caller.clone(),
            outbox: self.end.clone(),
            after,
            id: Some(id),
        };
        self.hub.join(stream, member);
        Ok(())
    }

    fn watch_jobs(&mut self, id: i64) -> Result<(), Option<Close>> {
        let Some(holder) = &self.holder else { return Err(Some(Close::Unauthenticated)) };
        self.watches_jobs = true;
        let (caller, outbox) = (holder.caller.clone(), self.end.clone());
        self.hub.board.join(Viewer { socket: self.id, caller, outbox, id });
        Ok(())
    }

    async fn presence(&mut self, stream: &str, state: Value) -> Result<(), Option<Close>> {
        let subscribed = stream.parse::<Stream>().ok().filter(|s| self.streams.contains_key(s));
        let Some(stream) = subscribed else {
            return self.tell(frames::error(None, "not-subscribed", "Subscribe to the stream first.")).await;
        };
        if state.to_string().len() > MAX_PRESENCE {
            let detail = format!("A presence state has at most {MAX_PRESENCE} bytes.");
            return self.tell(frames::error(None, "too-large", &detail)).await;
        }
        self.streams.insert(stream, !state.is_null());
        self.publish(stream, state).await;
        Ok(())
    }

    async fn publish(&mut self, stream: Stream, state: Value) {
        let Some(holder) = &self.holder else { return };
        let person = json!({
            "id": holder.person.id, "username": holder.person.username,
            "full_name": holder.person.full_name, "color": holder.person.color,
        });
        let state =
            json!({ "stream": stream.to_string(), "socket": self.id, "person": person, "state": state });
        self.hub.publish_presence(stream, &state).await;
    }

    /// Passes on what a channel has for the client.
    async fn pass_on(&mut self, out: Out) -> Result<(), Option<Close>> {
        match out {
            Out::Text(text) => self.socket.send(Frame::text(text.as_ref())).await.map_err(|_| None),
            Out::Revoked(stream) => {
                self.streams.remove(&stream);
                self.tell(frames::revoked(stream)).await
            }
            Out::Watch(change) => {
                if !self.ends_credential(&change) {
                    return Ok(());
                }
                for stream in std::mem::take(&mut self.streams).into_keys() {
                    self.tell(frames::revoked(stream)).await?;
                }
                Err(Some(Close::Unauthenticated))
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

    /// Pings, and looks the credential up again: sessions and tokens also end by time, or with their person.
    async fn beat(&mut self) -> Result<(), Option<Close>> {
        if let Some(holder) = &self.holder
            && let Ok(mut conn) = self.hub.app.read().await
            && matches!(
                access::person(&self.hub.app, &mut conn, &holder.caller).await,
                Err(Error::Unauthenticated)
            )
        {
            for stream in std::mem::take(&mut self.streams).into_keys() {
                self.tell(frames::revoked(stream)).await?;
            }
            return Err(Some(Close::Unauthenticated));
        }
        self.socket.send(Frame::ping(Vec::new())).await.map_err(|_| None)
    }

    async fn leave(&mut self, stream: Stream) {
        if let Some(present) = self.streams.remove(&stream) {
            if present {
                self.publish(stream, Value::Null).await;
            }
            let own = self.holder.as_ref().map(|h| Stream::Person(h.person.id));
            self.hub.leave(stream, self.id);
            if own == Some(stream) {
                self.watch_person();
            }
        }
    }

    async fn tell(&mut self, frame: Value) -> Result<(), Option<Close>> {
        self.socket.send(Frame::text(frame.to_string())).await.map_err(|_| None)
    }

    async fn end_with(mut self, close: Option<Close>) {
        let streams: Vec<(Stream, bool)> = self.streams.drain().collect();
        for (stream, present) in streams {
            if present {
                self.publish(stream, Value::Null).await;
            }
            self.hub.leave(stream, self.id);
        }
        if let Some(holder) = &self.holder {
            self.hub.leave(Stream::Person(holder.person.id), self.id);
        }
        if self.watches_jobs {
            self.hub.board.leave(self.id);
        }
        if let Some(close) = close {
            let (code, reason) = close.frame();
            // The client may be gone already.
            self.socket.send(Frame::close_with(code, reason)).await.ok();
        }
        self.socket.close().await.ok();
    }
}
