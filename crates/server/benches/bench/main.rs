//! `just bench start` and `just bench api`: what the release program costs.
//!
//! Everything runs on this machine, over loopback and a unix socket, for a bounded time. Trust ratios within one
//! run more than figures between runs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints what it found"
)]

mod api;
mod bare;
#[path = "../../tests/it/client.rs"]
mod client;
mod program;
mod start;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["start"] => start::run(),
        ["api"] => api::run(),
        ["bare", url, project] => bare::serve(url, project),
        _ => println!("say what to measure: start or api"),
    }
}
