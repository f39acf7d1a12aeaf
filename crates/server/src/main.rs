//! `tenon`: a team workspace in one program.

mod backup;
mod cli;
mod commands;
mod config;
mod database;
mod files;
mod keys;
mod lifecycle;
mod listener;
mod output;
mod storage;
mod telemetry;
mod wiring;

fn main() -> std::process::ExitCode {
    cli::run()
}
