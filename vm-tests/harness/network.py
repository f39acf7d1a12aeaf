"""The network that joins the machines: a bridge, and for each machine a namespace with `eth1` on it.

Addresses are those of the NixOS driver: 192.168.1.1 and 2001:db8:1::1 for the first machine by name, and so on.
"""

import subprocess

BRIDGE = "vlan1"


def ip(*words: str) -> None:
    """Runs `ip`, which must succeed."""
    subprocess.run(["ip", *words], check=True)


def addresses(position: int) -> list[str]:
    """The addresses of the machine at `position`, counted from 1."""
    return [f"192.168.1.{position}", f"2001:db8:1::{position}"]


def networks(position: int) -> list[str]:
    """The same, each with the length of its prefix."""
    four, six = addresses(position)
    return [f"{four}/24", f"{six}/64"]


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
        for network in networks(position):
            ip("-n", machine, "addr", "add", network, "dev", "eth1", *(["nodad"] if ":" in network else []))
        ip("-n", machine, "link", "set", "eth1", "up")

    def block(self) -> None:
        """Unplugs the cable."""
        ip("link", "set", self._outside, "down")

    def unblock(self) -> None:
        """Plugs the cable in."""
        ip("link", "set", self._outside, "up")
