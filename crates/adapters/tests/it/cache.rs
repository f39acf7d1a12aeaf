//! Caches.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;
use tenon_adapters::cache::{Config, connect};
use tenon_testkit::{
    cache_laws,
    clock::{FakeClock, Timeline},
    laws::unique,
    services,
};

pub(crate) mod fixtures {
    use tenon_testkit::laws::cache::Fixture;

    use super::*;

    pub(crate) async fn inprocess() -> Option<Fixture> {
        let clock = FakeClock::new();
        let cache = connect(Config::default(), Arc::new(clock.clone())).await.unwrap();
        Some(Fixture { cache, time: Timeline::Fake(clock), keep: Box::new(()) })
    }

    pub(crate) async fn redis() -> Option<Fixture> {
        let config =
            json!({"backend": "redis", "url": services::redis::shared()?, "prefix": unique("cache")});
        let config: Config = serde_json::from_value(config).unwrap();
        let cache = connect(config, Arc::new(FakeClock::new())).await.unwrap();
        Some(Fixture { cache, time: Timeline::Real, keep: Box::new(()) })
    }
}

cache_laws!(inprocess, crate::cache::fixtures::inprocess);
cache_laws!(redis, crate::cache::fixtures::redis);

#[tokio::test]
async fn the_cache_in_process_stays_within_its_bytes() {
    let config: Config =
        serde_json::from_value(json!({"backend": "inprocess", "max_bytes": "1000"})).unwrap();
    let cache = connect(config, Arc::new(FakeClock::new())).await.unwrap();
    let hour = Duration::from_hours(1);
    for n in 0..10 {
        cache.put(&format!("key{n}"), Bytes::from(vec![0; 196]), hour).await.unwrap();
    }
    assert_eq!(cache.get("key4").await.unwrap(), None);
    assert!(cache.get("key5").await.unwrap().is_some(), "the youngest five of 200 bytes each stay");
    cache.put("huge", Bytes::from(vec![0; 2000]), hour).await.unwrap();
    assert_eq!(cache.get("huge").await.unwrap(), None);
}
