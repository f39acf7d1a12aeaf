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

# Measure the release program: `just bench start` or `just bench api`; or the queue beside others: `just bench queue`
bench what:
    #!/usr/bin/env bash
    set -euo pipefail
    if [ "{{ what }}" != queue ]; then
        exec cargo bench --package tenon-server --bench bench -- "{{ what }}"
    fi
    # The queues of others, each with its own package manager.
    peers="${CARGO_TARGET_DIR:-$PWD/target}/peers"
    mkdir -p "$peers"
    [ -x "$peers/venv/bin/python" ] || python3 -m venv "$peers/venv"
    "$peers/venv/bin/pip" install --quiet 'procrastinate==3.*' 'pgqueuer==1.*' asyncpg uvloop 'psycopg[binary,pool]'
    npm install --silent --prefix "$peers" 'graphile-worker@^0.17'
    cp crates/app/benches/queue/peers/* "$peers"
    # sqlxmq is a dependency; its migrations are where cargo keeps its sources.
    sqlxmq=$(cargo metadata --format-version 1 --locked | python3 -c 'import json, sys; print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "sqlxmq"))')
    TENON_BENCH_PEERS="$peers" TENON_BENCH_SQLXMQ="$(dirname "$sqlxmq")/migrations" cargo bench --package tenon-app --bench queue

# Work a queue for some minutes while its workers are killed and frozen: `just soak queue 10`
soak what minutes="10":
    TENON_SOAK_MINUTES={{ minutes }} cargo test --package tenon-app --test it -- --ignored --exact --nocapture soak::a_{{ what }}_holds_while_its_workers_are_killed

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
    if command -v nix-instantiate >/dev/null; then
        python3 vm-tests/module --write
    else
        echo 'SKIP: without nix-instantiate (apt install nix-bin), what the NixOS module generates is left as it is'
    fi

# Fail when a generated file is not the one that `gen` writes
fresh: gen
    git diff --exit-code --stat -- docs/reference docs/admin/debian vm-tests/module/expected openapi

# Check the NixOS module without NixOS, in seconds; words choose among the checks
module *words:
    python3 vm-tests/module {{ words }}

# Generate Python and TypeScript clients from the document, and run a session of each against a live server
clients:
    crates/http/tests/clients/run

# Try the API of a fresh instance with generated nonsense, every check on (installs schemathesis into target/)
fuzz examples="20":
    #!/usr/bin/env bash
    set -euo pipefail
    tools="${CARGO_TARGET_DIR:-target}/fuzz"
    [ -x "$tools/bin/schemathesis" ] || { python3 -m venv "$tools"; "$tools/bin/pip" install --quiet 'schemathesis>=4,<5'; }
    cargo build --quiet --bin tenon
    tenon="${CARGO_TARGET_DIR:-target}/debug/tenon"
    data=$(mktemp -d) && chmod 755 "$data"
    export TENON__DATA_DIR="$data" TENON__SERVER__LISTEN=127.0.0.1:8499
    # Nonsense is not about budgets.
    export TENON__RATE_LIMITS__SESSION=1000000/1m TENON__RATE_LIMITS__ANONYMOUS=1000000/1m TENON__RATE_LIMITS__LOGIN=1000000/1m
    "$tenon" up >"$data/log" 2>&1 &
    up=$!
    trap 'kill $up 2>/dev/null; wait $up 2>/dev/null; rm -rf "$data"' EXIT
    url=http://127.0.0.1:8499/api/v1
    curl -fsS --retry 50 --retry-connrefused --retry-delay 1 -o "$data/ready" "$url/readiness"
    "$tenon" user create --name Fuzz --username fuzz --password-stdin fuzz@example.org <<<'correct horse battery'
    session=$(curl -fsS "$url/auth/sign-in" -H 'content-type: application/json' -d '{"login":"fuzz","password":"correct horse battery"}')
    token=$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["access_token"])' "$session")
    # Left out: what would end the session, and the websocket. A valid shape may still break a rule of the domain, so
    # that one check is left out as well.
    "$tools/bin/schemathesis" run "$url/openapi.json" -H "Authorization: Bearer $token" --checks all \
        --exclude-checks positive_data_acceptance -n {{ examples }} --workers 2 --continue-on-failure \
        --suppress-health-check all --exclude-operation-id delete_me \
        --exclude-path-regex 'events|me/sessions|sign-out|me/password'

# Try situations from the lives of comparable systems on the running program, from outside; words choose among them
cases *words:
    #!/usr/bin/env bash
    set -euo pipefail
    if [ -z "${TENON:-}" ]; then
        cargo build --quiet --bin tenon
        TENON=$(realpath "${CARGO_TARGET_DIR:-target}/debug/tenon")
        export TENON
    fi
    python3 crates/server/tests/cases/run.py {{ words }}

# Boot the units of the NixOS module on Debian's systemd and run tests of vm-tests/: all, or those that are named (as root)
vm *names:
    cargo build --quiet --bin tenon
    PYTHONPATH=vm-tests python3 -m harness {{ names }}

# Check the rules of the alerts, and that each fires and is silent when it should (promtool is in the package prometheus)
alerts:
    promtool check rules nixos-module/alerts.yaml
    promtool test rules nixos-module/alerts.test.yaml

# What continuous integration runs, on this machine (installs what is missing)
ci:
    .ci/run
