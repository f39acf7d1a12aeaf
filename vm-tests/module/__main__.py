"""Checks the NixOS module without NixOS, without root and without the network; in seconds.

`just module` runs all checks, one line each; with words as arguments, those whose name contains one of them.
`just module --write` writes the generated files anew: expected plans, the option reference, the units for Debian.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from module import documents, evaluation, flake, generated, laws, mutations, package, programs, refusals  # noqa: E402
from module.outcome import Failed, Skipped  # noqa: E402

Check = Callable[[], None]


def checks() -> dict[str, Check]:
    """All checks, by name."""
    return (
        evaluation.checks()
        | refusals.checks()
        | laws.checks()
        | programs.checks()
        | generated.checks()
        | documents.checks()
        | flake.checks()
        | package.checks()
        | mutations.checks()
    )


def main(arguments: list[str]) -> int:
    """Runs the checks that are asked for; the exit status."""
    if arguments == ["--write"]:
        generated.write()
        return 0
    passed = failed = skipped = 0
    begun = time.monotonic()
    for name, check in checks().items():
        if arguments and not any(word in name for word in arguments):
            continue
        try:
            check()
        except Skipped as reason:
            skipped += 1
            print(f"SKIP {name}: {reason}")
        except Failed as problem:
            failed += 1
            print(f"FAILED {name}: {problem}")
        else:
            passed += 1
            print(f"ok {name}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped in {time.monotonic() - begun:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
