"""A machine in systemd-nspawn: a namespace of its own for everything, with the kernel of the host.

Its disk is an overlay: the shared root file system below, the plan and whatever the machine writes in memory above.
It outlives `crash` and `shutdown`, so that a machine can be started again.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .machine import PATH, Answer, Machine, MachineError
from .network import Port

PROGRAMS = ("systemd-nspawn", "nsenter")

CGROUPS = Path("/sys/fs/cgroup")


class Container(Machine):
    """A machine that shares the kernel of the host."""

    def __init__(
        self, name: str, results: Path, rootfs: Path, port: Port, group: str, lay: Callable[[Path], None]
    ) -> None:
        super().__init__(name, results)
        self._group = group
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._place = Path("/run/machines") / name
        self._disk = self._place / "disk"
        self._mount(rootfs)
        lay(self._disk)

    def _mount(self, rootfs: Path) -> None:
        above, work = self._place / "written/above", self._place / "written/work"
        self._disk.mkdir(parents=True)
        (self._place / "written").mkdir()
        _mount("-t", "tmpfs", "-o", "size=4g,mode=755", "tmpfs", str(self._place / "written"))
        above.mkdir()
        work.mkdir()
        layers = f"lowerdir={rootfs},upperdir={above},workdir={work}"
        _mount("-t", "overlay", "-o", layers, "overlay", str(self._disk))

    def start(self, allow_reboot: bool = False) -> None:
        if self.is_up():
            return
        command = [
            "systemd-nspawn", "--quiet", "--boot", f"--machine={self.name}", f"--directory={self._disk}",
            # No manager of the host is asked for anything: there may be none.
            "--register=no", "--keep-unit", "--console=pipe", "--resolv-conf=off", "--timezone=off",
            f"--network-namespace-path={self._port.namespace}",
        ]  # fmt: skip
        with open(self.results / f"{self.name}.console", "ab") as console:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, preexec_fn=self._enter_cgroup
            )
        self._wait_for_boot(60)

    def _enter_cgroup(self) -> None:
        """Each machine has a group of its own in the hierarchies that systemd uses, or they would share units."""
        for place in _cgroups(f"{self._group}-{self.name}"):
            place.mkdir(exist_ok=True)
            (place / "cgroup.procs").write_text("0")

    def _wait_for_boot(self, seconds: int) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.is_up():
                raise MachineError(f"{self.name} did not boot: {self._console()}")
            self._leader = self._find_leader()
            if self._leader and self.run("systemctl list-jobs", 10).status == 0:
                return
            time.sleep(0.05)
        raise MachineError(f"{self.name} did not boot within {seconds} s: {self._console()}")

    def _find_leader(self) -> int:
        """The machine's first process: the child of nspawn that has become systemd."""
        assert self._process is not None
        try:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            return next((int(c) for c in children if Path(f"/proc/{c}/comm").read_text() == "systemd\n"), 0)
        except OSError:
            return 0

    def _console(self) -> str:
        return (self.results / f"{self.name}.console").read_text(errors="replace")[-2000:]

    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def run(self, command: str, timeout: int) -> Answer:
        inside = ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        shell = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "bash", "-c", command]
        try:
            done = subprocess.run(
                [*inside, *shell], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as late:
            raise MachineError(f"{self.name}: `{command}` took longer than {timeout} s") from late
        return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def crash(self) -> None:
        if self._process is not None and self.is_up():
            # The first process takes the whole namespace with it.
            os.kill(self._leader, signal.SIGKILL)
            self._process.wait(30)

    def wait_for_shutdown(self) -> None:
        if self._process is not None:
            self._process.wait(120)

    def block(self) -> None:
        self._port.block()

    def unblock(self) -> None:
        self._port.unblock()

    def root(self) -> Path:
        return Path(f"/proc/{self._leader}/root") if self.is_up() else self._disk

    def copy_from_host(self, source: str, target: str) -> None:
        place = self.root() / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True, symlinks=True)
        else:
            shutil.copy(source, place)


def sweep_cgroups(group: str, machines: list[str]) -> None:
    """Removes the groups of machines that are gone; nothing else is left outside of the namespaces of a test."""
    end = time.monotonic() + 10
    for place in (place for machine in machines for place in _cgroups(f"{group}-{machine}")):
        while place.exists() and time.monotonic() < end:
            for directory, _, _ in os.walk(place, topdown=False):
                # Their processes were killed, and may take a moment to be gone.
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
            time.sleep(0.02)


def sweep_stale() -> None:
    """Removes the groups of runs that were killed: nobody was left to do it."""
    for place in (place for parent in _hierarchies() for place in parent.glob("tenon-vm-*-*")):
        _, _, process, machine = place.name.split("-", 3)
        if not Path(f"/proc/{process}").exists():
            sweep_cgroups(f"tenon-vm-{process}", [machine])


def _cgroups(name: str) -> list[Path]:
    """Where a group called `name` belongs."""
    return [parent / name for parent in _hierarchies()]


def _hierarchies() -> list[Path]:
    """The unified hierarchy, or the two that systemd uses on a host that mixes them."""
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS]
    return [CGROUPS / hierarchy for hierarchy in ("systemd", "unified") if (CGROUPS / hierarchy).is_dir()]


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
