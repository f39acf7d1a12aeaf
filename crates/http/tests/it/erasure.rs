//! Nothing of a person stays when their account ends.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use crate::harness::people::{Client, PASSWORD, TestApp};

/// What only this person is called, and was called before.
const WORDS: [&str; 5] = ["zuleika", "quillfeather", "ophidian", "brambleworth", "wistaria"];

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = st::Text)]
    of_table: String,
    #[diesel(sql_type = st::Text)]
    named: String,
    #[diesel(sql_type = st::Text)]
    typed: String,
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = st::Text)]
    held: String,
}

/// Every row of every table whose column holds one of the words.
async fn found(app: &TestApp) -> Vec<String> {
    let mut conn = app.app.read().await.unwrap();
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT c.table_name::text AS of_table, c.column_name::text AS named, c.data_type::text AS typed FROM information_schema.columns c
         JOIN information_schema.tables t USING (table_schema, table_name)
         WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' ORDER BY 1, 2",
    )
    .load(&mut conn)
    .await
    .unwrap();
    assert!(columns.len() > 100, "{} columns", columns.len());
    let mut found = vec![];
    for Column { of_table, named, typed } in columns {
        let text = match typed.as_str() {
            "bytea" => format!("encode(\"{named}\", 'escape')"),
            _ => format!("\"{named}\"::text"),
        };
        let query =
            format!("SELECT {text} AS held FROM \"{of_table}\" WHERE {text} ~* '{}'", WORDS.join("|"));
        let rows: Vec<Held> = diesel::sql_query(query).load(&mut conn).await.unwrap();
        found.extend(rows.into_iter().map(|row| format!("{of_table}.{named}: {}", row.held)));
    }
    found
}

async fn keyed(client: &Client<'_>, path: &str, body: Value, status: u16) -> Value {
    let key = uuid::Uuid::now_v7().to_string();
    client.post(path).header("idempotency-key", key).json(body).await.expect(status)
}

#[tokio::test]
async fn nothing_of_a_person_stays_when_their_account_ends() {
    let app = TestApp::new().await;
    let (root, bob) = (app.admin("root").await, app.person("bob").await);
    let (root, bob) = (app.of(&root), app.of(&bob));
    let body = json!({ "email": "zuleika@example.org", "username": "quillfeather", "full_name": "Ophidian", "password": PASSWORD });
    let user = keyed(&root, "/users", body, 201).await;
    let zuleika = app.sign_in("quillfeather").await;
    let me = app.of(&zuleika);

    // Invited by somebody else, by address and by username, and a member; the author of things, too.
    let place = keyed(&bob, "/workspaces", json!({ "name": "Garden" }), 201).await;
    let place = format!("/workspaces/{}", place["id"].as_str().unwrap());
    let by_address = json!({ "invitations": [{ "email": "zuleika@example.org", "role": "member" }] });
    keyed(&bob, &format!("{place}/invitations"), by_address, 200).await;
    app.mails().await;
    let mine = me.get("/me/invitations").await.expect(200);
    let invitation = mine["items"][0]["id"].as_str().unwrap().to_owned();
    me.post(&format!("/me/invitations/{invitation}/accept")).await.expect(200);
    let other = keyed(&bob, "/workspaces", json!({ "name": "Orchard" }), 201).await;
    let other = format!("/workspaces/{}", other["id"].as_str().unwrap());
    let by_username = json!({ "invitations": [{ "username": "quillfeather", "role": "member" }] });
    keyed(&bob, &format!("{other}/invitations"), by_username, 200).await;
    let project = json!({ "name": "Beds", "template": "kanban" });
    let project = keyed(&bob, &format!("{place}/projects"), project, 201).await;
    let project = format!("/projects/{}", project["id"].as_str().unwrap());
    let roles = bob.get(&format!("{project}/roles")).await.expect(200);
    let role =
        roles["items"].as_array().unwrap().iter().find(|r| r["slug"] == "member").unwrap()["id"].clone();
    let wish = json!({ "invitations": [{ "username": "quillfeather", "role_id": role }] });
    keyed(&bob, &format!("{project}/invitations"), wish, 200).await;
    let mine = me.get("/me/invitations").await.expect(200);
    let into = |i: &&Value| i["kind"] == "project" || i["project_id"].is_string();
    let invitation =
        mine["items"].as_array().unwrap().iter().find(into).unwrap()["id"].as_str().unwrap().to_owned();
    me.post(&format!("/me/invitations/{invitation}/accept")).await.expect(200);
    let board = bob.get(&format!("{project}/workflows")).await.expect(200)["items"][0].clone();
    let board =
        bob.get(&format!("{project}/workflows/{}", board["slug"].as_str().unwrap())).await.expect(200);
    let story = json!({ "title": "Water", "status_id": board["statuses"][0]["id"] });
    let story = keyed(&me, &format!("{project}/stories"), story, 201).await;
    let story = format!("{project}/stories/{}", story["ref"]);
    keyed(&me, &format!("{story}/comments"), json!({ "body": "Every day." }), 201).await;

    // Another name, another address, a token, a reset, mails that fail to nobody's knowledge.
    let patch = json!({ "full_name": "Brambleworth", "username": "brambleworth" });
    me.patch("/me").json(patch).await.expect(200);
    let change = json!({ "email": "wistaria@example.org", "password": PASSWORD });
    me.post("/me/email").json(change).await.expect(202);
    for mail in app.mails().await.into_iter().filter(|mail| mail.text.contains("/#/change-email/")) {
        app.anonymous().post("/auth/change-email").json(json!({ "token": mail.token() })).await.expect(200);
    }
    let token = json!({ "name": "Of Zuleika", "scopes": ["read-account"] });
    me.post("/me/tokens").json(token).await.expect(201);
    app.anonymous()
        .post("/auth/reset-password/request")
        .json(json!({ "email": "wistaria@example.org" }))
        .await
        .expect(202);
    app.mails().await;
    assert!(!found(&app).await.is_empty());
    // The feed shows people as they are called now.
    let feed = async || bob.get(&format!("{project}/changes?after=0&limit=200")).await.expect(200);
    let comment = |feed: &Value| {
        feed["items"].as_array().unwrap().iter().find(|c| c["kind"] == "comment.created").unwrap()["data"]
            .clone()
    };
    assert_eq!(comment(&feed().await)["created_by"]["username"], "brambleworth");

    me.delete("/me").json(json!({ "password": PASSWORD })).await.expect(204);
    app.mails().await;
    let left = found(&app).await;
    assert!(left.is_empty(), "{left:#?}");
    let comment = comment(&feed().await);
    assert_eq!((&comment["body"], &comment["created_by"]["id"]), (&json!("Every day."), &Value::Null));
    root.get(&format!("/users/{}", user["id"].as_str().unwrap())).await.refused(404, "not-found");
}
