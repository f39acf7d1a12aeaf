"""From a test file to what can be run: its script, and a plan for each of its machines."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .places import HARNESS


class EvaluationError(Exception):
    """The test, or the module with its configuration, is not valid Nix."""


@dataclass
class Test:
    """A test, evaluated."""

    name: str
    script: str
    plans: dict[str, dict[str, Any]]


BARE: dict[str, Any] = {"files": {}, "links": [], "packages": {"/nix/store/tenon": "tenon"}}
"""A machine as Debian left it, with the program somewhere on its disk."""


def evaluate(file: Path, module: Path | None = None) -> Test:
    """Evaluates the test in `file`, which takes nothing but `nix-instantiate`; with another module, if one is given.

    A test that is a Python file is a script for one bare machine: not for NixOS.
    """
    if file.suffix == ".py":
        return Test(file.stem, file.read_text(), {"machine": BARE})
    other = [] if module is None else ["--arg", "module", str(module.absolute())]
    done = subprocess.run(
        [
            "nix-instantiate", "--eval", "--strict", "--json", str(HARNESS / "test.nix"),
            "--argstr", "file", str(file.absolute()), *other,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise EvaluationError(done.stderr.strip())
    test = json.loads(done.stdout)
    for machine, plan in test["plans"].items():
        if plan["failedAssertions"]:
            raise EvaluationError(f"{machine}: {'; '.join(plan['failedAssertions'])}")
    return Test(test["name"], test["testScript"], test["plans"])


def with_program_elsewhere(test: Test, suffix: str) -> Test:
    """The same with another path of the program, as that of another release would have in the store."""
    text = json.dumps(test.plans)
    paths = {path for plan in test.plans.values() for path, name in plan["packages"].items() if name == "tenon"}
    for path in paths:
        text = text.replace(path, f"{path}-{suffix}")
    return Test(test.name, test.script, json.loads(text))
