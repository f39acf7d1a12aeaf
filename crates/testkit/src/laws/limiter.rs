//! Laws of the limiter.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tenon_core::ports::limiter::{Budget, Limiter, Verdict};

use super::{laws, soon, unique};
use crate::clock::Timeline;

/// A limiter and its time.
pub struct Fixture {
    /// The limiter.
    pub limiter: Arc<dyn Limiter>,
    /// The same limiter from another instance; the same object where it reaches no further than one.
    pub elsewhere: Arc<dyn Limiter>,
    /// The time it goes by.
    pub time: Timeline,
    /// What must live as long as the limiter.
    pub keep: Box<dyn Any + Send>,
}

laws!(
    limiter_laws,
    limiter,
    [
        the_budget_is_allowed_and_no_more,
        never_more_than_the_budget_in_any_window,
        a_refused_call_costs_nothing,
        the_answer_says_when_to_come_back,
        each_key_has_a_budget_of_its_own,
        instances_share_a_budget,
        callers_at_once_do_not_get_more,
        a_budget_of_nothing_allows_nothing,
        a_call_given_back_was_never_made,
        what_nobody_took_is_not_given_back,
        a_limiter_that_counts_says_so,
    ]
);

/// `remaining` counts down to nought.
pub async fn the_budget_is_allowed_and_no_more(f: Fixture) {
    let key = unique("key");
    for remaining in [2, 1, 0] {
        let verdict = take(&f, &key, 3).await;
        assert_eq!((verdict.allowed, verdict.remaining), (true, remaining));
    }
    let verdict = take(&f, &key, 3).await;
    assert_eq!((verdict.allowed, verdict.remaining), (false, 0));
}

/// In any window, not only in those that begin with the hour.
pub async fn never_more_than_the_budget_in_any_window(f: Fixture) {
    let (key, window) = (unique("key"), f.time.span());
    let mut allowed: Vec<(Duration, Duration)> = Vec::new();
    let (began, mut elapsed) = (Instant::now(), Duration::ZERO);
    let mut now = |passed: Duration| {
        elapsed += passed;
        match &f.time {
            crate::clock::Timeline::Fake(_) => elapsed,
            crate::clock::Timeline::Real => began.elapsed(),
        }
    };
    for step in 0..60_u32 {
        let before = now(Duration::ZERO);
        if take(&f, &key, 5).await.allowed {
            allowed.push((before, now(Duration::ZERO)));
        }
        let pause = window / (8 + step % 17);
        f.time.pass(pause / 2).await;
        now(pause / 2);
    }
    assert!(allowed.len() > 10, "hardly anything was allowed: {}", allowed.len());
    for six in allowed.windows(6) {
        let (first, last) = (six[0].0, six[5].1);
        assert!(last - first >= window, "six calls within {:?} of a window of {window:?}", last - first);
    }
}

/// A caller who goes on asking gets free as soon as one who waits.
pub async fn a_refused_call_costs_nothing(f: Fixture) {
    let key = unique("key");
    for _ in 0..3 {
        assert!(take(&f, &key, 3).await.allowed);
    }
    for _ in 0..20 {
        assert!(!take(&f, &key, 3).await.allowed);
    }
    f.time.pass(f.time.span()).await;
    for _ in 0..3 {
        assert!(take(&f, &key, 3).await.allowed);
    }
}

/// Not earlier, and not later.
pub async fn the_answer_says_when_to_come_back(f: Fixture) {
    let (key, window) = (unique("key"), f.time.span());
    let first = take(&f, &key, 2).await;
    assert_eq!(first.reset_after, window, "the whole budget is there again a window after the last call");
    f.time.pass(window / 4).await;
    assert!(take(&f, &key, 2).await.allowed);
    let refused = take(&f, &key, 2).await;
    assert!(!refused.allowed);
    assert!(refused.reset_after <= window - window / 4, "{refused:?}");
    assert!(refused.reset_after > window / 8, "{refused:?}");
    f.time.pass(refused.reset_after / 2).await;
    assert!(!take(&f, &key, 2).await.allowed);
    f.time.pass(refused.reset_after / 2 + Duration::from_millis(1)).await;
    assert!(take(&f, &key, 2).await.allowed);
}

/// One key's calls are no other's.
pub async fn each_key_has_a_budget_of_its_own(f: Fixture) {
    let (one, other) = (unique("key"), unique("key"));
    assert!(take(&f, &one, 1).await.allowed);
    assert!(!take(&f, &one, 1).await.allowed);
    assert!(take(&f, &other, 1).await.allowed);
}

/// A caller gains nothing by turning to another instance.
pub async fn instances_share_a_budget(f: Fixture) {
    let (key, budget) = (unique("key"), budget(&f, 2));
    assert!(f.limiter.take(&key, budget).await.unwrap().allowed);
    assert!(f.elsewhere.take(&key, budget).await.unwrap().allowed);
    assert!(!f.limiter.take(&key, budget).await.unwrap().allowed);
    assert!(!f.elsewhere.take(&key, budget).await.unwrap().allowed);
}

/// Nor by asking many times at once.
pub async fn callers_at_once_do_not_get_more(f: Fixture) {
    let key = unique("key");
    let budget = Budget { calls: 10, window: Duration::from_hours(1) };
    let verdicts = soon(join_all((0..50).map(|_| f.limiter.take(&key, budget)))).await;
    let allowed = verdicts.into_iter().filter(|verdict| verdict.as_ref().unwrap().allowed).count();
    assert_eq!(allowed, 10);
}

/// Nought is a budget.
pub async fn a_budget_of_nothing_allows_nothing(f: Fixture) {
    let key = unique("key");
    let verdict = take(&f, &key, 0).await;
    assert_eq!((verdict.allowed, verdict.remaining), (false, 0));
    assert!(verdict.reset_after > Duration::ZERO);
}

/// Giving back makes room for exactly one call.
pub async fn a_call_given_back_was_never_made(f: Fixture) {
    let key = unique("key");
    for remaining in [1, 0] {
        assert_eq!(take(&f, &key, 2).await.remaining, remaining);
    }
    soon(f.elsewhere.give_back(&key, budget(&f, 2))).await.unwrap();
    let again = take(&f, &key, 2).await;
    assert_eq!((again.allowed, again.remaining), (true, 0));
    assert!(!take(&f, &key, 2).await.allowed);
}

/// Nor does giving back too often save anything up.
pub async fn what_nobody_took_is_not_given_back(f: Fixture) {
    let key = unique("key");
    assert!(take(&f, &key, 1).await.allowed);
    for _ in 0..3 {
        soon(f.limiter.give_back(&key, budget(&f, 1))).await.unwrap();
    }
    assert!(take(&f, &key, 1).await.allowed);
    assert!(!take(&f, &key, 1).await.allowed);
}

/// Nothing is amiss with the fixture.
pub async fn a_limiter_that_counts_says_so(f: Fixture) {
    soon(f.limiter.check()).await.unwrap();
}

fn budget(f: &Fixture, calls: u32) -> Budget {
    Budget { calls, window: f.time.span() }
}

async fn take(f: &Fixture, key: &str, calls: u32) -> Verdict {
    soon(f.limiter.take(key, budget(f, calls))).await.unwrap()
}
