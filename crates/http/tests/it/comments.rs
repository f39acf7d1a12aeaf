//! Comments.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::app::{Actor, Place, TestApp};

async fn story(app: &TestApp, ada: &Actor) -> (Place, String) {
    let place = app.project_of(ada).await;
    ada.post(&place.url("/stories"), json!({ "title": "a", "status_id": place.columns[0] }))
        .expect(201)
        .await;
    let comments = format!("{}/comments", place.story(1));
    (place, comments)
}

async fn post(who: &Actor, url: &str, body: &str) -> String {
    let made = who.post(url, json!({ "body": body })).expect(201).await;
    made.header("location").trim_start_matches("/api/v1").to_owned()
}

#[tokio::test]
async fn a_deleted_comment_keeps_its_place() {
    let (app, ada) = TestApp::with_user("ada").await;
    let (_, url) = story(&app, &ada).await;
    let first = post(&ada, &url, "first").await;
    app.clock.advance(Duration::from_secs(1));
    post(&ada, &url, "second").await;
    ada.delete(&first).expect(204).await;
    ada.delete(&first).expect(204).await;
    let list = ada.get(&format!("{url}?count=true")).expect(200).await.json();
    let seen: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|c| (&c["body"], &c["deleted"])).collect();
    assert_eq!(seen, [(&json!(""), &json!(true)), (&json!("second"), &json!(false))]);
    assert_eq!(list["total"], 2);
    let refused = ada.patch(&first, json!({ "body": "back" })).expect(409).await;
    assert_eq!(refused.json()["code"], "comment-deleted");
}

#[tokio::test]
async fn only_the_author_edits_and_only_a_moderator_deletes_for_others() {
    let (app, ada) = TestApp::with_user("ada").await;
    let (place, url) = story(&app, &ada).await;
    let (bob, cleo) = (app.user("bob").await, app.user("cleo").await);
    app.join(&place, &ada, &bob, "member").await;
    app.join(&place, &ada, &cleo, "readonly-member").await;
    let comment = post(&bob, &url, "mine").await;
    let edited = bob.patch(&comment, json!({ "body": "mine, edited" })).expect(200).await.json();
    assert_ne!(edited["edited_at"], Value::Null);
    ada.patch(&comment, json!({ "body": "yours" })).expect(403).await;
    let of_ada = post(&ada, &url, "ada's").await;
    bob.delete(&of_ada).expect(403).await;
    cleo.post(&url, json!({ "body": "hello" })).expect(403).await;
    cleo.get(&comment).expect(200).await;
    ada.delete(&comment).expect(204).await;
}

#[tokio::test]
async fn comments_come_in_pages_in_a_total_order_though_their_times_are_equal() {
    let (app, ada) = TestApp::with_user("ada").await;
    let (_, url) = story(&app, &ada).await;
    for i in 0..5 {
        post(&ada, &url, &format!("c{i}")).await;
    }
    let (mut seen, mut cursor) = (vec![], String::new());
    loop {
        let page = ada.get(&format!("{url}?limit=2{cursor}")).expect(200).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(seen.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
}

#[tokio::test]
async fn a_comment_says_something_of_at_most_twenty_thousand_characters() {
    let (app, ada) = TestApp::with_user("ada").await;
    let (_, url) = story(&app, &ada).await;
    for (body, code) in
        [("  \n ", "too-short"), (&*"x".repeat(20_001), "too-long"), ("a\u{1}b", "control-character")]
    {
        let refused = ada.post(&url, json!({ "body": body })).expect(422).await;
        assert_eq!(refused.fault(), format!("/body {code}"));
    }
    post(&ada, &url, &"ü".repeat(20_000)).await;
}
