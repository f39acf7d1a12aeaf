//! Kept answers.

use std::time::Duration;

use tenon_app::idempotency::{Answer, Begun, abandon, begin, finish};

use crate::harness::House;

fn answer() -> Answer {
    let headers = serde_json::json!({ "location": "/api/v1/things/1" });
    Answer { status: 201, headers, body: b"{\"id\":1}".to_vec() }
}

#[tokio::test]
async fn the_first_answer_is_given_again_for_a_day() {
    let house = House::new().await;
    let app = &house.app;
    assert_eq!(begin(app, "ada", "k", [1; 32]).await.unwrap(), Begun::Fresh);
    assert_eq!(begin(app, "ada", "k", [1; 32]).await.unwrap(), Begun::Running);
    assert_eq!(begin(app, "ada", "k", [2; 32]).await.unwrap(), Begun::Mismatch);
    finish(app, "ada", "k", [1; 32], &answer()).await.unwrap();
    assert_eq!(begin(app, "ada", "k", [1; 32]).await.unwrap(), Begun::Replay(answer()));
    assert_eq!(begin(app, "ada", "k", [2; 32]).await.unwrap(), Begun::Mismatch);
    // A key is one caller's own.
    assert_eq!(begin(app, "eve", "k", [1; 32]).await.unwrap(), Begun::Fresh);
    house.clock.advance(Duration::from_hours(24));
    assert_eq!(begin(app, "ada", "k", [2; 32]).await.unwrap(), Begun::Fresh);
}

#[tokio::test]
async fn a_request_that_came_to_nothing_lets_go_of_its_key() {
    let house = House::new().await;
    let app = &house.app;
    assert_eq!(begin(app, "ada", "k", [1; 32]).await.unwrap(), Begun::Fresh);
    abandon(app, "ada", "k", [1; 32]).await.unwrap();
    assert_eq!(begin(app, "ada", "k", [2; 32]).await.unwrap(), Begun::Fresh);
    // One that ended with its process lets go by itself.
    house.clock.advance(Duration::from_mins(2));
    assert_eq!(begin(app, "ada", "k", [1; 32]).await.unwrap(), Begun::Fresh);
    // Whoever comes too late to finish changes nothing.
    finish(app, "ada", "k", [2; 32], &answer()).await.unwrap();
    assert_eq!(begin(app, "ada", "k", [1; 32]).await.unwrap(), Begun::Running);
}

#[tokio::test]
async fn of_two_at_once_one_runs() {
    let house = House::new().await;
    let app = &house.app;
    let (one, two) = tokio::join!(begin(app, "ada", "k", [1; 32]), begin(app, "ada", "k", [1; 32]));
    let mut both = [one.unwrap() == Begun::Fresh, two.unwrap() == Begun::Fresh];
    both.sort_unstable();
    assert_eq!(both, [false, true]);
}
