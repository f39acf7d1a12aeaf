//! Budgets of statements: what a request may ask of the database.
//!
//! A read needs no transaction: each statement sees a state of its own, and saves two round trips.

use serde_json::json;

use crate::harness::{
    app::{Actor, Place, TestApp},
    call::Call,
};

/// The statements that a call sends.
async fn of(app: &TestApp, call: Call, status: u16) -> Vec<String> {
    app.statements();
    call.expect(status).await;
    app.statements()
}

#[track_caller]
fn reads(statements: &[String], most: usize) {
    assert!(
        (1..=most).contains(&statements.len()),
        "{} instead of at most {most}: {statements:#?}",
        statements.len()
    );
    let write =
        |statement: &&String| !["SELECT", "WITH"].iter().any(|word| statement.trim_start().starts_with(word));
    assert_eq!(statements.iter().find(write), None);
}

async fn board() -> (TestApp, Actor, Place) {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    for title in ["first", "second"] {
        let new = json!({ "title": title, "status_id": place.columns[0] });
        ada.post(&place.url("/stories"), new).expect(201).await;
    }
    (app, ada, place)
}

#[tokio::test]
async fn a_story_takes_three_statements_and_no_transaction() {
    let (app, ada, place) = board().await;
    reads(&of(&app, ada.get(&place.story(1)), 200).await, 3);
}

#[tokio::test]
async fn a_board_takes_four_statements_however_full_it_is() {
    let (app, ada, place) = board().await;
    reads(&of(&app, ada.get(&place.board_url()), 200).await, 4);
}

#[tokio::test]
async fn lists_take_two_statements_and_no_transaction() {
    let (app, ada, place) = board().await;
    for path in [place.url("/stories"), place.story(1) + "/comments", place.url("/workflows")] {
        reads(&of(&app, ada.get(&path), 200).await, 3);
    }
}

#[tokio::test]
async fn writing_a_story_is_one_transaction_whatever_the_board_holds() {
    let (app, ada, place) = board().await;
    let new = json!({ "title": "third", "status_id": place.columns[0] });
    let statements = of(&app, ada.post(&place.url("/stories"), new), 201).await;
    let begun = statements.iter().filter(|statement| statement.starts_with("BEGIN")).count();
    let ended = statements.iter().filter(|statement| statement.starts_with("COMMIT")).count();
    assert_eq!((begun, ended), (1, 1), "{statements:#?}");
    assert!(statements.len() <= 9, "{} statements: {statements:#?}", statements.len());
}
