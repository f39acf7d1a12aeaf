//! `tenon`: a team workspace in one program.
mod config;
mod keys;
fn main() {
    println!("{}", config::reference());
    let _ = config::from_process(None);
}
