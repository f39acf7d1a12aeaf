"""What the module writes and the repository keeps: plans to look at, the option reference, units for Debian."""

import difflib
import functools
from collections.abc import Callable
from pathlib import Path

from . import debian, evaluation, nix
from .outcome import Failed
from .places import HERE, REPOSITORY
from .plans import Plan, all_plans, nixos_plans

EXPECTED = HERE / "expected"
REFERENCE = REPOSITORY / "docs" / "reference" / "nixos-options.md"
DEBIAN = REPOSITORY / "docs" / "admin" / "debian"


def checks() -> dict[str, Callable[[], None]]:
    """The checks of this file."""
    return {
        "plans are as expected": functools.partial(_compare, EXPECTED, _expected),
        "the option reference is fresh": functools.partial(_compare, REFERENCE.parent, _reference, only=REFERENCE.name),
        "the option reference is the same with the lib of nixpkgs": _reference_with_their_lib,
        "the units for Debian are fresh": functools.partial(_compare, DEBIAN, _debian),
    }


def write() -> None:
    """Writes all of it anew."""
    for directory, contents in ((EXPECTED, _expected()), (REFERENCE.parent, _reference()), (DEBIAN, _debian())):
        if directory != REFERENCE.parent:
            for old in _files(directory):
                (directory / old).unlink()
        for name, text in contents.items():
            place = directory / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)


def _expected() -> dict[str, str]:
    """The smallest plan whole, of every other one what is different from it."""
    minimal = _text(nixos_plans()["minimal"])
    return {"minimal.txt": minimal} | {
        f"{plan.name}.diff": _difference(minimal, _text(plan), "minimal", plan.name)
        for plan in nixos_plans().values()
        if plan.name != "minimal"
    }


def _text(plan: Plan) -> str:
    services = plan.services
    # Not what stands in the module as it is.
    files = {
        path: text for path, text in plan.files.items() if not path.endswith(("alerts.yaml", "dashboards/tenon.json"))
    }
    if services["caddy"]["enable"]:
        files["Caddyfile"] = services["caddy"]["configFile"]
    if services["nginx"]["enable"]:
        files["nginx site"] = services["nginx"]["site"]
    if services["prometheus"]["enable"]:
        files["prometheus.yml"] = services["prometheus"]["configFile"]
    return "\n".join(f"=== {path}\n{text.rstrip()}\n" for path, text in sorted(files.items()))


def _reference() -> dict[str, str]:
    return {REFERENCE.name: nix.evaluate(HERE / "reference.nix")}


def _reference_with_their_lib() -> None:
    theirs = nix.expression(f"import {HERE}/reference.nix {{ lib = import {evaluation.library()}; }}")
    difference = _difference(_reference()[REFERENCE.name], theirs, "ours", "theirs")
    if difference:
        raise Failed(difference[:800])


def _debian() -> dict[str, str]:
    return debian.bundle(all_plans()["debian"])


def _compare(directory: Path, contents: Callable[[], dict[str, str]], only: str | None = None) -> None:
    wanted = contents()
    for name in sorted(set(wanted) | (set() if only else _files(directory))):
        place = directory / name
        kept = place.read_text() if place.is_file() else ""
        if kept != wanted.get(name, ""):
            difference = _difference(kept, wanted.get(name, ""), f"{place.relative_to(REPOSITORY)}", "the module")
            raise Failed(f"run `just gen`, and look at what changed:\n{difference[:1200]}")


def _files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def _difference(before: str, after: str, one: str, other: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), one, other, n=1, lineterm="")
    return "".join(f"{line.rstrip()}\n" for line in lines)
