//! What a live connection may do and cost: rights, rate limits, lengths, ends.

use serde_json::{Value, json};
use tenon_core::{ports::limiter::Budget, tokens::Scope};

use crate::harness::{
    app::TestApp,
    socket::{Served, project},
};

fn presence(stream: &str, state: &str) -> Value {
    json!({ "op": "presence", "stream": stream, "state": { "editing": state } })
}

#[tokio::test]
async fn presence_of_who_was_never_admitted_or_was_removed_reaches_nobody() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let (bob, eve) = (app.user("bob").await, app.user("eve").await);
    app.join(&place, &ada, &bob, "member").await;
    let served = Served::start(&app);
    let stream = project(place.project);
    let (mut a, mut b, mut e) = (served.open(&ada).await, served.open(&bob).await, served.open(&eve).await);
    a.subscribe(&stream, None).await;
    b.subscribe(&stream, None).await;
    e.say(json!({ "op": "subscribe", "id": 1, "stream": stream })).await;
    assert_eq!(e.hear().await["code"], "not-found");
    e.say(presence(&stream, "evil")).await;
    assert_eq!(e.hear().await["code"], "not-subscribed");
    app.remove(&place, &ada, &bob).await;
    assert_eq!(b.hear().await["op"], "revoked");
    b.say(presence(&stream, "ghost")).await;
    assert_eq!(b.hear().await["code"], "not-subscribed");
    assert_eq!(a.hear().await["kind"], "member.removed");
    a.say(json!({ "op": "ping" })).await;
    assert_eq!(a.hear().await["op"], "pong");
}

#[tokio::test]
async fn the_presence_of_a_removed_member_goes_with_the_subscription() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    let served = Served::start(&app);
    let stream = project(place.project);
    let (mut a, mut b) = (served.open(&ada).await, served.open(&bob).await);
    a.subscribe(&stream, None).await;
    b.subscribe(&stream, None).await;
    for _ in 0..3 {
        // Told anew it is no news.
        b.say(presence(&stream, "here")).await;
    }
    assert_eq!(a.hear().await["state"]["editing"], "here");
    app.remove(&place, &ada, &bob).await;
    assert_eq!(a.hear().await["kind"], "member.removed");
    assert_eq!(a.hear().await["state"], Value::Null);
}

#[tokio::test]
async fn frames_draw_from_the_rate_limit_of_the_session_and_a_flood_is_closed() {
    let limit = Budget { calls: 5, window: std::time::Duration::from_mins(1) };
    let app = TestApp::configured(|_| {}, |frame| frame.limits.session = limit).await;
    let ada = app.user("ada").await;
    let served = Served::start(&app);
    let mut socket = served.open(&ada).await;
    // The handshake was the first of the five.
    for _ in 0..4 {
        socket.say(json!({ "op": "ping" })).await;
        assert_eq!(socket.hear().await["op"], "pong");
    }
    socket.say(json!({ "op": "unsubscribe", "id": 7, "stream": "nonsense" })).await;
    let refused = socket.hear().await;
    assert_eq!((&refused["code"], &refused["id"]), (&json!("rate-limited"), &json!(7)));
    assert!(refused["retry_after"].as_u64().is_some_and(|seconds| (1..=60).contains(&seconds)));
    for _ in 0..20 {
        socket.say(json!({ "op": "ping" })).await;
    }
    assert_eq!(socket.closed().await, 4008);
}

#[tokio::test]
async fn one_person_has_so_many_live_connections_and_no_more() {
    let app = TestApp::with(|settings| settings.live_connections_per_user = 2).await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let served = Served::start(&app);
    let (mut first, mut second) = (served.open(&ada).await, served.open(&ada).await);
    for socket in [&mut first, &mut second] {
        socket.say(json!({ "op": "ping" })).await;
        assert_eq!(socket.hear().await["op"], "pong");
    }
    assert_eq!(served.open(&ada).await.closed().await, 4011);
    let mut other = served.open(&bob).await;
    other.say(json!({ "op": "ping" })).await;
    assert_eq!(other.hear().await["op"], "pong");
}

#[tokio::test]
async fn a_token_takes_its_socket_with_it_when_its_time_is_up() {
    let (app, ada) = TestApp::with_user("ada").await;
    let expires_at = app.app.now() + chrono::TimeDelta::seconds(1);
    let new = json!({ "name": "short", "scopes": [Scope::ReadProjects.as_str()], "expires_at": expires_at });
    let token = ada.post("/me/tokens", new).expect(201).await.json();
    let served = Served::start(&app);
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let mut socket = served.open_with(&[("authorization", &bearer)]).await.ok().unwrap();
    socket.say(json!({ "op": "ping" })).await;
    assert_eq!(socket.hear().await["op"], "pong");
    app.clock.advance(std::time::Duration::from_secs(1));
    // Long before the next heartbeat: the client of the tests waits ten seconds.
    assert_eq!(socket.closed().await, 4001);
}

#[tokio::test]
async fn a_frame_that_is_too_large_closes_with_1009() {
    let (app, ada) = TestApp::with_user("ada").await;
    let served = Served::start(&app);
    for bytes in [(64 << 10) + 1, 300 << 10] {
        let mut socket = served.open(&ada).await;
        socket.say_text(&"x".repeat(bytes)).await;
        assert_eq!(socket.closed().await, 1009, "{bytes}");
    }
}

#[tokio::test]
async fn a_page_that_came_by_another_name_of_the_loopback_may_connect() {
    let (app, ada) = TestApp::with_user("ada").await;
    let served = Served::start(&app);
    let cookie = format!("tenon_access={}", ada.token);
    // The client of the tests sends the address as `Host`.
    let (own, foreign) = (format!("http://{}", served.address), "http://127.0.0.1:1");
    assert_eq!(served.open_with(&[("cookie", &cookie), ("origin", &own)]).await.err(), None);
    for origin in [foreign, &format!("https://{}", served.address)] {
        assert_eq!(served.open_with(&[("cookie", &cookie), ("origin", origin)]).await.err(), Some(403));
    }
}

#[tokio::test]
async fn a_long_text_is_told_by_reference() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let story = json!({ "title": "long", "status_id": place.columns[0] });
    let story = ada.post(&place.url("/stories"), story).expect(201).await.json();
    let served = Served::start(&app);
    let mut socket = served.open(&ada).await;
    let seq = socket.subscribe(&project(place.project), None).await;
    let long = json!({ "description": "é".repeat(150_000), "version": 1 });
    ada.patch(&place.story(1), long).expect(200).await;
    let change = socket.hear().await;
    assert_eq!((&change["kind"], &change["seq"]), (&json!("story.updated"), &json!(seq + 1)));
    assert_eq!(change["data"]["description"], Value::Null);
    let href = format!("/api/v1/stories/{}", story["id"].as_str().unwrap());
    assert_eq!(change["omitted"], json!({ "members": ["/data/description"], "href": href }));
    let feed = ada.get(&place.url(&format!("/changes?after={seq}"))).expect(200).await.json();
    assert_eq!(feed["items"][0]["omitted"], change["omitted"]);
    let whole = ada.get(&format!("/stories/{}", story["id"].as_str().unwrap())).expect(200).await.json();
    assert_eq!(whole["description"].as_str().unwrap().chars().count(), 150_000);
}

#[tokio::test]
async fn who_missed_much_is_brought_up_to_date_beside_the_others() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let mut first = served.open(&ada).await;
    let seq = first.subscribe(&project(place.project), None).await;
    for n in 0..120 {
        let new = json!({ "title": format!("story {n}"), "status_id": place.columns[0] });
        ada.post(&place.url("/stories"), new).expect(201).await;
    }
    let mut late = served.open(&ada).await;
    assert_eq!(late.subscribe(&project(place.project), Some(seq)).await, seq);
    for socket in [&mut first, &mut late] {
        for expected in seq + 1..=seq + 120 {
            assert_eq!(socket.hear().await["seq"], expected);
        }
    }
}
