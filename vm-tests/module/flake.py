"""The flake's outputs, with a nixpkgs that has names and nothing behind them."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from harness.places import UPGRADED

from . import checkout, nix
from .outcome import Failed, Skipped
from .places import HARNESS, HERE, REPOSITORY

SYSTEMS = ("x86_64-linux", "aarch64-linux")
PER_SYSTEM = {
    "packages": {"default", "image", "tenon"},
    "devShells": {"default"},
    "checks": {"package", "clippy", "tests", "options"},
}

RUST_OF_NIXOS = (1, 95)
"""The oldest release of NixOS that is supported has this Rust; as long as it is, the program asks for none newer."""


def checks() -> dict[str, Callable[[], None]]:
    """The checks of this file."""
    return {
        "the flake has the outputs that it should": has_its_outputs,
        "the flake is sound": is_sound,
        "the flake is locked to what the pages say": is_locked,
        "a Rust that NixOS has can build the program": is_built_by_the_rust_of_nixos,
    }


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


def is_locked() -> None:
    """Each input that `flake.nix` names is in the lock file with its revision and hash, and `nixos-verification.md` says which."""
    lock = json.loads((REPOSITORY / "flake.lock").read_text())
    named = re.findall(r'^  inputs\.(\w+)\.url = "(.*)";$', (REPOSITORY / "flake.nix").read_text(), re.MULTILINE)
    inputs = lock["nodes"][lock["root"]]["inputs"]
    if not named or {name for name, _ in named} != set(inputs):
        raise Failed(f"flake.nix has the inputs {[name for name, _ in named]}, flake.lock {sorted(inputs)}")
    page = (REPOSITORY / "docs" / "admin" / "nixos-verification.md").read_text()
    for name, url in named:
        locked, original = (lock["nodes"][inputs[name]][key] for key in ("locked", "original"))
        if url != "{type}:{owner}/{repo}/{ref}".format(**original):
            raise Failed(f"flake.lock locks {name} of another address than {url}")
        if not re.fullmatch(r"[0-9a-f]{40}", locked["rev"]) or not locked["narHash"].startswith("sha256-"):
            raise Failed(f"flake.lock does not lock {name}")
        if locked["rev"] not in page or locked["narHash"] not in page:
            raise Failed(f"nixos-verification.md does not say how {locked['rev']} was checked")


def is_built_by_the_rust_of_nixos() -> None:
    """The oldest that is supported, 26.05, has 1.95."""
    needed = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    if tuple(map(int, needed.split("."))) > RUST_OF_NIXOS:
        raise Failed(f"rust-version is {needed}, and NixOS 26.05 has no newer than {'.'.join(map(str, RUST_OF_NIXOS))}")


def _nix(*command: str) -> str:
    if not os.access("/nix/store", os.W_OK) and not Path("/nix/var/nix/daemon-socket/socket").exists():
        raise Skipped("a flake is copied to /nix/store, where you may not write; try as root")
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = Path(directory, "tenon"), Path(directory, "nixpkgs")
        checkout.copy(ours)
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
