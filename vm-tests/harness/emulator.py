"""A machine with a kernel of its own, in QEMU without hardware support: slow, and everything that a container cannot
enforce is enforced.

Commands go through a serial port, to an agent that the layout adds to the disk.
"""

import base64
import json
import socket
import subprocess
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

from . import network
from .apply import Layout
from .machine import PATH, Answer, Machine, MachineError

PROGRAMS = ("qemu-system-x86_64", "mke2fs")

DISK = "4G"
MEMORY_MIB = 2048
BOOT_SECONDS = 240

AGENT = r"""
import base64, json, os, subprocess
port = os.open("/dev/virtio-ports/driver", os.O_RDWR)
stream = os.fdopen(port, "rb", buffering=0)
buffer = b""
while True:
    buffer += stream.read(4096) or b""
    while b"\n" in buffer:
        line, buffer = buffer.split(b"\n", 1)
        ask = json.loads(line)
        clean = {"PATH": "@PATH@", "HOME": "/root", "LANG": "C.UTF-8"}
        try:
            done = subprocess.run(["bash", "-c", ask["command"]], stdin=subprocess.DEVNULL, capture_output=True,
                timeout=ask["timeout"], env=clean)
            answer = [done.returncode, done.stdout, done.stderr]
        except subprocess.TimeoutExpired:
            answer = [124, b"", b"the driver's time for this command is over\n"]
        texts = [base64.b64encode(text).decode() for text in answer[1:]]
        data = json.dumps([ask["number"], answer[0], *texts]).encode() + b"\n"
        while data:
            data = data[os.write(port, data):]
"""

AGENT_UNIT = """
[Unit]
Description=Agent of the test driver
DefaultDependencies=no
After=systemd-udevd.service systemd-tmpfiles-setup-dev.service dev-virtio\\x2dports-driver.device
BindsTo=dev-virtio\\x2dports-driver.device

[Service]
ExecStart=/usr/bin/python3 /opt/driver/agent.py
Restart=always

[Install]
WantedBy=multi-user.target
"""

NETWORK_UNIT = """
[Unit]
Description=Address on the network of the test
DefaultDependencies=no
Before=network.target network-pre.target
Wants=network.target
After=systemd-udev-settle.service
Wants=systemd-udev-settle.service

[Service]
Type=oneshot
RemainAfterExit=true
ExecStart=/sbin/ip link set eth0 name eth1
ExecStart=/sbin/ip addr add {four} dev eth1
ExecStart=/sbin/ip addr add {six} dev eth1 nodad
ExecStart=/sbin/ip link set eth1 up

[Install]
WantedBy=multi-user.target
"""


class Emulator(Machine):
    """A whole machine."""

    def __init__(self, name: str, results: Path, rootfs: Path, layout: Layout) -> None:
        super().__init__(name, results)
        self._rootfs = rootfs
        self._place = Path("/run/machines") / name
        self._place.mkdir(parents=True)
        self._tap = f"tap-{layout.position}"
        network.ip("tuntap", "add", self._tap, "mode", "tap")
        network.ip("link", "set", self._tap, "master", network.BRIDGE, "up")
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._disk = results / f"{name}.disk"
        self._make_disk(layout)

    def _make_disk(self, layout: Layout) -> None:
        with tempfile.TemporaryDirectory(dir=self.results) as scratch:
            tree, above, work = (Path(scratch) / part for part in ("tree", "above", "work"))
            for directory in (tree, above, work):
                directory.mkdir()
            layers = f"lowerdir={self._rootfs},upperdir={above},workdir={work}"
            subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", tree], check=True)
            layout.lay(tree)
            layout.write("opt/driver/agent.py", AGENT.replace("@PATH@", PATH))
            layout.write("etc/systemd/system/driver.service", AGENT_UNIT)
            four, six = network.networks(layout.position)
            layout.write("etc/systemd/system/test-network.service", NETWORK_UNIT.format(four=four, six=six))
            layout.enable("driver.service")
            layout.enable("test-network.service")
            layout.write("etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
            made = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), str(self._disk), DISK]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["umount", tree], check=True)

    def start(self, allow_reboot: bool = False) -> None:
        if self.is_up():
            return
        link = self._place / "driver"
        link.unlink(missing_ok=True)
        kernel, ramdisk = (next((self._rootfs / "boot").glob(f"{kind}-*")) for kind in ("vmlinuz", "initrd.img"))
        command = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MIB),
            "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
            "-drive", f"file={self._disk},format=raw,if=virtio,cache=unsafe",
            "-kernel", str(kernel), "-initrd", str(ramdisk),
            "-append", "root=/dev/vda rw console=ttyS0 panic=-1 net.ifnames=0 systemd.show_status=0 quiet "
            "systemd.unified_cgroup_hierarchy=1",
            "-device", "virtio-rng-pci",
            "-device", "virtio-serial",
            "-chardev", f"socket,id=driver,path={link},server=on,wait=off",
            "-device", "virtserialport,chardev=driver,name=driver",
            "-netdev", f"tap,id=net,ifname={self._tap},script=no,downscript=no",
            "-device", f"virtio-net-pci,netdev=net,mac=52:54:00:12:01:{int(self._tap[4:]):02x}",
        ]  # fmt: skip
        with open(self.results / f"{self.name}.console", "ab") as console:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        end = time.monotonic() + BOOT_SECONDS
        while not link.exists() and time.monotonic() < end:
            time.sleep(0.05)
        self._link = socket.socket(socket.AF_UNIX)
        self._link.connect(str(link))
        self._answers = self._link.makefile("rb")
        self.run("true", BOOT_SECONDS)

    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def run(self, command: str, timeout: int) -> Answer:
        self._number += 1
        ask = {"number": self._number, "command": command, "timeout": timeout}
        self._link.settimeout(timeout + 60)
        try:
            self._link.sendall(json.dumps(ask).encode() + b"\n")
            while line := self._answers.readline():
                number, status, output, errors = json.loads(line)
                if number == self._number:
                    texts = (base64.b64decode(text).decode(errors="replace") for text in (output, errors))
                    return Answer(status, *texts)
        except OSError as error:
            raise MachineError(f"{self.name}: no answer to `{command}`: {error}") from error
        raise MachineError(f"{self.name}: went off during `{command}`")

    def shutdown(self) -> None:
        if self.is_up():
            self.run("systemctl poweroff --no-block >/dev/null 2>&1 &", 60)
            self.wait_for_shutdown()

    def crash(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def wait_for_shutdown(self) -> None:
        if self._process is not None:
            self._process.wait(180)

    def block(self) -> None:
        network.ip("link", "set", self._tap, "down")

    def unblock(self) -> None:
        network.ip("link", "set", self._tap, "up")

    def root(self) -> Path:
        raise MachineError(f"{self.name}: the disk of an emulated machine is its own while it runs")

    def copy_from_host(self, source: str, target: str) -> None:
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(source, Path(target).name)
        text = base64.b64encode(packed.getvalue()).decode()
        parent = Path(target).parent
        self.succeed(f"mkdir -p {parent} && tar -xzf - -C {parent} < <(base64 -d <<<'{text}')")
