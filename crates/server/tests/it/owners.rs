//! `tenon owner`: what a deactivated owner leaves behind gets another.

use std::path::Path;

use serde_json::Value;

use crate::command_line::{directory, tenon, text};

fn json(dir: &Path, arguments: &[&str]) -> Value {
    let done = tenon(dir, &[&["--json"], arguments].concat());
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", text(&done.stderr)))
}

#[test]
fn what_a_deactivated_owner_leaves_is_listed_and_given_to_somebody_else() {
    let dir = directory();
    assert_eq!(tenon(dir.path(), &["migrate"]).status.code(), Some(0));
    json(dir.path(), &["demo-data"]);
    let people = json(dir.path(), &["user", "list"]);
    let name = |n: usize| people[n]["username"].as_str().unwrap().to_owned();
    let (owner, other) = (name(0), name(1));
    assert_eq!(text(&tenon(dir.path(), &["owner", "missing"]).stdout), "None.\n");

    let sole = json(dir.path(), &["owner", "sole", &owner]);
    assert!(!sole.as_array().unwrap().is_empty());
    let off = json(dir.path(), &["user", "deactivate", &owner]);
    assert_eq!((&off["is_active"], &off["without_owner"]), (&Value::Bool(false), &sole));
    let told = tenon(dir.path(), &["user", "deactivate", &owner]);
    let told = text(&told.stdout);
    assert!(told.contains("Without an active owner now; `tenon owner set-workspace`"), "{told}");

    let missing = json(dir.path(), &["owner", "missing"]);
    assert_eq!(missing.as_array().unwrap().len(), sole.as_array().unwrap().len());
    let refused = tenon(dir.path(), &["owner", "set-project", missing[0]["id"].as_str().unwrap(), &owner]);
    assert_eq!(refused.status.code(), Some(1));
    for place in missing.as_array().unwrap() {
        let command = if place["kind"] == "project" { "set-project" } else { "set-workspace" };
        let id = place["id"].as_str().unwrap();
        json(dir.path(), &["owner", command, id, &other]);
        let again = tenon(dir.path(), &["owner", command, id, &other]);
        assert!(
            text(&again.stderr).contains("has an owner whose account is active"),
            "{}",
            text(&again.stderr)
        );
    }
    assert_eq!(json(dir.path(), &["owner", "missing"]), Value::Array(vec![]));
    let nowhere = ["owner", "set-project", "00000000-0000-7000-8000-000000000000", &other];
    let nowhere = tenon(dir.path(), &nowhere);
    assert_eq!(text(&nowhere.stderr), "tenon: there is no project 00000000-0000-7000-8000-000000000000\n");
}
