"""The files of the checkout: what git knows or could know, or in a plain tarball all that its `.gitignore` does not name."""

import fnmatch
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .outcome import Failed, Skipped
from .places import REPOSITORY


def checks() -> dict[str, Callable[[], None]]:
    """The check of this file."""
    return {"a plain tarball has the files that git knows": a_tarball_has_the_same_files}


def files(root: Path = REPOSITORY) -> list[str]:
    """All files below `root` that are written by somebody, relative to it, in order."""
    listed = _of_git(root)
    return sorted(_of_tarball(root)) if listed is None else listed


def copy(directory: Path) -> None:
    """Copies them, as they stand."""
    for name in files():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, directory / name)


def a_tarball_has_the_same_files() -> None:
    """Unpacked elsewhere and without git, with what a build leaves there, the same files are found."""
    known = _of_git(REPOSITORY)
    if known is None:
        raise Skipped("this is no checkout of git")
    with tempfile.TemporaryDirectory() as directory:
        tarball = Path(directory)
        copy(tarball)
        for left in ("target/debug/tenon.nix", "vm-tests/__pycache__/x.pyc", "vm-tests/.cache/root", "result"):
            (tarball / left).parent.mkdir(parents=True, exist_ok=True)
            (tarball / left).touch()
        found = files(tarball)
    if found != known:
        raise Failed(f"a tarball differs in {sorted(set(found) ^ set(known))[:5]}")


def _of_git(root: Path) -> list[str] | None:
    """None where there is no git, or nothing of it in `root` itself."""
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted({name for name in listed.stdout.split("\0") if name and (root / name).is_file()})


def _of_tarball(root: Path) -> Iterator[str]:
    ignored = (root / ".gitignore").read_text().split()
    for place, directories, names in os.walk(root):
        here = Path(place).relative_to(root)
        directories[:] = [name for name in directories if name != ".git" and not _is_ignored(here / name, ignored)]
        yield from (str(here / name) for name in names if not _is_ignored(here / name, ignored))


def _is_ignored(path: Path, patterns: list[str]) -> bool:
    """As git reads it: with a slash at its beginning a pattern is of the whole path, without of any name."""
    return any(
        path.match(pattern[1:]) and len(path.parts) == len(Path(pattern[1:]).parts)
        if pattern.startswith("/")
        else fnmatch.fnmatch(path.name, pattern.rstrip("/"))
        for pattern in patterns
    )
