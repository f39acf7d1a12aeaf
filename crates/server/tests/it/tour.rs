//! The tour of the documentation, as it stands there.

use std::process::Command;

use crate::{
    command_line::{directory, text},
    processes::{stop, up},
};

const TOUR: &str = include_str!("../../../../docs/admin/tour.md");

/// What stands between fences marked `sh`.
fn commands(page: &str) -> String {
    let blocks =
        page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_command_of_the_tour_does_what_the_page_says() {
    for tool in ["curl", "python3"] {
        if Command::new(tool).arg("--version").output().is_err() {
            tenon_testkit::services::skip(&format!("there is no {tool}"));
            return;
        }
    }
    let script = commands(TOUR);
    assert!(script.lines().count() > 60, "the page has commands");
    let dir = directory();
    let (running, greeting) = up(dir.path(), &[]);
    let here = tempfile::tempdir().unwrap();
    // A broken command in the middle is a failure as much as the last one; nothing waits for ever.
    let output = Command::new("timeout")
        .args(["120", "sh", "-euc", &script])
        .current_dir(here.path())
        .env("TENON", greeting["address"].as_str().unwrap())
        .env("DATA", dir.path().join(".tenon"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    stop(running);
}
