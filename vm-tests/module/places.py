"""Where things are in the checkout."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
MODULE = REPOSITORY / "nixos-module"
HARNESS = HERE.parent / "harness"

NIXPKGS = os.environ.get("TENON_NIXPKGS")
"""A checkout of nixpkgs, or of its lib, where there is one."""


def program() -> Path:
    """The program, as `cargo build` leaves it, or where `TENON` says."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")
    return Path(os.environ.get("TENON") or target / "debug" / "tenon").absolute()
