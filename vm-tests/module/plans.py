"""Plans: what a configuration would leave on a machine."""

import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import nix
from .places import HERE, MODULE

UNITS = "etc/systemd/system/"


@dataclass(frozen=True)
class Unit:
    """A unit of systemd: its name, its text, and what its sections say."""

    name: str
    text: str

    def said(self, key: str) -> list[str]:
        """All values of a key, in whichever section."""
        return [line.partition("=")[2] for line in self.text.splitlines() if line.partition("=")[0] == key]

    def words(self, key: str) -> list[str]:
        """All words of all values of a key."""
        return " ".join(self.said(key)).split()

    def one(self, key: str) -> str:
        """The value of a key that is said once; empty when it is not."""
        values = self.said(key)
        return values[-1] if values else ""

    def environment(self) -> dict[str, str]:
        """The variables that the unit sets."""
        pairs = (value.strip('"').partition("=") for value in self.said("Environment"))
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class Plan:
    """What a configuration would leave on a machine."""

    name: str
    content: dict[str, Any]

    @property
    def files(self) -> dict[str, str]:
        """Files by path."""
        return self.content["files"]

    def units(self, suffix: str) -> list[Unit]:
        """Our units of a kind, such as `.service`."""
        return [
            Unit(path.removeprefix(UNITS), text)
            for path, text in self.files.items()
            if path.startswith(UNITS) and path.endswith(suffix) and path.count("/") == 3
        ]

    def roles(self, role: str) -> list[Unit]:
        """Services by what they run: `serve`, `worker`, `scheduler`, `migrate`, ….

        By their names, so that a unit that runs the wrong thing does not slip away.
        """
        names = {
            "serve": lambda name: name == "tenon.service" or name.startswith("tenon@"),
            "worker": lambda name: name.startswith("tenon-worker-"),
        }
        named = names.get(role, lambda name: name == f"tenon-{role}.service")
        return [unit for unit in self.units(".service") if named(unit.name)]

    def lasting(self) -> list[Unit]:
        """Services that run on and on."""
        return self.roles("serve") + self.roles("worker") + self.roles("scheduler")

    @property
    def services(self) -> dict[str, Any]:
        """What the services of NixOS are asked for."""
        return self.content["services"]

    @property
    def settings(self) -> str:
        """The file of settings."""
        return self.files["etc/tenon/tenon.toml"]

    def own(self) -> list[Unit]:
        """All services that run our program."""
        return [unit for unit in self.units(".service") if unit.name != "tenon-sockets.service"]

    def script(self, unit: Unit, key: str = "ExecStart") -> str:
        """The script that a unit runs; empty when it runs none."""
        return self.files.get(unit.one(key).removeprefix("/"), "")


def evaluate(module: Path = MODULE, library: Path | None = None, only: list[str] | None = None) -> dict[str, Plan]:
    """The plans of the configurations, by name."""
    content = nix.evaluate(HERE / "plans.nix", module=module, library=library, only=only)
    return {name: Plan(name, plan) for name, plan in content["plans"].items()} | {
        "debian": Plan("debian", content["debian"])
    }


_first = threading.Lock()


def all_plans() -> dict[str, Plan]:
    """The plans of all configurations, evaluated once, whoever asks first."""
    with _first:
        return _evaluated()


@functools.cache
def _evaluated() -> dict[str, Plan]:
    return evaluate()


def nixos_plans() -> dict[str, Plan]:
    """The plans for NixOS."""
    return {name: plan for name, plan in all_plans().items() if name != "debian"}
