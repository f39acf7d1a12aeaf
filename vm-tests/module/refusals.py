"""Wrong configurations are refused, each with a sentence that helps."""

import functools
from collections.abc import Callable

from . import nix
from .outcome import Failed
from .places import HERE


def checks() -> dict[str, Callable[[], None]]:
    """One check for each row of the table."""
    return {
        f"refused: {name.replace('-', ' ')}": functools.partial(_is_refused, name, message)
        for name, message in nix.expression(
            f"builtins.mapAttrs (_: refusal: refusal.message) (import {HERE}/refusals.nix)"
        ).items()
    }


def _is_refused(name: str, message: str) -> None:
    try:
        said = "; ".join(nix.evaluate(HERE / "refusal.nix", name=name))
    except nix.EvaluationError as error:
        said = str(error)
    if not said:
        raise Failed("it is accepted")
    if message not in said:
        raise Failed(f"{message!r} is not in: {said}")
