//! The program as its user meets it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod client;
mod command_line;
mod crash;
mod greeting;
mod installation;
mod jobs;
mod live;
mod maintenance;
mod monitoring;
mod owners;
mod pages;
mod people;
mod processes;
mod queues;
mod readme;
mod redis_away;
mod refusals;
mod rolling;
mod scheduler;
mod tour;
mod units;
