"""Runs the script of one test. This is the first process of the test's own namespaces: when it ends, for whatever
reason, the kernel ends everything it started and unmounts everything it mounted.
"""

import contextlib
import linecache
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from . import apply, network, previous
from .container import Container
from .emulator import Emulator
from .evaluate import Test, evaluate, with_program_elsewhere
from .machine import Machine, MachineError, retry
from .places import test_file
from .rootfs import MACHINE, SERVICES, unpacked
from .switch import Switch


class Scenario:
    """A test and its machines."""

    def __init__(self, test: Test, machines: list[Machine], switches: dict[str, Switch]) -> None:
        self._test = test
        self._machines = machines
        self._switches = switches
        self._subtests: list[str] = []

    def run(self) -> None:
        """Runs the script; fails as the script does."""
        try:
            exec(self._compiled(), self._names())
        finally:
            for machine in self._machines:
                machine.keep_journal()

    def _compiled(self) -> CodeType:
        name = f"<{self._test.name}>"
        lines = self._test.script.splitlines(keepends=True)
        # So that a traceback shows the line of the script.
        linecache.cache[name] = (len(self._test.script), None, lines, name)
        return compile(self._test.script, name, "exec")

    def _names(self) -> dict[str, Any]:
        """What a script finds, as with the NixOS driver."""
        return {machine.name.replace("-", "_"): machine for machine in self._machines} | {
            "machines": self._machines,
            "start_all": lambda: [machine.start() for machine in self._machines],
            "join_all": lambda: [machine.wait_for_shutdown() for machine in self._machines],
            "subtest": self._subtest,
            "retry": retry,
            "log": sys.stdout,
            # Not of the NixOS driver.
            "switches": self._switches,
        }

    @contextlib.contextmanager
    def _subtest(self, name: str) -> Iterator[None]:
        self._subtests.append(name)
        began = time.monotonic()
        yield
        self._subtests.pop()
        print(f"    {time.monotonic() - began:6.1f} s  {name}", flush=True)

    def where(self) -> str:
        """The subtest that is running."""
        return " / ".join(self._subtests) or "the script itself"


def main(name: str, results: Path, program: Path, older: Path | None, group: str, emulated: bool) -> int:
    """Runs the test called `name`; the status that the process ends with. With an older program, machines begin with
    that and its module, and `switches` lead to this one."""
    test = evaluate(test_file(name))
    first, begins = test, program
    if older:
        first = with_program_elsewhere(evaluate(test_file(name), previous.TREE / "nixos-module"), "older")
        begins = older
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    network.create()
    rootfs = unpacked(MACHINE if emulated else SERVICES)
    machines: list[Machine] = []
    switches: dict[str, Switch] = {}
    hosts = {machine: network.addresses(position) for position, machine in enumerate(sorted(test.plans), 1)}
    for position, machine in enumerate(sorted(test.plans), 1):
        layout = apply.Layout(machine, first.plans[machine], begins, hosts)
        if emulated:
            machines.append(Emulator(machine, results, rootfs, layout))
        else:
            port = network.Port(machine, position)
            machines.append(Container(machine, results, rootfs, port, group, layout.lay))
        if older:
            newer = apply.Layout(machine, test.plans[machine], program, hosts)
            switches[machine] = Switch(machines[-1], layout, newer)
    scenario = Scenario(test, machines, switches)
    try:
        scenario.run()
    except (MachineError, AssertionError) as error:
        print(f"    in: {scenario.where()}\n{_script_lines()}    {type(error).__name__}: {error}", flush=True)
        return 1
    except Exception:
        print(f"    in: {scenario.where()}\n{traceback.format_exc()}", flush=True)
        return 1
    return 0


def _script_lines() -> str:
    """The lines of the script that led to the failure."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = (frame for frame in frames if frame.filename.startswith("<"))
    return "".join(f"    {frame.filename}:{frame.lineno}: {frame.line}\n" for frame in ours)
