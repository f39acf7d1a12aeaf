"""Tests of the tests: a module that is wrong in one place, and the law that notices."""

import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import nix, plans
from .laws import LAWS
from .outcome import Failed
from .places import MODULE

CONFIGURATIONS = [
    "minimal",
    "everything",
    "point-in-time",
    "redis-queue",
    "encrypted-without-a-key",
    "mail-relay",
    "monitored",
    "nginx",
    "no-proxy",
    "no-redis",
    "api-only",
    "workers-only",
    "external-database",
    "shared-certificate",
    "shared-certificate-nginx",
    "ipv6",
    "first-administrator",
    "adjusted",
    "several-disks",
]
"""Enough to see each mutation."""


@dataclass(frozen=True)
class Mutation:
    """One change of one file, and the law that must notice it."""

    name: str
    file: str
    old: str
    new: str
    law: str


MUTATIONS = [
    Mutation("wrong role", "workers.nix", 'command = "worker"', 'command = "serve"', "each role runs its command"),
    Mutation("a role that nothing starts", "scheduler.nix", 'wantedBy = [ "tenon.target" ];', "",
             "everything starts with the machine"),
    Mutation("missing order", "api.nix", '"tenon-migrate.service" ];\n        wants', '];\n        wants',
             "processes start after the migration"),
    Mutation("the database is not waited for", "unit.nix", '[ "network.target" ] ++ online ++ database',
             '[ "network.target" ] ++ online', "everything waits for a local database"),
    Mutation("the database is required", "unit.nix", "wants = online ++ database ++ redis;",
             "wants = online ++ redis; requires = database;", "nothing falls with a service that it uses"),
    Mutation("no second start", "workers.nix", 'Restart = "always";', "", "what dies comes back"),
    Mutation("no watchdog", "api.nix", "WatchdogSec = 30;", "", "what dies comes back"),
    Mutation("no time to finish", "api.nix", "TimeoutStopSec = 60;", "TimeoutStopSec = 10;",
             "a stopping process may finish"),
    Mutation("the socket stops with the service", "unit.nix", "stopIfChanged = false;", "",
             "restarts leave the socket"),
    Mutation("a socket that keeps its group", "api.nix", "listenStreams socketConfig;", "listenStreams;",
             "a switch makes changed sockets anew"),
    Mutation("sockets that forget what they were", "api.nix", "RuntimeDirectoryPreserve = true;", "",
             "a switch makes changed sockets anew"),
    Mutation("a backup that a switch breaks off", "task.nix", "restartIfChanged = false;", "",
             "a switch lets backups finish"),
    Mutation("settings that nobody checked", "checked-toml.nix",
             "${lib.getExe config.services.tenon.package} config check settings.toml", "",
             "settings are checked while the system is built"),
    Mutation("settings without a restart", "unit.nix", "restartTriggers =", "unitConfig.X-None =",
             "changed settings restart everything"),
    Mutation("a drill that is not tried", "backup.nix", 'command = "backup drill";', 'command = "backup list";',
             "each role runs its command"),
    Mutation("a backup that nothing starts", "task.nix", 'wantedBy = [ "timers.target" "tenon.target" ];', "",
             "backups are made and tried"),
    Mutation("a missed backup", "task.nix", "Persistent = true;", "", "backups are made and tried"),
    Mutation("backups that everybody reads", "backup.nix", "backup.directory} 0700", "backup.directory} 0755",
             "backups go where they can be written"),
    Mutation("a backup that cannot write", "task.nix",
             "ReadWritePaths = lib.optional (cfg.backup.s3 == null) cfg.backup.directory;", "",
             "backups go where they can be written"),
    Mutation("a log that nobody may archive", "wal.nix", "umask 0007; ", "", "the log is archived where backups go"),
    Mutation("a log that nobody tries", "wal.nix", "(mkIf backup.drill.enable {\n          tenon-log-drill", "(mkIf false {\n          tenon-log-drill",
             "the log is archived where backups go"),
    Mutation("no first base backup", "wal.nix", 'timerConfig.OnActiveSec = "15min";', "",
             "the log is archived where backups go"),
    Mutation("archived unasked", "wal.nix", "      default = false;", "      default = cfg.database.createLocally;",
             "the log is archived where backups go"),
    Mutation("dropped hardening", "hardening.nix", 'ProtectSystem = "strict";', "", "every unit is hardened"),
    Mutation("capabilities", "hardening.nix", 'CapabilityBoundingSet = "";', 'CapabilityBoundingSet = "CAP_NET_ADMIN";',
             "every unit is hardened"),
    Mutation("root", "unit.nix", "User = cfg.user;", 'User = "root";', "every unit is hardened"),
    Mutation("an open network", "network.nix", 'IPAddressDeny = "any";', "", "what needs no network has none"),
    Mutation("a network closed to mail", "workers.nix", '"mail" "prometheus"', '"prometheus"',
             "what needs no network has none"),
    Mutation("no limit of memory", "limits.nix", "{ MemoryMax = memory; }", "{ }", "each role has its limits"),
    Mutation("limits of another role", "workers.nix", 'role = "worker";\n      description',
             'role = "api";\n      description', "each role has its limits"),
    Mutation("a secret in the environment", "unit.nix", 'environment.TENON_CONFIG = "/etc/tenon/tenon.toml";',
             'environment = { TENON_CONFIG = "/etc/tenon/tenon.toml"; '
             "TENON__MAIL__PASSWORD_FILE = toString cfg.secrets.smtpPasswordFile; };",
             "secrets are handed over by systemd"),
    Mutation("a secret under a wrong name", "secrets.nix", 'keys = [ "mail.password" ];', 'keys = [ "mail.passwort" ];',
             "secrets are handed over by systemd"),
    Mutation("another open port", "proxy/default.nix", "[ 80 443 ]", "[ 80 443 5432 ]", "only 80 and 443 are open"),
    Mutation("open unasked", "proxy/default.nix", "mkIf cfg.openFirewall [", "mkIf proxied [",
             "only 80 and 443 are open"),
    Mutation("Redis on a port", "redis.nix", "port = 0;", "port = 6379;", "a local redis is reached by its socket"),
    Mutation("a Redis that forgets jobs", "redis.nix", 'if redis.queue then "noeviction" else',
             "if false then null else", "a local redis is reached by its socket"),
    Mutation("no group for Redis", "unit.nix", "SupplementaryGroups = lib.optional cfg.redis.createLocally",
             "SupplementaryGroups = lib.optional false", "a local redis is reached by its socket"),
    Mutation("somebody else's database", "database.nix", "ensureDBOwnership = true;", "",
             "the database belongs to the account"),
    Mutation("wrong socket", "proxy/caddy.nix", '"unix/${api.socket}"', '"unix//run/tenon/tenon.sock"',
             "the proxy enters where systemd listens"),
    Mutation("one instance of three", "proxy/nginx.nix", "topology.apis);",
             "(lib.optional true (lib.last topology.apis)));",
             "the proxy enters where systemd listens"),
    Mutation("a socket for everybody", "api.nix", 'SocketMode = "0660";', 'SocketMode = "0666";',
             "the proxy enters where systemd listens"),
    Mutation("wrong port", "api.nix", "default = 8080;", "default = 80;",
             "without a proxy only this machine may connect"),
    Mutation("open without a proxy", "api.nix", 'then null else "127.0.0.1";', 'then null else "0.0.0.0";',
             "without a proxy only this machine may connect"),
    Mutation("one port for all figures", "topology.nix", "monitoring.firstPort + index", "monitoring.firstPort",
             "every process has figures of its own"),
    Mutation("workers without figures", "monitoring.nix", "topology.processes;", "topology.apis;",
             "prometheus collects from every process"),
    Mutation("a rule without its exporter", "monitoring.nix", "postgres = mkIf localPostgres {",
             "postgres = mkIf false {",
             "rules have the exporters that they ask"),
    Mutation("a Grafana without a key", "monitoring.nix",
             'settings.security.secret_key = mkDefault "$__file{${grafanaKey}}";', "",
             "grafana makes a key of its own"),
    Mutation("a key at each start", "monitoring.nix", "if [ ! -s ${grafanaKey} ]; then", "if true; then",
             "grafana makes a key of its own"),
    Mutation("headers twice", "proxy/nginx.nix", "recommendedProxySettings = false;", "",
             "what the machine says in nginx stays"),
    Mutation("headers that drop others", "proxy/nginx.nix", '"expires -1;"', '"add_header Cache-Control no-cache;"',
             "what the machine says in nginx stays"),
    Mutation("small uploads", "proxy/nginx.nix", "client_max_body_size 0;", "",
             "uploads and live connections pass nginx"),
    Mutation("forged addresses", "proxy/nginx.nix", "X-Forwarded-For $remote_addr",
             "X-Forwarded-For $http_x_forwarded_for",
             "uploads and live connections pass nginx"),
    Mutation("any certificate will do", "database.nix", "sslmode=verify-full", "sslmode=prefer",
             "a database elsewhere is spoken to encrypted"),
    Mutation("queues that are not heeded", "workers.nix", "mkIf (worker.queues != [ ])", "mkIf false",
             "workers take their queues"),
    Mutation("a socket that needs its address at once", "api.nix", "FreeBind = true;", "",
             "an address that comes later can be listened at"),
    Mutation("secrets that Postgres has no settings for", "cli.nix", 'lib.filter (lib.hasPrefix "backup.") cfg.credentials',
             "cfg.credentials", "administrators act as the service"),
    Mutation("a backup on the wrong disk", "task.nix", "unitConfig.RequiresMountsFor =", "unitConfig.X-None =",
             "backups go where they can be written"),
    Mutation("Postgres restarted by our releases", "wal.nix", "exec /etc/tenon/bin/tenon", "exec ${lib.getExe cfg.package}",
             "a release of ours leaves postgres alone"),
    Mutation("a program that archives and is not there", "wal.nix",
             'environment.etc."tenon/bin/tenon".source = lib.getExe cfg.package;', "",
             "a release of ours leaves postgres alone"),
    Mutation("a unit without a page", "unit.nix",
             'documentation = [ "man:tenon-${lib.head (lib.splitString " " command)}(1)" ];', "",
             "every unit says where it is described"),
    Mutation("a Postgres of others that is limited", "resources.nix", "{ cpu = null; memory = null; tasks = null; };",
             '{ cpu = 2; memory = "4G"; tasks = null; };', "the machines postgres is limited only when asked"),
    Mutation("hardening by force", "unit.nix", "lib.mapAttrs (_: lib.mkDefault) (hardening // network reaches)",
             "lib.mapAttrs (_: lib.mkForce) (hardening // network reaches)", "an administrator says what a unit may"),
    Mutation("every disk alarms", "monitoring.nix", "lib.unique (map mountOf directories)", '[ ".*" ]',
             "disks that hold our data alarm"),
    Mutation("all processors for Postgres", "monitoring.nix", "if cfg.resources.postgres.cpu == null then",
             "if true then", "disks that hold our data alarm"),
    Mutation("HTTPS said twice", "proxy/caddy.nix", 'lib.optionalString caddy.internalAuthority "tls internal"',
             """'header Strict-Transport-Security "max-age=1"'""".replace("'", "\'\'"),
             "only the program says that browsers come by https"),
    Mutation("a certificate that is not used", "proxy/nginx.nix", "useACMEHost = cfg.proxy.useACMEHost;", "",
             "a certificate of the machine is used"),
    Mutation("no HTTP/3", "proxy/default.nix", "mkIf (cfg.openFirewall && caddy.enable) [ 443 ]", "[ ]",
             "only 80 and 443 are open"),
    Mutation("an address without brackets", "addresses.nix", '"[${bare address}]"', '"${bare address}"',
             "without a proxy only this machine may connect"),
    Mutation("no first administrator", "initial-admin.nix", 'wantedBy = [ "tenon.target" ];', "",
             "everything starts with the machine"),
    Mutation("a command without secrets", "cli.nix", "LoadCredential = cfg.credentials;", "",
             "administrators act as the service"),
]  # fmt: skip


def checks() -> dict[str, Callable[[], None]]:
    """Each mutation must be noticed, and each law must notice one."""
    return {
        f"noticed: {mutation.name}": functools.partial(_is_noticed, mutation) for mutation in MUTATIONS
    } | {"every law has a mutation that it notices": _every_law_is_tested}


def _is_noticed(mutation: Mutation) -> None:
    with tempfile.TemporaryDirectory() as directory:
        module = Path(directory, "nixos-module")
        shutil.copytree(MODULE, module)
        place = module / mutation.file
        text = place.read_text()
        if mutation.old not in text:
            raise Failed(f"{mutation.file} has changed: there is no {mutation.old!r} to mutate")
        place.write_text(text.replace(mutation.old, mutation.new))
        try:
            mutated = plans.evaluate(module=module, only=CONFIGURATIONS)
        except nix.EvaluationError as error:
            raise Failed(f"the mutated module is no module: {error}") from error
    mutated.pop("debian")
    try:
        LAWS[mutation.law](mutated)
    except Failed:
        return
    raise Failed(f"the law {mutation.law!r} did not notice")


def _every_law_is_tested() -> None:
    untested = set(LAWS) - {mutation.law for mutation in MUTATIONS}
    if untested:
        raise Failed(f"no mutation for: {', '.join(sorted(untested))}")
