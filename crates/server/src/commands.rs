//! What each command does.

pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod maintenance;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod owner;
pub(crate) mod queue;
pub(crate) mod restore;
pub(crate) mod scheduler;
pub(crate) mod serve;
mod service;
mod shell;
pub(crate) mod storage;
pub(crate) mod token;
pub(crate) mod up;
pub(crate) mod user;
pub(crate) mod wal;
pub(crate) mod worker;
