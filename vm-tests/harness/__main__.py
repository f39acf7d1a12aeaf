"""`python3 -m harness [name …]`: runs tests and prints a line for each, and one for each of their subtests.

`tcg` is the test `core` in a whole machine, with a kernel of its own. The exit status is 0 when all passed, 1 when one
failed, and 77 when none failed but some could not be run here, which a line that begins with SKIP says.
"""

import argparse
import functools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import container, emulator, previous, rootfs, scenario
from .evaluate import EvaluationError, evaluate
from .places import RESULTS, TARGET, UPGRADED, test_file, tests

LIMIT = 15 * 60
"""Seconds that a test may take."""

EMULATED = {"tcg": "core"}
"""Tests that are other tests in whole machines."""

SKIPPED = 77

NAMESPACES = (
    # Ends with this process, however that ends.
    "setpriv", "--pdeathsig=KILL",
    "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=private",
)  # fmt: skip
"""What a test runs in. All that it mounts, starts and joins is gone with its first process."""


def main() -> int:
    """The command line."""
    options = _options()
    if options.inside:
        return scenario.main(
            options.inside, options.results, options.program, options.older, options.group, options.emulated
        )
    known = [*tests(), *EMULATED]
    names = options.names or known
    if unknown := [name for name in names if name not in known]:
        print(f"no such test: {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    program = options.program or TARGET / "debug/tenon"
    container.sweep_stale()
    outcomes = {name: _run(name, program) for name in names}
    failed = [name for name, well in outcomes.items() if well is False]
    skipped = [name for name, well in outcomes.items() if well is None]
    passed = len(names) - len(failed) - len(skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else SKIPPED if skipped else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="just vm", description="Runs the tests of vm-tests/ on Debian's systemd.")
    parser.add_argument("names", nargs="*", metavar="name", help="tests; all when none is named")
    parser.add_argument("--program", type=Path, help="the tenon to install; unset, the debug build")
    # What a test's own process is started with.
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--older", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--group", help=argparse.SUPPRESS)
    parser.add_argument("--emulated", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


@functools.cache
def _obstacle(emulated: bool) -> str | None:
    """Why this system cannot run tests, if so."""
    kind = emulator.PROGRAMS if emulated else container.PROGRAMS
    needed = ["nix-instantiate", "mmdebstrap", "setpriv", "unshare", "ip", "zstd", "strip", *kind]
    if missing := [program for program in needed if shutil.which(program) is None]:
        return f"not installed: {', '.join(missing)}"
    trial = (
        "mount -t tmpfs tmpfs /run && mkdir /run/below /run/above /run/work /run/both && "
        "mount -t overlay overlay -o lowerdir=/run/below,upperdir=/run/above,workdir=/run/work /run/both && "
        "ip link add trial type bridge"
    )
    tried = subprocess.run([*NAMESPACES, "sh", "-c", trial], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"namespaces, mounts and bridges cannot be made here (root is needed): {tried.stderr.strip()}"
    return None


def _stripped(program: Path, name: str = "tenon") -> Path:
    """The program without what only a debugger reads: it is copied into every machine."""
    if not program.exists():
        raise SystemExit(f"there is no {program}: build it first, with `cargo build --bin tenon`")
    stripped = RESULTS / name
    if not stripped.exists() or int(stripped.stat().st_mtime) != int(program.stat().st_mtime):
        RESULTS.mkdir(parents=True, exist_ok=True)
        subprocess.run(["strip", "--preserve-dates", "-o", stripped, program], check=True)
    return stripped


def _run(name: str, program: Path) -> bool | None:
    """Runs one test in namespaces of its own, and says how it went; nothing when it cannot be run here."""
    emulated = name in EMULATED
    file = EMULATED.get(name, name)
    if obstacle := _obstacle(emulated):
        print(f"SKIP   {name}: {obstacle}", flush=True)
        return None
    stripped = _stripped(program)
    try:
        older = [f"--older={_stripped(previous.program(), 'tenon-older')}"] if name in UPGRADED else []
    except previous.NoPrevious as reason:
        print(f"SKIP   {name}: there is no program to upgrade from: {reason}", flush=True)
        return None
    try:
        rootfs.unpacked(rootfs.MACHINE if emulated else rootfs.SERVICES)
    except subprocess.CalledProcessError as error:
        print(f"FAILED {name}: there is no root file system: {error}", flush=True)
        return False
    print(f"{name} …", flush=True)
    results = RESULTS / name
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    try:
        machines = list(evaluate(test_file(file)).plans)
    except EvaluationError as error:
        print(f"FAILED {name}: {error}", flush=True)
        return False
    group = f"tenon-vm-{os.getpid()}"
    inside = [
        sys.executable, "-m", "harness", f"--inside={file}", f"--results={results}", f"--program={stripped}",
        f"--group={group}", *older, *(["--emulated"] if emulated else []),
    ]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen([*NAMESPACES, *inside])
    try:
        well = process.wait(LIMIT) == 0
    except subprocess.TimeoutExpired:
        print(f"    ended after {LIMIT} s", flush=True)
        well = False
    finally:
        # With it goes its child, the first process of the namespaces, and with that everything.
        process.kill()
        process.wait()
        container.sweep_cgroups(group, machines)
    word = "ok    " if well else "FAILED"
    print(f"{word} {name} {time.monotonic() - began:.1f} s" + ("" if well else f"; see {results}"), flush=True)
    return well


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
