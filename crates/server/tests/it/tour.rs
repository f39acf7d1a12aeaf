//! The tour of the documentation, as it stands there.

use std::{path::Path, process::Command};

use crate::{
    command_line::{directory, text},
    processes::{stop, up},
};

pub(crate) const TOUR: &str = include_str!("../../../../docs/admin/tour.md");

/// What stands between fences marked `sh`.
pub(crate) fn commands(page: &str) -> String {
    fenced(page, "sh").join("\n")
}

/// The blocks between fences marked so.
pub(crate) fn fenced<'a>(page: &'a str, mark: &str) -> Vec<&'a str> {
    let begin = format!("```{mark}\n");
    let rest = page.split(begin.as_str()).skip(1);
    rest.filter_map(|rest| rest.split_once("```").map(|(block, _)| block)).collect()
}

/// Whether everything is there that commands of pages use; says so loudly when it is not.
pub(crate) fn has_tools() -> bool {
    ["curl", "python3"].into_iter().all(|tool| {
        let present = Command::new(tool).arg("--version").output().is_ok();
        if !present {
            tenon_testkit::services::skip(&format!("there is no {tool}"));
        }
        present
    })
}

/// Runs a script that must succeed, with `tenon` where it is looked for. A broken command in the middle is a failure as
/// much as the last one; nothing waits for ever.
#[track_caller]
pub(crate) fn run(script: &str, directory: &Path, environment: &[(String, String)]) {
    let here = Path::new(env!("CARGO_BIN_EXE_tenon")).parent().unwrap().display();
    let script = format!("export PATH={here}:$PATH\n{script}");
    let output = Command::new("timeout")
        .args(["120", "sh", "-euc", &script])
        .current_dir(directory)
        .env_remove("TENON_CONFIG")
        .envs(environment.iter().cloned())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn every_command_of_the_tour_does_what_the_page_says() {
    if !has_tools() {
        return;
    }
    let script = commands(TOUR);
    assert!(script.lines().count() > 60, "the page has commands");
    let dir = directory();
    let (running, greeting) = up(dir.path(), &[]);
    let here = tempfile::tempdir().unwrap();
    let environment = [
        ("TENON".to_owned(), greeting["address"].as_str().unwrap().to_owned()),
        ("DATA".to_owned(), dir.path().join(".tenon").display().to_string()),
    ];
    run(&script, here.path(), &environment);
    stop(running);
}
