"""The network that joins the machines: a bridge, and for each machine a namespace with `eth1` on it.

Addresses are those of the NixOS driver: 192.168.1.1 for the first machine by name, and so on.
"""

import subprocess

BRIDGE = "vlan1"


def ip(*words: str) -> None:
    """Runs `ip`, which must succeed."""
    subprocess.run(["ip", *words], check=True)


def address(position: int) -> str:
    """The address of the machine at `position`, counted from 1."""
    return f"192.168.1.{position}"


def create() -> None:
    """Makes the bridge, in the network namespace of the test."""
    ip("link", "set", "lo", "up")
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("link", "set", BRIDGE, "up")


class Port:
    """A machine's place on the bridge."""

    def __init__(self, machine: str, position: int) -> None:
        self.namespace = f"/run/netns/{machine}"
        self._outside = f"port{position}"
        ip("netns", "add", machine)
        ip("link", "add", self._outside, "type", "veth", "peer", "name", "eth1", "netns", machine)
        ip("link", "set", self._outside, "master", BRIDGE, "up")
        ip("-n", machine, "link", "set", "lo", "up")
        ip("-n", machine, "addr", "add", f"{address(position)}/24", "dev", "eth1")
        ip("-n", machine, "link", "set", "eth1", "up")

    def block(self) -> None:
        """Unplugs the cable."""
        ip("link", "set", self._outside, "down")

    def unblock(self) -> None:
        """Plugs the cable in."""
        ip("link", "set", self._outside, "up")
