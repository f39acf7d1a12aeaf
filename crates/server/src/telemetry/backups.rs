//! Figures of backups and drills. They are made by commands that end, which leave them in the database.

use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use tenon_db::{Db, backups};

/// How often they are looked at.
const BEAT: Duration = Duration::from_secs(10);
/// What there may be; but for the first, nothing is told before there was one.
const NAMES: [(&str, Unit, &str); 5] = [
    (
        "backup_last_success_timestamp_seconds",
        Unit::Seconds,
        "When the newest backup was whole; 0 without one.",
    ),
    ("backup_last_duration_seconds", Unit::Seconds, "Time that the newest backup took."),
    ("backup_size_bytes", Unit::Bytes, "Size of the newest backup, with its files."),
    (
        "backup_drill_last_success_timestamp_seconds",
        Unit::Seconds,
        "When a backup was last restored for trial.",
    ),
    ("backup_drill_duration_seconds", Unit::Seconds, "Time that the last restore for trial took."),
];

pub(super) fn describe() {
    for (name, unit, help) in NAMES {
        describe_gauge!(name, unit, help);
    }
}

/// Follows them for as long as it is polled.
pub(crate) async fn follow(db: Db) {
    loop {
        // While the database is away, the last ones stand.
        if let Ok(mut conn) = db.conn().await
            && let Ok(found) = backups::figures(&mut conn).await
        {
            // So that one that was never made can be told from one that nobody asked the database about.
            let (newest, ..) = NAMES[0];
            if found.iter().all(|(name, _)| name != newest) {
                gauge!(newest).set(0.0);
            }
            for (name, value) in found {
                if let Some((name, ..)) = NAMES.iter().find(|(known, ..)| *known == name) {
                    gauge!(*name).set(value);
                }
            }
        }
        tokio::time::sleep(BEAT).await;
    }
}
