//! Members of workspaces and projects.

use serde_json::{Value, json};

use crate::harness::app::{Actor, Place, TestApp};

async fn role(who: &Actor, place: &Place, slug: &str) -> String {
    let roles = who.get(&place.url("/roles")).expect(200).await.json();
    let found = roles["items"].as_array().unwrap().iter().find(|r| r["slug"] == slug).unwrap().clone();
    found["id"].as_str().unwrap().to_owned()
}

fn workspace(place: &Place, rest: &str) -> String {
    format!("/workspaces/{}{rest}", place.workspace)
}

/// Makes a member of the project's workspace something else there.
async fn promote(owner: &Actor, place: &Place, person: &Actor, role: &str) {
    let url = workspace(place, &format!("/members/{}", person.id));
    owner.patch(&url, json!({ "role": role })).expect(200).await;
}

async fn kinds(who: &Actor, path: &str) -> Vec<String> {
    let log = who.get(&format!("{path}?limit=200")).expect(200).await.json();
    log["items"].as_array().unwrap().iter().map(|c| c["kind"].as_str().unwrap().to_owned()).collect()
}

async fn people(who: &Actor, path: &str) -> Vec<(String, String)> {
    let list = who.get(path).expect(200).await.json();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let people = list["items"].as_array().unwrap().iter();
    let mut people: Vec<_> = people.map(|m| (text(&m["user"]["username"]), text(&m["role"]))).collect();
    people.sort();
    people
}

#[tokio::test]
async fn only_owners_touch_owners_or_make_one() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let (bob, cleo) = (app.user("bob").await, app.user("cleo").await);
    app.join(&place, &ada, &bob, "admin").await;
    app.join(&place, &ada, &cleo, "member").await;
    promote(&ada, &place, &bob, "admin").await;
    let owner = role(&ada, &place, "owner").await;
    let member = role(&ada, &place, "member").await;
    for (base, to_owner, to_member) in [
        (place.url("/members"), json!({ "role_id": owner }), json!({ "role_id": member })),
        (workspace(&place, "/members"), json!({ "role": "owner" }), json!({ "role": "member" })),
    ] {
        let (of_ada, of_cleo) = (format!("{base}/{}", ada.id), format!("{base}/{}", cleo.id));
        bob.patch(&of_cleo, to_owner.clone()).expect(403).await;
        bob.patch(&of_ada, to_member.clone()).expect(403).await;
        bob.delete(&of_ada).expect(403).await;
        cleo.patch(&of_cleo, to_member.clone()).expect(403).await;
        bob.patch(&of_cleo, to_member.clone()).expect(200).await;
        let refused = ada.patch(&of_ada, to_member.clone()).expect(409).await;
        assert_eq!(refused.problem().1, "last-owner");
        assert_eq!(ada.delete(&of_ada).expect(409).await.problem().1, "last-owner");
        ada.patch(&of_cleo, to_owner).expect(200).await;
        ada.patch(&of_ada, to_member).expect(200).await;
    }
}

#[tokio::test]
async fn a_role_is_changed_only_by_who_has_seen_the_present_one() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    let url = place.url(&format!("/members/{}", bob.id));
    let seen = ada.get(&url).expect(200).await.etag();
    let admin = json!({ "role_id": role(&ada, &place, "admin").await });
    ada.patch(&url, admin.clone()).if_match(&seen).expect(200).await;
    ada.patch(&url, admin).if_match(&seen).expect(412).await;
    ada.delete(&url).if_match(&seen).expect(412).await;
    let unknown = json!({ "role_id": place.project.to_string() });
    assert_eq!(ada.patch(&url, unknown).expect(422).await.fault(), "/role_id unknown-role");
}

#[tokio::test]
async fn who_is_removed_from_a_project_stays_in_the_workspace() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    bob.get(&place.url("")).expect(200).await;
    ada.delete(&place.url(&format!("/members/{}", bob.id))).expect(204).await;
    ada.delete(&place.url(&format!("/members/{}", bob.id))).expect(404).await;
    bob.get(&place.url("")).expect(404).await;
    bob.get(&workspace(&place, "")).expect(200).await;
    assert!(kinds(&ada, &place.url("/changes")).await.contains(&"member.removed".to_owned()));
    assert!(kinds(&bob, "/me/changes").await.contains(&"project.left".to_owned()));
}

#[tokio::test]
async fn removing_from_a_workspace_removes_from_its_projects_and_takes_invitations_back() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let (bob, cleo) = (app.user("bob").await, app.user("cleo").await);
    app.join(&place, &ada, &bob, "member").await;
    app.join(&place, &ada, &cleo, "member").await;
    promote(&ada, &place, &bob, "member").await;
    // A project that Bob alone owns, with Cleo in it; one he alone is in; one he is invited to.
    let new = |name: &str| json!({ "name": name });
    let alone = bob.post(&workspace(&place, "/projects"), new("Alone")).expect(201).await.json();
    let shared = bob.post(&workspace(&place, "/projects"), new("Shared")).expect(201).await.json();
    let invited = ada.post(&workspace(&place, "/projects"), new("Invited")).expect(201).await.json();
    let url = |project: &Value, rest: &str| format!("/projects/{}{rest}", project["id"].as_str().unwrap());
    let member = ada.get(&url(&invited, "/roles")).expect(200).await.json()["items"][2]["id"].clone();
    let wish = json!({ "invitations": [{ "username": "bob", "role_id": member }] });
    ada.post(&url(&invited, "/invitations"), wish).expect(200).await;
    let member = bob.get(&url(&shared, "/roles")).expect(200).await.json()["items"][2]["id"].clone();
    let wish = json!({ "invitations": [{ "username": "cleo", "role_id": member }] });
    let made = bob.post(&url(&shared, "/invitations"), wish).expect(200).await.json();
    let id = made["invitations"][0]["id"].as_str().unwrap().to_owned();
    cleo.post(&format!("/me/invitations/{id}/accept"), json!({})).expect(200).await;
    app.run_jobs().await;

    ada.delete(&workspace(&place, &format!("/members/{}", bob.id))).expect(204).await;

    for path in [workspace(&place, ""), place.url(""), url(&alone, ""), url(&shared, "")] {
        bob.get(&path).expect(404).await;
    }
    assert!(bob.get("/me/invitations").expect(200).await.json()["items"].as_array().unwrap().is_empty());
    let taken_back = ada.get(&url(&invited, "/invitations")).expect(200).await.json();
    assert_eq!(taken_back["items"][0]["status"], "revoked");
    assert_eq!(people(&ada, &url(&alone, "/members")).await, [("ada".to_owned(), "owner".to_owned())]);
    assert_eq!(
        people(&ada, &url(&shared, "/members")).await,
        [("ada".to_owned(), "owner".to_owned()), ("cleo".to_owned(), "member".to_owned())]
    );
    assert_eq!(
        people(&ada, &workspace(&place, "/members")).await,
        [("ada".to_owned(), "owner".to_owned()), ("cleo".to_owned(), "readonly-member".to_owned())]
    );
    for path in [workspace(&place, "/changes"), place.url("/changes"), url(&shared, "/changes")] {
        assert!(kinds(&ada, &path).await.contains(&"member.removed".to_owned()), "{path}");
    }
    let bobs = kinds(&bob, "/me/changes").await;
    assert_eq!(bobs.iter().filter(|k| *k == "project.left").count(), 3);
    assert_eq!(bobs.iter().filter(|k| *k == "workspace.left").count(), 1);
    assert!(kinds(&ada, "/me/changes").await.iter().filter(|k| *k == "project.joined").count() >= 4);
}

#[tokio::test]
async fn what_an_admin_removes_passes_to_an_owner() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let (bob, cleo) = (app.user("bob").await, app.user("cleo").await);
    app.join(&place, &ada, &bob, "member").await;
    app.join(&place, &ada, &cleo, "member").await;
    promote(&ada, &place, &bob, "admin").await;
    promote(&ada, &place, &cleo, "member").await;
    let made = cleo.post(&workspace(&place, "/projects"), json!({ "name": "Hers" })).expect(201).await.json();
    bob.delete(&workspace(&place, &format!("/members/{}", cleo.id))).expect(204).await;
    let members = format!("/projects/{}/members", made["id"].as_str().unwrap());
    assert_eq!(people(&ada, &members).await, [("ada".to_owned(), "owner".to_owned())]);
    bob.get(&members).expect(404).await;
}

#[tokio::test]
async fn a_sole_owner_leaves_only_by_naming_a_successor() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    let eve = app.user("eve").await;
    app.join(&place, &ada, &bob, "member").await;
    for leave in [place.url("/leave"), workspace(&place, "/leave")] {
        let refused = ada.post(&leave, json!({})).expect(409).await;
        assert_eq!(refused.problem().1, "last-owner");
        for wrong in [eve.id, ada.id] {
            let refused = ada.post(&leave, json!({ "successor": wrong.to_string() })).expect(422).await;
            assert_eq!(refused.fault(), "/successor not-a-member");
        }
    }
    let named = json!({ "successor": bob.id.to_string() });
    ada.post(&workspace(&place, "/leave"), named).expect(204).await;
    ada.get(&workspace(&place, "")).expect(404).await;
    ada.get(&place.url("")).expect(404).await;
    let owner = [("bob".to_owned(), "owner".to_owned())];
    assert_eq!(people(&bob, &workspace(&place, "/members")).await, owner);
    assert_eq!(people(&bob, &place.url("/members")).await, owner);
}

#[tokio::test]
async fn a_member_leaves_as_they_like() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "member").await;
    bob.post(&place.url("/leave"), json!({})).expect(204).await;
    bob.get(&place.url("")).expect(404).await;
    bob.post(&workspace(&place, "/leave"), json!({})).expect(204).await;
    bob.get(&workspace(&place, "")).expect(404).await;
}

#[tokio::test]
async fn two_owners_who_leave_at_once_do_not_both_go() {
    let (app, ada) = TestApp::with_user("ada").await;
    let place = app.project_of(&ada).await;
    let bob = app.user("bob").await;
    app.join(&place, &ada, &bob, "owner").await;
    promote(&ada, &place, &bob, "owner").await;
    for leave in [place.url("/leave"), workspace(&place, "/leave")] {
        let (one, two) = tokio::join!(ada.post(&leave, json!({})).send(), bob.post(&leave, json!({})).send());
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409], "{leave}");
    }
}
