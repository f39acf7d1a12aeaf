"""The scripts of scenarios are what NixOS' driver takes, which checks them before it runs them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.evaluate import EvaluationError, evaluate
from harness.places import UPGRADED

from .outcome import Failed, Skipped
from .places import HARNESS

TESTS = HARNESS.parent

NAMES = """from collections.abc import Callable
from contextlib import AbstractContextManager
from harness.machine import Machine, retry as retry

machines: list[Machine]
start_all: Callable[[], None]
join_all: Callable[[], None]
subtest: Callable[[str], AbstractContextManager[None]]
"""
"""What a script finds besides its machines."""

OURS = """from harness.switch import Switch

switches: dict[str, Switch]
"""
"""What it finds as well where only our harness runs it."""


def checks() -> dict[str, Callable[[], None]]:
    """The checks of this file."""
    return {"the scripts of scenarios have no mistake of types": scripts_are_typed}


def scripts_are_typed() -> None:
    """Each with its machines by name."""
    if shutil.which("mypy") is None:
        raise Skipped("mypy is not installed")
    with tempfile.TemporaryDirectory() as directory:
        for file in TESTS.glob("*.nix"):
            try:
                test = evaluate(file)
            except EvaluationError as error:
                raise Failed(f"{file.name}: {error}") from error
            machines = "".join(f"{name}: Machine\n" for name in test.plans)
            names = NAMES + (OURS if test.name in UPGRADED else "")
            Path(directory, f"{test.name}_script.py").write_text(names + machines + test.script)
        done = subprocess.run(
            ["mypy", "--no-implicit-optional", f"--cache-dir={directory}/cache", *Path(directory).glob("*.py")],
            env=os.environ | {"MYPYPATH": str(TESTS)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise Failed(done.stdout.strip()[-800:])
