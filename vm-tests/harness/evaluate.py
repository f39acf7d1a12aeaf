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


def evaluate(file: Path) -> Test:
    """Evaluates the test in `file`, which takes nothing but `nix-instantiate`.

    A test that is a Python file is a script for one bare machine: not for NixOS.
    """
    if file.suffix == ".py":
        return Test(file.stem, file.read_text(), {"machine": BARE})
    done = subprocess.run(
        [
            "nix-instantiate", "--eval", "--strict", "--json", str(HARNESS / "test.nix"),
            "--argstr", "file", str(file.absolute()),
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
