//! A subscription, held from both ends: by the socket that asked for it and by the channel that admits it.
//!
//! What a client may do on a stream follows from what the channel says now, and from nothing that the client said: a
//! subscription counts from [`Admission::admit`] until either end is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

const ASKED: u8 = 0;
const ADMITTED: u8 = 1;
const ENDED: u8 = 2;

/// The socket's end; it ends when this is dropped.
pub(super) struct Subscription(Arc<AtomicU8>);

/// The channel's end; it ends when this is dropped.
pub(super) struct Admission(Arc<AtomicU8>);

/// A subscription that nobody has judged yet.
pub(super) fn ask() -> (Subscription, Admission) {
    let state = Arc::new(AtomicU8::new(ASKED));
    (Subscription(Arc::clone(&state)), Admission(state))
}

impl Subscription {
    /// Whether the channel holds it, this very moment.
    pub(super) fn is_admitted(&self) -> bool {
        self.0.load(Ordering::Acquire) == ADMITTED
    }

    /// Whether it was refused, or is over.
    pub(super) fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) == ENDED
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.store(ENDED, Ordering::Release);
    }
}

impl Admission {
    /// Lets it count, unless the socket gave up meanwhile.
    pub(super) fn admit(&self) {
        // Fails when it is admitted or over.
        self.0.compare_exchange(ASKED, ADMITTED, Ordering::AcqRel, Ordering::Acquire).ok();
    }

    /// Whether the socket still wants it.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Acquire) != ENDED
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.store(ENDED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_counts_only_while_both_ends_hold_it() {
        let (asked, admission) = ask();
        assert!(!asked.is_admitted() && !asked.has_ended());
        admission.admit();
        assert!(asked.is_admitted() && admission.is_wanted());
        drop(admission);
        assert!(!asked.is_admitted() && asked.has_ended());
        let (asked, admission) = ask();
        drop(asked);
        admission.admit();
        assert!(!admission.is_wanted());
    }
}
