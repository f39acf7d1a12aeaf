//! What nobody asks for is done all the same, once.

use std::{collections::BTreeSet, time::Duration};

use tenon_app::{scheduler, worker::run_until_idle};
use tenon_core::users::Timezone;
use tenon_db::{
    leader::{Candidate, SCHEDULER},
    schedules,
};

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
async fn a_clock_that_jumps_ahead_and_back_enqueues_each_tick_once() {
    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(24 * 365);
    let house = House::new().await;
    let due = async |expected: usize, when: &str| {
        assert_eq!(scheduler::enqueue_due(&house.app).await.unwrap().len(), expected, "{when}");
    };
    due(1, "03:00").await;
    house.clock.advance(YEAR);
    due(1, "03:00 a year later").await;
    house.clock.set_back(YEAR);
    due(0, "03:00 again").await;
    house.clock.set_back(HOUR);
    due(1, "02:00, that nobody had seen").await;
    house.clock.advance(HOUR);
    due(0, "03:00 once more").await;
    house.clock.advance(HOUR);
    due(1, "04:00, as if nothing had happened").await;
    let ran = run_until_idle(&house.app, &["default".to_owned()]).await.unwrap();
    let ticks: BTreeSet<_> = ran.iter().map(|ran| ran.job.correlation_id.clone().unwrap()).collect();
    assert_eq!((ran.len(), ticks.len()), (3, 3), "that of next year waits for its time: {ticks:?}");
}

#[tokio::test]
async fn ticks_follow_the_configured_time_and_a_schedule_switched_off_has_none() {
    let house = House::new().await;
    let schedules = |change: fn(&mut scheduler::Schedule)| {
        let mut schedules = scheduler::Schedules::default();
        change(schedules.get_mut("purge_expired").unwrap());
        schedules
    };
    // The clock stands at 03:04:05 UTC, which is 04:04:05 in Berlin.
    let berlin = schedules(|schedule| {
        schedule.timetable.cron = "0 4 * * *".parse().unwrap();
        schedule.timetable.zone = Timezone::parse("Europe/Berlin").unwrap();
    });
    let app = house.scheduling(berlin).await;
    assert_eq!(scheduler::enqueue_due(&app).await.unwrap(), ["purge_expired"]);
    house.clock.advance(Duration::from_hours(1));
    assert!(scheduler::enqueue_due(&app).await.unwrap().is_empty(), "not every hour");
    let app = house.scheduling(schedules(|schedule| schedule.is_enabled = false)).await;
    assert!(scheduler::enqueue_due(&app).await.unwrap().is_empty(), "switched off");
}

#[tokio::test]
async fn ticks_long_gone_are_forgotten_and_the_latest_kept() {
    let house = House::new().await;
    let mut conn = house.db.db().conn().await.unwrap();
    for minute in 0..1030 {
        let tick = house.app.now() + Duration::from_mins(minute);
        assert!(schedules::take(&mut conn, "often", tick, house.app.id()).await.unwrap());
    }
    assert!(schedules::take(&mut conn, "seldom", house.app.now(), house.app.id()).await.unwrap());
    assert_eq!(schedules::prune(&mut conn, 20).await.unwrap(), 20);
    assert_eq!(schedules::prune(&mut conn, 20).await.unwrap(), 10);
    assert_eq!(schedules::prune(&mut conn, 20).await.unwrap(), 0);
    let last = schedules::last_ticks(&mut conn, &["often", "seldom", "never"]).await.unwrap();
    assert_eq!(last.len(), 2);
    assert_eq!(last[0].tick, house.app.now() + Duration::from_mins(1029));
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
