//! What nobody asks for is done all the same, once.

use std::time::Duration;

use tenon_app::scheduler;
use tenon_db::leader::{Candidate, SCHEDULER};

use crate::harness::House;

#[tokio::test]
async fn a_tick_is_enqueued_once_whoever_believes_to_lead() {
    let house = House::new().await;
    assert_eq!(scheduler::enqueue_due(&house.app).await.unwrap(), ["purge_expired"]);
    let (one, two) = tokio::join!(scheduler::enqueue_due(&house.app), scheduler::enqueue_due(&house.app));
    assert!(one.unwrap().is_empty() && two.unwrap().is_empty());
    house.clock.advance(Duration::from_hours(1));
    let (one, two) = tokio::join!(scheduler::enqueue_due(&house.app), scheduler::enqueue_due(&house.app));
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 1);
}

#[tokio::test]
async fn a_tick_missed_for_long_is_left_out_and_a_fresh_one_made_up() {
    let house = House::new().await;
    // The clock stands at 03:04:05.
    house.clock.advance(Duration::from_mins(6));
    assert!(scheduler::enqueue_due(&house.app).await.unwrap().is_empty(), "03:10:05 is too late for 03:00");
    house.clock.advance(Duration::from_mins(59));
    assert_eq!(scheduler::enqueue_due(&house.app).await.unwrap().len(), 1, "04:09:05 is not for 04:00");
}

#[tokio::test]
async fn one_leads_and_another_follows_when_it_goes() {
    let house = House::new().await;
    let mut one = Candidate::stand(house.db.db(), SCHEDULER).await.unwrap();
    let mut two = Candidate::stand(house.db.db(), SCHEDULER).await.unwrap();
    assert!(one.leads().await.unwrap());
    assert!(one.leads().await.unwrap(), "and goes on leading");
    assert!(!two.leads().await.unwrap());
    drop(one);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !two.leads().await.unwrap() {
        assert!(tokio::time::Instant::now() < deadline, "the leadership was not taken over");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An upgrade migrates while the old release's scheduler still leads.
#[tokio::test]
async fn l35_a_migration_does_not_wait_for_the_leader() {
    let house = House::new().await;
    let mut leader = Candidate::stand(house.db.db(), SCHEDULER).await.unwrap();
    assert!(leader.leads().await.unwrap());
    let migrating = tenon_db::migrations::run(house.db.db());
    let applied =
        tokio::time::timeout(Duration::from_secs(10), migrating).await.expect("it waits for the leader");
    assert!(applied.unwrap().is_empty());
}
