"""Where things are in the checkout, and where the harness keeps what it makes."""

import os
from pathlib import Path

HARNESS = Path(__file__).resolve().parent
TESTS = HARNESS.parent
REPOSITORY = TESTS.parent

CACHE = TESTS / ".cache"
"""Outlives `cargo clean`: root file systems, which cost a minute and the network."""

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").absolute()
RESULTS = TARGET / "vm"
"""What the last run of each test left: the console and the journal of each machine, the output of the driver."""


UPGRADED = ("upgrade",)
"""Tests that begin with the program before the newest migration: not for NixOS' driver."""


def tests() -> list[str]:
    """The names of all tests."""
    return sorted(path.stem for path in TESTS.iterdir() if path.suffix in (".nix", ".py"))


def test_file(name: str) -> Path:
    """The file of the test called `name`."""
    script = TESTS / f"{name}.py"
    return script if script.exists() else TESTS / f"{name}.nix"
