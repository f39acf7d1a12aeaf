//! Workspaces.

use serde_json::{Value, json};

use crate::harness::app::{Actor, TestApp};

async fn make(who: &Actor, name: &str) -> String {
    let made = who.post("/workspaces", json!({ "name": name })).expect(201).await;
    made.header("location").trim_start_matches("/api/v1").to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|x| x["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn whoever_makes_a_workspace_owns_it() {
    let (_app, ada) = TestApp::with_user("ada").await;
    let made = ada.post("/workspaces", json!({ "name": " Works ", "color": 3 })).expect(201).await;
    let url = made.header("location").trim_start_matches("/api/v1").to_owned();
    let view = ada.get(&url).expect(200).await;
    assert_eq!(view.etag(), made.etag());
    let view = view.json();
    assert_eq!(view["name"], "Works");
    assert_eq!((&view["role"], &view["members"], &view["projects"]), (&json!("owner"), &json!(1), &json!(0)));
    let members = ada.get(&format!("{url}/members?count=true")).expect(200).await.json();
    assert_eq!(members["total"], 1);
    assert_eq!(members["items"][0]["user"]["username"], "ada");
    let log = ada.get(&format!("{url}/changes")).expect(200).await.json();
    assert_eq!(log["items"][0]["kind"], "workspace.created");
    let mine = ada.get("/me/changes").expect(200).await.json();
    assert!(mine["items"].as_array().unwrap().iter().any(|c| c["kind"] == "workspace.joined"));
}

#[tokio::test]
async fn the_pages_of_a_list_hold_every_workspace_once() {
    let (_app, ada) = TestApp::with_user("ada").await;
    let made: Vec<String> = (0..7).map(|n| format!("w{n}")).collect();
    for name in &made {
        make(&ada, name).await;
    }
    let (mut seen, mut path) = (vec![], "/workspaces?limit=3&count=true".to_owned());
    loop {
        let page = ada.get(&path).expect(200).await.json();
        assert_eq!(page["total"], 7);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/workspaces?limit=3&count=true&cursor={cursor}");
    }
    seen.sort();
    assert_eq!(seen, made);
    let foreign = ada.get("/projects/x").send().await;
    assert_eq!(foreign.status, 404);
    ada.get("/workspaces?cursor=forged").expect(422).await;
    ada.get("/workspaces?limit=0").expect(422).await;
}

#[tokio::test]
async fn l19_a_change_to_an_older_version_is_refused_with_the_present_one() {
    let (_app, ada) = TestApp::with_user("ada").await;
    let url = make(&ada, "Works").await;
    let seen = ada.get(&url).expect(200).await.etag();
    ada.patch(&url, json!({ "name": "Mill" })).if_match(&seen).expect(200).await;
    let refused = ada.patch(&url, json!({ "name": "Loom" })).if_match(&seen).expect(412).await.json();
    assert_eq!(refused["current"]["name"], "Mill");
    ada.delete(&url).if_match(&seen).expect(412).await;
    for bad in
        [json!({ "name": "" }), json!({ "name": null }), json!({ "color": 21 }), json!({ "nome": "x" })]
    {
        ada.patch(&url, bad).expect(422).await;
    }
}

#[tokio::test]
async fn a_workspace_goes_to_the_trash_only_without_projects_and_comes_back() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let url = format!("/workspaces/{}", place.workspace);
    let refused = ada.delete(&url).expect(409).await;
    assert_eq!(refused.problem().1, "workspace-has-projects");
    ada.delete(&place.url("")).expect(204).await;
    ada.delete(&url).expect(204).await;
    ada.get(&url).expect(404).await;
    assert!(names(&ada.get("/workspaces").expect(200).await.json()).is_empty());
    assert_eq!(names(&ada.get("/workspaces?trashed=true").expect(200).await.json()), ["Works"]);
    ada.post(&place.url("/restore"), json!({})).expect(404).await;
    ada.post(&format!("{url}/restore"), json!({})).expect(200).await;
    ada.post(&place.url("/restore"), json!({})).expect(200).await;
    ada.get(&place.url("")).expect(200).await;
}

#[tokio::test]
async fn a_stranger_finds_nothing() {
    let (app, ada) = TestApp::with_user("ada").await;
    let eve = app.user("eve").await;
    let url = make(&ada, "Works").await;
    for path in
        [url.clone(), format!("{url}/members"), format!("{url}/projects"), format!("{url}/invitations")]
    {
        eve.get(&path).expect(404).await;
        app.anonymous().get(&path).expect(401).await;
    }
    eve.patch(&url, json!({ "name": "Mine" })).expect(404).await;
    assert!(names(&eve.get("/workspaces").expect(200).await.json()).is_empty());
}
