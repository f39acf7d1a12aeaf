//! The first screen of the README: what a stranger types.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    command_line::{directory, tenon},
    processes::stop,
};

const README: &str = include_str!("../../../../README.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The commands before the second heading.
fn first_screen() -> Vec<&'static str> {
    let screen = README.split("\n## ").next().unwrap();
    screen.lines().filter_map(|line| line.strip_prefix("$ ")).collect()
}

#[test]
fn the_first_screen_has_the_two_commands_and_what_they_need() {
    let commands = first_screen();
    assert!(commands.contains(&"cargo run --release"), "{commands:?}");
    assert!(commands.contains(&"cargo test --workspace"), "{commands:?}");
    assert!(commands.iter().any(|command| command.starts_with("sudo apt install ")), "{commands:?}");
    assert!(README.lines().take(40).any(|line| line.starts_with("$ cargo run")), "without scrolling");
}

#[test]
fn every_link_of_the_readme_leads_to_a_file() {
    let links = README.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
    for link in links.filter(|link| !link.contains("://")) {
        assert!(root().join(link).exists(), "{link}");
    }
}

#[test]
fn every_command_that_the_readme_names_is_one() {
    let dir = directory();
    for line in README.split("`tenon ").skip(1) {
        let command: Vec<&str> = line.split('`').next().unwrap().split(' ').take(1).collect();
        let help = tenon(dir.path(), &[command.as_slice(), &["--help"]].concat());
        assert_eq!(help.status.code(), Some(0), "{command:?}");
    }
}

/// Builds the release, so only where that was asked for: `.ci/run` does.
#[test]
fn the_first_command_as_written_says_where_to_look() {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration to ask")]
    let asked = std::env::var_os("TENON_TEST_README").is_some();
    if !asked {
        return;
    }
    let command = first_screen().into_iter().find(|command| command.starts_with("cargo run")).unwrap();
    let dir = directory();
    let mut words = command.split(' ');
    // As written, in the repository; only its data goes elsewhere, and its port is not the one of somebody at work.
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(root())
        .env("TENON__DATA_DIR", dir.path().join("data"))
        .env("TENON__SERVER__LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.by_ref().take_while(|line| !line.contains("curl ")).collect();
    let said = said.join("\n");
    assert!(said.contains("http://localhost:") && said.contains("/api/docs"), "{said}");
    stop(child);
}
