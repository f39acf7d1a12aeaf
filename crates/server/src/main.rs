//! `tenon`: a team workspace in one program.

mod cli;
mod commands;
mod config;
mod database;
mod keys;
mod output;

fn main() -> std::process::ExitCode {
    cli::run()
}
