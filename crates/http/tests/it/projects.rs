//! Projects and their roles.

use serde_json::{Value, json};

use crate::harness::app::{Actor, Place, TestApp};

async fn roles(who: &Actor, place: &Place) -> Vec<Value> {
    who.get(&place.url("/roles")).expect(200).await.json()["items"].as_array().unwrap().clone()
}

async fn role(who: &Actor, place: &Place, slug: &str) -> String {
    let found = roles(who, place).await.into_iter().find(|r| r["slug"] == slug).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

async fn make(who: &Actor, workspace: &str, name: &str) -> Value {
    who.post(&format!("/workspaces/{workspace}/projects"), json!({ "name": name })).expect(201).await.json()
}

#[tokio::test]
async fn a_project_begins_with_the_board_of_its_template_and_four_roles() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    for template in ada.get("/templates").expect(200).await.json()["items"].as_array().unwrap() {
        let new = json!({ "name": "Loom", "template": template["slug"] });
        let made =
            ada.post(&format!("/workspaces/{}/projects", place.workspace), new).expect(201).await.json();
        assert_eq!(made["role"]["slug"], "owner");
        let boards = ada
            .get(&format!("/projects/{}/workflows", made["id"].as_str().unwrap()))
            .expect(200)
            .await
            .json();
        assert_eq!(boards["items"].as_array().unwrap().len(), 1);
        assert_eq!(boards["items"][0]["name"], template["workflow"]);
        let slug = boards["items"][0]["slug"].as_str().unwrap();
        let board = ada.get(&format!("/projects/{}/workflows/{slug}", made["id"].as_str().unwrap()));
        let board = board.expect(200).await.json();
        let columns = |list: &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(columns(&board["statuses"]), columns(&template["statuses"]));
    }
    let slugs: Vec<Value> = roles(&ada, &place).await.into_iter().map(|r| r["slug"].clone()).collect();
    assert_eq!(slugs, ["owner", "admin", "member", "readonly-member"]);
    let unknown = json!({ "name": "Loom", "template": "waterfall" });
    let refused = ada.post(&format!("/workspaces/{}/projects", place.workspace), unknown).expect(422).await;
    assert_eq!(refused.fault(), "/template unknown-template");
}

#[tokio::test]
async fn keys_are_suggested_by_the_name_and_unique_in_the_workspace() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let workspace = place.workspace.to_string();
    let mut keys = vec![];
    for name in ["Difference Engine", "Dark Energy", "Données élémentaires", "Dé", "看板"] {
        keys.push(make(&ada, &workspace, name).await["key"].as_str().unwrap().to_owned());
    }
    assert_eq!(keys[0], "DE");
    let unique: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len(), "{keys:?}");
    let url = format!("/workspaces/{workspace}/projects");
    let taken = ada.post(&url, json!({ "name": "x", "key": "web" })).expect(409).await;
    assert_eq!(taken.problem().1, "key-taken");
    let taken = ada.patch(&place.url(""), json!({ "key": "DE" })).expect(409).await;
    assert_eq!(taken.problem().1, "key-taken");
    // One in the trash keeps its key, so that it can come back.
    ada.delete(&place.url("")).expect(204).await;
    ada.post(&url, json!({ "name": "x", "key": "WEB" })).expect(409).await;
    let elsewhere = ada.post("/workspaces", json!({ "name": "Other" })).expect(201).await.json();
    make(&ada, elsewhere["id"].as_str().unwrap(), "Web site").await;
}

#[tokio::test]
async fn projects_made_at_once_get_keys_of_their_own() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let workspace = place.workspace.to_string();
    let making = (0..8).map(|_| make(&ada, &workspace, "Web"));
    let made = futures_util::future::join_all(making).await;
    let keys: std::collections::BTreeSet<_> = made.iter().map(|p| p["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 8);
}

#[tokio::test]
async fn a_project_is_changed_put_aside_thrown_away_and_taken_back() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let list = format!("/workspaces/{}/projects", place.workspace);
    let seen = ada.get(&place.url("")).expect(200).await.etag();
    let patch = json!({ "name": "Site", "description": "All of it", "archived": true });
    let changed = ada.patch(&place.url(""), patch).if_match(&seen).expect(200).await.json();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Site"), &json!("All of it")));
    assert!(changed["archived_at"].is_string());
    ada.patch(&place.url(""), json!({ "name": "Again" })).if_match(&seen).expect(412).await;
    let count = async |query: &str| {
        ada.get(&format!("{list}?count=true{query}")).expect(200).await.json()["total"].as_i64().unwrap()
    };
    assert_eq!((count("").await, count("&archived=true").await, count("&archived=false").await), (1, 1, 0));
    ada.patch(&place.url(""), json!({ "archived": false })).expect(200).await;
    ada.delete(&place.url("")).expect(204).await;
    for path in ["", "/members", "/roles", "/workflows"] {
        ada.get(&place.url(path)).expect(404).await;
    }
    assert_eq!((count("").await, count("&trashed=true").await), (0, 1));
    ada.post(&place.url("/restore"), json!({})).expect(200).await;
    assert_eq!(ada.get("/me/projects?count=true").expect(200).await.json()["total"], 1);
    let kinds: Vec<Value> = ada.get(&place.url("/changes")).expect(200).await.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["kind"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "project.created",
            "workflow.created",
            "project.updated",
            "project.updated",
            "project.deleted",
            "project.restored"
        ]
    );
}

#[tokio::test]
async fn the_workspace_hears_of_a_project_but_not_its_name() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let log = ada.get(&format!("/workspaces/{}/changes", place.workspace)).expect(200).await.json();
    let heard = log["items"].as_array().unwrap().iter().find(|c| c["kind"] == "workspace.project_created");
    assert_eq!(heard.unwrap()["data"], json!({ "project_id": place.project.to_string() }));
}

#[tokio::test]
async fn a_role_needs_what_its_permissions_need() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let new = |permissions: &[&str]| json!({ "name": "Tester", "permissions": permissions });
    let refused = ada.post(&place.url("/roles"), new(&["view_story", "delete_story"])).expect(422).await;
    assert_eq!(refused.fault(), "/permissions missing-permission");
    ada.post(&place.url("/roles"), new(&["fly"])).expect(422).await;
    let made = ada.post(&place.url("/roles"), new(&["view_story", "modify_story"])).expect(201).await;
    let url = made.header("location").trim_start_matches("/api/v1").to_owned();
    assert_eq!(made.json()["slug"], "tester");
    let second = ada.post(&place.url("/roles"), new(&[])).expect(201).await.json();
    assert_eq!(second["slug"], "tester-2");
    ada.patch(&url, json!({ "permissions": ["view_comment"] })).expect(422).await;
    let changed = ada.patch(&url, json!({ "name": "Reader", "permissions": ["view_story"] }));
    let changed = changed.if_match(made.etag()).expect(200).await.json();
    assert_eq!((&changed["name"], &changed["slug"]), (&json!("Reader"), &json!("tester")));
    ada.patch(&url, json!({ "name": "Late" })).if_match(made.etag()).expect(412).await;
}

#[tokio::test]
async fn the_roles_of_every_project_stay_as_they_are() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    for slug in ["owner", "admin", "readonly-member"] {
        let url = place.url(&format!("/roles/{}", role(&ada, &place, slug).await));
        let refused = ada.patch(&url, json!({ "permissions": [] })).expect(409).await;
        assert_eq!(refused.problem().1, "role-not-editable");
        ada.delete(&url).expect(409).await;
    }
    let member = place.url(&format!("/roles/{}", role(&ada, &place, "member").await));
    ada.patch(&member, json!({ "permissions": ["view_story"] })).expect(200).await;
}

#[tokio::test]
async fn a_role_in_use_goes_only_when_its_people_get_another() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    let member = role(&ada, &place, "member").await;
    let readonly = role(&ada, &place, "readonly-member").await;
    let invite = json!({ "invitations": [{ "email": "cleo@example.org", "role_id": member }] });
    ada.post(&place.url("/invitations"), invite).expect(200).await;
    app.run_jobs().await;
    let url = place.url(&format!("/roles/{member}"));
    let refused = ada.delete(&url).expect(409).await;
    assert_eq!(refused.problem().1, "role-in-use");
    ada.delete(&format!("{url}?move_to={member}")).expect(422).await;
    ada.delete(&format!("{url}?move_to={readonly}")).expect(204).await;
    ada.get(&url).expect(404).await;
    let bobs = ada.get(&place.url(&format!("/members/{}", bob.id))).expect(200).await.json();
    assert_eq!(bobs["role"], "readonly-member");
    let invitations = ada.get(&place.url("/invitations?status=pending")).expect(200).await.json();
    assert_eq!(invitations["items"][0]["role_id"], readonly);
    // The live hub takes rights away by what the log says of each person.
    let log = ada.get(&place.url("/changes")).expect(200).await.json();
    let heard = log["items"].as_array().unwrap().iter().find(|c| c["kind"] == "member.role_changed").unwrap();
    assert_eq!(heard["data"]["user_id"], bob.id.to_string());
    assert_eq!(heard["data"]["permissions"], json!(["view_story", "view_comment", "view_workflow"]));
}
