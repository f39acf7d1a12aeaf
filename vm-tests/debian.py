"""Installs Tenon on a plain Debian, by the commands of docs/admin/debian.md as they stand there (l46)."""

import re
from pathlib import Path

from harness.places import REPOSITORY

GUIDE = REPOSITORY / "docs/admin/debian.md"


def commands() -> list[str]:
    """What the guide lets root type, in order."""
    blocks = re.findall(r"```console\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    return [line.removeprefix("# ") for block in blocks for line in block.splitlines() if line.startswith("# ")]


machine.start()

with subtest("what Debian's packages leave"):
    machine.succeed("pg_createcluster --start 15 main")
    machine.succeed("install -D -m 0755 /nix/store/tenon/bin/tenon /root/target/release/tenon")
    machine.copy_from_host(str(REPOSITORY / "docs"), "/root/docs")

with subtest("l46_every_command_of_the_guide_works"):
    for command in commands():
        if command.startswith("apt install"):
            # They are there already, and the network is not.
            machine.succeed(f"dpkg-query --show {command.removeprefix('apt install')}")
            continue
        if command.startswith("systemctl restart caddy"):
            # Nobody can prove to a public authority that this name is theirs.
            machine.succeed("sed -i '0,/{/s//{\\n\\ttls internal/' /etc/caddy/Caddyfile")
        machine.succeed(f"cd /root && {command}")

with subtest("what it installed can be used"):
    machine.succeed("echo 127.0.0.1 tenon.example.org >> /etc/hosts")
    for unit in ["tenon.service", "tenon-worker-default.service", "tenon-scheduler.service"]:
        machine.wait_for_unit(unit)
    authority = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
    url = "https://tenon.example.org/api/v1"
    machine.wait_until_succeeds(f"curl -fsS --cacert {authority} {url}/readiness")
    machine.succeed("echo correct horse battery | tenon user create ada@example.org --name Ada --password-stdin")
    machine.succeed(
        f"curl -fsS --cacert {authority} {url}/auth/sign-in -H 'content-type: application/json'"
        """ -d '{"login": "ada@example.org", "password": "correct horse battery"}'"""
    )

with subtest("what it installed is backed up, and the backup can be restored"):
    machine.succeed("systemctl start tenon-backup.service && systemctl start tenon-restore-drill.service")
    machine.succeed("tenon backup list | grep -q full")

machine.shutdown()
