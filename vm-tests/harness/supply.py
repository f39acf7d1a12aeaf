"""What NixOS itself would have supplied: PostgreSQL, Redis, Caddy and nginx as units with the names, sockets, users
and orders that NixOS gives them, on the programs of Debian.

The module only says `services.postgresql.enable = true` and so on. What follows from that is written from the
modules of nixpkgs, as far as Tenon leans on it.
"""

import json
from collections.abc import Iterator
from typing import Any

Files = dict[str, str]

POSTGRES_PROGRAMS = "/usr/lib/postgresql/15/bin"
DATA = "/var/lib/postgresql/15"

FENCE = """LockPersonality=true
MemoryDenyWriteExecute=true
NoNewPrivileges=true
PrivateDevices=true
PrivateTmp=true
ProtectClock=true
ProtectControlGroups=true
ProtectHome=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectSystem=strict
RemoveIPC=true
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
"""
"""What NixOS lets none of them do."""


def files(services: dict[str, Any]) -> Files:
    """The files of the services that the plan enables, by path."""
    made: Files = {}
    if (postgresql := services.get("postgresql", {})).get("enable"):
        made |= _postgresql(postgresql)
    for name, server in services.get("redis", {}).items():
        if server.get("enable", True):
            made |= _redis(name, server)
    if (caddy := services.get("caddy", {})).get("enable"):
        made |= _caddy(caddy)
    if (nginx := services.get("nginx", {})).get("enable"):
        made |= _nginx(nginx)
    if (prometheus := services.get("prometheus", {})).get("enable"):
        made |= _prometheus(prometheus)
    for name, exporter in prometheus.get("exporters", {}).items():
        if exporter.get("enable"):
            made |= _exporter(name, exporter)
    return made


def users(services: dict[str, Any]) -> Iterator[str]:
    """The accounts of those services."""
    if services.get("postgresql", {}).get("enable"):
        yield "postgres"
    for name, server in services.get("redis", {}).items():
        if server.get("enable", True):
            yield server.get("user") or f"redis-{name}"
    for name in ("caddy", "nginx", "prometheus"):
        if services.get(name, {}).get("enable"):
            yield name


def _unit(text: str, wanted_by: str = "multi-user.target") -> str:
    return f"{text.strip()}\n\n[Install]\nWantedBy={wanted_by}\n"


def _postgresql(postgresql: dict[str, Any]) -> Files:
    settings = {
        "listen_addresses": "*" if postgresql.get("enableTCPIP") else "localhost",
        "unix_socket_directories": "/run/postgresql",
        "hba_file": "/etc/postgresql/pg_hba.conf",
        "ident_file": "/etc/postgresql/pg_ident.conf",
        # What the fence takes for granted.
        "jit": "off",
        "log_destination": "stderr",
    } | postgresql.get("settings", {})
    config = "".join(f"{key} = {_setting(value)}\n" for key, value in sorted(settings.items()) if value is not None)
    authentication = postgresql.get("authentication") or ""
    initdb = f"{POSTGRES_PROGRAMS}/initdb --no-sync -U postgres -E UTF8 --locale=C.UTF-8 >/dev/null"
    return {
        "etc/postgresql/postgresql.conf": config,
        "etc/postgresql/pg_hba.conf": authentication + "local all postgres peer map=postgres\nlocal all all peer\n"
        "host all all 127.0.0.1/32 md5\nhost all all ::1/128 md5\n",
        "etc/postgresql/pg_ident.conf": (postgresql.get("identMap") or "") + "postgres postgres postgres\n",
        "etc/postgresql/setup.sql": _setup(postgresql),
        "etc/systemd/system/postgresql.service": _unit(f"""
[Unit]
Description=PostgreSQL Server
After=network.target
Wants=postgresql.target
PartOf=postgresql.target
StartLimitIntervalSec=605
StartLimitBurst=5

[Service]
Type=notify
User=postgres
Group=postgres
Environment=PGDATA={DATA}
RuntimeDirectory=postgresql
StateDirectory=postgresql postgresql/15
StateDirectoryMode=0750
UMask=0027
ExecStartPre=/bin/sh -c 'test -e {DATA}/PG_VERSION || {initdb}'
ExecStartPre=/bin/ln -sfn /etc/postgresql/postgresql.conf {DATA}/postgresql.conf
ExecStart={POSTGRES_PROGRAMS}/postgres -D {DATA}
ExecReload=/bin/kill -HUP $MAINPID
KillSignal=SIGINT
KillMode=mixed
TimeoutSec=120
Restart=always
{FENCE}CapabilityBoundingSet=
DevicePolicy=closed
PrivateMounts=true
ProcSubset=pid
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallFilter=~@resources
"""),
        "etc/systemd/system/postgresql-setup.service": _unit("""
[Unit]
Description=PostgreSQL Setup Scripts
Requires=postgresql.service
After=postgresql.service

[Service]
Type=oneshot
RemainAfterExit=true
User=postgres
Group=postgres
# While it recovers it takes no changes.
ExecStartPre=/bin/sh -c 'until psql -Atqc "SELECT pg_is_in_recovery()" postgres | grep -q f; do sleep 0.1; done'
ExecStart=/usr/bin/psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -d postgres -f /etc/postgresql/setup.sql
"""),
        "etc/systemd/system/postgresql.target": _unit("""
[Unit]
Description=PostgreSQL
Requires=postgresql.service postgresql-setup.service
After=postgresql.service postgresql-setup.service
"""),
    }  # fmt: skip


def _setup(postgresql: dict[str, Any]) -> str:
    """Makes databases and roles that are not there, as `ensureDatabases` and `ensureUsers` do."""
    lines = []
    for database in postgresql.get("ensureDatabases", []):
        lines.append(
            f"SELECT 'CREATE DATABASE \"{database}\"' "
            f"WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}')\\gexec"
        )
    for user in postgresql.get("ensureUsers", []):
        name = user["name"]
        lines.append(
            f"SELECT 'CREATE USER \"{name}\"' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}')\\gexec"
        )
        clauses = user.get("ensureClauses") or {}
        words = [("" if on else "NO") + clause.upper() for clause, on in clauses.items() if isinstance(on, bool)]
        if words:
            lines.append(f'ALTER ROLE "{name}" {" ".join(words)};')
        if user.get("ensureDBOwnership"):
            lines.append(f'ALTER DATABASE "{name}" OWNER TO "{name}";')
    return "\n".join(lines) + "\n"


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def _redis(name: str, server: dict[str, Any]) -> Files:
    full = f"redis-{name}" if name else "redis"
    user = server.get("user") or full
    settings = {
        "port": server.get("port") or 0,
        "unixsocket": server.get("unixSocket") or f"/run/{full}/redis.sock",
        "unixsocketperm": server.get("unixSocketPerm") or 660,
        "dir": f"/var/lib/{full}",
        "supervised": "systemd",
        "daemonize": "no",
        "save": '""',
        "logfile": '""',
        "bind": server.get("bind"),
        "requirepass": server.get("requirePass"),
    } | (server.get("settings") or {})
    settings = {key: value for key, value in settings.items() if value is not None}
    config = "".join(f"{key} {_redis_setting(value)}\n" for key, value in settings.items())
    return {
        f"etc/{full}.conf": config,
        f"etc/systemd/system/{full}.service": _unit(f"""
[Unit]
Description=Redis Server - {full}
After=network.target

[Service]
Type=notify
User={user}
Group={server.get("group") or user}
ExecStart=/usr/bin/redis-server /etc/{full}.conf
RuntimeDirectory={full}
RuntimeDirectoryMode=0750
StateDirectory={full}
StateDirectoryMode=0700
UMask=0077
{FENCE}CapabilityBoundingSet=
PrivateMounts=true
PrivateUsers=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallFilter=~@cpu-emulation @debug @keyring @memlock @mount @obsolete @privileged @resources @setuid
"""),
    }  # fmt: skip


def _redis_setting(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _caddy(caddy: dict[str, Any]) -> Files:
    return {
        "etc/caddy/caddy_config": caddy["configFile"],
        "etc/systemd/system/caddy.service": _unit("""
[Unit]
Description=Caddy
After=network.target network-online.target
Wants=network-online.target
StartLimitIntervalSec=14400
StartLimitBurst=10

[Service]
Type=notify
User=caddy
Group=caddy
Environment=HOME=/var/lib/caddy XDG_DATA_HOME=/var/lib/caddy/.local/share XDG_CONFIG_HOME=/var/lib/caddy/.config
ExecStart=/usr/bin/caddy run --config /etc/caddy/caddy_config --adapter caddyfile
ExecReload=/usr/bin/caddy reload --config /etc/caddy/caddy_config --adapter caddyfile --force
StateDirectory=caddy
StateDirectoryMode=0755
LogsDirectory=caddy
Restart=on-failure
RestartPreventExitStatus=1
RestartSec=5s
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=true
PrivateDevices=true
PrivateTmp=true
ProtectHome=true
ProtectSystem=full
"""),
    }


def _nginx(nginx: dict[str, Any]) -> Files:
    return {
        "etc/nginx/tenon.conf": nginx["configFile"],
        "etc/systemd/system/nginx.service": _unit(f"""
[Unit]
Description=Nginx Web Server
After=network.target
StartLimitIntervalSec=60

[Service]
Type=simple
User=nginx
Group=nginx
ExecStartPre=/usr/sbin/nginx -c /etc/nginx/tenon.conf -t
ExecStart=/usr/sbin/nginx -c /etc/nginx/tenon.conf
ExecReload=/usr/sbin/nginx -c /etc/nginx/tenon.conf -t
ExecReload=/bin/kill -HUP $MAINPID
RuntimeDirectory=nginx
RuntimeDirectoryMode=0750
CacheDirectory=nginx
CacheDirectoryMode=0750
LogsDirectory=nginx
LogsDirectoryMode=0750
UMask=0027
Restart=always
RestartSec=10s
AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_SYS_RESOURCE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SYS_RESOURCE
{FENCE}PrivateMounts=true
ProcSubset=pid
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallFilter=~@cpu-emulation @debug @keyring @mount @obsolete @privileged @setuid
"""),
    }


def _prometheus(prometheus: dict[str, Any]) -> Files:
    listen = f"{prometheus.get('listenAddress', '127.0.0.1')}:{prometheus.get('port', 9090)}"
    return {
        "etc/prometheus/tenon.yml": prometheus["configFile"],
        "etc/systemd/system/prometheus.service": _unit(f"""
[Unit]
Description=Prometheus
After=network.target

[Service]
User=prometheus
StateDirectory=prometheus2
ExecStart=/usr/bin/prometheus --config.file=/etc/prometheus/tenon.yml --web.listen-address={listen} \\
    --storage.tsdb.path=/var/lib/prometheus2/data
Restart=always
{FENCE}CapabilityBoundingSet=
PrivateUsers=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
"""),
    }  # fmt: skip


EXPORTER_ACCOUNTS = {"postgres": "User=postgres"}
"""Whom the exporters run as, where it is not an account of the moment."""

EXPORTER_FAMILIES = {"node": "AF_NETLINK", "postgres": "AF_UNIX", "redis": "AF_UNIX"}
"""What they reach besides the network."""


def _exporter(name: str, exporter: dict[str, Any]) -> Files:
    dash = "-" if name == "redis" else "--"
    address = f"{exporter['listenAddress']}:{exporter['port']}"
    flags = [f"{dash}web.listen-address={address}", *exporter.get("extraFlags", [])]
    files = {}
    if exporter.get("configFile"):
        flags.append(f"--config.file={exporter['configFile']}")
    if name == "process":
        # It is asked for settings; JSON is YAML.
        files["etc/prometheus/process.yml"] = json.dumps(exporter["settings"])
        flags.append("--config.path=/etc/prometheus/process.yml")
    unit = f"prometheus-{name}-exporter"
    return files | {
        f"etc/systemd/system/{unit}.service": _unit(f"""
[Unit]
Description=Prometheus exporter of {name}
After=network.target

[Service]
{EXPORTER_ACCOUNTS.get(name, "DynamicUser=true")}
Environment="DATA_SOURCE_NAME=user=postgres database=postgres host=/run/postgresql sslmode=disable"
ExecStart=/usr/bin/{unit} {" ".join(flags)}
Restart=always
WorkingDirectory=/tmp
UMask=0077
{FENCE}CapabilityBoundingSet=
DeviceAllow=
RestrictAddressFamilies=AF_INET AF_INET6 {EXPORTER_FAMILIES.get(name, "")}
"""),
    }
