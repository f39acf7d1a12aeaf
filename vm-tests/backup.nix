# A backup, a machine whose disks are wiped, and a member who sees what she saw before.
{
  name = "backup";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      # The load is one person's.
      services.tenon.settings.rate_limits.session = "1000000/1m";
      services.tenon.backup.recipients = [ "age12matkh5027frrwhh0yac2m9zkpg5slcstr2sg6vlsr9js0j5c4ms2hwjru" ];
      services.tenon.secrets.backupIdentityFile = "/etc/secrets/backup-identity";
      # On NixOS a tool puts it there; a test may say it.
      environment.etc."secrets/backup-identity".text = "AGE-SECRET-KEY-18RNCK88CLFY2CDA6E8HNCHZXT3ATQR8K5J60AL4JS25T78KLJRESS246L8";
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    import time

    UNITS = ["tenon.service", "tenon-worker-default.service", "tenon-scheduler.service"]

    start_all()
    ready(machine)
    # So that it takes as long as with a team of people: 3 000 stories and their files.
    machine.succeed("tenon demo-data")
    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    story = {"title": "Card", "status_id": project["statuses"][0]}
    for _ in range(20):
        client(machine, "call", "ada", "POST", f"{place}/stories", story)
    digest = machine.succeed("head -c 3000000 /dev/urandom > /tmp/file && sha256sum /tmp/file").split()[0]
    file = client(machine, "upload", "ada", f"{place}/stories/1/attachments", "/tmp/file")
    content = f"{place}/stories/1/attachments/{file['id']}/content"


    def seen() -> Any:
        """What a member sees."""
        return [client(machine, "call", "ada", "GET", path) for path in ["/workspaces", f"{place}/workflows/main", f"{place}/members"]]


    before = seen()

    with subtest("the timers come back with the rest"):
        machine.succeed("systemctl stop tenon.target")
        machine.wait_until_fails("systemctl is-active tenon-backup.timer")
        machine.succeed("systemctl start tenon.target")
        ready(machine)

    with subtest("the timers wait"):
        for timer in ["tenon-backup.timer", "tenon-restore-drill.timer"]:
            machine.wait_for_unit(timer)

    with subtest("the unit of the timer makes a backup, under load"):
        in_background(machine, "readers", "load", "ada", "/me", "--seconds", "5", "--people", "2")
        began = time.monotonic()
        machine.succeed("systemctl start tenon-backup.service")
        print(f"        backup: {time.monotonic() - began:.1f} s")
        assert result(machine, "readers")["failed"] == 0
        machine.succeed("tenon backup list")
        machine.succeed("tenon backup verify")

    with subtest("nobody reads a backup without the key"):
        machine.fail("grep -ra 'Engines of ada' /var/backup/tenon")

    with subtest("a drill restores it beside what runs"):
        machine.succeed("systemctl start tenon-restore-drill.service")
        machine.wait_until_succeeds("curl -fsS 127.0.0.1:9464/metrics | grep -E '^backup_drill_last_success_timestamp_seconds [1-9]'")

    with subtest("a restore into what is not empty is refused"):
        machine.succeed("systemctl stop tenon.target")
        said = machine.fail("tenon restore 2>&1")
        assert "--force" in said, said
        machine.succeed("systemctl start tenon.target")

    with subtest("the machine is wiped, but for its backups"):
        machine.succeed("systemctl stop tenon.target tenon.socket postgresql.service redis-tenon.service")
        machine.succeed("rm -rf /var/lib/tenon /var/lib/postgresql /var/lib/redis-tenon && sync")
        machine.crash()
        began = time.monotonic()
        machine.start()
        ready(machine)
        machine.fail("python3 /etc/tenon-test/client.py call ada GET /me")

    with subtest("l37_what_is_restored_is_seen_by_its_members"):
        machine.succeed("systemctl stop tenon.target")
        alone = time.monotonic()
        print("        " + machine.succeed("tenon restore").splitlines()[0])
        print(f"        restore: {time.monotonic() - alone:.1f} s")
        machine.succeed("systemctl start tenon.target")
        for unit in UNITS:
            machine.wait_for_unit(unit)
        machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call ada GET /me")
        took = time.monotonic() - began
        print(f"        from an empty machine to a member: {took:.1f} s")
        assert took < 4 * 3600
        # With the session, and the keys, of before.
        assert seen() == before

    with subtest("l38_files_are_of_the_moment_of_the_database"):
        assert client(machine, "download", "ada", content) == digest
        client(machine, "call", "ada", "POST", f"{place}/stories", story)
        client(machine, "sign-up", "grace")
        client(machine, "mailed", "grace")

    machine.shutdown()
  '';
}
