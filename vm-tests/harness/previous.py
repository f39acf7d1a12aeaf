"""The sources as they were before the newest migration, and the program that they make: what an upgrade begins with.

They are taken from the history of the repository, built in a directory of their own, and kept until there is a newer
migration.
"""

import os
import shutil
import subprocess
from pathlib import Path

from .places import REPOSITORY, TARGET

HOME = TARGET / "previous"
TREE = HOME / "tree"


class NoPrevious(Exception):
    """There is no such commit, or it cannot be built."""


def program() -> Path:
    """The program, built if it is not there yet, which takes minutes. Its sources are in `TREE`."""
    commit = _commit()
    built, mark = HOME / "target/debug/tenon", HOME / "commit"
    if built.exists() and mark.exists() and mark.read_text() == commit:
        return built
    print(f"building the program of {commit[:12]}, which takes minutes …", flush=True)
    mark.unlink(missing_ok=True)
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=REPOSITORY, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", TREE], input=archive, check=True)
    done = subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--package", "tenon-server"],
        cwd=TREE, env=os.environ | {"CARGO_TARGET_DIR": str(HOME / "target")}, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise NoPrevious(f"{commit[:12]} does not build")
    mark.write_text(commit)
    return built


def _commit() -> str:
    """The parent of the commit that added the newest migration."""
    newest = max(path.name for path in (REPOSITORY / "migrations").iterdir())
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", f"migrations/{newest}/up.sql")
    if not added:
        raise NoPrevious(f"the migration {newest} is not committed yet, or the history does not reach back to it")
    return _git("rev-parse", "--verify", "--quiet", f"{added}^")


def _git(*words: str) -> str:
    command = ["git", "-c", f"safe.directory={REPOSITORY}", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoPrevious(done.stderr.strip() or "the history does not reach back to it")
    return done.stdout.strip()
