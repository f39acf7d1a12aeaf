//! No adapter goes without a law, and no law without an adapter.

use std::{collections::BTreeSet, process::Command};

use serde::de::DeserializeOwned;
use serde_json::json;
use tenon_adapters::{blob, bus, cache, limiter, mail, queue};
use tenon_testkit::laws;

#[test]
fn every_adapter_is_held_to_every_law_of_its_port() {
    let run = tests();
    let mut missing = Vec::new();
    let mut check = |port: &str, backends: Vec<String>, laws: &[&str]| {
        assert!(!backends.is_empty() && !laws.is_empty(), "{port}");
        for backend in backends {
            for law in laws {
                let test = format!("{port}::{backend}::{law}");
                if !run.contains(&test) {
                    missing.push(test);
                }
            }
        }
    };
    check("blob", backends::<blob::Config>(), laws::blob::LAWS);
    check("bus", backends::<bus::Config>(), laws::bus::LAWS);
    check("cache", backends::<cache::Config>(), laws::cache::LAWS);
    check("limiter", backends::<limiter::Config>(), laws::limiter::LAWS);
    check("mail", backends::<mail::Config>(), laws::mail::LAWS);
    check("queue", backends::<queue::Config>(), laws::queue::LAWS);
    assert_eq!(missing, [""; 0], "adapters without a law");
}

/// The names of all backends a configuration knows, which serde lists when it is given another.
fn backends<C: DeserializeOwned>() -> Vec<String> {
    let Err(unknown) = serde_json::from_value::<C>(json!({"backend": "none-of-them"})) else {
        panic!("every word is taken for a backend");
    };
    let message = unknown.to_string();
    message.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

/// All tests of this binary.
fn tests() -> BTreeSet<String> {
    let list = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}
