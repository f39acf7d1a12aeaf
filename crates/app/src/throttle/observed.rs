//! What was counted while a request ran, for its headers.
//!
//! The limits of accounts are found where the account is known, deep below; the task carries what they said up again.

use std::{cell::RefCell, future::Future};

use tenon_core::ports::limiter::{Budget, Verdict};

use super::Limit;

tokio::task_local! {
    static OBSERVED: RefCell<Vec<Observed>>;
}

/// One limit that was drawn from, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The limit's name.
    pub class: &'static str,
    /// The limit.
    pub budget: Budget,
    /// What it said.
    pub verdict: Verdict,
    /// Whether it refuses; else it slows.
    pub refuses: bool,
    key: String,
}

/// Runs `work` and tells what was counted meanwhile.
pub async fn observing<T>(work: impl Future<Output = T>) -> (T, Vec<Observed>) {
    OBSERVED
        .scope(RefCell::default(), async {
            let output = work.await;
            (output, OBSERVED.with(RefCell::take))
        })
        .await
}

/// A limit asked twice is shown as it was asked last.
pub(super) fn note(limit: &Limit, verdict: Verdict, refuses: bool) {
    let _ = OBSERVED.try_with(|observed| {
        let mut observed = observed.borrow_mut();
        observed.retain(|known| known.key != limit.key);
        let (class, budget, key) = (limit.class, limit.budget, limit.key.clone());
        observed.push(Observed { class, budget, verdict, refuses, key });
    });
}

/// What was given back is there again.
pub(super) fn take_back(limit: &Limit) {
    let _ = OBSERVED.try_with(|observed| {
        for known in observed.borrow_mut().iter_mut().filter(|known| known.key == limit.key) {
            known.verdict.remaining = (known.verdict.remaining + 1).min(known.budget.calls);
        }
    });
}
