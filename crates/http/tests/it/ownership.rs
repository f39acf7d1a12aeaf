//! Workspaces and projects keep an owner who can act, whatever administrators do.

use serde_json::{Value, json};

use crate::harness::app::{Actor, PASSWORD, Place, TestApp};

/// Chief owns a project and its workspace, Plain is in both, Root administers the instance.
struct House {
    app: TestApp,
    place: Place,
    chief: Actor,
    plain: Actor,
    root: Actor,
}

impl House {
    async fn new() -> Self {
        let (app, chief) = TestApp::with_user("chief").await;
        let place = app.project_of(&chief).await;
        let (plain, root) = (app.user("plain").await, app.user("root").await);
        app.make_admin(&root, true).await;
        app.join(&place, &chief, &plain, "member").await;
        Self { app, place, chief, plain, root }
    }
    fn workspace(&self, rest: &str) -> String {
        format!("/workspaces/{}{rest}", self.place.workspace)
    }
    async fn set_active(&self, who: &Actor, is_active: bool) -> Value {
        let patch = json!({ "is_active": is_active });
        self.root.patch(&format!("/users/{}", who.id), patch).expect(200).await.json()
    }
    async fn project_owner_role(&self) -> Value {
        self.plain.get(&self.place.url("/roles")).expect(200).await.json()["items"][0]["id"].clone()
    }
}

fn names(places: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut names: Vec<_> =
        places.as_array().unwrap().iter().map(|p| (text(&p["kind"]), text(&p["name"]))).collect();
    names.sort();
    names
}

fn both() -> Vec<(String, String)> {
    [("project", "Web site"), ("workspace", "Works")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
}

fn user(who: &Actor) -> Value {
    json!({ "user_id": who.id.to_string() })
}

#[tokio::test]
async fn deactivating_a_sole_owner_says_what_is_left_without_one_before_and_after() {
    let h = House::new().await;
    // What only the chief is in is nobody else's loss.
    h.chief.post("/workspaces", json!({ "name": "Private" })).expect(201).await;
    let sole = format!("/users/{}/sole-ownerships", h.chief.id);
    assert_eq!(names(&h.root.get(&sole).expect(200).await.json()["items"]), both());
    assert_eq!(h.root.get("/ownerless").expect(200).await.json()["items"], json!([]));
    let changed = h.set_active(&h.chief, false).await;
    assert_eq!(names(&changed["without_owner"]), both());
    assert_eq!(changed["is_active"], false);
    let ownerless = h.root.get("/ownerless").expect(200).await.json();
    assert_eq!(ownerless["items"].as_array().unwrap().len(), 3);
    let first = h.root.get("/ownerless?limit=2").expect(200).await.json();
    let next = format!("/ownerless?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = h.root.get(&next).expect(200).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let back = h.set_active(&h.chief, true).await;
    assert_eq!(back["without_owner"], json!([]));
    assert_eq!(h.root.get("/ownerless").expect(200).await.json()["items"], json!([]));
}

#[tokio::test]
async fn an_administrator_gives_what_has_no_active_owner_a_new_one_and_the_log_says_so() {
    let h = House::new().await;
    let to_project = h.place.url("/set-owner");
    let to_workspace = h.workspace("/set-owner");
    // While somebody owns it who can act, it is theirs to give.
    for url in [&to_project, &to_workspace] {
        assert_eq!(h.root.post(url, user(&h.root)).expect(409).await.problem().1, "has-owner");
    }
    h.chief.patch(&h.place.url(""), json!({ "archived": true })).expect(200).await;
    h.set_active(&h.chief, false).await;
    for url in [&to_project, &to_workspace] {
        h.plain.post(url, user(&h.plain)).expect(403).await;
        assert_eq!(h.root.post(url, user(&h.chief)).expect(422).await.fault(), "/user_id not-active");
        let nobody = json!({ "user_id": uuid::Uuid::nil() });
        assert_eq!(h.root.post(url, nobody).expect(422).await.fault(), "/user_id unknown-user");
        h.root.post(url, user(&h.plain)).expect(200).await;
        assert_eq!(h.root.post(url, user(&h.root)).expect(409).await.problem().1, "has-owner");
    }
    assert_eq!(h.root.get("/ownerless").expect(200).await.json()["items"], json!([]));
    for (log, role) in [(h.place.url("/changes"), "owner"), (h.workspace("/changes"), "owner")] {
        let log = h.plain.get(&log).expect(200).await.json();
        let last = log["items"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["kind"], &last["data"]["role"]), (&json!("member.role_changed"), &json!(role)));
        assert_eq!(last["actor"]["username"], "root");
    }
    // The new owner can do what owners do.
    h.plain.patch(&h.place.url(""), json!({ "archived": false })).expect(200).await;
    h.plain.delete(&h.place.url(&format!("/members/{}", h.chief.id))).expect(204).await;
    h.plain.delete(&h.workspace(&format!("/members/{}", h.chief.id))).expect(204).await;
}

#[tokio::test]
async fn a_new_owner_comes_in_where_they_were_not() {
    let h = House::new().await;
    let fresh = h.app.user("fresh").await;
    h.set_active(&h.chief, false).await;
    let member = h.root.post(&h.place.url("/set-owner"), user(&fresh)).expect(200).await.json();
    assert_eq!((&member["role"], &member["user"]["username"]), (&json!("owner"), &json!("fresh")));
    assert_eq!(fresh.get(&h.workspace("")).expect(200).await.json()["role"], "readonly-member");
    h.root.post(&h.workspace("/set-owner"), user(&h.root)).expect(200).await;
    assert_eq!(h.root.get(&h.workspace("")).expect(200).await.json()["role"], "owner");
    let log = fresh.get("/me/changes").expect(200).await.json();
    let kinds: Vec<&Value> = log["items"].as_array().unwrap().iter().map(|c| &c["kind"]).collect();
    assert!(kinds.contains(&&json!("project.joined")) && kinds.contains(&&json!("workspace.joined")));
    for url in
        ["/projects/00000000-0000-7000-8000-000000000000", "/workspaces/00000000-0000-7000-8000-000000000000"]
    {
        h.root.post(&format!("{url}/set-owner"), user(&fresh)).expect(404).await;
    }
}

#[tokio::test]
async fn what_is_in_the_trash_can_be_given_an_owner_who_takes_it_back() {
    let h = House::new().await;
    h.chief.delete(&h.place.url("")).expect(204).await;
    h.set_active(&h.chief, false).await;
    h.root.post(&h.place.url("/set-owner"), user(&h.plain)).expect(200).await;
    h.plain.post(&h.place.url("/restore"), json!({})).expect(200).await;
}

#[tokio::test]
async fn an_owner_who_is_deactivated_does_not_count_as_one() {
    let h = House::new().await;
    // Two owners; one is deactivated. The other is the last.
    let owner = h.project_owner_role().await;
    h.chief
        .patch(&h.place.url(&format!("/members/{}", h.plain.id)), json!({ "role_id": owner }))
        .expect(200)
        .await;
    let of_plain = h.workspace(&format!("/members/{}", h.plain.id));
    h.chief.patch(&of_plain, json!({ "role": "owner" })).expect(200).await;
    assert_eq!(h.set_active(&h.chief, false).await["without_owner"], json!([]));
    let low = h.plain.get(&h.place.url("/roles")).expect(200).await.json()["items"][2]["id"].clone();
    let me = h.place.url(&format!("/members/{}", h.plain.id));
    let refused = [
        h.plain.post(&h.place.url("/leave"), json!({})).send().await,
        h.plain.post(&h.workspace("/leave"), json!({})).send().await,
        h.plain.patch(&me, json!({ "role_id": low })).send().await,
        h.plain.delete(&me).send().await,
        h.plain.patch(&of_plain, json!({ "role": "member" })).send().await,
        h.plain.delete(&of_plain).send().await,
    ];
    for refused in refused {
        assert_eq!(refused.problem(), (409, "last-owner".to_owned()));
    }
    // Nor is it a successor.
    for url in [h.place.url("/leave"), h.workspace("/leave")] {
        let named = json!({ "successor": h.chief.id.to_string() });
        assert_eq!(h.plain.post(&url, named).expect(422).await.fault(), "/successor not-active");
    }
    // Nor does the account go.
    assert_eq!(
        h.plain.delete("/me").json(json!({ "password": PASSWORD })).expect(409).await.problem().1,
        "sole-owner"
    );
    assert_eq!(h.set_active(&h.plain, false).await["without_owner"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_inherits_while_a_workspace_has_no_active_owner() {
    let h = House::new().await;
    let admin = h.app.user("deputy").await;
    h.app.join(&h.place, &h.chief, &admin, "member").await;
    for (who, role) in [(&admin, "admin"), (&h.plain, "member")] {
        let url = h.workspace(&format!("/members/{}", who.id));
        h.chief.patch(&url, json!({ "role": role })).expect(200).await;
    }
    h.plain.post(&h.workspace("/projects"), json!({ "name": "Hers" })).expect(201).await;
    h.set_active(&h.chief, false).await;
    let of_plain = h.workspace(&format!("/members/{}", h.plain.id));
    assert_eq!(admin.delete(&of_plain).expect(409).await.problem().1, "no-active-owner");
    assert_eq!(
        h.plain.post(&h.workspace("/leave"), json!({})).expect(409).await.problem().1,
        "no-active-owner"
    );
    h.root.post(&h.workspace("/set-owner"), user(&admin)).expect(200).await;
    admin.delete(&of_plain).expect(204).await;
}
