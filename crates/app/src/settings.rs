//! What an administrator may choose, as the use-cases see it.

use std::time::Duration;

use tenon_core::accounts::Registration;

use crate::{scheduler::Schedules, throttle::Limits};

/// Choices with a default each.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the instance, in mails and on the start page.
    pub instance_name: String,
    /// Where people reach the instance, without a slash at the end; links in mails begin with it.
    pub public_url: String,
    /// Who may sign up.
    pub registration: Registration,
    /// Life of an access token.
    pub access_token_ttl: Duration,
    /// Life of a refresh token, from its issue.
    pub refresh_token_ttl: Duration,
    /// How long a rotated refresh token is still taken for a lost answer rather than for theft.
    pub refresh_grace: Duration,
    /// How often strangers may try things, and people may cause mail.
    pub limits: Limits,
    /// Largest attachment, in bytes.
    pub attachment_bytes: u64,
    /// Most boards in a project.
    pub workflows_per_project: usize,
    /// Most columns on a board.
    pub statuses_per_workflow: usize,
    /// Most live connections of one person in one process.
    pub live_connections_per_user: usize,
    /// How long things stay in the trash.
    pub trash: Duration,
    /// How long the log of a person is kept whose account is gone.
    pub log: Duration,
    /// How long the bytes of a removed file are kept.
    pub backup_window: Duration,
    /// How long an account waits for its address to be verified.
    pub unverified: Duration,
    /// What is done regularly, and when.
    pub schedules: Schedules,
    /// Iterations and memory of password hashing.
    pub password_cost: PasswordCost,
}

/// The work of hashing a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCost {
    /// argon2id with 19 MiB and 2 passes (OWASP Password Storage Cheat Sheet, 2024).
    Standard,
    /// As little as possible, for tests.
    Least,
}

const DAY: Duration = Duration::from_hours(24);

impl Default for Settings {
    fn default() -> Self {
        Self {
            instance_name: "Tenon".to_owned(),
            public_url: "http://localhost:8080".to_owned(),
            registration: Registration::Open,
            access_token_ttl: Duration::from_mins(15),
            refresh_token_ttl: DAY * 30,
            refresh_grace: Duration::from_secs(10),
            limits: Limits::default(),
            attachment_bytes: 100 * 1024 * 1024,
            workflows_per_project: 8,
            statuses_per_workflow: 50,
            live_connections_per_user: 32,
            trash: DAY * 30,
            log: DAY * 30,
            backup_window: DAY * 35,
            unverified: DAY * 7,
            schedules: Schedules::default(),
            password_cost: PasswordCost::Standard,
        }
    }
}
