//! Jobs, queues and schedules, for administrators.

use serde_json::{Value, json};
use tenon_app::worker::run_until_idle;
use tenon_core::ports::queue::NewJob;
use uuid::Uuid;

use crate::harness::people::TestApp;

fn states(page: &Value) -> Vec<(&str, &str)> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|job| (job["name"].as_str().unwrap(), job["state"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_job_is_seen_from_waiting_to_done() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    let root = app.of(&root);
    root.post("/schedules/sweep_blobs/run-now").await.expect(204);
    let waiting = root.get("/jobs?state=waiting").await.expect(200);
    assert_eq!(states(&waiting), [("sweep_blobs", "waiting")]);
    let id = waiting["items"][0]["id"].as_str().unwrap().to_owned();
    app.run_jobs().await;
    let done = root.get(&format!("/jobs/{id}")).await.expect(200);
    assert_eq!(
        (&done["state"], &done["attempts"], &done["error"]),
        (&json!("done"), &json!(1), &Value::Null)
    );
    assert_eq!(states(&root.get("/jobs?state=waiting").await.expect(200)), [("", ""); 0]);
    assert_eq!(
        states(&root.get("/jobs?queue=default&name=sweep_blobs&limit=1").await.expect(200)),
        [("sweep_blobs", "done")]
    );
    for (verb, code) in [("retry", "job-not-dead"), ("cancel", "job-ended"), ("run-now", "job-not-waiting")] {
        root.post(&format!("/jobs/{id}/{verb}")).await.refused(409, code);
    }
    root.delete(&format!("/jobs/{id}")).await.refused(409, "job-not-dead");
}

#[tokio::test]
async fn a_cancelled_job_never_runs() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    let root = app.of(&root);
    root.post("/schedules/sweep_blobs/run-now").await.expect(204);
    let waiting = root.get("/jobs?state=waiting").await.expect(200);
    let job = format!("/jobs/{}", waiting["items"][0]["id"].as_str().unwrap());
    assert_eq!(root.post(&format!("{job}/run-now")).await.expect(200)["state"], "waiting");
    assert_eq!(root.post(&format!("{job}/cancel")).await.expect(200)["state"], "cancelled");
    assert_eq!(app.run_jobs().await, 0);
}

#[tokio::test]
async fn a_running_job_can_be_cancelled_and_nothing_else() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    let root = app.of(&root);
    root.post("/schedules/sweep_blobs/run-now").await.expect(204);
    let lease = std::time::Duration::from_secs(30);
    let held = app.app.queue.fetch("w", &["default".to_owned()], 1, lease).await.unwrap();
    let job = format!("/jobs/{}", held[0].id);
    for (verb, code) in [("retry", "job-not-dead"), ("run-now", "job-not-waiting")] {
        root.post(&format!("{job}/{verb}")).await.refused(409, code);
    }
    root.delete(&job).await.refused(409, "job-not-dead");
    let asked = root.post(&format!("{job}/cancel")).await.expect(200);
    assert_eq!((&asked["state"], &asked["cancel_asked"]), (&json!("running"), &json!(true)));
}

#[tokio::test]
async fn a_dead_job_is_tried_again_or_forgotten() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    let root = app.of(&root);
    let id = Uuid::now_v7();
    let unknown = NewJob {
        id: id.into(),
        name: "make_coffee".to_owned(),
        payload: json!({ "cups": 2 }),
        queue: "default".to_owned(),
        priority: 0,
        run_at: app.app.now(),
        max_attempts: 3,
        attempts: 0,
        correlation_id: Some("request-1".to_owned()),
        lock: None,
        unique_key: None,
    };
    app.app.queue.push(vec![unknown]).await.unwrap();
    let dies = async || run_until_idle(&app.app, &["default".to_owned()]).await.unwrap();
    dies().await;
    let job = root.get(&format!("/jobs/{id}")).await.expect(200);
    assert_eq!((&job["state"], &job["error"]), (&json!("dead"), &json!("unknown job make_coffee")));
    assert_eq!((&job["payload"]["cups"], &job["correlation_id"]), (&json!(2), &json!("request-1")));
    assert_eq!((&job["errors"][0]["attempt"], &job["errors"][0]["error"]), (&json!(1), &job["error"]));
    let queues = root.get("/queues").await.expect(200);
    assert_eq!(queues[0]["dead"], 1);
    assert_eq!(queues[0]["jobs"], json!([{ "name": "make_coffee", "waiting": 0, "running": 0, "dead": 1 }]));
    let again = root.post(&format!("/jobs/{id}/retry")).await.expect(200);
    assert_eq!((&again["state"], &again["attempts"]), (&json!("waiting"), &json!(0)));
    dies().await;
    root.delete(&format!("/jobs/{id}")).await.expect(204);
    root.get(&format!("/jobs/{id}")).await.refused(404, "not-found");
}

#[tokio::test]
async fn a_paused_queue_keeps_its_jobs() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    let root = app.of(&root);
    root.post("/schedules/sweep_blobs/run-now").await.expect(204);
    root.post("/queues/default/pause").await.expect(204);
    assert_eq!(app.run_jobs().await, 0);
    let queues = root.get("/queues").await.expect(200);
    assert_eq!(
        (&queues[0]["name"], &queues[0]["is_paused"], &queues[0]["waiting"]),
        (&json!("default"), &json!(true), &json!(1))
    );
    root.post("/queues/default/resume").await.expect(204);
    assert_eq!(app.run_jobs().await, 1);
    for unknown in ["nosuch", "not%20a%20queue", "a%00b"] {
        root.post(&format!("/queues/{unknown}/pause")).await.refused(404, "not-found");
        root.get(&format!("/jobs?queue={unknown}")).await.refused(422, "invalid");
        root.get(&format!("/jobs?name={unknown}")).await.refused(422, "invalid");
    }
    let mistyped = root.post("/queues/mial/pause").await.expect(404);
    assert_eq!(mistyped["detail"], "There is no queue mial; did you mean mail?");
    let mistyped = root.post("/schedules/sweep_blob/run-now").await.expect(404);
    assert_eq!(mistyped["detail"], "There is no schedule sweep_blob; did you mean sweep_blobs?");
    root.post("/queues/mail/pause").await.expect(204);
    root.post("/queues/mail/resume").await.expect(204);
}

#[tokio::test]
async fn schedules_tell_their_next_tick() {
    let app = TestApp::new().await;
    let root = app.admin("root").await;
    let root = app.of(&root);
    let schedules = root.get("/schedules").await.expect(200);
    let purge = schedules.as_array().unwrap().iter().find(|s| s["name"] == "purge_expired").unwrap();
    assert_eq!((&purge["cron"], &purge["time_zone"]), (&json!("0 * * * *"), &json!("UTC")));
    assert_eq!((&purge["is_enabled"], &purge["last_tick"]), (&json!(true), &Value::Null));
    assert_eq!(purge["next_tick"], "2026-01-02T04:00:00Z");
    root.post("/schedules/make_coffee/run-now").await.refused(404, "not-found");
}

#[tokio::test]
async fn jobs_are_for_administrators() {
    let (app, ada) = TestApp::with_person("ada").await;
    let ada = app.of(&ada);
    let job = format!("/jobs/{}", Uuid::nil());
    for path in ["/jobs", &job, "/queues", "/schedules"] {
        ada.get(path).await.refused(403, "forbidden");
        app.anonymous().get(path).await.refused(401, "unauthenticated");
    }
    ada.post("/queues/mail/pause").await.refused(403, "forbidden");
    let root = app.admin("root").await;
    app.of(&root).get(&job).await.refused(404, "not-found");
    app.of(&root).get("/jobs?count=true").await.refused(422, "invalid");
}
