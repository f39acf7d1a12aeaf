//! Figures of backups and drills. They are made by commands that end, which leave them in the database.

use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use tenon_db::{Db, backups};

/// How often they are looked at.
const BEAT: Duration = Duration::from_secs(10);
/// What there may be; 0 stands for none, so that one that was never made can be told from one that nobody asked the
/// database about.
const FIGURES: [(&str, Unit, &str); 15] = [
    (
        "backup_last_success_timestamp_seconds",
        Unit::Seconds,
        "When the newest backup was whole; 0 without one.",
    ),
    ("backup_last_failure_timestamp_seconds", Unit::Seconds, "When a backup failed last; 0 when none did."),
    ("backup_last_duration_seconds", Unit::Seconds, "Time that the newest backup took."),
    ("backup_size_bytes", Unit::Bytes, "Size of the newest backup, with its files."),
    (
        "backup_lost_files",
        Unit::Count,
        "Files that the database refers to and the storage had lost at the newest backup.",
    ),
    (
        "backup_base_last_success_timestamp_seconds",
        Unit::Seconds,
        "When the newest base backup was whole; 0 without one.",
    ),
    (
        "backup_base_last_failure_timestamp_seconds",
        Unit::Seconds,
        "When a base backup failed last; 0 when none did.",
    ),
    ("backup_base_last_duration_seconds", Unit::Seconds, "Time that the newest base backup took."),
    ("backup_base_size_bytes", Unit::Bytes, "Size of the newest base backup, with its files."),
    (
        "backup_drill_last_success_timestamp_seconds",
        Unit::Seconds,
        "When a backup was last restored for trial; 0 when none was.",
    ),
    (
        "backup_drill_last_failure_timestamp_seconds",
        Unit::Seconds,
        "When a restore for trial failed last; 0 when none did.",
    ),
    ("backup_drill_duration_seconds", Unit::Seconds, "Time that the last restore for trial took."),
    (
        "backup_log_drill_last_success_timestamp_seconds",
        Unit::Seconds,
        "When a base backup and the log were last recovered for trial; 0 when none were.",
    ),
    (
        "backup_log_drill_last_failure_timestamp_seconds",
        Unit::Seconds,
        "When a recovery for trial failed last; 0 when none did.",
    ),
    ("backup_log_drill_duration_seconds", Unit::Seconds, "Time that the last recovery for trial took."),
];

pub(super) fn describe() {
    for (name, unit, help) in FIGURES {
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
            for (name, ..) in FIGURES {
                let value = found.iter().find(|(known, _)| known == name).map_or(0.0, |(_, value)| *value);
                gauge!(name).set(value);
            }
        }
        tokio::time::sleep(BEAT).await;
    }
}
