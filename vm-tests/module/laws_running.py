"""What runs, and in which order."""

import json
import re

from .demands import COMMANDS, demand, lasting, of, services
from .plans import Plan


def each_role_runs_its_command(plans: dict[str, Plan]) -> None:
    """`tenon-worker-mail` runs a worker."""
    for plan in plans.values():
        for role, command in COMMANDS.items():
            for unit in plan.roles(role):
                demand(unit.one("ExecStart").endswith(f"/bin/tenon {command}"), f"{of(plan, unit)} does not {command}")
        demand(len(plan.roles("migrate")) == 1, f"{plan.name} does not migrate")
    minimal = plans["minimal"]
    demand([len(minimal.roles(role)) for role in ("serve", "worker", "scheduler")] == [1, 1, 1], "a role is missing")
    for plan in plans.values():
        demand(len(plan.roles("initial-admin")) == (plan.name == "first-administrator"), f"{plan.name}: administrators")


def everything_starts_with_the_machine(plans: dict[str, Plan]) -> None:
    """multi-user.target → tenon.target → our services; the sockets earlier."""
    for plan in plans.values():
        links = {link["link"].removeprefix("etc/systemd/system/") for link in plan.content["links"]}
        started = plan.lasting() + plan.roles("migrate") + plan.roles("sockets") + plan.roles("initial-admin")
        wanted = {f"tenon.target.wants/{unit.name}" for unit in started}
        wanted |= {f"sockets.target.wants/{unit.name}" for unit in plan.units(".socket")}
        missing = (wanted | {"multi-user.target.wants/tenon.target"}) - links
        demand(not missing, f"{plan.name}: nothing starts {', '.join(sorted(missing))}")


def processes_start_after_the_migration(plans: dict[str, Plan]) -> None:
    """l35: one migrates, and the others wait for it."""
    first = [(plan, unit) for plan in plans.values() for unit in plan.roles("initial-admin")]
    for plan, unit in lasting(plans) + first:
        demand("tenon-migrate.service" in unit.words("After"), f"{of(plan, unit)} does not wait for the migration")
        demand("tenon-migrate.service" in unit.words("Wants"), f"{of(plan, unit)} does not ask for the migration")


def everything_waits_for_a_local_database(plans: dict[str, Plan]) -> None:
    """l45: ordered on postgresql.target, which is reached when database and owner exist."""
    for plan, unit in services(plans):
        local = plan.services["postgresql"]["enable"]
        demand(("postgresql.target" in unit.words("After")) == local, f"{of(plan, unit)} and postgresql.target")


def nothing_falls_with_a_service_that_it_uses(plans: dict[str, Plan]) -> None:
    """A Postgres or Redis that is stopped is waited for; only the own socket is required."""
    for plan, unit in services(plans):
        foreign = [name for name in unit.words("Requires") + unit.words("BindsTo") if not name.endswith(".socket")]
        demand(not foreign, f"{of(plan, unit)} requires {' '.join(foreign)}")


def what_dies_comes_back(plans: dict[str, Plan]) -> None:
    """Within seconds, however often; a process that hangs is killed."""
    for plan, unit in lasting(plans):
        demand(unit.one("Restart") == "always", f"{of(plan, unit)} stays away")
        demand(0 < int(unit.one("RestartSec") or 0) <= 5, f"{of(plan, unit)} comes back too late")
        demand(unit.one("StartLimitIntervalSec") == "0", f"{of(plan, unit)} gives up")
        demand("kill -HUP $MAINPID" in unit.one("ExecReload"), f"{of(plan, unit)} cannot reload")
        demand(unit.one("Type") == "notify", f"{of(plan, unit)} is taken for ready before it is")
        demand(0 < int(unit.one("WatchdogSec") or 0) <= 60, f"{of(plan, unit)} may hang for ever")


def a_stopping_process_may_finish(plans: dict[str, Plan]) -> None:
    """systemd waits longer than `server.shutdown_grace`."""
    for plan, unit in lasting(plans):
        grace = re.search(r'^shutdown_grace = "(\d+)s"', plan.settings, re.MULTILINE)
        seconds = int(grace[1]) if grace else 30
        demand(int(unit.one("TimeoutStopSec") or 0) >= seconds + 15, f"{of(plan, unit)} is killed while it finishes")


def restarts_leave_the_socket(plans: dict[str, Plan]) -> None:
    """A switch restarts services rather than stopping their sockets, so connections wait and none is refused."""
    for plan, unit in services(plans):
        demand(unit.one("X-StopIfChanged") == "false", f"{of(plan, unit)} would stop with its socket")
    for plan in plans.values():
        for socket in plan.units(".socket"):
            demand(not socket.said("X-Restart-Triggers"), f"{of(plan, socket)} restarts with the settings")


def a_switch_makes_changed_sockets_anew(plans: dict[str, Plan]) -> None:
    """What a socket says, its service compares with what it was made of; a switch by itself leaves sockets alone."""
    for plan in plans.values():
        sockets = plan.units(".socket")
        found = plan.roles("sockets")
        demand(bool(found) == bool(sockets), f"{plan.name}: changed sockets stay as they were")
        for unit in found:
            script = plan.script(unit)
            demand(unit.one("Type") == "oneshot" and unit.one("RemainAfterExit") == "true", f"{of(plan, unit)} lasts not")
            demand(unit.one("RuntimeDirectoryPreserve") == "true", f"{of(plan, unit)} forgets what sockets were made of")
            for socket in sockets:
                demand(f"systemctl try-restart {socket.name}\n" in script, f"{of(plan, unit)} leaves {socket.name}")
                for key in ("ListenStream", "SocketGroup", "SocketMode"):
                    for value in socket.said(key):
                        demand(json.dumps(value) in script, f"{of(plan, unit)} does not see {key} of {socket.name}")


def a_switch_lets_backups_finish(plans: dict[str, Plan]) -> None:
    """And restarts everything else."""
    for plan, unit in services(plans):
        lasts = unit in plan.lasting() + plan.roles("migrate") + plan.roles("initial-admin")
        demand((unit.one("X-RestartIfChanged") != "false") == lasts, f"{of(plan, unit)} and a switch")


def changed_settings_restart_everything(plans: dict[str, Plan]) -> None:
    """The hash of the settings is part of each unit."""
    for plan, unit in services(plans):
        demand("tenon.toml" in unit.one("X-Restart-Triggers"), f"{of(plan, unit)} keeps old settings")


def a_release_of_ours_leaves_postgres_alone(plans: dict[str, Plan]) -> None:
    """What Postgres is told names no path that changes with the program: it would be restarted, with all who use it."""
    program = re.compile(r"/nix/store/[^/ ]*-tenon\b")
    for plan in plans.values():
        addition = plan.files.get("etc/systemd/system/postgresql.service.d/tenon.conf", "")
        told = json.dumps(plan.services["postgresql"]) + addition
        demand(not program.search(told), f"{plan.name}: a new program restarts Postgres")
    links = {one["link"]: one["target"] for one in plans["point-in-time"].content["links"]}
    demand(program.match(links.get("etc/tenon/bin/tenon", "")), "the program that archives is not where Postgres calls it")


def every_unit_says_where_it_is_described(plans: dict[str, Plan]) -> None:
    """`systemctl status` shows it, `systemctl help` opens it."""
    for plan in plans.values():
        for suffix in (".service", ".socket", ".timer", ".target"):
            for unit in plan.units(suffix):
                pages = unit.words("Documentation")
                demand(pages and all(re.fullmatch(r"man:tenon(-[a-z-]+)?\(1\)", page) for page in pages), of(plan, unit))


def settings_are_checked_while_the_system_is_built(plans: dict[str, Plan]) -> None:
    """What cannot work is refused then, and the machine goes on as it was."""
    for plan in plans.values():
        for path in plan.files:
            if path.startswith("etc/tenon/") and path.endswith(".toml"):
                command = plan.content["builds"].get(path, "")
                demand("/bin/tenon config check " in command, f"{path} of {plan.name} is built unchecked")


LAWS = (
    each_role_runs_its_command,
    everything_starts_with_the_machine,
    processes_start_after_the_migration,
    everything_waits_for_a_local_database,
    nothing_falls_with_a_service_that_it_uses,
    what_dies_comes_back,
    a_stopping_process_may_finish,
    restarts_leave_the_socket,
    a_switch_makes_changed_sockets_anew,
    a_switch_lets_backups_finish,
    changed_settings_restart_everything,
    a_release_of_ours_leaves_postgres_alone,
    every_unit_says_where_it_is_described,
    settings_are_checked_while_the_system_is_built,
)
