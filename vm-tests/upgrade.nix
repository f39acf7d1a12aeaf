# From the program before the newest migration to this one, while people work.
#
# The harness builds the older program from the history of the repository (`harness/previous.py`) and puts both paths into
# `OLDER` and `NEWER`; a test on NixOS has no such thing, so the flake leaves this file out.
{
  name = "upgrade";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      # The load is one person's.
      services.tenon.settings.rate_limits.session = "1000000/1m";
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    VERSIONS = "select string_agg(version, ' ' order by version) from __diesel_schema_migrations"
    UNITS = ["tenon.service", "tenon-worker-default.service", "tenon-scheduler.service"]

    start_all()
    ready(machine)
    program = machine.succeed("systemctl cat tenon.service | sed -n 's/^ExecStart=\\([^ ]*\\) .*/\\1/p'").strip()
    machine.copy_from_host(OLDER, "/root/older")
    machine.copy_from_host(NEWER, "/root/newer")
    machine.succeed(f"cmp /root/older {program}; ! cmp -s /root/newer {program}")
    versions = sql(machine, VERSIONS).split()

    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Card", "status_id": project["statuses"][0]})
    comments = f"{place}/stories/1/comments"

    with subtest("a job that the older program left waits for the newer"):
        machine.succeed("systemctl stop tenon-worker-default.service")
        client(machine, "sign-up", "bob")
        assert int(sql(machine, "select count(*) from jobs")) >= 1

    with subtest("the older program goes on, on the newer schema, while people work"):
        machine.succeed(f"install -m 0755 /root/newer {program}")
        before = [machine.get_unit_property(unit, "MainPID") for unit in ["tenon.service", "tenon-scheduler.service"]]
        without_loss(machine, comments, "migrated beneath it", 8, "systemctl restart tenon-migrate.service", times=1)
        after = [machine.get_unit_property(unit, "MainPID") for unit in ["tenon.service", "tenon-scheduler.service"]]
        assert before == after, "the older program was restarted"
        added = set(sql(machine, VERSIONS).split()) - set(versions)
        print(f"        migrations: {', '.join(sorted(added))}")
        assert added, "there was nothing to migrate"

    with subtest("the newer one takes over, and no request fails"):
        without_loss(machine, comments, "taken over", 10, f"systemctl restart {' '.join(UNITS)}", times=1)
        for unit in UNITS:
            pid = machine.get_unit_property(unit, "MainPID")
            machine.succeed(f"cmp /root/newer /proc/{pid}/exe")
        machine.succeed("cd /root && tenon doctor")

    with subtest("the job was done, and what was there is there"):
        client(machine, "mailed", "bob")
        machine.wait_until_succeeds("test $(tenon --json jobs list --state waiting | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))') = 0")
        dead = json.loads(machine.succeed("tenon --json jobs list --state dead"))
        assert dead == [], dead
        assert client(machine, "call", "ada", "GET", f"{place}/stories/1")["title"] == "Card"

    with subtest("the older program refuses the newer schema, in words"):
        machine.succeed(f"install -m 0755 /root/older {program}")
        said = machine.fail("cd /root && tenon migrate 2>&1")
        assert "newer" in said, said

    machine.shutdown()
  '';
}
