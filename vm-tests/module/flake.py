"""The flake's outputs, with a nixpkgs that has names and nothing behind them."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.places import UPGRADED

from . import nix
from .outcome import Failed, Skipped
from .places import HARNESS, HERE, REPOSITORY

SYSTEMS = ("x86_64-linux", "aarch64-linux")
PER_SYSTEM = {
    "packages": {"default", "image", "tenon"},
    "devShells": {"default"},
    "checks": {"package", "clippy", "tests", "options"},
}


def checks() -> dict[str, Callable[[], None]]:
    """The checks of this file."""
    return {"the flake has the outputs that it should": has_its_outputs, "the flake is sound": is_sound}


def has_its_outputs() -> None:
    """`nix flake show`."""
    shown = json.loads(_nix("show", "--json"))
    for output, names in PER_SYSTEM.items():
        for system in SYSTEMS:
            found = set(shown.get(output, {}).get(system, {}))
            files = {file.stem for file in HERE.parent.glob("*.nix")} - set(UPGRADED)
            scenarios = {f"vm-{file}" for file in files} if output == "checks" else set()
            if found != names | scenarios:
                raise Failed(f"{output}.{system} has {sorted(found)}, not {sorted(names | scenarios)}")
    for output, names in (
        ("nixosModules", {"default", "tenon"}),
        ("overlays", {"default"}),
        ("formatter", set(SYSTEMS)),
    ):
        if set(shown.get(output, {})) != names:
            raise Failed(f"{output} has {sorted(shown.get(output, {}))}")


def is_sound() -> None:
    """`nix flake check`: every output is of the kind that its name promises."""
    _nix("check", "--no-build")


def _nix(*command: str) -> str:
    if not os.access("/nix/store", os.W_OK) and not Path("/nix/var/nix/daemon-socket/socket").exists():
        raise Skipped("a flake is copied to /nix/store, where you may not write; try as root")
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = Path(directory, "tenon"), Path(directory, "nixpkgs")
        copy(ours)
        shutil.copytree(HARNESS, theirs / "harness", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        shutil.copy(HERE / "nixpkgs.nix", theirs / "flake.nix")
        done = subprocess.run(
            ["nix", "flake", *command, "--offline", "--no-write-lock-file",
             "--override-input", "nixpkgs", f"path:{theirs}", f"path:{ours}"],
            env=nix.ENVIRONMENT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
            raise Failed("\n".join(said)[-1500:])
        return done.stdout


def copy(directory: Path) -> None:
    """What git knows or could know, as it stands."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, directory / name)
