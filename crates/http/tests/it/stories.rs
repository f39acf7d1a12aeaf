//! Stories: writing, changing, moving, the trash.

use serde_json::{Value, json};

use crate::harness::app::{Actor, Place, TestApp};

async fn write(who: &Actor, place: &Place, title: &str, column: usize) -> Value {
    let new = json!({ "title": title, "status_id": place.columns[column] });
    who.post(&place.url("/stories"), new).expect(201).await.json()
}

/// Titles on the board, column by column.
async fn board(who: &Actor, place: &Place) -> Vec<Vec<String>> {
    let board = who.get(&place.board_url()).expect(200).await.json();
    let titles = |column: &String| {
        let here = board["stories"].as_array().unwrap().iter().filter(|s| s["status_id"] == **column);
        here.map(|s| s["title"].as_str().unwrap().to_owned()).collect()
    };
    place.columns.iter().map(titles).collect()
}

#[tokio::test]
async fn a_story_gets_the_next_number_and_comes_last_in_its_column() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let first = ada
        .post(
            &place.url("/stories"),
            json!({ "title": "  First ", "description": "*x*", "status_id": place.columns[0] }),
        )
        .expect(201)
        .await;
    assert_eq!(first.header("location"), format!("/api/v1{}", place.story(1)));
    let first = first.json();
    assert_eq!((&first["ref"], &first["title"], &first["key"]), (&json!(1), &json!("First"), &json!("WEB")));
    assert_eq!(first["created_by"]["username"], "ada");
    assert_eq!(write(&ada, &place, "Second", 0).await["ref"], 2);
    assert_eq!(board(&ada, &place).await[0], ["First", "Second"]);
    assert_eq!(ada.get(&place.url("/stories/web-1")).expect(200).await.json(), first);
    assert_eq!(
        ada.get(&format!("/stories/{}", first["id"].as_str().unwrap())).expect(200).await.json(),
        first
    );
    for nothing in
        ["/stories/3", "/stories/XYZ-1", "/stories/-1", "/stories/1e3", "/stories/99999999999999999999"]
    {
        ada.get(&place.url(nothing)).expect(404).await;
    }
}

#[tokio::test]
async fn l26_stories_written_at_once_get_numbers_without_gaps_and_places_of_their_own() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let writing = (0..24).map(|i| {
        let (ada, place) = (&ada, &place);
        async move { write(ada, place, &format!("s{i}"), 0).await }
    });
    let mut numbers = vec![];
    let mut ranks = std::collections::BTreeSet::new();
    for story in futures_util::future::join_all(writing).await {
        numbers.push(story["ref"].as_i64().unwrap());
        ranks.insert(story["rank"].as_str().unwrap().to_owned());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=24).collect::<Vec<_>>());
    assert_eq!(ranks.len(), 24);
}

#[tokio::test]
async fn l19_and_l32_a_stale_change_is_refused_only_when_it_touches_what_changed() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    write(&ada, &place, "Old", 0).await;
    let seen = ada.get(&place.story(1)).expect(200).await.etag();
    ada.patch(&place.story(1), json!({ "title": "New" })).if_match(&seen).expect(200).await;
    let stale =
        ada.patch(&place.story(1), json!({ "title": "Other" })).if_match(&seen).expect(412).await.json();
    assert_eq!((&stale["code"], &stale["current"]["title"]), (&json!("stale"), &json!("New")));
    let merged =
        ada.patch(&place.story(1), json!({ "description": "d" })).if_match(&seen).expect(200).await.json();
    assert_eq!((&merged["title"], &merged["description"]), (&json!("New"), &json!("d")));
    let moved =
        ada.patch(&place.story(1), json!({ "status_id": place.columns[1], "version": 1 })).expect(200).await;
    assert_eq!(moved.json()["version"], 4);
    ada.patch(&place.story(1), json!({ "title": "x" })).expect(428).await;
    ada.patch(&place.story(1), json!({ "title": "x", "version": 99 })).expect(412).await;
    ada.delete(&place.story(1)).if_match(&seen).expect(412).await;
    ada.get(&place.story(1)).header("if-none-match", moved.etag()).expect(304).await;
}

#[tokio::test]
async fn stories_move_in_the_order_given_to_where_the_anchor_says() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    for (title, column) in [("a", 0), ("b", 0), ("c", 0), ("x", 1), ("y", 1)] {
        write(&ada, &place, title, column).await;
    }
    let go = |refs: Value, anchor: Value| {
        let mut body = json!({ "refs": refs, "status_id": place.columns[1] });
        body.as_object_mut().unwrap().extend(anchor.as_object().unwrap().clone());
        ada.post(&place.url("/stories/move"), body)
    };
    go(json!([3, 1]), json!({ "before": 5 })).expect(200).await;
    assert_eq!(board(&ada, &place).await[..2], [vec!["b"], vec!["x", "c", "a", "y"]]);
    go(json!([5]), json!({ "after": 4 })).expect(200).await;
    assert_eq!(board(&ada, &place).await[1], ["x", "y", "c", "a"]);
    go(json!([4, 2]), json!({})).expect(200).await;
    assert_eq!(board(&ada, &place).await[..2], [vec![], vec!["y", "c", "a", "x", "b"]]);
    for (refs, anchor, fault) in [
        (json!([]), json!({}), "/refs out-of-range"),
        (json!([1, 1]), json!({}), "/refs/1 duplicate"),
        (json!([1, 77]), json!({}), "/refs/1 unknown-story"),
        (json!([1]), json!({ "before": 1 }), "/before unknown-anchor"),
        (json!([1]), json!({ "after": 77 }), "/after unknown-anchor"),
        (json!([1]), json!({ "before": 2, "after": 3 }), "/after ambiguous"),
    ] {
        assert_eq!(go(refs, anchor).expect(422).await.fault(), fault);
    }
    assert_eq!(board(&ada, &place).await[1], ["y", "c", "a", "x", "b"]);
}

#[tokio::test]
async fn a_story_in_the_trash_is_gone_until_it_is_restored_to_where_it_was() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    write(&ada, &place, "a", 0).await;
    write(&ada, &place, "b", 0).await;
    ada.delete(&place.story(1)).expect(204).await;
    ada.delete(&place.story(1)).expect(204).await;
    ada.get(&place.story(1)).expect(404).await;
    assert_eq!(board(&ada, &place).await[0], ["b"]);
    let trash = ada.get(&place.url("/trash/stories")).expect(200).await.json();
    assert_eq!(trash["items"][0]["ref"], 1);
    ada.post(&format!("{}/restore", place.story(1)), json!({})).expect(200).await;
    assert_eq!(board(&ada, &place).await[0], ["a", "b"]);
    assert_eq!(write(&ada, &place, "c", 0).await["ref"], 3);
}

#[tokio::test]
async fn l17_pages_of_stories_neither_repeat_nor_skip_while_others_write() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    for i in 0..7 {
        write(&ada, &place, &format!("s{i}"), i % 2).await;
    }
    let mut seen = vec![];
    let mut cursor = String::new();
    loop {
        let page = ada.get(&place.url(&format!("/stories?limit=3{cursor}"))).expect(200).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|s| s["ref"].as_i64().unwrap()));
        if seen.len() == 3 {
            ada.delete(&place.story(2)).expect(204).await;
            write(&ada, &place, "late", 0).await;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
    let counted =
        ada.get(&place.url(&format!("/stories?count=true&status={}", place.columns[0]))).expect(200).await;
    assert_eq!(counted.json()["total"], 5);
    for (query, fault) in [
        ("limit=0", "limit out-of-range"),
        ("limit=201", "limit out-of-range"),
        ("limit=x", "limit wrong-type"),
        ("cursor=abc", "cursor invalid-cursor"),
        ("status=abc", "status invalid"),
        ("colour=red", "colour unknown-field"),
    ] {
        let refused = ada.get(&place.url(&format!("/stories?{query}"))).expect(422).await;
        assert_eq!(refused.fault().split(' ').next(), fault.split(' ').next(), "{query}");
    }
}

#[tokio::test]
async fn l20_nonsense_in_a_story_is_refused_with_the_place_of_the_fault() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let column = place.columns[0].clone();
    let long = "x".repeat(501);
    for (body, fault) in [
        (json!({ "title": "", "status_id": column }), "/title too-short"),
        (json!({ "title": long, "status_id": column }), "/title too-long"),
        (json!({ "title": "a\u{0}b", "status_id": column }), "/title control-character"),
        (json!({ "title": null, "status_id": column }), "/title wrong-type"),
        (json!({ "title": "x", "status_id": "nope" }), "/status_id invalid"),
        (json!({ "title": "x", "status_id": uuid::Uuid::nil() }), "/status_id unknown-status"),
        (json!({ "title": "x" }), "/status_id missing"),
        (json!({ "title": "x", "status_id": column, "colour": 1 }), "/colour unknown-field"),
        (
            json!({ "title": "x", "status_id": column, "description": "a\u{0}" }),
            "/description control-character",
        ),
    ] {
        let refused = ada.post(&place.url("/stories"), body.clone()).expect(422).await;
        let (pointer, code) = fault.split_once(' ').unwrap();
        assert!(refused.fault().starts_with(pointer), "{body}: {}", refused.fault());
        if code != "invalid" {
            assert_eq!(refused.fault(), fault, "{body}");
        }
    }
    assert_eq!(board(&ada, &place).await.concat(), Vec::<String>::new());
}

#[tokio::test]
async fn who_may_not_see_stories_is_told_that_there_are_none() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    write(&ada, &place, "a", 0).await;
    let (bob, eve) = (app.user("bob").await, app.user("eve").await);
    app.join(&place, &ada, &bob, "readonly-member").await;
    bob.get(&place.story(1)).expect(200).await;
    let refused = bob.patch(&place.story(1), json!({ "title": "x", "version": 1 })).expect(403).await;
    assert_eq!(refused.json()["code"], "forbidden");
    bob.delete(&place.story(1)).expect(403).await;
    bob.post(&place.url("/stories"), json!({ "title": "x", "status_id": place.columns[0] }))
        .expect(403)
        .await;
    eve.get(&place.story(1)).expect(404).await;
    eve.get(&place.board_url()).expect(404).await;
    eve.patch(&place.story(1), json!({ "title": "x", "version": 1 })).expect(404).await;
    app.anonymous().get(&place.story(1)).expect(401).await;
}

#[tokio::test]
async fn the_history_of_a_story_tells_who_did_what_newest_first() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    write(&ada, &place, "a", 0).await;
    ada.patch(&place.story(1), json!({ "title": "b", "version": 1 })).expect(200).await;
    ada.post(&place.url("/stories/move"), json!({ "refs": [1], "status_id": place.columns[1] }))
        .expect(200)
        .await;
    ada.post(&format!("{}/comments", place.story(1)), json!({ "body": "hm" })).expect(201).await;
    let history = ada.get(&format!("{}/activity", place.story(1))).expect(200).await.json();
    let kinds: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["comment.created", "story.moved", "story.updated", "story.created"]);
    let renamed = &history["items"][2];
    assert_eq!((&renamed["before"]["title"], &renamed["data"]["title"]), (&json!("a"), &json!("b")));
    assert_eq!(renamed["actor"]["username"], "ada");
    let page = ada.get(&format!("{}/activity?limit=3", place.story(1))).expect(200).await.json();
    let rest = page["next_cursor"].as_str().unwrap();
    let page =
        ada.get(&format!("{}/activity?limit=3&cursor={rest}", place.story(1))).expect(200).await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next_cursor"]), (1, &Value::Null));
}

#[tokio::test]
async fn l18_a_story_posted_twice_with_one_key_is_one_story() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let new = json!({ "title": "once", "status_id": place.columns[0] });
    let post = |body: &Value| ada.post(&place.url("/stories"), body.clone()).header("idempotency-key", "k1");
    let first = post(&new).expect(201).await;
    let again = post(&new).expect(201).await;
    assert_eq!(first.json(), again.json());
    assert_eq!(first.header("location"), again.header("location"));
    let other = json!({ "title": "other", "status_id": place.columns[0] });
    post(&other).expect(422).await;
    assert_eq!(board(&ada, &place).await[0], ["once"]);
}
