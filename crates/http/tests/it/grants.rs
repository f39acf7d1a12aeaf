//! Nobody grants what they do not hold, whatever the way.

use serde_json::{Value, json};

use crate::harness::app::{Actor, Place, TestApp};

/// A project with an owner, an admin, and a gatekeeper: somebody who may invite, see stories and change roles.
struct House {
    app: TestApp,
    place: Place,
    owner: Actor,
    admin: Actor,
    gate: Actor,
    other: Actor,
}

const GATE: [&str; 3] = ["create_modify_member", "create_modify_delete_role", "view_story"];

impl House {
    async fn new() -> Self {
        let (app, owner) = TestApp::with_user("owner").await;
        let place = app.project_of(&owner).await;
        let (admin, gate, other) =
            (app.user("deputy").await, app.user("gate").await, app.user("other").await);
        app.join(&place, &owner, &admin, "admin").await;
        let house = Self { app, place, owner, admin, gate, other };
        house.role("gatekeeper", &GATE).await;
        house.role("guest", &["view_story"]).await;
        house.app.join(&house.place, &house.owner, &house.gate, "gatekeeper").await;
        house.app.join(&house.place, &house.owner, &house.other, "readonly-member").await;
        house
    }
    async fn role(&self, name: &str, permissions: &[&str]) -> String {
        let new = json!({ "name": name, "permissions": permissions });
        let made = self.owner.post(&self.place.url("/roles"), new).expect(201).await.json();
        made["id"].as_str().unwrap().to_owned()
    }
    async fn id(&self, slug: &str) -> String {
        let roles = self.owner.get(&self.place.url("/roles")).expect(200).await.json();
        let found = roles["items"].as_array().unwrap().iter().find(|r| r["slug"] == slug).unwrap().clone();
        found["id"].as_str().unwrap().to_owned()
    }
    fn member(&self, who: &Actor) -> String {
        self.place.url(&format!("/members/{}", who.id))
    }
    async fn invitation(&self, slug: &str) -> String {
        let email = format!("{}@example.org", uuid::Uuid::now_v7().simple());
        let wish = json!({ "invitations": [{ "email": email, "role_id": self.id(slug).await }] });
        let made = self.owner.post(&self.place.url("/invitations"), wish).expect(200).await.json();
        made["invitations"][0]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold_by_any_operation() {
    let h = House::new().await;
    let (gate, admin) = (&h.gate, &h.admin);
    let roles = h.place.url("/roles");
    let role = |id: &str| h.place.url(&format!("/roles/{id}"));
    let given = |id: &str| json!({ "role_id": id });
    let invite = |id: &str| json!({ "invitations": [{ "email": "x@example.org", "role_id": id }] });
    let permissions = |words: &[&str]| json!({ "name": "Made", "permissions": words });
    let (id_admin, id_member, id_guest) = (h.id("admin").await, h.id("member").await, h.id("guest").await);
    let (id_gate, id_owner) = (h.id("gatekeeper").await, h.id("owner").await);
    let sent = h.place.url(&format!("/invitations/{}", h.invitation("guest").await));
    let passing = h.role("passing", &["view_story"]).await;
    h.owner.patch(&h.member(&h.other), given(&passing)).expect(200).await;
    let move_to = |id: &str| format!("{}?move_to={id}", role(&passing));
    let deletes = json!(["modify_project", "delete_project"]);
    let table = [
        (
            "role edit",
            gate.patch(&role(&id_guest), json!({ "permissions": ["view_story", "modify_story"] })),
            403,
        ),
        (
            "edit of one's own role",
            gate.patch(&role(&id_gate), json!({ "permissions": ["modify_project"] })),
            403,
        ),
        ("role edit by an admin", admin.patch(&role(&id_member), json!({ "permissions": deletes })), 403),
        ("role creation", gate.post(&roles, permissions(&["view_story", "modify_story"])), 403),
        (
            "role creation by an admin",
            admin.post(&roles, permissions(&["modify_project", "delete_project"])),
            403,
        ),
        ("change of one's own role", gate.patch(&h.member(gate), given(&id_admin)), 403),
        ("change of one's own role to owner", gate.patch(&h.member(gate), given(&id_owner)), 403),
        ("admin to owner", admin.patch(&h.member(admin), given(&id_owner)), 403),
        ("role change", gate.patch(&h.member(&h.other), given(&id_admin)), 403),
        ("invitation", gate.post(&h.place.url("/invitations"), invite(&id_admin)), 403),
        ("invitation of a member", gate.post(&h.place.url("/invitations"), invite(&id_member)), 403),
        ("role of an invitation", gate.patch(&sent, given(&id_admin)), 403),
        ("move_to", gate.delete(&move_to(&id_admin)), 403),
        ("move_to owner by an admin", admin.delete(&move_to(&id_owner)), 403),
        ("what one holds: role", gate.post(&roles, permissions(&["view_story"])), 201),
        ("what one holds: another name", gate.patch(&role(&id_member), json!({ "name": "Crew" })), 200),
        (
            "what one holds: fewer permissions",
            gate.patch(&role(&id_member), permissions(&["view_story"])),
            200,
        ),
        ("what one holds: invitation", gate.post(&h.place.url("/invitations"), invite(&id_guest)), 200),
        ("what one holds: role of an invitation", gate.patch(&sent, given(&id_gate)), 200),
        ("what one holds: role change", gate.patch(&h.member(&h.other), given(&id_gate)), 200),
        ("what one holds: move_to", gate.delete(&move_to(&id_guest)), 204),
        ("an admin makes admins", admin.patch(&h.member(&h.other), given(&id_admin)), 200),
        ("an owner grants all", h.owner.patch(&role(&id_guest), json!({ "permissions": deletes })), 200),
    ];
    let mut wrong = vec![];
    for (what, call, status) in table {
        let answer = call.send().await;
        if answer.status != status {
            wrong.push(format!("{what}: {} {}", answer.status, answer.json()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What was refused left nothing: the gatekeeper still is one.
    assert_eq!(gate.get(&h.member(gate)).expect(200).await.json()["role"], "gatekeeper");
    h.app.run_jobs().await;
}

#[tokio::test]
async fn a_refusal_says_what_is_not_held() {
    let h = House::new().await;
    let new = json!({ "name": "x", "permissions": ["modify_project", "delete_project"] });
    let refused = h.admin.post(&h.place.url("/roles"), new).expect(403).await.json();
    assert_eq!(refused["detail"], "You may not grant delete_project, which you do not hold.");
}

#[tokio::test]
async fn only_administrators_make_tokens_that_administer() {
    let (app, ada) = TestApp::with_user("ada").await;
    let new = json!({ "name": "ci", "scopes": ["read-account", "admin"] });
    let refused = ada.post("/me/tokens", new.clone()).expect(403).await;
    assert_eq!(refused.problem().1, "forbidden");
    assert_eq!(ada.get("/me/tokens").expect(200).await.json()["items"], json!([]));
    app.make_admin(&ada, true).await;
    let made: Value = ada.post("/me/tokens", new).expect(201).await.json();
    assert_eq!(made["scopes"], json!(["read-account", "admin"]));
}
