# Begins every test script: shorter names for what all of them do.
import json
import shlex
from typing import Any


def words_of(words: Any) -> str:
    """Words as a shell reads them; what is not text becomes JSON."""
    return " ".join(shlex.quote(word if isinstance(word, str) else json.dumps(word)) for word in words)


def client(machine: Any, *words: Any) -> Any:
    """Runs a command of client.py on a machine; its answer."""
    return json.loads(machine.succeed(f"python3 /etc/tenon-test/client.py {words_of(words)}"))


def in_background(machine: Any, unit: str, *words: Any) -> None:
    """Starts a command of client.py as a unit; `result` waits for its answer."""
    machine.succeed(
        f"rm -f /tmp/{unit}.json; systemd-run --quiet --unit={unit} --setenv=PATH=$PATH "
        f"python3 /etc/tenon-test/client.py --output /tmp/{unit}.json {words_of(words)}"
    )


def result(machine: Any, unit: str, timeout: int = 120) -> Any:
    """The answer of what `in_background` started."""
    machine.wait_until_succeeds(f"test -e /tmp/{unit}.json || ! systemctl is-active {unit}", timeout=timeout)
    return json.loads(machine.succeed(f"cat /tmp/{unit}.json || (journalctl -o cat -u {unit}; false)"))


def sql(machine: Any, statement: str) -> str:
    """What a statement gives, asked as the service's own user."""
    return str(machine.succeed(f"runuser -u tenon -- psql -Atqc {shlex.quote(statement)} tenon")).strip()


def ready(machine: Any) -> None:
    """Waits until people can use the machine."""
    for unit in ["tenon-migrate", "tenon", "tenon-worker-default", "tenon-scheduler", "caddy"]:
        machine.wait_for_unit(f"{unit}.service")
    machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call - GET /readiness")


def without_loss(machine: Any, comments: str, what: str, seconds: int, command: str, times: int = 3) -> None:
    """Runs a command several times while people read, and write comments as ada; no request of theirs may fail."""
    before = int(sql(machine, "select count(*) from comments"))
    in_background(machine, "readers", "load", "ada", "/me", "--seconds", f"{seconds}", "--people", "3")
    in_background(machine, "writers", "load", "ada", comments, "--seconds", f"{seconds}", "--people", "3", "--posts")
    for _ in range(times):
        machine.succeed(command)
        machine.sleep(1)
    reads, writes = result(machine, "readers"), result(machine, "writers")
    print(f"        {what}: {reads['requests']} reads, {writes['requests']} writes,"
          f" the slowest {max(reads['slowest'], writes['slowest'])} s")
    assert reads["failed"] == 0 and writes["failed"] == 0, (reads["failures"], writes["failures"])
    assert int(sql(machine, "select count(*) from comments")) == before + writes["requests"], "a comment is lost or twice"
