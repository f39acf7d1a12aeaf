"""What must hold in every plan, as sentences. `mutations.py` shows that each of them notices when it does not."""

import functools
from collections.abc import Callable

from . import laws_backups, laws_doors, laws_fences, laws_running
from .plans import Plan, nixos_plans

Law = Callable[[dict[str, Plan]], None]

LAWS: dict[str, Law] = {
    law.__name__.replace("_", " "): law
    for laws in (laws_running, laws_backups, laws_fences, laws_doors)
    for law in laws.LAWS
}
"""By the sentence."""


def checks() -> dict[str, Callable[[], None]]:
    """Each law as a check of all plans."""
    return {name: functools.partial(_hold, law) for name, law in LAWS.items()}


def _hold(law: Law) -> None:
    law(nixos_plans())
