"""Debian root file systems: built once by mmdebstrap, kept as compressed archives named after what is in them."""

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .places import CACHE, RESULTS

SUITE = "bookworm"

SERVICES = (
    "systemd", "systemd-sysv", "dbus", "libnss-systemd", "iproute2", "procps", "login", "passwd", "ca-certificates",
    "postgresql", "redis-server", "caddy", "nginx-light",
    "prometheus", "prometheus-node-exporter", "prometheus-postgres-exporter", "prometheus-redis-exporter",
    "prometheus-blackbox-exporter", "prometheus-process-exporter",
    "age", "curl", "openssl", "python3-minimal", "python3", "zstd",
)  # fmt: skip
"""What the units of the module, and the commands of the tests, run."""

KERNEL = ("linux-image-cloud-amd64", "initramfs-tools", "udev", "kmod")
"""What a whole machine needs on top."""

MACHINE = SERVICES + KERNEL


def unpacked(packages: tuple[str, ...]) -> Path:
    """A root file system with `packages`. It is shared: nobody may write to it."""
    name = f"rootfs-{_key(packages)}"
    tree = RESULTS / name
    with _one_at_a_time():
        if not tree.exists():
            archive = _archive(name, packages)
            half = tree.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir(parents=True)
            subprocess.run(["tar", "--zstd", "-xf", archive, "-C", half, "--numeric-owner"], check=True)
            half.rename(tree)
    return tree


def _key(packages: tuple[str, ...]) -> str:
    return hashlib.sha256(" ".join((SUITE, *sorted(packages))).encode()).hexdigest()[:12]


def _archive(name: str, packages: tuple[str, ...]) -> Path:
    archive = CACHE / f"{name}.tar.zst"
    if archive.exists():
        return archive
    print(f"building a Debian root file system ({SUITE}, {len(packages)} packages) …", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    half = CACHE / f"{name}.half.tar"
    subprocess.run(
        [
            "mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={','.join(packages)}",
            # The services are the plan's to start; Debian's own units would hold their ports.
            "--customize-hook=rm -rf $1/etc/systemd/system/*.wants/* $1/var/lib/postgresql/* $1/etc/postgresql/*",
            "--customize-hook=rm -rf $1/usr/share/doc $1/usr/share/man $1/usr/share/locale $1/var/cache/apt",
            SUITE, half,
        ],
        check=True,
    )  # fmt: skip
    subprocess.run(["zstd", "--quiet", "--force", "--rm", "-3", "-T0", half, "-o", f"{half}.zst"], check=True)
    Path(f"{half}.zst").rename(archive)
    return archive


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / "rootfs.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
