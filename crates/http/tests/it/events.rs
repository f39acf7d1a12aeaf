//! Live events: order, resume, rights, and the end of a connection.

use serde_json::{Value, json};

use crate::harness::{
    app::{Actor, Place, TestApp},
    socket::{Served, project},
};

async fn write(who: &Actor, place: &Place, title: &str) -> Value {
    let new = json!({ "title": title, "status_id": place.columns[0] });
    who.post(&place.url("/stories"), new).expect(201).await.json()
}

#[tokio::test]
async fn a_change_reaches_everybody_who_subscribed_and_looks_as_in_the_answer() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    let served = Served::start(&app);
    let (mut a, mut b) = (served.open(&ada).await, served.open(&bob).await);
    a.subscribe(&project(place.project), None).await;
    let seq = b.subscribe(&project(place.project), None).await;
    let story = write(&ada, &place, "live").await;
    for socket in [&mut a, &mut b] {
        let change = socket.hear().await;
        assert_eq!(
            (&change["op"], &change["kind"], &change["seq"]),
            (&json!("change"), &json!("story.created"), &json!(seq + 1))
        );
        assert_eq!(change["data"], story);
        assert_eq!(change["actor"]["username"], "ada");
        assert_ne!(change["correlation_id"], Value::Null);
    }
}

#[tokio::test]
async fn l25_a_reader_who_comes_back_gets_every_change_once_and_in_order() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let mut first = served.open(&ada).await;
    let seq = first.subscribe(&project(place.project), None).await;
    write(&ada, &place, "seen").await;
    assert_eq!(first.hear().await["seq"], seq + 1);
    drop(first);
    for i in 0..5 {
        write(&ada, &place, &format!("missed {i}")).await;
    }
    let mut back = served.open(&ada).await;
    assert_eq!(back.subscribe(&project(place.project), Some(seq + 1)).await, seq + 1);
    write(&ada, &place, "after").await;
    for expected in seq + 2..=seq + 7 {
        assert_eq!(back.hear().await["seq"], expected);
    }
    let mut beyond = served.open(&ada).await;
    beyond
        .say(json!({ "op": "subscribe", "id": 1, "stream": project(place.project), "after": seq + 1000 }))
        .await;
    assert_eq!(beyond.hear().await["op"], "reset");
}

#[tokio::test]
async fn l25_a_lost_bell_is_made_up_for_from_the_log() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let mut socket = served.open(&ada).await;
    let seq = socket.subscribe(&project(place.project), None).await;
    // Two changes whose bells never ring here: they are written by a process with a bus of its own.
    let deaf = app.twin_with_another_bus().await;
    for title in ["one", "two"] {
        deaf.write_story(&ada, &place, title).await;
    }
    // The next bell shows the gap, and what came before it is read from the log first.
    write(&ada, &place, "three").await;
    for (expected, title) in [(1, "one"), (2, "two"), (3, "three")] {
        let change = socket.hear().await;
        assert_eq!((&change["seq"], &change["data"]["title"]), (&json!(seq + expected), &json!(title)));
    }
    // And when no bell follows, the head is polled.
    deaf.write_story(&ada, &place, "four").await;
    assert_eq!(socket.hear().await["data"]["title"], "four");
}

#[tokio::test]
async fn l23_who_may_not_see_stories_hears_nothing_of_them() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let (bob, eve) = (app.user("bob").await, app.user("eve").await);
    app.join(&place, &ada, &bob, "member").await;
    let served = Served::start(&app);
    let mut outsider = served.open(&eve).await;
    outsider.say(json!({ "op": "subscribe", "id": 7, "stream": project(place.project) })).await;
    let refused = outsider.hear().await;
    assert_eq!(
        (&refused["op"], &refused["id"], &refused["code"]),
        (&json!("error"), &json!(7), &json!("not-found"))
    );
    let mut socket = served.open(&bob).await;
    socket.subscribe(&project(place.project), None).await;
    app.take_permissions(&place, &ada, "member").await;
    assert_eq!(socket.hear().await["kind"], "role.updated");
    write(&ada, &place, "secret").await;
    app.rename(&place, &ada, "Renamed").await;
    assert_eq!(socket.hear().await["kind"], "project.updated");
}

#[tokio::test]
async fn a_member_who_is_removed_hears_that_and_nothing_more() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    let served = Served::start(&app);
    let mut socket = served.open(&bob).await;
    socket.subscribe(&project(place.project), None).await;
    app.remove(&place, &ada, &bob).await;
    let frame = socket.hear().await;
    assert_eq!((&frame["op"], &frame["stream"]), (&json!("revoked"), &json!(project(place.project))));
    write(&ada, &place, "secret").await;
    socket.say(json!({ "op": "ping" })).await;
    assert_eq!(socket.hear().await["op"], "pong");
}

#[tokio::test]
async fn l04_a_revoked_session_closes_its_sockets_and_no_others() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let elsewhere = app.sign_in(ada.id, "ada").await;
    let (mut here, mut there) = (served.open(&ada).await, served.open(&elsewhere).await);
    here.subscribe(&project(place.project), None).await;
    there.subscribe(&project(place.project), None).await;
    app.sign_out(&elsewhere).await;
    assert_eq!(there.hear().await["op"], "revoked");
    assert_eq!(there.closed().await, 4001);
    write(&ada, &place, "on").await;
    assert_eq!(here.hear().await["kind"], "story.created");
    let late = served.open_with(&[("authorization", &format!("Bearer {}", elsewhere.token))]).await;
    assert_eq!(late.err(), Some(401));
}

#[tokio::test]
async fn a_client_that_can_set_no_header_says_who_it_is_first() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let mut socket = served.open_with(&[]).await.ok().unwrap();
    socket.say(json!({ "op": "ping" })).await;
    assert_eq!(socket.hear().await["code"], "unauthenticated");
    socket.say(json!({ "op": "auth", "token": ada.token })).await;
    assert_eq!(socket.hear().await["op"], "authenticated");
    socket.subscribe(&project(place.project), None).await;
    let mut forger = served.open_with(&[]).await.ok().unwrap();
    forger.say(json!({ "op": "auth", "token": "nonsense" })).await;
    assert_eq!(forger.closed().await, 4001);
}

#[tokio::test]
async fn a_page_of_an_unknown_origin_may_not_connect() {
    let (app, ada) = TestApp::with_user("ada").await;
    let served = Served::start(&app);
    let cookie = format!("tenon_access={}", ada.token);
    let from = |origin: &'static str| {
        let (served, cookie) = (&served, &cookie);
        async move { served.open_with(&[("cookie", cookie), ("origin", origin)]).await.err() }
    };
    assert_eq!(from("https://evil.example").await, Some(403));
    assert_eq!(from("null").await, Some(403));
    assert_eq!(from("http://localhost:8080").await, None);
}

#[tokio::test]
async fn nonsense_on_the_socket_is_answered_to_the_asker_alone() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let (mut socket, mut other) = (served.open(&ada).await, served.open(&ada).await);
    other.subscribe(&project(place.project), None).await;
    for (frame, code) in [
        ("{", "malformed"),
        ("[]", "malformed"),
        (r#"{"op":"dance"}"#, "malformed"),
        (r#"{"op":"subscribe","id":1,"stream":"nonsense"}"#, "invalid-stream"),
        (r#"{"op":"subscribe","id":1}"#, "malformed"),
        (
            r#"{"op":"presence","stream":"project:00000000-0000-0000-0000-000000000001","state":1}"#,
            "not-subscribed",
        ),
        (r#"{"op":"auth","token":"x"}"#, "authenticated"),
    ] {
        socket.say_text(frame).await;
        let answer = socket.hear().await;
        assert_eq!((&answer["op"], &answer["code"]), (&json!("error"), &json!(code)), "{frame}");
    }
    other.say(json!({ "op": "ping" })).await;
    assert_eq!(other.hear().await["op"], "pong");
}

#[tokio::test]
async fn presence_reaches_the_others_and_goes_with_the_socket() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    let served = Served::start(&app);
    let (mut a, mut b) = (served.open(&ada).await, served.open(&bob).await);
    a.subscribe(&project(place.project), None).await;
    b.subscribe(&project(place.project), None).await;
    let stream = project(place.project);
    a.say(json!({ "op": "presence", "stream": stream, "state": { "story": 3 } })).await;
    let seen = b.hear().await;
    assert_eq!(
        (&seen["op"], &seen["state"]["story"], &seen["person"]["username"]),
        (&json!("presence"), &json!(3), &json!("ada"))
    );
    drop(a);
    let gone = b.hear().await;
    assert_eq!((&gone["state"], &gone["socket"]), (&Value::Null, &seen["socket"]));
}

#[tokio::test]
async fn unsubscribed_means_silence() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let mut socket = served.open(&ada).await;
    socket.subscribe(&project(place.project), None).await;
    socket.say(json!({ "op": "unsubscribe", "id": 2, "stream": project(place.project) })).await;
    assert_eq!(
        socket.hear().await,
        json!({ "op": "unsubscribed", "id": 2, "stream": project(place.project) })
    );
    write(&ada, &place, "unheard").await;
    socket.say(json!({ "op": "ping" })).await;
    assert_eq!(socket.hear().await["op"], "pong");
}

#[tokio::test]
async fn on_shutdown_sockets_are_told_to_resume_elsewhere() {
    let (app, ada) = TestApp::with_user("ada").await;
    let served = Served::start(&app);
    let mut socket = served.open(&ada).await;
    app.shutdown.cancel();
    assert_eq!(socket.closed().await, 1012);
}

#[tokio::test]
async fn the_change_feed_says_the_same_as_the_socket() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let mut socket = served.open(&ada).await;
    let seq = socket.subscribe(&project(place.project), None).await;
    write(&ada, &place, "a").await;
    ada.patch(&place.story(1), json!({ "title": "b", "version": 1 })).expect(200).await;
    let feed = ada.get(&place.url(&format!("/changes?after={seq}"))).expect(200).await.json();
    assert_eq!((&feed["seq"], &feed["more"]), (&json!(seq + 2), &json!(false)));
    for change in feed["items"].as_array().unwrap() {
        let mut frame = socket.hear().await;
        let members = frame.as_object_mut().unwrap();
        members.remove("op");
        for absent in ["before", "omitted"] {
            members.entry(absent).or_insert(Value::Null);
        }
        assert_eq!(&frame, change);
    }
    let whole = ada.get(&place.url("/changes")).expect(200).await.json();
    let seqs: Vec<i64> =
        whole["items"].as_array().unwrap().iter().map(|c| c["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=seq + 2).collect::<Vec<_>>());
    let beyond = ada.get(&place.url("/changes?after=999")).expect(409).await;
    assert_eq!(beyond.json()["code"], "log-truncated");
    ada.get(&place.url("/changes?after=-1")).expect(422).await;
    ada.get("/me/changes").expect(200).await;
    ada.get(&format!("/workspaces/{}/changes", place.workspace)).expect(200).await;
    app.user("eve").await.get(&place.url("/changes")).expect(404).await;
}
