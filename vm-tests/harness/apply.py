"""Lays a plan over a root file system: what `nixos-rebuild switch` would leave there, as far as units can tell."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from . import supply

PROGRAMS = ("/usr/bin", "/usr/sbin", "/usr/lib/postgresql/15/bin")


class Layout:
    """A plan, the program it runs, and the machines it shall know by name."""

    def __init__(self, machine: str, plan: dict[str, Any], program: Path, hosts: dict[str, list[str]]) -> None:
        self.position = sorted(hosts).index(machine) + 1
        self._machine = machine
        self._plan = plan
        self._program = program
        self._hosts = hosts
        self._root = Path("/nonexistent")

    def lay(self, root: Path) -> None:
        """Writes everything below `root`."""
        self._root = root
        self._identity()
        self._files()
        self._packages()
        self._enable_supplied()
        subprocess.run(["systemd-sysusers", f"--root={root}", "plan.conf"], check=True, capture_output=True)

    def lay_over(self, older: "Layout", root: Path) -> None:
        """Writes everything below `root`, where a machine runs that `older` was laid out for."""
        self._root = root
        for path in older.files().keys() - self.files().keys():
            (root / path.lstrip("/")).unlink(missing_ok=True)
        self._files()
        self._packages()
        subprocess.run(["systemd-sysusers", f"--root={root}", "plan.conf"], check=True, capture_output=True)

    def files(self) -> dict[str, str]:
        """The text of each file, by path."""
        made: dict[str, str] = self._plan["files"] | supply.files(self._plan.get("services", {}))
        return made

    def units(self) -> dict[str, str]:
        """The text of each unit of systemd, by name."""
        place = "etc/systemd/system/"
        return {path.removeprefix(place): text for path, text in self.files().items() if path.startswith(place)}

    def write(self, path: str, text: str) -> None:
        """Writes a file."""
        place = self._root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_text(text)

    def link(self, path: str, target: str) -> None:
        """Makes a link, in the place of whatever was there."""
        place = self._root / path.lstrip("/")
        # Whoever goes through it at this moment does not miss it.
        if place.is_symlink() and str(place.readlink()) == target:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def enable(self, unit: str) -> None:
        """Lets a unit start with the machine."""
        self.link(f"etc/systemd/system/multi-user.target.wants/{unit}", f"/etc/systemd/system/{unit}")

    def _identity(self) -> None:
        names = [f"{address} {machine}" for machine, addresses in self._hosts.items() for address in addresses]
        own = [f"{address} {' '.join(hosts)}" for address, hosts in self._plan.get("hosts", {}).items()]
        self.write("etc/hosts", "\n".join(["127.0.0.1 localhost", "::1 localhost", *own, *names, ""]))
        self.write("etc/hostname", f"{self._machine}\n")
        self.write("etc/resolv.conf", "")
        self.write("etc/machine-id", "")
        # A journal that outlives a crash.
        (self._root / "var/log/journal").mkdir(parents=True, exist_ok=True)

    def _files(self) -> None:
        self._accounts()
        for path, text in self.files().items():
            self.write(path, text)
        for path in self._plan.get("executables", []):
            (self._root / path.lstrip("/")).chmod(0o755)
        for link in self._plan["links"]:
            self.link(link["link"], link["target"])

    def _accounts(self) -> None:
        lines = []
        groups = dict(self._plan.get("groups", {}))
        for group in groups:
            lines.append(f"g {group} -")
        for user, account in self._plan.get("users", {}).items():
            home = account.get("home") or "/var/empty"
            lines.append(f'u {user} - "{user}" {home} {account.get("shell") or "/usr/sbin/nologin"}')
            for group in filter(None, [account.get("group"), *account.get("extraGroups", [])]):
                lines += [f"g {group} -", f"m {user} {group}"]
        lines += [f'u {user} - "{user}" /var/lib/{user}' for user in supply.users(self._plan.get("services", {}))]
        self.write("etc/sysusers.d/plan.conf", "\n".join(dict.fromkeys(lines)) + "\n")

    def _packages(self) -> None:
        """Every package of nixpkgs is the programs of Debian, and `tenon` is the real one."""
        for store_path, name in self._plan.get("packages", {}).items():
            place = self._root / store_path.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            if name == "tenon":
                (place / "bin").mkdir(exist_ok=True)
                shutil.copy(self._program, place / "bin/tenon")
            else:
                self.link(f"{store_path}/bin", "/opt/programs")
        for directory in PROGRAMS:
            for program in (self._root / directory.lstrip("/")).iterdir():
                self.link(f"opt/programs/{program.name}", f"{directory}/{program.name}")
        sw = [f"{path}/bin" for path in self._plan.get("systemPackages", [])]
        for directory in sw:
            for program in (self._root / directory.lstrip("/")).glob("*"):
                self.link(f"nix/var/sw/bin/{program.name}", f"{directory}/{program.name}")
        rules = ["L+ /run/current-system/sw - - - - /nix/var/sw", *self._plan.get("tmpfiles", [])]
        self.write("etc/tmpfiles.d/plan.conf", "\n".join(rules) + "\n")

    def _enable_supplied(self) -> None:
        for path in supply.files(self._plan.get("services", {})):
            if path.startswith("etc/systemd/system/"):
                self.enable(Path(path).name)
