//! What waits to be sent to one socket: bounded in bytes, so that a client that does not read costs no more.
//!
//! A frame keeps its room until it was handed to the connection.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tenon_core::{
    Error,
    changes::{Recorded, Stream},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::frames;

/// The most bytes that wait for one socket.
pub(super) const CAPACITY: usize = 4 << 20;
/// What a frame takes besides its text.
const OVERHEAD: usize = 256;
/// How long somebody may take to read what they asked to be replayed.
const PATIENCE: Duration = Duration::from_secs(65);

/// Something for a socket.
pub(super) enum Out {
    Text(Arc<str>),
    /// A change in the person's own stream, for the socket itself.
    Watch(Arc<Recorded>),
    /// A subscription ended.
    Revoked(Stream),
}

impl Out {
    fn bytes(&self) -> u32 {
        let text = match self {
            Self::Text(text) => text.len(),
            Self::Watch(_) | Self::Revoked(_) => 0,
        };
        // A single frame that is longer than all the room is let through alone.
        u32::try_from((text + OVERHEAD).min(CAPACITY)).unwrap_or(u32::MAX)
    }
}

/// Where channels put what is meant for a socket.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: mpsc::UnboundedSender<Parcel>,
    room: Arc<Semaphore>,
    /// One replay at a time: each holds a part of the log.
    pub(super) replays: Arc<Semaphore>,
    overflow: CancellationToken,
}

/// Something on its way, and the room it takes.
pub(super) struct Parcel {
    pub(super) out: Out,
    room: OwnedSemaphorePermit,
}

impl Parcel {
    /// The content, and what to hold on to until it is sent.
    pub(super) fn open(self) -> (Out, OwnedSemaphorePermit) {
        (self.out, self.room)
    }
}

/// An outbox and the end that the socket reads.
pub(super) fn outbox() -> (Outbox, mpsc::UnboundedReceiver<Parcel>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (room, replays) = (Arc::new(Semaphore::new(CAPACITY)), Arc::new(Semaphore::new(1)));
    (Outbox { sender, room, replays, overflow: CancellationToken::new() }, receiver)
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
            Error::Inactive { code, detail } => (*code, *detail),
            Error::Forbidden(_) => ("forbidden", "The credential lacks the scope."),
            Error::Unavailable { .. } => ("unavailable", "Try again in a moment."),
            _ => ("not-found", "There is no such stream, or it is not yours to see."),
        };
        self.send(&frames::error(Some(id), code, detail));
    }

    /// Waits for room, at most as long as a silent client may stay; false when the socket is gone.
    pub(super) async fn send_waiting(&self, frame: Arc<str>) -> bool {
        let out = Out::Text(frame);
        let waiting = Arc::clone(&self.room).acquire_many_owned(out.bytes());
        let sent = match timeout(PATIENCE, waiting).await {
            Ok(Ok(room)) => self.sender.send(Parcel { out, room }).is_ok(),
            _ => false,
        };
        if !sent {
            self.overflow.cancel();
        }
        sent
    }

    /// Waits until half of the room is free; false when the socket is gone.
    pub(super) async fn half_empty(&self) -> bool {
        let half = u32::try_from(CAPACITY / 2).unwrap_or(u32::MAX);
        let there_is = matches!(timeout(PATIENCE, self.room.acquire_many(half)).await, Ok(Ok(_)));
        there_is && !self.sender.is_closed()
    }

    /// Done when the socket has to close because its client does not read.
    pub(super) async fn overflowed(&self) {
        self.overflow.cancelled().await;
    }

    fn put(&self, out: Out) {
        match Arc::clone(&self.room).try_acquire_many_owned(out.bytes()) {
            // A socket that is gone needs nothing.
            Ok(room) => drop(self.sender.send(Parcel { out, room })),
            Err(_) => self.overflow.cancel(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_for_a_socket_is_bounded_in_bytes() {
        let (outbox, mut end) = outbox();
        let frame: Arc<str> = "x".repeat(400_000).into();
        for _ in 0..100 {
            outbox.send_text(Arc::clone(&frame));
        }
        outbox.overflowed().await;
        drop(outbox);
        let mut waiting = 0;
        while let Some(parcel) = end.recv().await {
            let (Out::Text(text), _room) = parcel.open() else { panic!("only texts were sent") };
            waiting += text.len();
        }
        assert!(waiting > CAPACITY / 2 && waiting <= CAPACITY, "{waiting}");
    }

    #[tokio::test]
    async fn short_frames_count_too() {
        let (outbox, end) = outbox();
        for _ in 0..=CAPACITY / OVERHEAD {
            outbox.send_text("".into());
        }
        outbox.overflowed().await;
        assert!(end.len() <= CAPACITY / OVERHEAD);
    }

    #[tokio::test]
    async fn room_is_given_back_when_a_frame_was_sent() {
        let (outbox, mut end) = outbox();
        let frame: Arc<str> = "x".repeat(CAPACITY / 3).into();
        for _ in 0..20 {
            assert!(outbox.send_waiting(Arc::clone(&frame)).await);
            drop(end.recv().await);
        }
    }
}
