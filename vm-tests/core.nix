# A fresh installation, used by somebody, and looked at by somebody suspicious.
{
  name = "core";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      services.tenon.openFirewall = true;
      services.tenon.secrets.signingKeysFile = "/run/keys/signing";
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    UNITS = ["tenon.service", "tenon-worker-default.service", "tenon-scheduler.service"]
    # In two parts: this script is in the store, where nobody shall find the whole.
    CANARY = "Y2FuYXJ5LWlu" + "LWEtY29hbC1taW5lLWNhbmFyeS1pbi1hLWNvYWw"

    start_all()

    with subtest("everything starts by itself, once the secret is there"):
        machine.wait_for_unit("multi-user.target")
        machine.succeed(f"install -D -m 0400 <(echo first:{CANARY}) /run/keys/signing")
        for unit in UNITS:
            machine.wait_for_unit(unit)
        machine.wait_for_unit("caddy.service")
        machine.wait_for_open_port(443)
        machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call - GET /readiness")
        machine.succeed("cd /root && tenon doctor && tenon health --ready")

    with subtest("l45_the_service_does_not_start_before_its_database"):
        after = machine.get_unit_property("tenon-migrate.service", "After").split()
        assert "postgresql.target" in after, after
        for unit in UNITS:
            after = machine.get_unit_property(unit, "After").split()
            assert {"postgresql.target", "tenon-migrate.service"} <= set(after), after

    with subtest("an administrator is made by a command"):
        machine.succeed("echo correct horse battery | tenon user create --admin --name Root root@tenon.test --password-stdin")

    with subtest("somebody signs up, and proves her address by the mail"):
        ada = client(machine, "join", "ada")
        assert ada["verified_at"], ada

    with subtest("a file goes up, and comes down the same"):
        project = client(machine, "project", "ada")
        place = f"/projects/{project['id']}"
        client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Read a card", "status_id": project["statuses"][0]})
        digest = machine.succeed("head -c 3000000 /dev/urandom > /tmp/file && sha256sum /tmp/file").split()[0]
        file = client(machine, "upload", "ada", f"{place}/stories/1/attachments", "/tmp/file")
        assert client(machine, "download", "ada", f"{place}/stories/1/attachments/{file['id']}/content") == digest
        machine.succeed("find /var/lib/tenon/files -type f -size +2M | grep .")

    with subtest("a change arrives live, through the proxy"):
        in_background(machine, "ears", "listen", "ada", f"project:{project['id']}", "/tmp/frames")
        machine.wait_until_succeeds("grep subscribed /tmp/frames")
        client(machine, "call", "ada", "POST", f"{place}/stories/move", {"refs": [1], "status_id": project["statuses"][1]})
        assert result(machine, "ears")[-1]["kind"] == "story.moved"

    with subtest("a worker of its own did the jobs"):
        machine.wait_until_succeeds("tenon jobs list --state done | grep mail")
        dead = json.loads(machine.succeed("tenon --json jobs list --state dead"))
        assert dead == [], dead

    with subtest("nothing but 80 and 443 listens to others"):
        listening = [line.split() for line in machine.succeed("ss -Htlnu").splitlines()]
        outside = [(words[0], words[4]) for words in listening if not words[4].startswith(("127.", "[::1]"))]
        ports = {(kind, place.rsplit(":", 1)[1]) for kind, place in outside}
        # Where the machine's own addresses come by DHCP, somebody listens for them.
        assert {port for _, port in ports - {("udp", "68"), ("udp", "546")}} == {"80", "443"}, outside
        machine.succeed("curl -sS -o /dev/null -w '%{redirect_url}' http://tenon.test/ | grep ^https://tenon.test/")

    with subtest("every unit is fenced in"):
        for unit in [*UNITS, "tenon-migrate.service"]:
            machine.succeed(f"systemd-analyze security --no-pager --threshold=13 {unit}")
        pid = machine.get_unit_property("tenon.service", "MainPID")
        inside = f"nsenter -t {pid} -m setpriv --reuid=tenon --regid=tenon --clear-groups"
        machine.succeed(f"{inside} touch /var/lib/tenon/mine")
        # Not even root could, where the process is.
        for place in ["/", "/etc", "/usr", "/var/lib", "/var/log"]:
            said = machine.fail(f"nsenter -t {pid} -m touch {place}/not-mine 2>&1")
            assert "Read-only file system" in said, said
        machine.fail(f"{inside} touch /run/not-mine")
        machine.fail(f"nsenter -t {pid} -m touch /home/not-mine")
        machine.succeed(f"touch /root/mine && test -z \"$(nsenter -t {pid} -m ls -A /root)\"")
        machine.fail(f"{inside} cat /run/keys/signing")
        machine.fail("runuser -u nobody -- ls /var/lib/tenon/files")
        machine.fail("runuser -u nobody -- curl -sS --unix-socket /run/tenon/api.sock http://tenon/api/v1/health")

    with subtest("l43_a_secret_is_nowhere_but_in_its_file"):
        # Written so that the search does not find itself.
        pattern = f"[{CANARY[0]}]{CANARY[1:24]}"
        # What is no secret is found wherever it is looked for.
        word = "here-is-no" + "-secret"
        machine.succeed(
            f"systemd-run --quiet --unit=open --setenv=WORD={word} --setenv=PATH=$PATH sh -c 'echo $WORD; sleep 1000; true' {word}"
        )
        machine.succeed(f"runuser -u tenon -- psql -qc \"comment on table users is '{word}'\" tenon")
        machine.wait_until_succeeds(f"journalctl -o cat -u open | grep -x {word}")
        for seen in [
            "journalctl --no-pager -o export",
            "cat /proc/[0-9]*/environ",
            "cat /proc/[0-9]*/cmdline",
            "systemctl show '*'",
            "pg_dumpall --username=postgres",
        ]:
            text = f"runuser -u postgres -- {seen}" if seen.startswith("pg_") else seen
            machine.succeed(f"{{ {text} || true; }} > /tmp/seen; test -s /tmp/seen")
            assert machine.succeed(f"grep -ac '{pattern}' /tmp/seen || true").strip() == "0", seen
            machine.succeed(f"grep -aq '[h]{word[1:]}' /tmp/seen")
        places = "/run/keys /nix/store /etc /tmp /var/lib/tenon /var/lib/postgresql /var/lib/caddy /var/log"
        files = machine.succeed(f"rm /tmp/seen; grep -ral '{pattern}' {places}").split()
        assert files == ["/run/keys/signing"], files

    with subtest("l36_the_health_check_of_a_process_is_not_that_of_the_database"):
        before = [machine.get_unit_property(unit, "MainPID") for unit in UNITS]
        machine.succeed("systemctl stop postgresql.service")
        machine.wait_until_succeeds("curl -sS 127.0.0.1:9464/readiness | grep database")
        machine.succeed("curl -fsS 127.0.0.1:9464/health")
        machine.succeed("systemctl start postgresql.target")
        machine.wait_until_succeeds("curl -fsS 127.0.0.1:9464/readiness")
        assert [machine.get_unit_property(unit, "MainPID") for unit in UNITS] == before, "a process was restarted"

    if machine.execute("systemd-detect-virt --container")[0] != 0:
        GROUP = "/sys/fs/cgroup/system.slice/system-tenon.slice"

        with subtest("the kernel knows the limits of each unit; in a container it cannot"):
            for unit, memory, tasks in [("tenon", 1024, 512), ("tenon-worker-default", 512, 512), ("tenon-scheduler", 256, 128)]:
                assert machine.succeed(f"cat {GROUP}/{unit}.service/memory.max").strip() == str(memory * 1024 * 1024), unit
                assert machine.succeed(f"cat {GROUP}/{unit}.service/pids.max").strip() == str(tasks), unit

        with subtest("where everything is on this machine, no unit reaches any other"):
            ask = "curl -sS -m 5 -o /dev/null --insecure --resolve tenon.test:443:192.168.1.1 https://tenon.test/"
            machine.succeed(ask)
            for unit in UNITS:
                inside = f"echo $$ > {GROUP}/{unit}/cgroup.procs"
                machine.succeed(f"{inside}; curl -fsS -m 5 -o /dev/null 127.0.0.1:9464/health")
                machine.fail(f"{inside}; {ask}")

    with subtest("it stops in order"):
        machine.succeed("systemctl stop tenon.target")
        for unit in UNITS:
            machine.wait_until_fails(f"systemctl is-active {unit}")
            assert machine.get_unit_property(unit, "Result") == "success", unit

    machine.shutdown()
  '';
}
