"""What must hold in every plan, as sentences. `mutations.py` shows that each of them notices when it does not."""

import functools
import json
import re
from collections.abc import Callable
from itertools import chain

from .outcome import Failed
from .plans import Plan, Unit, nixos_plans

Law = Callable[[dict[str, Plan]], None]

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

COMMANDS = {
    "serve": "serve",
    "worker": "worker",
    "scheduler": "scheduler",
    "migrate": "migrate",
    "backup": "backup create",
    "restore-drill": "backup drill",
    "base-backup": "backup base",
}

DEFAULT_LIMITS = {
    "tenon": ("100%", "1G"),
    "tenon-worker-default": ("50%", "512M"),
    "tenon-scheduler": ("25%", "256M"),
}


def checks() -> dict[str, Callable[[], None]]:
    """Each law as a check of all plans."""
    return {name: functools.partial(_hold, law) for name, law in LAWS.items()}


def _hold(law: Law) -> None:
    law(nixos_plans())


def demand(condition: object, what: str) -> None:
    """Fails unless `condition` holds."""
    if not condition:
        raise Failed(what)


def _services(plans: dict[str, Plan]) -> list[tuple[Plan, Unit]]:
    return [(plan, unit) for plan in plans.values() for unit in plan.own()]


def _lasting(plans: dict[str, Plan]) -> list[tuple[Plan, Unit]]:
    return [(plan, unit) for plan in plans.values() for unit in plan.lasting()]


def _of(plan: Plan, unit: Unit) -> str:
    return f"{unit.name} of {plan.name}"


# What runs, and in which order.


def each_role_runs_its_command(plans: dict[str, Plan]) -> None:
    """`tenon-worker-mail` runs a worker."""
    for plan in plans.values():
        for role, command in COMMANDS.items():
            for unit in plan.roles(role):
                demand(unit.one("ExecStart").endswith(f"/bin/tenon {command}"), f"{_of(plan, unit)} does not {command}")
        demand(len(plan.roles("migrate")) == 1, f"{plan.name} does not migrate")
    minimal = plans["minimal"]
    demand([len(minimal.roles(role)) for role in ("serve", "worker", "scheduler")] == [1, 1, 1], "a role is missing")


def everything_starts_with_the_machine(plans: dict[str, Plan]) -> None:
    """multi-user.target → tenon.target → our services; the sockets earlier."""
    for plan in plans.values():
        links = {link["link"].removeprefix("etc/systemd/system/") for link in plan.content["links"]}
        wanted = {f"tenon.target.wants/{unit.name}" for unit in plan.lasting() + plan.roles("migrate")}
        wanted |= {f"sockets.target.wants/{unit.name}" for unit in plan.units(".socket")}
        missing = (wanted | {"multi-user.target.wants/tenon.target"}) - links
        demand(not missing, f"{plan.name}: nothing starts {', '.join(sorted(missing))}")


def processes_start_after_the_migration(plans: dict[str, Plan]) -> None:
    """l35: one migrates, and the others wait for it."""
    for plan, unit in _lasting(plans):
        demand("tenon-migrate.service" in unit.words("After"), f"{_of(plan, unit)} does not wait for the migration")
        demand("tenon-migrate.service" in unit.words("Wants"), f"{_of(plan, unit)} does not ask for the migration")


def everything_waits_for_a_local_database(plans: dict[str, Plan]) -> None:
    """l45: ordered on postgresql.target, which is reached when database and owner exist."""
    for plan, unit in _services(plans):
        local = plan.services["postgresql"]["enable"]
        demand(("postgresql.target" in unit.words("After")) == local, f"{_of(plan, unit)} and postgresql.target")


def nothing_falls_with_a_service_that_it_uses(plans: dict[str, Plan]) -> None:
    """A Postgres or Redis that is stopped is waited for; only the own socket is required."""
    for plan, unit in _services(plans):
        foreign = [name for name in unit.words("Requires") + unit.words("BindsTo") if not name.endswith(".socket")]
        demand(not foreign, f"{_of(plan, unit)} requires {' '.join(foreign)}")


def what_dies_comes_back(plans: dict[str, Plan]) -> None:
    """Within seconds, however often; a process that hangs is killed."""
    for plan, unit in _lasting(plans):
        demand(unit.one("Restart") == "always", f"{_of(plan, unit)} stays away")
        demand(0 < int(unit.one("RestartSec") or 0) <= 5, f"{_of(plan, unit)} comes back too late")
        demand(unit.one("StartLimitIntervalSec") == "0", f"{_of(plan, unit)} gives up")
        demand("kill -HUP $MAINPID" in unit.one("ExecReload"), f"{_of(plan, unit)} cannot reload")
        demand(unit.one("Type") == "notify", f"{_of(plan, unit)} is taken for ready before it is")
        demand(0 < int(unit.one("WatchdogSec") or 0) <= 60, f"{_of(plan, unit)} may hang for ever")


def a_stopping_process_may_finish(plans: dict[str, Plan]) -> None:
    """systemd waits longer than `server.shutdown_grace`."""
    for plan, unit in _lasting(plans):
        grace = re.search(r'^shutdown_grace = "(\d+)s"', plan.settings, re.MULTILINE)
        seconds = int(grace[1]) if grace else 30
        demand(int(unit.one("TimeoutStopSec") or 0) >= seconds + 15, f"{_of(plan, unit)} is killed while it finishes")


def restarts_leave_the_socket(plans: dict[str, Plan]) -> None:
    """A switch restarts services rather than stopping their sockets, so connections wait and none is refused."""
    for plan, unit in _services(plans):
        demand(unit.one("X-StopIfChanged") == "false", f"{_of(plan, unit)} would stop with its socket")
    for plan in plans.values():
        for socket in plan.units(".socket"):
            demand(not socket.said("X-Restart-Triggers"), f"{_of(plan, socket)} restarts with the settings")


def a_switch_lets_backups_finish(plans: dict[str, Plan]) -> None:
    """And restarts everything else."""
    for plan, unit in _services(plans):
        lasts = unit in plan.lasting() + plan.roles("migrate")
        demand((unit.one("X-RestartIfChanged") != "false") == lasts, f"{_of(plan, unit)} and a switch")


def changed_settings_restart_everything(plans: dict[str, Plan]) -> None:
    """The hash of the settings is part of each unit."""
    for plan, unit in _services(plans):
        demand("tenon.toml" in unit.one("X-Restart-Triggers"), f"{_of(plan, unit)} keeps old settings")


def backups_are_made_and_tried(plans: dict[str, Plan]) -> None:
    """Each night and each week, also when the machine was off; not where they cannot be opened."""
    wanted = {"minimal": (1, 1), "everything": (1, 1), "encrypted-without-a-key": (1, 0), "no-backup": (0, 0)}
    for name, (backups, drills) in wanted.items():
        if name not in plans:
            continue
        plan = plans[name]
        found = (len(plan.roles("backup")), len(plan.roles("restore-drill")))
        demand(found == (backups, drills), f"{name} has {found[0]} backups and {found[1]} drills")
        timers = {unit.name.removesuffix(".timer"): unit for unit in plan.units(".timer")}
        for unit in plan.roles("backup") + plan.roles("restore-drill"):
            timer = timers.get(unit.name.removesuffix(".service"))
            demand(timer and timer.one("OnCalendar") and timer.one("Persistent") == "true", f"{_of(plan, unit)} is never run")
            link = f"etc/systemd/system/timers.target.wants/{timer.name if timer else ''}"
            demand(link in {one["link"] for one in plan.content["links"]}, f"{_of(plan, unit)} is never started")


def backups_go_where_they_can_be_written(plans: dict[str, Plan]) -> None:
    """The directory exists, is ours alone, and is open to the units that need it and to no other."""
    for plan in plans.values():
        tasks = plan.roles("backup") + plan.roles("restore-drill") + plan.roles("base-backup")
        rules = [rule for rule in plan.content["tmpfiles"] if rule.startswith("d /var/backup/tenon ")]
        local = bool(tasks) and "/var/backup/tenon" in plan.settings
        mode = "2770" if plan.roles("base-backup") else "0700"
        demand(rules == ([f"d /var/backup/tenon {mode} tenon tenon -"] if local else []), f"{plan.name}: {rules}")
        for unit in plan.own():
            may = "/var/backup/tenon" in unit.said("ReadWritePaths")
            demand(may == (local and unit in tasks), f"{_of(plan, unit)} and the backups")


def the_log_is_archived_where_backups_go(plans: dict[str, Plan]) -> None:
    """By Postgres, which needs the way there, the right to go it, and no secret that it has no use for."""
    plan = plans["point-in-time"]
    postgresql = plan.services["postgresql"]
    command = postgresql["settings"].get("archive_command", "")
    demand(postgresql["settings"].get("archive_mode") == "on", "nothing is archived")
    demand(0 < postgresql["settings"].get("archive_timeout", 0) <= 300, "more than five minutes may be lost")
    demand(command.startswith("umask 0007; ") and command.endswith("--config /etc/tenon/wal.toml wal push %p"), command)
    demand("/var/backup/tenon" in plan.files["etc/tenon/wal.toml"], "the log goes elsewhere")
    addition = Unit("postgresql", plan.files["etc/systemd/system/postgresql.service.d/tenon.conf"])
    demand(addition.said("ReadWritePaths") == ["-/var/backup/tenon"], "Postgres cannot write there")
    demand(plan.content["users"].get("postgres", {}).get("extraGroups") == ["tenon"], "Postgres may not write there")
    demand("local replication tenon peer" in postgresql["authentication"], "no base backup can be made")
    demand(postgresql["ensureUsers"][0]["ensureClauses"]["replication"] is True, "no base backup may be made")
    demand(len(plan.roles("base-backup")) == 1, "no base backup is made")
    for other in plans.values():
        settings = other.services["postgresql"]["settings"]
        demand(other is plan or "archive_command" not in settings, f"{other.name} archives unasked")


# What may be touched.


def every_unit_is_hardened(plans: dict[str, Plan]) -> None:
    """Whatever `systemd-analyze security` thinks of the sum."""
    for plan, unit in _services(plans):
        for key, value in NEVER_LESS.items():
            demand(unit.said(key) == [value], f"{_of(plan, unit)}: {key} is not {value or 'empty'}")
        demand(unit.one("User") not in ("", "root", "postgres"), f"{_of(plan, unit)} runs as {unit.one('User')!r}")
        demand("@system-service" in unit.words("SystemCallFilter"), f"{_of(plan, unit)} may call anything")


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
                demand(closed == (role not in open_to[name]), f"{_of(plans[name], unit)} and the network")


def each_role_has_its_limits(plans: dict[str, Plan]) -> None:
    """Processors and memory as OPERATIONS says, and what an option says instead."""
    units = {unit.name.removesuffix(".service"): unit for unit in plans["minimal"].own()}
    for name, limits in DEFAULT_LIMITS.items():
        found = (units[name].one("CPUQuota"), units[name].one("MemoryMax"))
        demand(found == limits, f"{name} has {found}, not {limits}")
    for plan, unit in _services(plans):
        demand(unit.said("MemoryMax") and unit.said("TasksMax"), f"{_of(plan, unit)} has no limits")
    for unit in plans["everything"].roles("serve"):
        demand((unit.one("CPUQuota"), unit.one("MemoryMax")) == ("150%", "2G"), "resources.api is not heeded")


def secrets_are_handed_over_by_systemd(plans: dict[str, Plan]) -> None:
    """l43: paths of secrets stand in LoadCredential and nowhere else, for every unit and for the command."""
    for plan in plans.values():
        credentials = plan.own()[0].said("LoadCredential")
        for unit in plan.own():
            demand(unit.said("LoadCredential") == credentials, f"{_of(plan, unit)} lacks secrets")
        for path, text in chain(plan.files.items(), (("a service", json.dumps(one)) for one in plan.services.values())):
            for line in text.splitlines():
                rest = re.sub(r"(--property=)?LoadCredential=\S+", "", line)
                demand("/run/secrets/" not in rest, f"{path} of {plan.name} names a secret: {line.strip()[:120]}")
    expected = {"backup.identity", "backup.target.secret_access_key", "auth.signing_keys", "mail.password", "metrics.token", "storage.access_key_id", "storage.secret_access_key"}
    found = {value.split(":")[0] for value in plans["everything"].own()[0].said("LoadCredential")}
    demand(expected <= found, f"secrets are lost: {', '.join(sorted(expected - found))}")
    by_url = plans["workers-only"].own()[0].said("LoadCredential")
    for key in ("database.url", "bus.url", "cache.url", "limiter.url"):
        demand(any(value.startswith(f"{key}:") for value in by_url), f"{key} is lost")


def only_80_and_443_are_open(plans: dict[str, Plan]) -> None:
    """And only when that is asked for."""
    for plan in plans.values():
        demand(plan.content["ports"] == ([80, 443] if plan.name == "everything" else []), f"{plan.name} opens ports")


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
        demand(plan.settings.count(f"redis+unix://{server['unixSocket']}") == 3, f"{plan.name} looks elsewhere")


def the_database_belongs_to_the_account(plans: dict[str, Plan]) -> None:
    """So that Postgres can ask the system who is calling."""
    for plan in plans.values():
        postgresql = plan.services["postgresql"]
        if postgresql["enable"]:
            owner = [user["name"] for user in postgresql["ensureUsers"] if user.get("ensureDBOwnership")]
            clauses = postgresql["ensureUsers"][0]["ensureClauses"]
            demand(clauses["createdb"] is (True if plan.roles("backup") else None), f"{plan.name}: {clauses}")
            demand(owner == postgresql["ensureDatabases"] == ["tenon"], f"{plan.name}: {owner} owns the database")
            demand(plan.own()[0].one("User") == "tenon", f"{plan.name}: another account calls")
            demand("postgres:///tenon?host=/run/postgresql&user=tenon" in plan.settings, f"{plan.name} looks elsewhere")


# Where processes listen.


def the_proxy_enters_where_systemd_listens(plans: dict[str, Plan]) -> None:
    """Each socket has its upstream and each upstream its socket; nobody but the proxy may enter."""
    for plan in plans.values():
        sockets = plan.units(".socket")
        listening = {value for unit in sockets for value in unit.said("ListenStream") if value.startswith("/")}
        text = plan.services["caddy"]["configFile"] + plan.services["nginx"]["configFile"]
        upstreams = set(re.findall(r"unix/?:?(/run/[^\s;]+)", text))
        demand(listening == upstreams, f"{plan.name}: the proxy goes to {upstreams}, systemd listens on {listening}")
        proxy = "caddy" if plan.services["caddy"]["enable"] else "nginx"
        for unit in sockets if listening else []:
            demand(unit.one("SocketGroup") == proxy, f"{_of(plan, unit)}: {proxy} cannot enter")
            demand(unit.one("SocketMode") == "0660", f"{_of(plan, unit)} is open to others")
    demand(len(plans["everything"].units(".socket")) == 3, "three instances need three sockets")


def without_a_proxy_only_this_machine_may_connect(plans: dict[str, Plan]) -> None:
    """Until `listen.address` says otherwise."""
    found = [value for unit in plans["no-proxy"].units(".socket") for value in unit.said("ListenStream")]
    demand(found == ["127.0.0.1:8080"], f"no-proxy listens on {found}")
    found = [value for unit in plans["api-only"].units(".socket") for value in unit.said("ListenStream")]
    demand(found == ["10.0.0.5:8080", "10.0.0.5:8081"], f"api-only listens on {found}")


def every_process_has_figures_of_its_own(plans: dict[str, Plan]) -> None:
    """l39: on loopback, no two on one port."""
    for plan in plans.values():
        addresses = [unit.environment().get("TENON__METRICS__LISTEN", "") for unit in plan.lasting()]
        demand(len(set(addresses)) == len(addresses), f"{plan.name}: processes share an address: {addresses}")
        demand(all(address.startswith("127.0.0.1:") for address in addresses), f"{plan.name}: {addresses}")


def prometheus_collects_from_every_process(plans: dict[str, Plan]) -> None:
    """From those, and from nowhere else."""
    plan = plans["everything"]
    jobs = json.loads(plan.services["prometheus"]["configFile"])["scrape_configs"]
    tenon = next(job for job in jobs if job["job_name"] == "tenon")
    collected = {target for one in tenon["static_configs"] for target in one["targets"]}
    processes = {unit.environment()["TENON__METRICS__LISTEN"] for unit in plan.lasting()}
    demand(collected == processes, f"Prometheus asks {collected}, processes answer at {processes}")


def rules_have_the_exporters_that_they_ask(plans: dict[str, Plan]) -> None:
    """A rule without its exporter never fires, and nobody would know."""
    for name in ("everything", "monitored"):
        plan = plans[name]
        prometheus = plan.services["prometheus"]
        config = json.loads(prometheus["configFile"])
        demand(config["rule_files"] == ["/etc/prometheus/alerts.yaml"], f"{name} has no rules")
        asked = {target for job in config["scrape_configs"] for one in job["static_configs"] for target in one["targets"]}
        asked |= {rule.get("replacement") for job in config["scrape_configs"] for rule in job.get("relabel_configs", [])}
        wanted = {"node", "postgres", "redis", "blackbox"}
        found = {exporter for exporter, one in prometheus["exporters"].items() if one["enable"]}
        demand(found == wanted, f"{name} has the exporters {sorted(found)}")
        for exporter in found:
            one = prometheus["exporters"][exporter]
            demand(f"127.0.0.1:{one['port']}" in asked, f"{name} does not ask {exporter}")
            demand(one["listenAddress"] == "127.0.0.1", f"{name}: everybody may ask {exporter}")


def uploads_and_live_connections_pass_nginx(plans: dict[str, Plan]) -> None:
    """Its own limits are not in the way: 1 MiB, a minute of silence, one protocol."""
    site = plans["nginx"].services["nginx"]["site"]
    for words in ("client_max_body_size 0;", "proxy_read_timeout 1h;", "proxy_set_header Upgrade $http_upgrade;"):
        demand(words in site, f"nginx is not told: {words}")
    demand("proxy_set_header X-Forwarded-For $remote_addr;" in site, "anybody could claim to be anybody")


def workers_take_their_queues(plans: dict[str, Plan]) -> None:
    """And as many jobs at once as they may."""
    mail, rest = plans["everything"].roles("worker")
    demand(mail.environment().get("TENON__WORKER__QUEUES") == "mail", "the worker mail takes other queues")
    demand(mail.environment().get("TENON__WORKER__CONCURRENCY") == "16", "the worker mail is not heeded")
    demand(rest.environment().get("TENON__WORKER__QUEUES") == "default", "the worker rest takes other queues")


def administrators_act_as_the_service(plans: dict[str, Plan]) -> None:
    """`tenon` has the account, the settings and the secrets of the units."""
    for plan in plans.values():
        [script] = [text for path, text in plan.files.items() if path.endswith("/bin/tenon")]
        unit = plan.own()[0]
        for key in ("SupplementaryGroups", "LoadCredential", "EnvironmentFile"):
            for value in unit.said(key):
                demand(f"--property={key}={value}" in script, f"tenon of {plan.name} lacks {key}={value}")
        who = f"account={unit.one('User')} group={unit.one('Group')} settings=/etc/tenon/tenon.toml"
        demand(who in script, f"tenon of {plan.name} acts as somebody else")


LAWS: dict[str, Law] = {
    law.__name__.replace("_", " "): law
    for law in (
        each_role_runs_its_command,
        everything_starts_with_the_machine,
        processes_start_after_the_migration,
        everything_waits_for_a_local_database,
        nothing_falls_with_a_service_that_it_uses,
        what_dies_comes_back,
        a_stopping_process_may_finish,
        restarts_leave_the_socket,
        a_switch_lets_backups_finish,
        changed_settings_restart_everything,
        backups_are_made_and_tried,
        backups_go_where_they_can_be_written,
        the_log_is_archived_where_backups_go,
        every_unit_is_hardened,
        what_needs_no_network_has_none,
        each_role_has_its_limits,
        secrets_are_handed_over_by_systemd,
        only_80_and_443_are_open,
        a_local_redis_is_reached_by_its_socket,
        the_database_belongs_to_the_account,
        the_proxy_enters_where_systemd_listens,
        without_a_proxy_only_this_machine_may_connect,
        every_process_has_figures_of_its_own,
        prometheus_collects_from_every_process,
        rules_have_the_exporters_that_they_ask,
        uploads_and_live_connections_pass_nginx,
        workers_take_their_queues,
        administrators_act_as_the_service,
    )
}
