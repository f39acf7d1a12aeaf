# From the program before the newest migration, under its own module, to this one, while people work.
#
# The harness takes the older one from the history of the repository (`harness/previous.py`), starts the machine with it,
# and offers a way to the newer one (`harness/switch.py`); a test on NixOS has no such thing, so the flake leaves this out.
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


    def processes() -> list[str]:
        return [machine.get_unit_property(unit, "MainPID") for unit in UNITS]


    def program_of(unit: str) -> str:
        return str(machine.succeed(f"readlink /proc/{machine.get_unit_property(unit, 'MainPID')}/exe")).strip()


    start_all()
    ready(machine)
    older = program_of("tenon.service")
    machine.succeed("cp /etc/tenon/tenon.toml /var/tmp/older.toml")
    versions = sql(machine, VERSIONS).split()

    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Card", "status_id": project["statuses"][0]})
    comments = f"{place}/stories/1/comments"

    switch = switches["machine"]
    switch.lay()

    with subtest("the older program goes on, on the newer schema, while people work"):
        before = processes()
        without_loss(machine, comments, "migrated beneath it", 8, "systemctl restart tenon-migrate.service", times=1)
        assert processes() == before, "the older program was restarted"
        added = sorted(set(sql(machine, VERSIONS).split()) - set(versions))
        print(f"        migrations: {', '.join(added)}")
        assert added, "there was nothing to migrate"
        # Its workers, too.
        client(machine, "sign-up", "grace")
        client(machine, "mailed", "grace")

    with subtest("a job that the older program leaves waits for the newer"):
        machine.succeed("systemctl stop tenon-worker-default.service")
        client(machine, "sign-up", "bob")
        assert int(sql(machine, "select count(*) from jobs")) >= 1

    with subtest("the newer one takes over, and no request fails"):
        print(f"        restarted: {' '.join(switch.restarted())}")
        without_loss(machine, comments, "taken over", 10, switch.command(), times=1)
        ready(machine)
        for unit in UNITS:
            assert program_of(unit) != older, f"{unit} is the older one still"
        machine.succeed("cd /root && tenon doctor")

    with subtest("the job was done, and what was there is there"):
        client(machine, "mailed", "bob")
        dead = json.loads(machine.succeed("tenon --json jobs list --state dead"))
        assert dead == [], dead
        assert client(machine, "call", "ada", "GET", f"{place}/stories/1")["title"] == "Card"

    with subtest("the older program refuses the newer schema, in words"):
        said = machine.fail(f"runuser -u tenon -- {older} --config /var/tmp/older.toml migrate 2>&1")
        assert "newer" in said, said

    machine.shutdown()
  '';
}
