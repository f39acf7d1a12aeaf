//! The mailbox of a channel: bounded by the bytes that wait in it.
//!
//! What people write comes in by [`Mailbox::offer`], which refuses what there is no room for and has the reader know
//! that something is missing. What the hub itself says is short, and always gets in.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

/// The most bytes that wait.
const CAPACITY: usize = 2 << 20;
/// What a letter takes besides its content.
const OVERHEAD: usize = 256;

/// The end that is written to.
pub(super) struct Mailbox<T> {
    sender: mpsc::UnboundedSender<Letter<T>>,
    state: Arc<State>,
}

/// The end that is read from.
pub(super) struct Letters<T> {
    receiver: mpsc::UnboundedReceiver<Letter<T>>,
    state: Arc<State>,
}

struct Letter<T> {
    content: T,
    bytes: usize,
}

#[derive(Default)]
struct State {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// Whether something was refused.
    missing: AtomicBool,
}

/// A mailbox and its reader.
pub(super) fn mailbox<T>() -> (Mailbox<T>, Letters<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let state = Arc::new(State::default());
    (Mailbox { sender, state: Arc::clone(&state) }, Letters { receiver, state })
}

impl<T> Mailbox<T> {
    /// Puts in something short; gives it back when nobody reads any more.
    pub(super) fn send(&self, content: T) -> Result<(), T> {
        self.sender.send(Letter { content, bytes: 0 }).map_err(|refused| refused.0.content)
    }

    /// Puts in something of `bytes`, if there is room.
    pub(super) fn offer(&self, content: T, bytes: usize) {
        let bytes = bytes + OVERHEAD;
        if self.state.waiting.fetch_add(bytes, Ordering::AcqRel) + bytes > CAPACITY {
            // Something else waits, so the reader comes by and sees it.
            self.state.waiting.fetch_sub(bytes, Ordering::AcqRel);
            self.state.missing.store(true, Ordering::Release);
            return;
        }
        // A reader that is gone misses nothing.
        self.sender.send(Letter { content, bytes }).ok();
    }
}

impl<T> Letters<T> {
    /// The next one; none when nobody can write any more. Cancel-safe.
    pub(super) async fn recv(&mut self) -> Option<T> {
        let letter = self.receiver.recv().await?;
        self.state.waiting.fetch_sub(letter.bytes, Ordering::AcqRel);
        Some(letter.content)
    }

    /// Whether something was refused since this was last asked.
    pub(super) fn missed(&self) -> bool {
        self.state.missing.swap(false, Ordering::AcqRel)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes_and_what_is_missing_is_known() {
        let (mailbox, mut letters) = mailbox();
        for _ in 0..1000 {
            mailbox.offer(vec![0u8; 64 << 10], 64 << 10);
        }
        assert!(mailbox.send(vec![1]).is_ok(), "the hub's own always gets in");
        drop(mailbox);
        assert!(letters.missed());
        let mut held = 0;
        while let Some(letter) = letters.recv().await {
            held += letter.len();
        }
        assert!(held > CAPACITY / 2 && held <= CAPACITY, "{held}");
        assert!(!letters.missed());
    }
}
