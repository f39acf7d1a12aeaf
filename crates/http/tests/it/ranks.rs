//! Ranks stay short, and nobody's view of a board goes stale by it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tenon_core::jobs::ShortenRanks;

use crate::harness::app::{Actor, Place, TestApp};

async fn write(who: &Actor, place: &Place, title: &str) -> Value {
    let new = json!({ "title": title, "status_id": place.columns[0] });
    who.post(&place.url("/stories"), new).expect(201).await.json()
}

/// Numbers and ranks on the board, in its order.
async fn ranks(who: &Actor, place: &Place) -> Vec<(i64, String)> {
    let board = who.get(&place.board_url()).expect(200).await.json();
    let of = |s: &Value| (s["ref"].as_i64().unwrap(), s["rank"].as_str().unwrap().to_owned());
    board["stories"].as_array().unwrap().iter().map(of).collect()
}

/// What somebody has who only reads the log.
async fn replay(who: &Actor, place: &Place) -> Vec<(i64, String)> {
    let (mut after, mut stories) = (0, BTreeMap::<i64, String>::new());
    loop {
        let page = who.get(&place.url(&format!("/changes?after={after}&limit=100"))).expect(200).await.json();
        let changes = page["items"].as_array().unwrap().clone();
        let Some(last) = changes.last() else { break };
        after = last["seq"].as_i64().unwrap();
        for change in changes {
            let told = match change["kind"].as_str().unwrap() {
                "story.created" | "story.moved" => vec![change["data"].clone()],
                "status.reranked" => change["data"]["ranks"].as_array().unwrap().clone(),
                _ => vec![],
            };
            for story in told {
                stories.insert(story["ref"].as_i64().unwrap(), story["rank"].as_str().unwrap().to_owned());
            }
        }
    }
    let mut stories: Vec<_> = stories.into_iter().collect();
    stories.sort_by(|a, b| a.1.cmp(&b.1));
    stories
}

#[tokio::test]
async fn hundreds_put_at_one_place_keep_ranks_short_and_every_view_good() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    for i in 1..=5 {
        write(&ada, &place, &format!("s{i}")).await;
    }
    let top = json!({ "refs": [5], "status_id": place.columns[0], "before": 1 });
    ada.post(&place.url("/stories/move"), top).expect(200).await;
    let seen = ada.get(&place.story(4)).expect(200).await;
    // Each goes between the first and the one that went there before.
    for i in 0..400 {
        let one = json!({ "refs": [2 + i % 2], "status_id": place.columns[0], "after": 1 });
        ada.post(&place.url("/stories/move"), one).expect(200).await;
    }
    let now = ranks(&ada, &place).await;
    assert_eq!(now.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [5, 1, 3, 2, 4]);
    assert!(now.iter().all(|(_, rank)| rank.len() <= 32), "{now:?}");
    assert_eq!(replay(&ada, &place).await, now, "who follows the log has the same ranks");

    let again = ada.get(&place.story(4)).header("if-none-match", seen.etag()).expect(200).await;
    assert_ne!(again.json()["rank"], seen.json()["rank"], "it got another rank");
    assert_eq!(again.json()["version"], seen.json()["version"]);
    let moved = json!({ "title": "New", "status_id": place.columns[1] });
    ada.patch(&place.story(4), moved).if_match(seen.etag()).expect(200).await;
    let first = ada.get(&place.story(1)).expect(200).await.json();
    assert_eq!(first["version"], 1, "nobody touched it");
}

#[tokio::test]
async fn a_story_that_comes_back_from_the_trash_has_a_place_of_its_own() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    for title in ["a", "b", "c"] {
        write(&ada, &place, title).await;
    }
    ada.delete(&place.story(3)).expect(204).await;
    write(&ada, &place, "d").await;
    let between = json!({ "refs": [4], "status_id": place.columns[0], "after": 2 });
    ada.post(&place.url("/stories/move"), between).expect(200).await;
    ada.post(&format!("{}/restore", place.story(3)), json!({})).expect(200).await;
    let now = ranks(&ada, &place).await;
    assert_eq!(now.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 4, 3]);
    assert!(now.windows(2).all(|two| two[0].1 < two[1].1), "{now:?}");
}

#[tokio::test]
async fn ranks_of_an_earlier_release_become_short_and_keep_their_order() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let mut long = vec![];
    for i in 1..=4 {
        let story = write(&ada, &place, &format!("s{i}")).await;
        let id: uuid::Uuid = story["id"].as_str().unwrap().parse().unwrap();
        // The second and the third have the same, which no release should have made, and one did.
        let last = ["1", "2", "2", "3"][i - 1];
        long.push((id.into(), format!("a0{}{last}", "z".repeat(90))));
    }
    let write = async |tx: &mut tenon_app::Tx<'_>| Ok(tenon_db::ranks::write(tx.conn(), &long).await?);
    app.app.write(&[], "test", write).await.unwrap();
    let before = ranks(&ada, &place).await;
    app.app.write(&[], "test", async |tx| tx.enqueue(&ShortenRanks {}).map(drop)).await.unwrap();
    app.run_jobs().await;
    let now = ranks(&ada, &place).await;
    let numbers = |ranks: &[(i64, String)]| ranks.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!(numbers(&now), numbers(&before));
    assert!(now.iter().all(|(_, rank)| rank.len() <= 4), "{now:?}");
    assert_eq!(replay(&ada, &place).await, now);
}
