//! Limiters.

use std::sync::Arc;

use serde_json::json;
use tenon_adapters::limiter::{Config, connect};
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
}

limiter_laws!(inprocess, crate::limiter::fixtures::inprocess);
limiter_laws!(redis, crate::limiter::fixtures::redis);
