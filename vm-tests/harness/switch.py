"""From one plan to another on a machine that runs: what `nixos-rebuild switch` would do to the units of Tenon.

As there, units whose text has changed and that are active are restarted in one go, so that their order is systemd's to
keep; those that say so are left alone; and what the targets that are reached want is started.
"""

from .apply import Layout
from .machine import Machine

TARGETS = ("sockets.target", "timers.target", "multi-user.target")

class Switch:
    """The way of a running machine from an older plan to a newer one."""

    def __init__(self, machine: Machine, older: Layout, newer: Layout) -> None:
        self._machine = machine
        self._older = older
        self._newer = newer

    def lay(self) -> None:
        """Puts everything of the newer plan on the disk; nothing that runs notices."""
        self._newer.lay_over(self._older, self._machine.root())
        self._machine.succeed("systemctl daemon-reload && systemd-tmpfiles --create --exclude-prefix=/dev plan.conf")

    def restarted(self) -> list[str]:
        """The services that a switch restarts, by the rules of NixOS."""
        before, after = self._older.units(), self._newer.units()
        changed = [unit for unit, text in after.items() if unit in before and before[unit] != text]
        return [
            unit
            for unit in sorted(changed)
            if unit.endswith(".service")
            and "X-RestartIfChanged=false" not in after[unit]
            and self._machine.get_unit_property(unit, "ActiveState") == "active"
        ]

    def command(self) -> str:
        """Restarts what has changed, and starts what is new."""
        targets = sorted(unit for unit in self._newer.units() if unit.endswith(".target"))
        return f"systemctl restart {' '.join(self.restarted())} && systemctl start {' '.join([*targets, *TARGETS])}"
