//! Services that tests start for themselves, on loopback or a unix socket only.

pub mod postgres;
pub mod redis;
pub mod s3;
pub mod sendmail;
pub mod smtp;

use std::io::Write as _;

/// Says that a test cannot run here. Where absence is no excuse (`CI` is set) it fails instead.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration to ask")]
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI every service must be there, but {why}");
    // Past the capture of the test harness, which hides what passing tests print.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: {why}");
}
