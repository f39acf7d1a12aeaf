"""Nix without nixpkgs: evaluating and parsing, both by `nix-instantiate`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ENVIRONMENT = os.environ | {
    # Nothing is built, so no users for building are needed; and nothing is fetched.
    "NIX_CONFIG": "build-users-group =\nexperimental-features = nix-command flakes\nsubstitute = false",
    "NIX_PATH": "",
}


class EvaluationError(Exception):
    """What Nix says when something is wrong."""


def evaluate(file: Path, **arguments: Any) -> Any:
    """The value of `file`, called with `arguments`."""
    given = " ".join(f"{name} = {_nix(value)};" for name, value in arguments.items())
    return expression(f"import {file} {{ {given} }}")


def expression(text: str) -> Any:
    """The value of an expression."""
    return _instantiate(["--eval", "--strict", "--json", "-E", text])


def parse(file: Path) -> None:
    """Complains when `file` is not Nix."""
    _run(["--parse", str(file)])


def _instantiate(arguments: list[str]) -> Any:
    return json.loads(_run(arguments))


def _run(arguments: list[str]) -> str:
    done = subprocess.run(["nix-instantiate", *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
        raise EvaluationError("\n".join(said).strip())
    return done.stdout


def _nix(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list):
        return f"[ {' '.join(_nix(item) for item in value)} ]"
    return json.dumps(value)
