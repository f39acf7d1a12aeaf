"""Everything is Nix, and every configuration is accepted; with the lib of nixpkgs as with ours."""

import json
from collections.abc import Callable
from pathlib import Path

from . import checkout, nix, plans
from .outcome import Failed, Skipped
from .places import HARNESS, HERE, NIXPKGS, REPOSITORY


def checks() -> dict[str, Callable[[], None]]:
    """The checks of this file."""
    return {
        "every Nix file parses": every_file_parses,
        "every configuration is accepted": every_configuration_is_accepted,
        "the program is that of an overlay where there is one": the_program_is_of_the_overlay,
        "settings are checked where the program can be run": settings_are_checked_where_it_runs,
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


def the_program_is_of_the_overlay() -> None:
    """And else it is built with the packages of the system."""
    package = f"""
        let
          lib = import {HARNESS}/lib;
          pkgs = import {HARNESS}/pkgs.nix {{ inherit lib; platform = "nixos"; }};
          without = removeAttrs pkgs [ "tenon" ] // {{ callPackage = _: _: pkgs.curl // {{ name = "built"; }}; }};
          of = pkgs: (import {HARNESS}/evaluated.nix {{ inherit lib pkgs; }}).config.services.tenon.package.name;
        in"""
    for pkgs, name in (("pkgs", "tenon"), ("without", "built")):
        found = nix.expression(f"{package} of {pkgs}")
        if found != name:
            raise Failed(f"with {pkgs} the program is {found}, not {name}")


def settings_are_checked_where_it_runs() -> None:
    """A system for machines of another kind is built without the check that cannot be made there."""
    for cross, checked in (("false", True), ("true", False)):
        builds = nix.expression(
            f"""(import {HARNESS}/render.nix {{
                cross = {cross}; configuration = (import {HERE}/configurations.nix).minimal;
            }}).builds"""
        )
        command = builds["etc/tenon/tenon.toml"]
        if ("config check" in command) != checked or 'cp settings.toml "$out"' not in command:
            raise Failed(f"with cross = {cross} the build is: {command}")


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
