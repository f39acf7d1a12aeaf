"""The package: what its build needs is in its source."""

import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from . import checkout
from .outcome import Failed, Skipped
from .places import MODULE, REPOSITORY

INCLUDED = re.compile(r'(?:include_str|include_bytes|include|embed_migrations|include_dir)!\(\s*"([^"]+)"')


def checks() -> dict[str, Callable[[], None]]:
    """The checks of this file."""
    return {
        "the source of the package is whole": its_source_is_whole,
        "the package is built for packages": it_is_built_for_packages,
        "l44_no_hash_of_a_dependency_can_go_stale": l44_no_hash_of_a_dependency_can_go_stale,
        "no Nix is dead": no_nix_is_dead,
    }


def its_source_is_whole() -> None:
    """Cargo finds every crate there, and every file that is compiled in lies there."""
    listed = re.search(r"unions \[(.*?)\]", (MODULE / "package.nix").read_text(), re.DOTALL)
    parts = [(MODULE / name).resolve() for name in listed[1].split()] if listed else []
    for file in (REPOSITORY / "crates").glob("*/src/**/*.rs"):
        for name in INCLUDED.findall(file.read_text()):
            # Relative to the file, but for migrations: to the crate.
            crate = REPOSITORY.joinpath(*file.relative_to(REPOSITORY).parts[:2])
            places = [(file.parent / name).resolve(), (crate / name).resolve()]
            if not any(place.is_relative_to(part) for place in places if place.exists() for part in parts):
                raise Failed(f"{file.relative_to(REPOSITORY)} is compiled with {name}, which the package has not")
    if shutil.which("cargo") is None:
        raise Skipped("cargo is not installed")
    with tempfile.TemporaryDirectory() as directory:
        whole, source = Path(directory, "whole"), Path(directory, "source")
        checkout.copy(whole)
        for part in parts:
            place = source / part.relative_to(REPOSITORY)
            place.parent.mkdir(parents=True, exist_ok=True)
            copied = whole / part.relative_to(REPOSITORY)
            shutil.copytree(copied, place) if copied.is_dir() else shutil.copy(copied, place)
        done = subprocess.run(
            ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version=1"],
            cwd=source, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Failed(done.stderr.strip()[-600:])


def l44_no_hash_of_a_dependency_can_go_stale() -> None:
    """The lock file has them all: none is repeated in Nix, where nobody would renew it, and none is missing."""
    package = (MODULE / "package.nix").read_text()
    if "cargoLock.lockFile = ../Cargo.lock;" not in package or re.search(r"cargoHash|outputHashes|sha256", package):
        raise Failed("the package has hashes of its own")
    for locked in tomllib.loads((REPOSITORY / "Cargo.lock").read_text())["package"]:
        if "source" in locked and not (locked["source"].startswith("registry+") and locked.get("checksum")):
            raise Failed(f"{locked['name']} {locked['version']} is locked without its hash")


def it_is_built_for_packages() -> None:
    """With the profile that is for them, which cargo must know: `buildType` is its name."""
    given = re.search(r'^  buildType = "(.*)";$', (MODULE / "package.nix").read_text(), re.MULTILINE)
    profiles = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["profile"]
    if given is None or given[1] != "dist" or "dist" not in profiles:
        raise Failed(f"it is built as {given[1] if given else 'any program is'}; there are {', '.join(profiles)}")


def no_nix_is_dead() -> None:
    """Nothing is bound or taken that nobody uses."""
    if shutil.which("deadnix") is None:
        raise Skipped("deadnix is not installed")
    done = subprocess.run(
        ["deadnix", "--fail", "--no-lambda-pattern-names", "flake.nix", "nixos-module", "vm-tests"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failed(done.stdout.strip()[-800:])
