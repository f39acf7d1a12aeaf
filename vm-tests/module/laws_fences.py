"""What may be touched."""

import json
import re
from itertools import chain

from .demands import COMMANDS, demand, of, services
from .plans import Plan

NEVER_LESS = {
    "CapabilityBoundingSet": "",
    "LockPersonality": "true",
    "MemoryDenyWriteExecute": "true",
    "NoNewPrivileges": "true",
    "PrivateDevices": "true",
    "PrivateTmp": "true",
    "PrivateUsers": "true",
    "ProtectControlGroups": "true",
    "ProtectHome": "true",
    "ProtectKernelLogs": "true",
    "ProtectKernelModules": "true",
    "ProtectKernelTunables": "true",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RestrictNamespaces": "true",
    "RestrictSUIDSGID": "true",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
}

INITIAL = "/run/secrets/initial-admin"
"""Where the configuration with a first administrator has the password."""

DEFAULT_LIMITS = {
    "tenon": ("100%", "1G"),
    "tenon-worker-default": ("50%", "512M"),
    "tenon-scheduler": ("25%", "256M"),
}


def every_unit_is_hardened(plans: dict[str, Plan]) -> None:
    """Whatever `systemd-analyze security` thinks of the sum."""
    for plan, unit in services(plans):
        for key, value in NEVER_LESS.items():
            demand(unit.said(key) == [value], f"{of(plan, unit)}: {key} is not {value or 'empty'}")
        demand(unit.one("User") not in ("", "root", "postgres"), f"{of(plan, unit)} runs as {unit.one('User')!r}")
        demand("@system-service" in unit.words("SystemCallFilter"), f"{of(plan, unit)} may call anything")


def what_needs_no_network_has_none(plans: dict[str, Plan]) -> None:
    """Where everything is on this machine, a unit reaches nothing else; where it is not, it must."""
    open_to = {
        "minimal": set(),
        "mail-relay": {"worker"},
        "everything": {"serve", "worker", "scheduler", "backup", "restore-drill"},
        "external-database": set(COMMANDS),
        "remote-redis": {"serve", "worker", "scheduler"},
    }
    for name in open_to.keys() & plans.keys():
        for role in COMMANDS:
            for unit in plans[name].roles(role):
                closed = (unit.said("IPAddressDeny"), unit.said("IPAddressAllow")) == (["any"], ["localhost"])
                demand(closed == (role not in open_to[name]), f"{of(plans[name], unit)} and the network")


def each_role_has_its_limits(plans: dict[str, Plan]) -> None:
    """Processors and memory as OPERATIONS says, and what an option says instead."""
    units = {unit.name.removesuffix(".service"): unit for unit in plans["minimal"].own()}
    for name, limits in DEFAULT_LIMITS.items():
        found = (units[name].one("CPUQuota"), units[name].one("MemoryMax"))
        demand(found == limits, f"{name} has {found}, not {limits}")
    for plan, unit in services(plans):
        demand(unit.said("MemoryMax") and unit.said("TasksMax"), f"{of(plan, unit)} has no limits")
    for unit in plans["everything"].roles("serve"):
        demand((unit.one("CPUQuota"), unit.one("MemoryMax")) == ("150%", "2G"), "resources.api is not heeded")


def the_machines_postgres_is_limited_only_when_asked(plans: dict[str, Plan]) -> None:
    """Others may use it, who would be killed with us."""
    for plan in plans.values():
        addition = plan.files.get("etc/systemd/system/postgresql.service.d/tenon.conf", "")
        limits = {line for line in addition.splitlines() if line.startswith(("CPUQuota=", "MemoryMax=", "TasksMax="))}
        asked = {"adjusted": {"CPUQuota=200%", "MemoryMax=4G"}, "several-disks": {"CPUQuota=200%"}}
        demand(limits == asked.get(plan.name, set()), f"{plan.name} limits Postgres to {limits}")


def an_administrator_says_what_a_unit_may(plans: dict[str, Plan]) -> None:
    """Without force, and of the one unit."""
    [unit] = plans["adjusted"].roles("serve")
    demand(unit.said("ProtectHostname") == ["false"], f"{of(plans['adjusted'], unit)} does not heed it")
    for unit in plans["adjusted"].roles("worker"):
        demand(unit.said("ProtectHostname") == ["true"], f"{of(plans['adjusted'], unit)} heeds it, too")


def secrets_are_handed_over_by_systemd(plans: dict[str, Plan]) -> None:
    """l43: paths of secrets stand in LoadCredential and nowhere else, for every unit and for the command."""
    for plan in plans.values():
        credentials = plan.own()[0].said("LoadCredential")
        for unit in plan.own():
            more = [f"initial-admin-password:{INITIAL}"] if unit in plan.roles("initial-admin") else []
            demand(unit.said("LoadCredential") == credentials + more, f"{of(plan, unit)} lacks secrets")
        for path, text in chain(plan.files.items(), (("a service", json.dumps(one)) for one in plan.services.values())):
            for line in text.splitlines():
                rest = re.sub(r"(--property=)?LoadCredential=\S+", "", line)
                demand("/run/secrets/" not in rest, f"{path} of {plan.name} names a secret: {line.strip()[:120]}")
    expected = {
        "backup.identity",
        "backup.target.secret_access_key",
        "auth.signing_keys",
        "mail.password",
        "metrics.token",
        "storage.access_key_id",
        "storage.secret_access_key",
    }
    found = {value.split(":")[0] for value in plans["everything"].own()[0].said("LoadCredential")}
    demand(expected <= found, f"secrets are lost: {', '.join(sorted(expected - found))}")
    by_url = plans["workers-only"].own()[0].said("LoadCredential")
    for key in ("database.url", "bus.url", "cache.url", "limiter.url"):
        demand(any(value.startswith(f"{key}:") for value in by_url), f"{key} is lost")
    for name, wanted in (("workers-only", False), ("remote-redis-queue", True)):
        if name in plans:
            given = any(value.startswith("queue.url:") for value in plans[name].own()[0].said("LoadCredential"))
            demand(given == wanted, f"queue.url of {name}")


def only_80_and_443_are_open(plans: dict[str, Plan]) -> None:
    """And only when that is asked for; 443 by UDP as well, for HTTP/3."""
    for plan in plans.values():
        wanted = ([80, 443], [443]) if plan.name == "everything" else ([], [])
        demand((plan.content["ports"], plan.content["udpPorts"]) == wanted, f"{plan.name} opens ports")


def a_local_redis_is_reached_by_its_socket(plans: dict[str, Plan]) -> None:
    """No port, and only our account is in its group; without it, nobody is."""
    for plan in plans.values():
        servers = plan.services["redis"]
        groups = {group for unit in plan.own() for group in unit.said("SupplementaryGroups")}
        if not servers:
            demand(not groups, f"{plan.name}: groups without a Redis: {groups}")
            demand("redis-tenon" not in json.dumps(plan.content), f"{plan.name} speaks of a Redis that is not there")
            continue
        server = servers["tenon"]
        demand(server["port"] == 0, f"{plan.name}: Redis listens on a port")
        demand(groups == {server["group"]}, f"{plan.name}: {groups} is not Redis' group")
        queue = "[queue]" in plan.settings
        users = 4 if queue else 3
        demand(plan.settings.count(f"redis+unix://{server['unixSocket']}") == users, f"{plan.name} looks elsewhere")
        policy = "noeviction" if queue else "allkeys-lru"
        demand(server["settings"]["maxmemory-policy"] == policy, f"{plan.name}: a full Redis would forget jobs")


def the_database_belongs_to_the_account(plans: dict[str, Plan]) -> None:
    """So that Postgres can ask the system who is calling."""
    for plan in plans.values():
        postgresql = plan.services["postgresql"]
        if postgresql["ensureUsers"]:
            owner = [user["name"] for user in postgresql["ensureUsers"] if user.get("ensureDBOwnership")]
            clauses = postgresql["ensureUsers"][0]["ensureClauses"]
            demand(clauses["createdb"] is (True if plan.roles("backup") else None), f"{plan.name}: {clauses}")
            demand(owner == postgresql["ensureDatabases"] == ["tenon"], f"{plan.name}: {owner} owns the database")
            demand(plan.own()[0].one("User") == "tenon", f"{plan.name}: another account calls")
            demand("postgres:///tenon?host=/run/postgresql&user=tenon" in plan.settings, f"{plan.name} looks elsewhere")


LAWS = (
    every_unit_is_hardened,
    what_needs_no_network_has_none,
    each_role_has_its_limits,
    the_machines_postgres_is_limited_only_when_asked,
    an_administrator_says_what_a_unit_may,
    secrets_are_handed_over_by_systemd,
    only_80_and_443_are_open,
    a_local_redis_is_reached_by_its_socket,
    the_database_belongs_to_the_account,
)
