//! Buses.

use serde_json::json;
use tenon_adapters::bus::{Config, connect};
use tenon_testkit::{bus_laws, laws::unique, services};

pub(crate) mod fixtures {
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use tenon_core::ports::bus::Bus;
    use tenon_testkit::laws::bus::Fixture;

    use super::*;

    pub(crate) async fn inprocess() -> Option<Fixture> {
        let bus = connect(Config::InProcess {}).await.unwrap();
        let flooded = bus.clone();
        let lose = move |topic: String| flood(flooded.clone(), topic).boxed();
        Some(Fixture { elsewhere: bus.clone(), bus, lose: Box::new(lose), keep: Box::new(()) })
    }

    /// A listener that does not keep up loses what it is behind.
    async fn flood(bus: Arc<dyn Bus>, topic: String) {
        for _ in 0..2_000 {
            bus.publish(&topic, Bytes::from_static(b"x")).await.unwrap();
        }
    }

    /// With a server of its own: losing connections must not disturb other tests.
    pub(crate) async fn redis() -> Option<Fixture> {
        let server = services::redis::Server::start()?;
        let config = json!({"backend": "redis", "url": server.url(), "prefix": unique("bus")});
        let config: Config = serde_json::from_value(config).unwrap();
        let bus = connect(config.clone()).await.unwrap();
        let elsewhere = connect(config).await.unwrap();
        let client = ::redis::Client::open(server.url()).unwrap();
        let lose = move |_| cut_listeners(client.clone()).boxed();
        Some(Fixture { bus, elsewhere, lose: Box::new(lose), keep: Box::new(server) })
    }

    async fn cut_listeners(client: ::redis::Client) {
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut kill = ::redis::cmd("CLIENT");
        let killed: usize =
            kill.arg("KILL").arg("TYPE").arg("pubsub").query_async(&mut connection).await.unwrap();
        assert!(killed > 0);
    }
}

bus_laws!(inprocess, crate::bus::fixtures::inprocess);
bus_laws!(redis, crate::bus::fixtures::redis);

#[tokio::test]
async fn an_absent_redis_is_named() {
    let config = json!({"backend": "redis", "url": "redis://user:hush@127.0.0.1:9/0"});
    let config: Config = serde_json::from_value(config).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    let refused = connect(config).await.map(drop).unwrap_err();
    assert_eq!(refused.to_string(), "Redis at 127.0.0.1:9 cannot be reached.");
}
