"""What is backed up, and where to."""

from .demands import demand, of
from .plans import Plan, Unit


def backups_are_made_and_tried(plans: dict[str, Plan]) -> None:
    """Each night and each week, also when the machine was off; not where they cannot be opened."""
    wanted = {
        "minimal": (1, 1), "everything": (1, 1), "point-in-time": (1, 1),
        "encrypted-without-a-key": (1, 0), "no-backup": (0, 0),
    }  # fmt: skip
    for name, (backups, drills) in wanted.items():
        if name not in plans:
            continue
        plan = plans[name]
        found = (len(plan.roles("backup")), len(plan.roles("restore-drill")))
        demand(found == (backups, drills), f"{name} has {found[0]} backups and {found[1]} drills")
        timers = {unit.name.removesuffix(".timer"): unit for unit in plan.units(".timer")}
        recoveries = plan.roles("base-backup") + plan.roles("log-drill")
        for unit in plan.roles("backup") + plan.roles("restore-drill") + recoveries:
            timer = timers.get(unit.name.removesuffix(".service"))
            demand(
                timer and timer.one("OnCalendar") and timer.one("Persistent") == "true",
                f"{of(plan, unit)} is never run",
            )
            link = f"etc/systemd/system/timers.target.wants/{timer.name if timer else ''}"
            demand(link in {one["link"] for one in plan.content["links"]}, f"{of(plan, unit)} is never started")


def backups_go_where_they_can_be_written(plans: dict[str, Plan]) -> None:
    """The directory exists, is ours alone, and is open to the units that need it and to no other."""
    for plan in plans.values():
        tasks = plan.roles("backup") + plan.roles("restore-drill")
        tasks += plan.roles("base-backup") + plan.roles("log-drill")
        rules = [rule for rule in plan.content["tmpfiles"] if rule.startswith("d /var/backup/tenon ")]
        local = bool(tasks) and "/var/backup/tenon" in plan.settings
        mode = "2770" if plan.roles("base-backup") else "0700"
        demand(rules == ([f"d /var/backup/tenon {mode} tenon tenon -"] if local else []), f"{plan.name}: {rules}")
        for unit in plan.own():
            may = "/var/backup/tenon" in unit.said("ReadWritePaths")
            demand(may == (local and unit in tasks), f"{of(plan, unit)} and the backups")
            waits = "/var/backup/tenon" in unit.said("RequiresMountsFor")
            demand(waits == may, f"{of(plan, unit)} and the disk of the backups")


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
    demand(len(plan.roles("log-drill")) == 1, "no recovery is tried")
    [timer] = [unit for unit in plan.units(".timer") if unit.name == "tenon-base-backup.timer"]
    demand(bool(timer.one("OnActiveSec")), "the first base backup takes days")
    for other in plans.values():
        settings = other.services["postgresql"]["settings"]
        demand(other is plan or "archive_command" not in settings, f"{other.name} archives unasked")


LAWS = (
    backups_are_made_and_tried,
    backups_go_where_they_can_be_written,
    the_log_is_archived_where_backups_go,
)
