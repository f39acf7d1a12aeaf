"""Everything is Nix, and every configuration is accepted; with the lib of nixpkgs as with ours."""

import json
from collections.abc import Callable
from pathlib import Path

from . import checkout, nix, plans
from .outcome import Failed, Skipped
from .places import HARNESS, NIXPKGS, REPOSITORY


def checks() -> dict[str, Callable[[], None]]:
    """The checks of this file."""
    return {
        "every Nix file parses": every_file_parses,
        "every configuration is accepted": every_configuration_is_accepted,
        "the lib of nixpkgs gives the same plans": the_lib_of_nixpkgs_gives_the_same,
    }


def every_file_parses() -> None:
    """All of the checkout."""
    named = [name for name in checkout.files() if name.endswith(".nix")]
    if not named:
        raise Failed("there is no Nix file")
    for name in named:
        try:
            nix.parse(REPOSITORY / name)
        except nix.EvaluationError as error:
            raise Failed(str(error)) from error


def every_configuration_is_accepted() -> None:
    """No error, no failed assertion."""
    try:
        evaluated = plans.all_plans()
    except nix.EvaluationError as error:
        raise Failed(str(error)) from error
    for plan in evaluated.values():
        if plan.content["failedAssertions"]:
            raise Failed(f"{plan.name}: {'; '.join(plan.content['failedAssertions'])}")


def library() -> Path:
    """The lib of nixpkgs, where it is at hand."""
    if NIXPKGS is None:
        raise Skipped("TENON_NIXPKGS does not name a checkout of nixpkgs or of its lib, so only our own lib was used")
    return Path(NIXPKGS) / "lib"


def the_lib_of_nixpkgs_gives_the_same() -> None:
    """Our lib means what nixpkgs' means, as far as the module uses it: plans, refusals and the reference."""
    theirs = plans.evaluate(library=library())
    for name, plan in plans.all_plans().items():
        if theirs[name].content != plan.content:
            ours, other = (json.dumps(one, indent=1, sort_keys=True) for one in (plan.content, theirs[name].content))
            pair = next((a, b) for a, b in zip(ours.splitlines(), other.splitlines(), strict=False) if a != b)
            raise Failed(f"{name}: {pair[0].strip()[:400]} became {pair[1].strip()[:400]}")
    for name in nix.expression(f"builtins.attrNames (import {HARNESS.parent}/module/refusals.nix)"):
        try:
            said = nix.evaluate(HARNESS.parent / "module" / "refusal.nix", name=name, library=library())
        except nix.EvaluationError:
            continue
        if not said:
            raise Failed(f"{name} is accepted with the lib of nixpkgs")
