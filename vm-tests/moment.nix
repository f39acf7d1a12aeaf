# Somebody deletes something, and the installation goes back to the moment before: database and files.
{
  name = "moment";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      services.tenon.backup.pointInTime.enable = true;
      services.tenon.backup.recipients = [ "age12matkh5027frrwhh0yac2m9zkpg5slcstr2sg6vlsr9js0j5c4ms2hwjru" ];
      services.tenon.secrets.backupIdentityFile = "/etc/secrets/backup-identity";
      # On NixOS a tool puts it there; a test may say it.
      environment.etc."secrets/backup-identity".text = "AGE-SECRET-KEY-18RNCK88CLFY2CDA6E8HNCHZXT3ATQR8K5J60AL4JS25T78KLJRESS246L8";
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    import time

    start_all()
    ready(machine)
    # So that it takes as long as with a team of people: 3 000 stories.
    machine.succeed("tenon demo-data")
    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"


    def write(title: str) -> int:
        story = {"title": title, "status_id": project["statuses"][0]}
        return int(client(machine, "call", "ada", "POST", f"{place}/stories", story)["ref"])


    def titles() -> list[str]:
        board = client(machine, "call", "ada", "GET", f"{place}/workflows/main")
        return [story["title"] for story in board["stories"]]


    def as_postgres(statement: str) -> str:
        return str(machine.succeed(f"runuser -u postgres -- psql -Atqc {shlex.quote(statement)} postgres")).strip()


    write("before the base backup")
    with subtest("a base backup is made by its unit"):
        machine.succeed("systemctl start tenon-base-backup.service")
        machine.succeed("tenon backup list")

    with subtest("work goes on, and then something is deleted"):
        ref = write("after the base backup")
        digest = machine.succeed("head -c 3000000 /dev/urandom > /tmp/file && sha256sum /tmp/file").split()[0]
        file = client(machine, "upload", "ada", f"{place}/stories/{ref}/attachments", "/tmp/file")
        attachment = f"{place}/stories/{ref}/attachments/{file['id']}"
        before = titles()
        machine.sleep(1)
        moment = machine.succeed("date -u +%Y-%m-%dT%H:%M:%SZ").strip()
        machine.sleep(2)
        client(machine, "call", "ada", "DELETE", attachment)
        client(machine, "call", "ada", "DELETE", f"{place}/stories/{ref}")
        write("too late")

    with subtest("the log is archived as it is written"):
        last = as_postgres("select pg_walfile_name(pg_switch_wal())")
        machine.wait_until_succeeds(
            f"runuser -u postgres -- psql -Atqc \"select last_archived_wal >= '{last}' from pg_stat_archiver\" postgres | grep t"
        )
        assert as_postgres("select failed_count from pg_stat_archiver") == "0"

    with subtest("a drill recovers all of it beside what runs"):
        said = machine.succeed("systemctl start tenon-log-drill.service && journalctl -o cat -u tenon-log-drill.service")
        assert "can be recovered, up to the change of" in said, said
        machine.wait_for_unit("tenon-log-drill.timer")

    with subtest("nobody reads base backup or log without the key"):
        machine.fail("grep -rqa 'after the base backup' /var/backup/tenon")

    with subtest("l38_the_database_and_its_files_go_back_to_one_moment"):
        data = as_postgres("show data_directory")
        machine.succeed("systemctl stop tenon.target postgresql.service")
        began = time.monotonic()
        machine.succeed(f"mv {data} {data}.lost")
        machine.succeed(f"cd /root && tenon restore --to-time {moment} --into {data}")
        machine.succeed(f"chown -R postgres:postgres {data}")
        machine.succeed("systemctl start postgresql.target")
        machine.wait_until_succeeds("runuser -u postgres -- psql -Atqc 'select pg_is_in_recovery()' postgres | grep f")
        machine.succeed("tenon migrate")
        machine.succeed("tenon restore --files-only")
        machine.succeed("tenon doctor")
        machine.succeed("systemctl start tenon.target")
        machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call ada GET /me")
        took = time.monotonic() - began
        print(f"        back at the moment after {took:.1f} s")
        assert took < 15 * 60
        assert titles() == before, titles()
        assert client(machine, "download", "ada", f"{attachment}/content") == digest

    with subtest("work goes on from there, and is archived"):
        write("after all")
        last = as_postgres("select pg_walfile_name(pg_switch_wal())")
        machine.wait_until_succeeds(
            f"runuser -u postgres -- psql -Atqc \"select last_archived_wal >= '{last}' from pg_stat_archiver\" postgres | grep t"
        )
        machine.succeed("tenon backup base")
        machine.succeed("systemctl start tenon-backup.service")

    with subtest("the disk of the database dies, and all comes back that was archived"):
        write("the last one that was archived")
        before = titles()
        last = as_postgres("select pg_walfile_name(pg_switch_wal())")
        machine.wait_until_succeeds(
            f"runuser -u postgres -- psql -Atqc \"select last_archived_wal >= '{last}' from pg_stat_archiver\" postgres | grep t"
        )
        machine.succeed("systemctl stop tenon.target postgresql.service")
        machine.succeed(f"rm -rf {data} && find /var/lib/tenon/files -type f -delete")
        machine.succeed(f"tenon restore --to-latest --into {data}")
        machine.succeed(f"chown -R postgres:postgres {data}")
        machine.succeed("systemctl start postgresql.target")
        machine.wait_until_succeeds("runuser -u postgres -- psql -Atqc 'select pg_is_in_recovery()' postgres | grep f")
        machine.succeed("tenon migrate")
        machine.succeed("tenon restore --files-only")
        machine.succeed("systemctl start tenon.target")
        machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call ada GET /me")
        assert titles() == before, titles()
        assert client(machine, "download", "ada", f"{attachment}/content") == digest

    machine.shutdown()
  '';
}
