//! Jobs as they happen, for administrators; and of a person's own job, how far it is.

use serde_json::{Value, json};
use tenon_app::worker::tidings;
use uuid::Uuid;

use crate::harness::{
    app::TestApp,
    socket::{Served, Socket},
};

fn news(state: &str, progress: u8) -> Value {
    json!({
        "id": Uuid::now_v7(), "name": "dig", "queue": "default", "attempt": 1, "state": state,
        "progress": progress, "progress_note": null, "error": null,
    })
}

/// The next frame of jobs in which something is as wished.
async fn hear(socket: &mut Socket, is_wished: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = socket.hear().await;
        assert_eq!(frame["op"], "jobs", "{frame}");
        if is_wished(&frame) {
            return frame;
        }
    }
}

#[tokio::test]
async fn administrators_see_queues_change_and_what_became_of_jobs() {
    let (app, root) = TestApp::with_user("root").await;
    app.make_admin(&root, true).await;
    let served = Served::start(&app);
    let mut socket = served.open(&root).await;
    socket.say(json!({ "op": "subscribe", "id": 7, "stream": "jobs" })).await;
    assert_eq!(socket.hear().await, json!({ "op": "subscribed", "id": 7, "stream": "jobs" }));
    assert_eq!(socket.hear().await["op"], "jobs", "how it is now");
    root.post("/schedules/sweep_blobs/run-now", json!({})).expect(204).await;
    let frame = hear(&mut socket, |frame| frame["queues"][0]["waiting"] == 1).await;
    assert_eq!(frame["queues"][0]["jobs"][0]["name"], "sweep_blobs");
    app.run_jobs().await;
    hear(&mut socket, |frame| frame["queues"][0]["waiting"] == 0).await;

    let told = json!({ "jobs": [news("running", 40)], "more": 3 });
    app.app.bus.publish(tidings::TOPIC, told.to_string().into()).await.unwrap();
    let frame = hear(&mut socket, |frame| frame["more"] == 3).await;
    assert_eq!((&frame["jobs"][0]["name"], &frame["jobs"][0]["progress"]), (&json!("dig"), &json!(40)));
    socket.say(json!({ "op": "unsubscribe", "id": 8, "stream": "jobs" })).await;
    assert_eq!(socket.hear().await["op"], "unsubscribed");
}

#[tokio::test]
async fn l23_jobs_are_shown_to_nobody_else_and_no_longer_than_one_administers() {
    let (app, root) = TestApp::with_user("root").await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    for admin in [&root, &ada] {
        app.make_admin(admin, true).await;
    }
    let served = Served::start(&app);
    let mut not_for_bob = served.open(&bob).await;
    not_for_bob.say(json!({ "op": "subscribe", "id": 1, "stream": "jobs" })).await;
    let refused = not_for_bob.hear().await;
    assert_eq!((&refused["op"], &refused["code"]), (&json!("error"), &json!("forbidden")));

    let mut socket = served.open(&ada).await;
    socket.say(json!({ "op": "subscribe", "id": 1, "stream": "jobs" })).await;
    assert_eq!(socket.hear().await["op"], "subscribed");
    assert_eq!(socket.hear().await["op"], "jobs");
    app.make_admin(&ada, false).await;
    root.post("/schedules/sweep_blobs/run-now", json!({})).expect(204).await;
    assert_eq!(socket.hear().await, json!({ "op": "revoked", "stream": "jobs" }));
    app.run_jobs().await;
}

#[tokio::test]
async fn a_person_hears_how_far_their_job_is_and_nobody_else_does() {
    let (app, ada) = TestApp::with_user("ada").await;
    let bob = app.user("bob").await;
    let served = Served::start(&app);
    let (mut own, mut other) = (served.open(&ada).await, served.open(&bob).await);
    let stream = format!("person:{}", ada.id);
    own.subscribe(&stream, None).await;
    other.subscribe(&format!("person:{}", bob.id), None).await;
    let told = news("running", 40);
    // The ear may take a moment until it hears of a new stream.
    let frame = loop {
        app.app.bus.publish(&tidings::topic_of(ada.id), told.to_string().into()).await.unwrap();
        own.say(json!({ "op": "ping" })).await;
        let frame = own.hear().await;
        if frame["op"] != "pong" {
            break frame;
        }
    };
    assert_eq!((&frame["op"], &frame["stream"]), (&json!("job"), &json!(stream)));
    assert_eq!((&frame["name"], &frame["progress"]), (&json!("dig"), &json!(40)));
    other.say(json!({ "op": "ping" })).await;
    assert_eq!(other.hear().await["op"], "pong");
}
