"""What all laws are made of."""

from .outcome import Failed
from .plans import Plan, Unit

COMMANDS = {
    "serve": "serve",
    "worker": "worker",
    "scheduler": "scheduler",
    "migrate": "migrate",
    "backup": "backup create --wait 6h",
    "restore-drill": "backup drill",
    "base-backup": "backup base --unless-younger 20h --wait 6h",
    "log-drill": "backup drill --to-latest",
    "initial-admin": 'user create --admin --if-no-admin --name "Ada Lovelace"'
    " --password-file %d/initial-admin-password ada@example.org",
}
"""What each role runs."""


def demand(condition: object, what: str) -> None:
    """Fails unless `condition` holds."""
    if not condition:
        raise Failed(what)


def services(plans: dict[str, Plan]) -> list[tuple[Plan, Unit]]:
    """All our services, each with the plan that it is of."""
    return [(plan, unit) for plan in plans.values() for unit in plan.own()]


def lasting(plans: dict[str, Plan]) -> list[tuple[Plan, Unit]]:
    """Those that run on and on."""
    return [(plan, unit) for plan in plans.values() for unit in plan.lasting()]


def of(plan: Plan, unit: Unit) -> str:
    """What to call a unit."""
    return f"{unit.name} of {plan.name}"
