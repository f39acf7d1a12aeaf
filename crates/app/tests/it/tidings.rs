//! What is told of jobs while they run.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenon_app::{
    App,
    jobs::{Context, Failure, Handle},
    worker::{Worker, tidings},
};
use tenon_core::{
    ids::UserId,
    jobs::Job,
    ports::{bus::Heard, queue::Cancel},
};
use tenon_testkit::laws::soon;
use tokio_util::sync::CancellationToken;

use crate::harness::{self, House};

/// Says that it is at the half, and goes on until somebody asks for its end.
#[derive(Debug, Serialize, Deserialize)]
struct Dig {
    who: UserId,
}

impl Job for Dig {
    const NAME: &'static str = "dig";

    fn owner(&self) -> Option<UserId> {
        Some(self.who)
    }
}

impl Handle for Dig {
    async fn handle(self, cx: Context<'_>) -> Result<(), Failure> {
        cx.progress(50, "half of it");
        cx.cancelled().await;
        Err(Failure::Cancelled)
    }
}

#[tokio::test]
async fn a_job_tells_its_owner_how_far_it_is_and_administrators_what_became_of_it() {
    let house = House::new().await;
    let (db, clock) = (house.db.db().clone(), Arc::new(house.clock.clone()));
    let parts = harness::parts(db, clock, house.queue.clone(), house.post.clone()).await;
    let app = Arc::new(App::new(parts).handling::<Dig>());
    let who: UserId = app.id();
    let mut listener = app.bus.listener().await.unwrap();
    listener.listen(tidings::TOPIC).await.unwrap();
    listener.listen(&tidings::topic_of(who)).await.unwrap();
    let mut hear = async |wanted: &str, state: &str| loop {
        let Heard::Message { topic, body } = soon(listener.next()).await else { continue };
        let mut told: Value = serde_json::from_slice(&body).unwrap();
        if topic == tidings::TOPIC {
            told = told["jobs"][0].take();
        }
        let is_wanted = topic == wanted && told["state"] == state;
        if is_wanted && (state != "running" || told["progress"] == 50) {
            return told;
        }
    };
    let dig = tenon_app::write::new_job(app.id(), &Dig { who }, app.now(), None).unwrap();
    app.queue.push(vec![dig.clone()]).await.unwrap();
    let shutdown = CancellationToken::new();
    let worker = Worker {
        app: app.clone(),
        name: "test".to_owned(),
        queues: vec!["default".to_owned()],
        concurrency: 1,
        prefetch: 0,
        lease: Duration::from_secs(3),
        grace: Duration::from_secs(5),
    };
    let test = async {
        let told = hear(&tidings::topic_of(who), "running").await;
        assert_eq!(told["progress_note"], json!("half of it"));
        assert_eq!(hear(tidings::TOPIC, "running").await["id"], json!(dig.id));
        assert_eq!(app.queue.cancel(dig.id).await.unwrap(), Cancel::Asked);
        hear(&tidings::topic_of(who), "cancelled").await;
        hear(tidings::TOPIC, "cancelled").await;
        shutdown.cancel();
    };
    tokio::join!(worker.run(shutdown.clone()), test);
}
