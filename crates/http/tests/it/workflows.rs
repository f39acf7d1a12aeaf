//! Boards and their columns.

use serde_json::{Value, json};

use crate::harness::app::{Actor, Place, TestApp};

async fn write(who: &Actor, place: &Place, title: &str, column: usize) {
    let new = json!({ "title": title, "status_id": place.columns[column] });
    who.post(&place.url("/stories"), new).expect(201).await;
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|x| x["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_board_opens_in_one_request_with_everything_on_it() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    write(&ada, &place, "a", 0).await;
    write(&ada, &place, "b", 2).await;
    let limit = json!({ "wip_limit": 1 });
    ada.patch(&format!("{}/statuses/{}", place.board_url(), place.columns[2]), limit).expect(200).await;
    write(&ada, &place, "c", 2).await;
    let opened = ada.get(&place.board_url()).expect(200).await;
    let board = opened.json();
    assert_eq!(names(&board["statuses"]), ["New", "Ready", "In progress", "Done"]);
    assert_eq!(
        (&board["statuses"][2]["story_count"], &board["statuses"][2]["over_limit"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(board["stories"].as_array().unwrap().len(), 3);
    ada.get(&place.board_url()).header("if-none-match", opened.etag()).expect(304).await;
}

#[tokio::test]
async fn l29_a_renamed_board_is_found_under_its_old_name() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let renamed =
        ada.patch(&place.board_url(), json!({ "name": "Línea de montaje" })).expect(200).await.json();
    assert_eq!(renamed["slug"], "linea-de-montaje");
    let old = ada.get(&place.board_url()).expect(308).await;
    assert_eq!(old.header("location"), format!("/api/v1{}", place.url("/workflows/linea-de-montaje")));
    let taken = ada.post(&place.url("/workflows"), json!({ "name": "Main" })).expect(201).await.json();
    assert_eq!(taken["workflow"]["slug"], "main-2");
    assert_eq!(names(&taken["statuses"]), ["New", "Ready", "In progress", "Done"]);
}

#[tokio::test]
async fn boards_keep_an_order_and_a_project_has_only_so_many() {
    let app = TestApp::with(|settings| settings.workflows_per_project = 3).await;
    let ada = app.user("ada").await;
    let place = app.project_of(&ada).await;
    ada.post(&place.url("/workflows"), json!({ "name": "B" })).expect(201).await;
    ada.post(&place.url("/workflows"), json!({ "name": "C" })).expect(201).await;
    let refused = ada.post(&place.url("/workflows"), json!({ "name": "D" })).expect(409).await;
    assert_eq!(refused.json()["code"], "too-many-workflows");
    ada.patch(&place.url("/workflows/c"), json!({ "position": 0 })).expect(200).await;
    let list = ada.get(&place.url("/workflows")).expect(200).await.json();
    assert_eq!(names(&list["items"]), ["C", "Main", "B"]);
}

#[tokio::test]
async fn l28_a_column_with_stories_is_deleted_only_with_a_word_about_them() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    write(&ada, &place, "a", 0).await;
    write(&ada, &place, "b", 0).await;
    let column = |i: usize| format!("{}/statuses/{}", place.board_url(), place.columns[i]);
    assert_eq!(ada.delete(&column(0)).expect(409).await.json()["code"], "has-stories");
    ada.delete(&format!("{}?move_to={}", column(0), place.columns[1])).expect(204).await;
    let board = ada.get(&place.board_url()).expect(200).await.json();
    assert_eq!(names(&board["statuses"]), ["Ready", "In progress", "Done"]);
    let moved: Vec<_> = board["stories"].as_array().unwrap().iter().map(|s| &s["title"]).collect();
    assert_eq!(moved, ["a", "b"]);
    ada.delete(&format!("{}?delete_stories=true", column(1))).expect(204).await;
    let trash = ada.get(&place.url("/trash/stories")).expect(200).await.json();
    assert_eq!(trash["items"].as_array().unwrap().len(), 2);
    ada.post(&format!("{}/restore", place.story(1)), json!({})).expect(200).await;
    ada.delete(&format!("{}?delete_stories=true", column(2))).expect(204).await;
    assert_eq!(ada.delete(&column(3)).expect(409).await.json()["code"], "last-status");
}

#[tokio::test]
async fn l31_stories_of_a_deleted_column_cannot_move_to_another_board() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    write(&ada, &place, "a", 0).await;
    let other = ada.post(&place.url("/workflows"), json!({ "name": "Other" })).expect(201).await.json();
    let there = other["statuses"][0]["id"].as_str().unwrap();
    let url = format!("{}/statuses/{}?move_to={there}", place.board_url(), place.columns[0]);
    assert_eq!(ada.delete(&url).expect(422).await.fault(), "move_to unknown-status");
    let url = format!("{}/statuses/{}?move_to={}", place.board_url(), place.columns[0], place.columns[0]);
    ada.delete(&url).expect(422).await;
}

#[tokio::test]
async fn a_deleted_board_leaves_its_stories_where_it_is_told() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    write(&ada, &place, "a", 0).await;
    assert_eq!(ada.delete(&place.board_url()).expect(409).await.json()["code"], "last-workflow");
    let other = ada.post(&place.url("/workflows"), json!({ "name": "Other" })).expect(201).await.json();
    let id = other["workflow"]["id"].as_str().unwrap();
    assert_eq!(ada.delete(&place.board_url()).expect(409).await.json()["code"], "has-stories");
    ada.delete(&format!("{}?move_to={id}", place.board_url())).expect(204).await;
    let board = ada.get(&place.url("/workflows/other")).expect(200).await.json();
    assert_eq!(board["stories"][0]["title"], "a");
    ada.get(&place.board_url()).expect(404).await;
}

#[tokio::test]
async fn columns_are_put_in_an_order_that_names_each_once() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let reorder = |ids: Vec<&String>| {
        ada.post(&format!("{}/statuses/reorder", place.board_url()), json!({ "status_ids": ids }))
    };
    let c = &place.columns;
    let list = reorder(vec![&c[3], &c[0], &c[1], &c[2]]).expect(200).await.json();
    assert_eq!(names(&list["items"]), ["Done", "New", "Ready", "In progress"]);
    for wrong in [vec![&c[0]], vec![&c[0], &c[0], &c[1], &c[2]], vec![]] {
        assert_eq!(reorder(wrong).expect(422).await.fault(), "/status_ids incomplete-order");
    }
}

#[tokio::test]
async fn a_column_is_changed_within_its_bounds() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let new = json!({ "name": "Review", "category": "doing", "wip_limit": 3 });
    let made = ada.post(&format!("{}/statuses", place.board_url()), new).expect(201).await;
    let url = format!("{}/statuses/{}", place.board_url(), made.json()["id"].as_str().unwrap());
    let cleared =
        ada.patch(&url, json!({ "wip_limit": null, "color": 5 })).if_match(made.etag()).expect(200).await;
    assert_eq!((&cleared.json()["wip_limit"], &cleared.json()["color"]), (&Value::Null, &json!(5)));
    ada.patch(&url, json!({ "name": "x" })).if_match(made.etag()).expect(412).await;
    for (body, pointer) in [
        (json!({ "name": null }), "/name"),
        (json!({ "name": "x".repeat(31) }), "/name"),
        (json!({ "color": 21 }), "/color"),
        (json!({ "wip_limit": 0 }), "/wip_limit"),
        (json!({ "category": "later" }), "/category"),
    ] {
        assert!(ada.patch(&url, body).expect(422).await.fault().starts_with(pointer));
    }
}
