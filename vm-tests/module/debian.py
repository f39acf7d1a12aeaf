"""The units of the module for a plain Debian: the same text, with Debian's names for what they depend on."""

from .plans import Plan

NAMES = {
    "postgresql.target": "postgresql.service",
    "redis-tenon.service": "redis-server@tenon.service",
}
"""What NixOS calls it, and what Debian does."""

ADDITIONS = {
    "postgresql.service.d": "postgresql@.service.d",
    "redis-tenon.service.d": "redis-server@tenon.service.d",
}


def bundle(plan: Plan) -> dict[str, str]:
    """Files by path below the root of a file system, and a script that puts them there."""
    files = {_place(path): _named(text) for path, text in plan.files.items() if not _is_for_switches(path)}
    account = plan.content["users"]["tenon"]
    redis = plan.services["redis"]["tenon"]
    files["etc/sysusers.d/tenon.conf"] = f'u tenon - "{account["description"]}" {account["home"]}\n'
    files["etc/tmpfiles.d/tenon.conf"] = "".join(f"{rule}\n" for rule in plan.content["tmpfiles"])
    files["etc/redis/redis-tenon.conf"] = _redis(redis)
    files["etc/caddy/Caddyfile"] = plan.services["caddy"]["configFile"]
    return files


def _is_for_switches(path: str) -> bool:
    """Debian has none: whoever changes a socket restarts it."""
    return path.endswith("/tenon-sockets.service") or path.startswith("nix/store/")


def _place(path: str) -> str:
    for theirs, debians in ADDITIONS.items():
        path = path.replace(theirs, debians)
    return path


def _named(text: str) -> str:
    for theirs, debians in NAMES.items():
        text = text.replace(theirs, debians)
    return text


def _redis(server: dict[str, object]) -> str:
    settings = {
        "port": 0,
        "unixsocket": server["unixSocket"],
        "unixsocketperm": server["unixSocketPerm"],
        "save": '""',
        "dir": "/var/lib/redis",
        "pidfile": "/run/redis-tenon/redis-server.pid",
        **server["settings"],  # type: ignore[dict-item]
    }
    return "".join(f"{key} {value}\n" for key, value in settings.items())
