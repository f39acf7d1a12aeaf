//! Advisory locks. They are numbers of the whole database, so all of them are here, where two cannot be the same.

/// What a process can have for itself alone.
#[repr(i64)]
pub(crate) enum Lock {
    /// Migrating.
    Migrations = 0x7465_6e6f_6e00_0001,
    /// Making and unmaking administrators.
    Administrators = 0x7465_6e6f_6e00_0002,
    /// Being the scheduler that leads, for as long as it does.
    Scheduler = 0x7465_6e6f_6e00_0004,
    /// Making and removing backups.
    Backups = 0x7465_6e6f_6e00_0005,
}
