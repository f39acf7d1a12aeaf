"""Checks the NixOS module without NixOS, without root and without the network; in seconds.

`just module` runs all checks, one line each; with words as arguments, those whose name contains one of them.
`just module --write` writes the generated files anew: expected plans, the option reference, the units for Debian.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from module import (  # noqa: E402
    checkout,
    commands,
    documents,
    evaluation,
    flake,
    generated,
    laws,
    mutations,
    package,
    programs,
    refusals,
    scripts,
)
from module.nix import EvaluationError  # noqa: E402
from module.outcome import Failed, Skipped  # noqa: E402

Check = Callable[[], None]


def checks() -> dict[str, Check]:
    """All checks, by name."""
    return (
        checkout.checks()
        | evaluation.checks()
        | refusals.checks()
        | laws.checks()
        | programs.checks()
        | generated.checks()
        | documents.checks()
        | commands.checks()
        | flake.checks()
        | package.checks()
        | scripts.checks()
        | mutations.checks()
    )


def main(arguments: list[str]) -> int:
    """Runs the checks that are asked for; the exit status."""
    if arguments == ["--write"]:
        generated.write()
        return 0
    asked = {
        name: check for name, check in checks().items() if not arguments or any(word in name for word in arguments)
    }
    begun = time.monotonic()
    # They wait for programs, mostly; the answers come in order.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        outcomes = [(name, threads.submit(check)) for name, check in asked.items()]
        told = [_told(name, outcome) for name, outcome in outcomes]
    passed, failed, skipped = (told.count(kind) for kind in ("ok", "FAILED", "SKIP"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped in {time.monotonic() - begun:.1f} s")
    return 1 if failed else 0


def _told(name: str, outcome: Future[None]) -> str:
    """Prints what became of a check, once it is known; in one word."""
    try:
        outcome.result()
    except Skipped as reason:
        print(f"SKIP {name}: {reason}", flush=True)
        return "SKIP"
    except (Failed, EvaluationError, OSError, subprocess.SubprocessError) as problem:
        print(f"FAILED {name}: {problem}", flush=True)
        return "FAILED"
    print(f"ok {name}", flush=True)
    return "ok"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
