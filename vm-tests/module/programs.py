"""What the programs that read our files think of them: systemd, Caddy, nginx, Tenon itself."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import nix
from .outcome import Failed, Skipped
from .places import HERE, program
from .plans import UNITS, Plan, all_plans, nixos_plans

SECURE = "13"
"""`systemd-analyze security` times ten: nothing may be worse."""


def checks() -> dict[str, Callable[[], None]]:
    """The checks of this file."""
    return {
        "systemd takes every unit": systemd_takes_every_unit,
        "systemd scores every service 1.3 or better": systemd_scores_every_service,
        "shellcheck takes the commands for administrators": shellcheck_takes_the_commands,
        "Caddy takes every Caddyfile": caddy_takes_every_file,
        "nginx takes its site": nginx_takes_its_site,
        "Prometheus takes its configuration": prometheus_takes_its_configuration,
        "the manual that units name is there": the_manual_is_there,
        "tenon takes every file of settings": tenon_takes_every_file,
        "a wrong setting ends the build of the system": a_wrong_setting_ends_the_build,
        "the queues of the module are those of tenon": the_queues_are_those_of_tenon,
        "no content of a secret is anywhere": no_content_of_a_secret_is_anywhere,
    }


def _needs(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None and os.environ.get("CI"):
        raise Failed(f"{name} is not installed")
    if path is None:
        raise Skipped(f"{name} is not installed")
    return path


def _run(*command: str) -> str:
    """Runs a program; what it says, with whatever makes it fail."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0:
        raise Failed(said[-800:])
    return said


def _lay(plan: Plan, directory: Path) -> None:
    """Writes the units, with programs that are here in place of those that are not."""
    for path, text in plan.files.items():
        if path.startswith(UNITS):
            place = directory / path.removeprefix(UNITS)
            place.parent.mkdir(parents=True, exist_ok=True)
            runnable = re.sub(r"^(Exec\w+=[-+@!:]*)\S+", rf"\g<1>{shutil.which('true')}", text, flags=re.MULTILINE)
            place.write_text(runnable)


def systemd_takes_every_unit() -> None:
    """Nothing unknown, nothing contradictory. What we want of others is not here, and not asked for."""
    _needs("systemd-analyze")
    for plan in all_plans().values():
        with tempfile.TemporaryDirectory() as directory:
            _lay(plan, Path(directory))
            for foreign in ("postgresql.target", "redis-tenon.service", "network-online.target"):
                text = "[Service]\nExecStart=/bin/true\n" if foreign.endswith("service") else ""
                Path(directory, foreign).write_text(text)
            ours = [str(path) for path in Path(directory).glob("tenon*") if path.is_file()]
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", *ours],
                env=os.environ | {"SYSTEMD_UNIT_PATH": f"{directory}:"},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            about_ours = [line for line in done.stderr.splitlines() if "tenon" in line]
            if about_ours:
                raise Failed(f"{plan.name}: {about_ours[0]}")


def systemd_scores_every_service() -> None:
    """The lower, the safer."""
    _needs("systemd-analyze")
    for plan in all_plans().values():
        with tempfile.TemporaryDirectory() as directory:
            _lay(plan, Path(directory))
            ours = sorted(str(Path(directory, unit.name)) for unit in plan.own())
            _run("systemd-analyze", "security", "--offline=true", f"--threshold={SECURE}", "--no-pager", *ours)


def shellcheck_takes_the_commands() -> None:
    """As nixpkgs does when it builds it."""
    shellcheck = _needs("shellcheck")
    for plan in all_plans().values():
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
            for script in (text for path, text in plan.files.items() if "bin/tenon" in path):
                file.seek(0)
                file.truncate()
                file.write(script)
                file.flush()
                _run(shellcheck, file.name)


def caddy_takes_every_file() -> None:
    """As Caddy would load it, with a certificate made for the occasion where it has one of the machine's."""
    caddy, openssl = _needs("caddy"), _needs("openssl")
    for plan in all_plans().values():
        if plan.services["caddy"]["enable"]:
            with tempfile.TemporaryDirectory() as directory:
                file = Path(directory, "Caddyfile")
                text = plan.services["caddy"]["configFile"]
                if "/var/lib/acme/" in text:
                    _make_certificate(openssl, Path(directory, "key.pem"), Path(directory, "cert.pem"))
                file.write_text(re.sub(r"/var/lib/acme/[^/]*", directory, text))
                _run("env", f"HOME={directory}", caddy, "validate", "--adapter", "caddyfile", "--config", str(file))


def nginx_takes_its_site() -> None:
    """As nginx would load it, with a certificate made for the occasion."""
    nginx, openssl = _needs("nginx"), _needs("openssl")
    with tempfile.TemporaryDirectory() as directory:
        key, certificate, file = (str(Path(directory, name)) for name in ("key.pem", "certificate.pem", "nginx.conf"))
        _make_certificate(openssl, Path(key), Path(certificate))
        site = nixos_plans()["nginx"].services["nginx"]["site"]
        site = re.sub(r"ssl_certificate_key .*;", f"ssl_certificate_key {key};", site)
        site = re.sub(r"ssl_certificate /.*;", f"ssl_certificate {certificate};", site)
        around = f"pid {directory}/pid;\nerror_log stderr;\nevents {{}}\n"
        Path(file).write_text(f"{around}http {{ access_log off;\n{site} }}\n")
        _run(nginx, "-t", "-q", "-c", file, "-p", directory)


def _make_certificate(openssl: str, key: Path, certificate: Path) -> None:
    _run(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tenon.example.org", "-days", "1",
         "-keyout", str(key), "-out", str(certificate))  # fmt: skip


def prometheus_takes_its_configuration() -> None:
    """With the rules that it names; but for the token, which only the machine has."""
    promtool = _needs("promtool")
    plan = nixos_plans()["monitored"]
    with tempfile.TemporaryDirectory() as directory:
        for path, text in plan.files.items():
            if path.startswith("etc/prometheus/"):
                Path(directory, Path(path).name).write_text(text)
        file = Path(directory, "prometheus.yml")
        file.write_text(plan.services["prometheus"]["configFile"].replace("/etc/prometheus", directory))
        _run(promtool, "check", "config", str(file))


def tenon_takes_every_file() -> None:
    """`tenon config check`, as the build of a system does."""
    tenon = _program()
    files = (
        (plan.name, path, text)
        for plan in all_plans().values()
        for path, text in plan.files.items()
        if path.startswith("etc/tenon/") and path.endswith(".toml")
    )
    for name, path, text in files:
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(text)
            file.flush()
            try:
                _run(tenon, "config", "check", file.name)
            except Failed as problem:
                raise Failed(f"{path} of {name}: {problem}") from problem


def the_manual_is_there() -> None:
    """Each page that `Documentation` names is one that the package installs."""
    with tempfile.TemporaryDirectory() as directory:
        _run(_program(), "man", directory)
        pages = {page.stem for page in Path(directory).iterdir()}
    for plan in all_plans().values():
        for path, text in plan.files.items():
            missing = set(re.findall(r"^Documentation=man:(\S+)\(1\)$", text, re.MULTILINE)) - pages
            if missing:
                raise Failed(f"{path} of {plan.name} names {', '.join(missing)}, which the package has not")


def a_wrong_setting_ends_the_build() -> None:
    """The command of the derivation, as it stands there: a good file comes out as it went in, of a wrong one nothing does."""
    plan = all_plans()["minimal"]
    [path] = plan.content["builds"]
    command = re.sub(r"/nix/store/\S+/bin/tenon", _program(), plan.content["builds"][path])
    for text, well in ((plan.settings, True), (plan.settings.replace("public_url", "public_ulr"), False)):
        with tempfile.TemporaryDirectory() as directory:
            file, out = Path(directory, "file"), Path(directory, "out")
            file.write_text(text)
            done = subprocess.run(
                ["sh", "-e", "-c", command], cwd=directory, env=os.environ | {"file": str(file), "out": str(out)},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if well and not (done.returncode == 0 and out.read_text() == text):
                raise Failed(f"a good file is not built: {done.stderr.strip()}")
            if not well and (done.returncode == 0 or out.exists() or "did you mean public_url" not in done.stderr):
                raise Failed("a key that does not exist would be built into a system")


def the_queues_are_those_of_tenon() -> None:
    """A queue that the program gets is a queue that the module knows."""
    tenon = _program()
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write('[worker]\nqueues = ["no such queue"]\n')
        file.flush()
        done = subprocess.run([tenon, "config", "check", file.name], capture_output=True, text=True, check=False)
    listed = re.search(r"the queues are (.*)", done.stderr)
    queues = set(listed[1].strip().split(", ")) if listed else set()
    source = (HERE.parent.parent / "nixos-module" / "workers.nix").read_text()
    known = re.search(r"types\.enum \[(.*?)\]", source)
    module = set(re.findall(r'"(\w+)"', known[1])) if known else set()
    if queues != module:
        raise Failed(f"tenon has {sorted(queues)}, the module {sorted(module)}")


def no_content_of_a_secret_is_anywhere() -> None:
    """l43: files of secrets exist while everything is evaluated, and nothing of what is in them shows up."""
    with tempfile.TemporaryDirectory() as directory:
        for name in ("keys", "password"):
            Path(directory, name).write_text("canary-4711\n")
        found = nix.expression(f"""
            builtins.toJSON (import {HERE}/../harness/render.nix {{ configuration.services.tenon = {{
                enable = true;
                domain = "tenon.example.org";
                mail.smtp = {{ host = "mail.example.org"; username = "tenon"; }};
                environmentFile = "{directory}/password";
                secrets = {{ signingKeysFile = "{directory}/keys"; smtpPasswordFile = "{directory}/password"; }};
            }}; }})""")
    if "canary" in found or f"{directory}/keys" not in found:
        raise Failed("the content of a secret is in the plan")


def _program() -> str:
    if not program().exists():
        raise Failed(f"{program()} does not exist: run `cargo build`, or let TENON name the program")
    return str(program())
