# Recipes for working on Tenon. `just` lists them.

_default:
    @just --list --unsorted

# Run Tenon with a database of its own, from the sources
up *arguments:
    cargo run --bin tenon -- up {{ arguments }}

# Everything a change must pass but the tests: format, lints, dependencies, generated files
check: && fresh
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny --manifest-path crates/server/Cargo.toml --config .deny.toml check bans licenses sources

# Run the tests; arguments as for `cargo test`
test *arguments:
    cargo test --workspace {{ arguments }}

# Write every generated file anew
gen:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --quiet --bin tenon
    tenon="${CARGO_TARGET_DIR:-target}/debug/tenon"
    page=$("$tenon" config reference)
    printf '%s\n' "$page" > docs/reference/configuration.md
    mkdir -p openapi
    document=$("$tenon" openapi)
    printf '%s\n' "$document" > openapi/openapi.json
    document=$("$tenon" openapi --3.0)
    printf '%s\n' "$document" > openapi/openapi-3.0.json

# Fail when a generated file is not the one that `gen` writes
fresh: gen
    git diff --exit-code --stat -- docs/reference openapi

# What continuous integration runs, on this machine (installs what is missing)
ci:
    .ci/run
