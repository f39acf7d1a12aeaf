//! Archived projects are read-only.

use serde_json::json;
use tenon_core::tokens::Scope;
use tenon_http::endpoint::Method;

use crate::{
    authorisation::{Row, TABLE, World},
    harness::app::TestApp,
};

/// The writes that an archived project takes; un-archiving is [`update_project`], tried below.
const TAKEN: [&str; 2] = ["delete_project", "restore_project"];

#[tokio::test]
async fn an_archived_project_refuses_every_write_but_those_named() {
    let world = World::new().await;
    let (owner, url) = (world.owner().clone(), world.place.url(""));
    let operations = world.app.operations.clone();
    let writes: Vec<_> = operations
        .iter()
        .filter(|o| o.path.starts_with("/projects/{project_id}") && o.method != Method::Get)
        // An administrator gives it an owner, who can un-archive it.
        .filter(|o| o.scope != Some(Scope::Admin))
        .collect();
    assert!(writes.len() > 25, "{}", writes.len());
    let mut wrong = vec![];
    for operation in writes {
        let Row(id, _, body) = TABLE.iter().find(|row| row.0 == operation.id).expect(operation.id);
        let call = world.prepare(operation, body, Some(&owner)).await;
        owner.patch(&url, json!({ "archived": true })).expect(200).await;
        let answer = call.send().await;
        let refused = answer.problem() == (409, "project-archived".to_owned());
        if refused == TAKEN.contains(id) || (!refused && answer.status >= 400) {
            wrong.push(format!("{id}: {} {}", answer.status, answer.problem().1));
        }
        if *id == "delete_project" {
            owner.post(&world.place.url("/restore"), json!({})).expect(200).await;
        }
        owner.patch(&url, json!({ "archived": false })).expect(200).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.app.run_jobs().await;
}

#[tokio::test]
async fn an_archived_project_is_read_and_un_archived_and_nothing_else() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let (bob, eve) = (app.user("bob").await, app.user("eve").await);
    app.join(&place, &ada, &bob, "readonly-member").await;
    let roles = ada.get(&place.url("/roles")).expect(200).await.json();
    let wish = json!({ "invitations": [{ "username": "eve", "role_id": roles["items"][2]["id"] }] });
    let invited = ada.post(&place.url("/invitations"), wish).expect(200).await.json();
    app.run_jobs().await;
    ada.patch(&place.url(""), json!({ "archived": true, "name": "Old site" })).expect(200).await;
    for path in ["", "/stories", "/members", "/workflows", "/changes"] {
        bob.get(&place.url(path)).expect(200).await;
    }
    let archived = ada.get(&place.url("")).expect(200).await.etag();
    // Said again, it changes nothing.
    assert_eq!(ada.patch(&place.url(""), json!({ "archived": true })).expect(200).await.etag(), archived);
    for patch in [json!({ "name": "New" }), json!({ "name": "New", "archived": true })] {
        let refused = ada.patch(&place.url(""), patch).expect(409).await;
        assert_eq!(refused.problem().1, "project-archived");
    }
    // Who is not in it is not told that it is there.
    eve.post(&place.url("/stories"), json!({ "title": "x", "status_id": place.columns[0] }))
        .expect(404)
        .await;
    let accept = format!("/me/invitations/{}/accept", invited["invitations"][0]["id"].as_str().unwrap());
    assert_eq!(eve.post(&accept, json!({})).expect(409).await.problem().1, "project-archived");
    eve.get(&format!("/workspaces/{}", place.workspace)).expect(404).await;

    let back =
        ada.patch(&place.url(""), json!({ "archived": false, "name": "New" })).expect(200).await.json();
    assert_eq!((&back["archived_at"], &back["name"]), (&json!(null), &json!("New")));
    eve.post(&accept, json!({})).expect(200).await;
}

#[tokio::test]
async fn who_leaves_the_workspace_leaves_its_archived_projects_too() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    ada.patch(&place.url(""), json!({ "archived": true })).expect(200).await;
    ada.delete(&format!("/workspaces/{}/members/{}", place.workspace, bob.id)).expect(204).await;
    bob.get(&place.url("")).expect(404).await;
}
