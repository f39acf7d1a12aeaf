//! Limiters.

use std::{
    future::{Ready, ready},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tenon_adapters::limiter::{Config, connect, connect_lazily};
use tenon_core::ports::limiter::Budget;
use tenon_testkit::{
    clock::{FakeClock, Timeline},
    laws::unique,
    limiter_laws, services,
};

pub(crate) mod fixtures {
    use tenon_testkit::laws::limiter::Fixture;

    use super::*;

    pub(crate) async fn inprocess() -> Option<Fixture> {
        let clock = FakeClock::new();
        let limiter = connect(Config::InProcess {}, Arc::new(clock.clone())).await.unwrap();
        let elsewhere = limiter.clone();
        Some(Fixture { limiter, elsewhere, time: Timeline::Fake(clock), keep: Box::new(()) })
    }

    pub(crate) async fn redis() -> Option<Fixture> {
        let config =
            json!({"backend": "redis", "url": services::redis::shared()?, "prefix": unique("limiter")});
        let config: Config = serde_json::from_value(config).unwrap();
        let limiter = connect(config.clone(), Arc::new(FakeClock::new())).await.unwrap();
        let elsewhere = connect(config, Arc::new(FakeClock::new())).await.unwrap();
        Some(Fixture { limiter, elsewhere, time: Timeline::Real, keep: Box::new(()) })
    }

    /// What the program uses, while Redis is there.
    pub(crate) fn fallback() -> Ready<Option<Fixture>> {
        ready(services::redis::shared().map(|url| {
            let config = json!({"backend": "redis", "url": url, "prefix": unique("limiter")});
            let config: Config = serde_json::from_value(config).unwrap();
            let limiter = connect_lazily(config.clone(), Arc::new(FakeClock::new())).unwrap();
            let elsewhere = connect_lazily(config, Arc::new(FakeClock::new())).unwrap();
            Fixture { limiter, elsewhere, time: Timeline::Real, keep: Box::new(()) }
        }))
    }

    /// The same while Redis is away: it reaches no further than the process then.
    pub(crate) fn fallen_back() -> Ready<Option<Fixture>> {
        let clock = FakeClock::new();
        let limiter = connect_lazily(nobody_listens(), Arc::new(clock.clone())).unwrap();
        let elsewhere = limiter.clone();
        ready(Some(Fixture { limiter, elsewhere, time: Timeline::Fake(clock), keep: Box::new(()) }))
    }
}

fn nobody_listens() -> Config {
    serde_json::from_value(json!({"backend": "redis", "url": "redis://127.0.0.1:9/0"})).unwrap()
}

limiter_laws!(inprocess, crate::limiter::fixtures::inprocess);
limiter_laws!(redis, crate::limiter::fixtures::redis);
limiter_laws!(fallback, crate::limiter::fixtures::fallback);

/// Every law holds without Redis, but the one that it is there.
mod fallen_back {
    use tenon_testkit::laws::limiter as laws;

    use super::fixtures::fallen_back as fixture;

    #[tokio::test]
    async fn it_counts_as_before_while_redis_is_away() {
        laws::the_budget_is_allowed_and_no_more(fixture().await.unwrap()).await;
        laws::never_more_than_the_budget_in_any_window(fixture().await.unwrap()).await;
        laws::a_refused_call_costs_nothing(fixture().await.unwrap()).await;
        laws::the_answer_says_when_to_come_back(fixture().await.unwrap()).await;
        laws::each_key_has_a_budget_of_its_own(fixture().await.unwrap()).await;
        laws::instances_share_a_budget(fixture().await.unwrap()).await;
        laws::callers_at_once_do_not_get_more(fixture().await.unwrap()).await;
        laws::a_budget_of_nothing_allows_nothing(fixture().await.unwrap()).await;
        laws::a_call_given_back_was_never_made(fixture().await.unwrap()).await;
        laws::what_nobody_took_is_not_given_back(fixture().await.unwrap()).await;
    }

    #[tokio::test]
    async fn it_says_that_redis_is_away() {
        let error = fixture().await.unwrap().limiter.check().await.unwrap_err();
        assert_eq!(error.0.to_string(), "Redis at 127.0.0.1:9 cannot be reached.");
    }
}

#[tokio::test]
async fn a_redis_that_is_stopped_and_started_again_is_done_without_and_used_again() {
    let Some(server) = services::redis::Server::start() else { return };
    let config: Config =
        serde_json::from_value(json!({"backend": "redis", "url": server.url(), "prefix": "l:"})).unwrap();
    let limiter = connect_lazily(config.clone(), Arc::new(FakeClock::new())).unwrap();
    let elsewhere = connect_lazily(config, Arc::new(FakeClock::new())).unwrap();
    let budget = Budget { calls: 2, window: Duration::from_hours(1) };
    assert!(limiter.take("key", budget).await.unwrap().allowed);
    server.stop().unwrap();
    // Without Redis it counts by itself, and nobody waits for Redis again and again.
    let began = Instant::now();
    let mut allowed = 0;
    for _ in 0..200 {
        allowed += u32::from(limiter.take("key", budget).await.unwrap().allowed);
    }
    assert_eq!(allowed, 2);
    assert!(began.elapsed() < Duration::from_secs(1), "200 calls took {:?}", began.elapsed());
    limiter.check().await.unwrap_err();
    server.start_again().unwrap();
    limiter.check().await.unwrap();
    elsewhere.check().await.unwrap();
    // Counted together again.
    assert!(elsewhere.take("another", budget).await.unwrap().allowed);
    assert!(limiter.take("another", budget).await.unwrap().allowed);
    assert!(!elsewhere.take("another", budget).await.unwrap().allowed);
}
