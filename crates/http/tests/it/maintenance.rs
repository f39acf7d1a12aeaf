//! The API while the installation is being maintained.

use serde_json::json;
use tenon_app::{
    maintenance,
    users::{self, AccountPatch, Operator},
};
use tenon_core::maintenance::Message;

use crate::harness::{
    app::TestApp,
    socket::{Served, project},
};

/// Begins maintenance, and lets this process know at once.
async fn close(app: &TestApp, message: Option<&str>, minutes: Option<i64>) {
    let until = minutes.map(|minutes| app.app.now() + chrono::Duration::minutes(minutes));
    let message = message.map(|text| Message::parse(text).unwrap());
    maintenance::begin(&app.app, message, until).await.unwrap();
    maintenance::look(&app.app).await.unwrap();
}

async fn open(app: &TestApp) {
    assert!(maintenance::end(&app.app).await.unwrap());
    maintenance::look(&app.app).await.unwrap();
}

#[tokio::test]
async fn everybody_is_told_when_to_come_back_and_probes_are_answered() {
    let (app, ada) = TestApp::with_user("ada").await;
    close(&app, Some("Moving house."), Some(90)).await;
    let refused = ada.get("/me").expect(503).await;
    let problem = refused.json();
    assert_eq!((&problem["code"], &problem["detail"]), (&json!("maintenance"), &json!("Moving house.")));
    assert_eq!(refused.header("retry-after"), "5400");
    ada.post("/workspaces", json!({ "name": "New" })).expect(503).await;
    let sign_in = json!({ "login": "ada", "password": "correct horse battery" });
    app.anonymous().post("/auth/sign-in", sign_in).expect(503).await;
    app.anonymous().get("/version").expect(503).await;
    app.anonymous().get("/health").expect(200).await;
    app.anonymous().get("/readiness").expect(200).await;
    app.anonymous().get("/nowhere").expect(404).await;

    close(&app, None, None).await;
    let refused = ada.get("/me").expect(503).await;
    assert_eq!(refused.header("retry-after"), "60");
    open(&app).await;
    ada.get("/me").expect(200).await;
}

#[tokio::test]
async fn an_announced_end_that_has_passed_ends_nothing() {
    let (app, ada) = TestApp::with_user("ada").await;
    close(&app, None, Some(10)).await;
    app.clock.advance(std::time::Duration::from_mins(11));
    let refused = ada.get("/me").expect(503).await;
    assert_eq!(refused.header("retry-after"), "60");
}

#[tokio::test]
async fn administrators_may_look_and_nobody_may_write() {
    let (app, ada) = TestApp::with_user("ada").await;
    let root = app.user("root").await;
    let patch = AccountPatch { is_active: None, is_admin: Some(true) };
    users::patch(&app.app, Operator::System, root.id, patch, None).await.unwrap();
    let place = app.project_of(&root).await;
    close(&app, None, None).await;
    root.get(&place.url("")).expect(200).await;
    root.get("/users").expect(200).await;
    root.patch(&place.url(""), json!({ "color": 3, "version": 1 })).expect(503).await;
    ada.get("/me").expect(503).await;
    // A credential that is no good says nothing of who holds it.
    let forged = app.anonymous().get("/me").header("authorization", "Bearer forged");
    forged.expect(503).await;
}

#[tokio::test]
async fn live_connections_are_closed_and_opened_again_afterwards() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let served = Served::start(&app);
    let mut socket = served.open(&ada).await;
    socket.subscribe(&project(place.project), None).await;
    // Nobody yet: it has not said who it is.
    let mut stranger = served.open_with(&[]).await.unwrap();
    close(&app, None, None).await;
    assert_eq!(socket.closed().await, 4010);
    assert_eq!(stranger.closed().await, 4010);
    let bearer = format!("Bearer {}", ada.token);
    assert_eq!(served.open_with(&[("authorization", &bearer)]).await.err(), Some(503));
    open(&app).await;
    served.open(&ada).await.subscribe(&project(place.project), None).await;
}
