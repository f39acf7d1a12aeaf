//! Two processes of one instance, with a real Redis between them.

use std::sync::Arc;

use serde_json::json;
use tenon_adapters::bus;
use tenon_core::ports::bus::Bus;
use tenon_testkit::redis;

use crate::harness::{
    app::{Actor, Place, TestApp},
    socket::{Served, project},
};

async fn connect(server: &redis::Server) -> Arc<dyn Bus> {
    let config = json!({ "backend": "redis", "url": server.url() });
    bus::connect(serde_json::from_value(config).unwrap()).await.unwrap()
}

async fn write(who: &Actor, place: &Place, title: &str) {
    let new = json!({ "title": title, "status_id": place.columns[0] });
    who.post(&place.url("/stories"), new).expect(201).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_one_process_reaches_a_socket_of_the_other() {
    let Some(redis) = redis::Server::start() else { return };
    let app = TestApp::on_bus(connect(&redis).await).await;
    let ada = app.user("ada").await;
    let place = app.project_of(&ada).await;
    let twin = app.twin(connect(&redis).await);
    let served = Served::start_twin(&app, &twin);
    let mut socket = served.open(&ada).await;
    let seq = socket.subscribe(&project(place.project), None).await;
    for (n, title) in [(1, "one"), (2, "two"), (3, "three")] {
        write(&ada, &place, title).await;
        let change = socket.hear().await;
        assert_eq!((&change["seq"], &change["data"]["title"]), (&json!(seq + n), &json!(title)));
    }
    let elsewhere = app.sign_in(ada.id, "ada").await;
    let mut other = served.open(&elsewhere).await;
    other.subscribe(&project(place.project), None).await;
    app.sign_out(&elsewhere).await;
    assert_eq!(other.closed().await, 4001);
}

#[tokio::test(flavor = "multi_thread")]
async fn l25_nothing_is_lost_while_redis_is_away() {
    let Some(redis) = redis::Server::start() else { return };
    let app = TestApp::on_bus(connect(&redis).await).await;
    let ada = app.user("ada").await;
    let place = app.project_of(&ada).await;
    let twin = app.twin(connect(&redis).await);
    let served = Served::start_twin(&app, &twin);
    let mut socket = served.open(&ada).await;
    let seq = socket.subscribe(&project(place.project), None).await;
    drop(redis);
    write(&ada, &place, "unheard").await;
    write(&ada, &place, "unheard too").await;
    for (n, title) in [(1, "unheard"), (2, "unheard too")] {
        let change = socket.hear().await;
        assert_eq!((&change["seq"], &change["data"]["title"]), (&json!(seq + n), &json!(title)));
    }
    let mut late = served.open(&ada).await;
    late.subscribe(&project(place.project), Some(seq)).await;
    assert_eq!(late.hear().await["seq"], seq + 1);
}
