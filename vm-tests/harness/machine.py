"""A machine of a test, with the names and the meanings of the NixOS test driver.

What a test may call is here; how a command gets into the machine is in `container` and `emulator`.
"""

import shlex
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PATH = "/run/wrappers/bin:/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where commands are looked for: as on NixOS, then as on Debian."""

PATIENCE = 120
"""Seconds that a condition is waited for when the test does not say."""


class MachineError(Exception):
    """What the machine did is not what the test asked for."""


@dataclass
class Answer:
    """How a command ended, and what it printed."""

    status: int
    output: str
    errors: str = ""


def retry(condition: Callable[[bool], bool], timeout: int = PATIENCE) -> None:
    """Asks until the answer is yes. The argument says whether it is the last time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition(False):
            return
        time.sleep(0.1)
    if not condition(True):
        raise MachineError(f"still not so after {timeout} s")


class Machine(ABC):
    """One machine. It starts when it is first needed, as in the NixOS driver."""

    def __init__(self, name: str, results: Path) -> None:
        self.name = name
        self.results = results

    # How a kind of machine does it.

    @abstractmethod
    def start(self, allow_reboot: bool = False) -> None:
        """Boots, unless it runs."""

    @abstractmethod
    def is_up(self) -> bool:
        """Whether it runs."""

    @abstractmethod
    def run(self, command: str, timeout: int) -> Answer:
        """Runs `command` in its shell."""

    @abstractmethod
    def crash(self) -> None:
        """Takes its power away."""

    @abstractmethod
    def wait_for_shutdown(self) -> None:
        """Waits until it is off."""

    @abstractmethod
    def block(self) -> None:
        """Takes it off the network that joins the machines."""

    @abstractmethod
    def unblock(self) -> None:
        """Puts it back on the network."""

    @abstractmethod
    def root(self) -> Path:
        """Its disk, to be written to while it runs."""

    @abstractmethod
    def copy_from_host(self, source: str, target: str) -> None:
        """Copies a file or a directory into the machine."""

    # Commands.

    def execute(
        self, command: str, check_return: bool = True, check_output: bool = True, timeout: int | None = 900
    ) -> tuple[int, str]:
        """The status and the standard output of `command`."""
        self.start()
        answer = self.run(f"set -euo pipefail; {command}", timeout or 900)
        self._note(f"$ {command}\n{answer.errors}{answer.output}")
        return answer.status, answer.output

    def succeed(self, *commands: str, timeout: int | None = None) -> str:
        """What `commands` printed; each must succeed."""
        output = ""
        for command in commands:
            self.start()
            answer = self.run(f"set -euo pipefail; {command}", timeout or 900)
            self._note(f"$ {command}\n{answer.errors}{answer.output}")
            if answer.status != 0:
                said = (answer.errors + answer.output).strip()
                raise MachineError(f"{self.name}: `{command}` failed with status {answer.status}: {said[-4000:]}")
            output += answer.output
        return output

    def fail(self, *commands: str, timeout: int | None = None) -> str:
        """What `commands` printed; each must fail."""
        output = ""
        for command in commands:
            status, said = self.execute(command, timeout=timeout)
            if status == 0:
                raise MachineError(f"{self.name}: `{command}` succeeded: {said[-4000:]}")
            output += said
        return output

    def wait_until_succeeds(self, command: str, timeout: int = PATIENCE) -> str:
        """What `command` printed when it first succeeded."""
        return self._until(command, lambda status: status == 0, "succeed", timeout)

    def wait_until_fails(self, command: str, timeout: int = PATIENCE) -> str:
        """What `command` printed when it first failed."""
        return self._until(command, lambda status: status != 0, "fail", timeout)

    def _until(self, command: str, well: Callable[[int], bool], wish: str, timeout: int) -> str:
        end = time.monotonic() + timeout
        while True:
            status, output = self.execute(command, timeout=timeout)
            if well(status):
                return output
            if time.monotonic() > end:
                raise MachineError(f"{self.name}: `{command}` did not {wish} within {timeout} s: {output[-2000:]}")
            time.sleep(0.1)

    # Units.

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        """Runs systemctl, for the system or for a person's own manager."""
        if user is None:
            return self.execute(f"systemctl {q}")
        return self.execute(f"systemctl --user --machine {shlex.quote(user)}@ {q}")

    def get_unit_info(self, unit: str, user: str | None = None) -> dict[str, str]:
        """Every property of a unit."""
        manager = "systemctl" if user is None else f"systemctl --user --machine={shlex.quote(user)}@"
        self.start()
        # Asked often, while waiting: not written down.
        answer = self.run(f"{manager} --no-pager show {shlex.quote(unit)}", 60)
        if answer.status != 0:
            raise MachineError(f"{self.name}: cannot ask for {unit}: {answer.errors}")
        pairs = (line.split("=", 1) for line in answer.output.splitlines() if "=" in line)
        return {name: value for name, value in pairs}

    def get_unit_property(self, unit: str, property: str, user: str | None = None) -> str:
        """One property of a unit."""
        return self.get_unit_info(unit, user).get(property, "")

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        """Fails unless the unit is in this state now."""
        state = self.get_unit_property(unit, "ActiveState")
        if state != require_state:
            raise MachineError(f"{self.name}: {unit} is {state}, not {require_state}")

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: int = PATIENCE) -> None:
        """Waits until the unit is active; fails at once when it has failed, or will never be."""

        def active(last: bool) -> bool:
            info = self.get_unit_info(unit, user)
            state = info.get("ActiveState", "unknown")
            if state == "failed" or last and state != "active":
                raise MachineError(f"{self.name}: {unit} is {state}\n{self._last_words(unit)}")
            if state == "inactive" and self._is_idle(user):
                # It may have started between the two questions.
                if self.get_unit_property(unit, "ActiveState", user) != "inactive":
                    return False
                raise MachineError(f"{self.name}: {unit} is inactive and nothing is going to start it")
            return state == "active"

        retry(active, timeout)

    def _is_idle(self, user: str | None) -> bool:
        """Whether nothing is being started or stopped."""
        return "No jobs" in self.systemctl("list-jobs --full", user)[1]

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """Starts a unit."""
        return self.systemctl(f"start {shlex.quote(jobname)}", user)

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """Stops a unit."""
        return self.systemctl(f"stop {shlex.quote(jobname)}", user)

    def _last_words(self, unit: str) -> str:
        return self.run(f"journalctl --no-pager -o cat -n 12 -u {shlex.quote(unit)}", 30).output

    # Sockets and files.

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: int = PATIENCE) -> None:
        """Waits until something listens on a TCP port."""
        self.wait_until_succeeds(f"timeout 5 bash -c '</dev/tcp/{addr}/{port}'", timeout)

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: int = PATIENCE) -> None:
        """Waits until nothing listens on a TCP port."""
        self.wait_until_fails(f"timeout 5 bash -c '</dev/tcp/{addr}/{port}'", timeout)

    def wait_for_open_unix_socket(self, addr: str, is_datagram: bool = False, timeout: int = PATIENCE) -> None:
        """Waits until something listens on a unix socket."""
        kind = "SOCK_DGRAM" if is_datagram else "SOCK_STREAM"
        program = f"import socket; socket.socket(socket.AF_UNIX, socket.{kind}).connect({addr!r})"
        self.wait_until_succeeds(f"python3 -c {shlex.quote(program)}", timeout)

    def wait_for_file(self, filename: str, timeout: int = PATIENCE) -> None:
        """Waits until a file exists."""
        self.wait_until_succeeds(f"test -e {shlex.quote(filename)}", timeout)

    # The whole machine.

    def shutdown(self) -> None:
        """Powers off in order, and waits."""
        if self.is_up():
            self.run("systemctl poweroff --no-block", 60)
            self.wait_for_shutdown()

    def reboot(self) -> None:
        """Powers off in order, and boots again."""
        self.shutdown()
        self.start()

    def sleep(self, secs: int) -> None:
        """Lets time pass in the machine."""
        self.succeed(f"sleep {secs}")

    def log(self, msg: str) -> None:
        """Puts a line into the output of the driver."""
        self._note(f"# {msg}\n")

    def _note(self, text: str) -> None:
        with open(self.results / f"{self.name}.driver", "a") as file:
            file.write(f"{time.strftime('%T')} {text}")

    def keep_journal(self) -> None:
        """Writes the machine's journal beside the other results, where it can still be asked."""
        if self.is_up():
            try:
                journal = self.run("journalctl --no-pager -o short-precise", 60).output
            except (MachineError, OSError, subprocess.TimeoutExpired) as error:
                journal = f"the journal could not be read: {error}\n"
            (self.results / f"{self.name}.journal").write_text(journal)
