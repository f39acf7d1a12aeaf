# Each thing that Tenon leans on goes away and comes back: readiness names it, and nothing is lost.
{
  name = "dependencies";

  nodes.machine =
    { pkgs, ... }:
    {
      imports = [ ./lib/machine.nix ];
      environment.systemPackages = [ pkgs.redis ];
      # So that what was called for while something was away is not waited for.
      services.tenon.settings.rate_limits.login = "1000/1m";
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    UNITS = ["tenon.service", "tenon-worker-default.service", "tenon-scheduler.service"]
    API, SCHEDULER, WORKER = "127.0.0.1:9464", "127.0.0.1:9465", "127.0.0.1:9466"

    start_all()
    ready(machine)
    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    pids = [machine.get_unit_property(unit, "MainPID") for unit in UNITS]


    def unready(process: str, component: str) -> None:
        """Waits until a process says that it lacks something, and what."""
        machine.wait_until_succeeds(
            f"curl -sS {process}/readiness | python3 -c '"
            "import json, sys; answer = json.load(sys.stdin); "
            f"sys.exit(\"{component}\" not in json.dumps(answer) or answer.get(\"status\") == 200)'"
        )
        machine.wait_until_fails(f"curl -fsS {process}/readiness")


    def degraded(process: str, component: str) -> None:
        """Waits until a process that is ready says what it works without."""
        machine.wait_until_succeeds(
            f"curl -fsS {process}/readiness | python3 -c '"
            f"import json, sys; sys.exit(\"{component}\" not in json.dumps(json.load(sys.stdin)[\"degraded\"]))'"
        )


    def is_ready(process: str) -> None:
        machine.wait_until_succeeds(f"curl -fsS {process}/readiness")


    def nobody_was_restarted() -> None:
        assert [machine.get_unit_property(unit, "MainPID") for unit in UNITS] == pids, "a process was restarted"


    with subtest("Postgres stops and comes back"):
        machine.succeed("systemctl stop postgresql.service")
        for process in [API, WORKER, SCHEDULER]:
            unready(process, "database")
        refused = machine.fail("python3 /etc/tenon-test/client.py call ada GET /me 2>&1")
        assert refused.startswith("503"), refused
        machine.succeed("systemctl start postgresql.target")
        for process in [API, WORKER, SCHEDULER]:
            is_ready(process)
        client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "After", "status_id": project["statuses"][0]})
        nobody_was_restarted()

    with subtest("l42_a_worker_and_a_scheduler_do_without_redis"):
        machine.succeed("systemctl stop redis-tenon.service")
        degraded(API, "bus")
        degraded(API, "limiter")
        is_ready(API)
        for process in [WORKER, SCHEDULER]:
            is_ready(process)
        machine.succeed("rm -f /var/lib/sink/*")
        client(machine, "sign-up", "grace")
        client(machine, "mailed", "grace")
        machine.succeed("systemctl restart tenon-worker-default.service tenon-scheduler.service")
        for process in [WORKER, SCHEDULER]:
            is_ready(process)
        client(machine, "sign-up", "edsger")
        client(machine, "mailed", "edsger")
        client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Without", "status_id": project["statuses"][0]})
        pids = [machine.get_unit_property(unit, "MainPID") for unit in UNITS]

    with subtest("the API starts without Redis, too"):
        machine.succeed("systemctl restart tenon.service")
        client(machine, "call", "ada", "GET", "/me")
        pids = [machine.get_unit_property(unit, "MainPID") for unit in UNITS]

    with subtest("Redis comes back, and live changes with it"):
        machine.succeed("systemctl start redis-tenon.service")
        is_ready(API)
        in_background(machine, "ears", "listen", "ada", f"project:{project['id']}", "/tmp/frames")
        machine.wait_until_succeeds("grep subscribed /tmp/frames")
        client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Live", "status_id": project["statuses"][0]})
        assert result(machine, "ears")[-1]["kind"] == "story.created"
        nobody_was_restarted()

    with subtest("Redis forgets everything mid-use, and nothing is lost but speed"):
        machine.succeed("redis-cli -s /run/redis-tenon/redis.sock flushall")
        client(machine, "call", "ada", "GET", "/me")
        assert len(client(machine, "call", "ada", "GET", f"{place}/workflows/main")["stories"]) == 3

    with subtest("l41_a_mail_outlives_the_mail_server_and_the_worker"):
        machine.succeed("systemctl stop sink.service")
        client(machine, "sign-up", "barbara")
        machine.wait_until_succeeds("tenon jobs list --name send_mail --state waiting | grep send_mail")
        machine.succeed("systemctl kill --signal=KILL tenon-worker-default.service")
        machine.succeed("systemctl start sink.service")
        client(machine, "mailed", "barbara")
        assert machine.succeed("grep -l barbara@ /var/lib/sink/*.eml | wc -l").strip() == "1", "mailed twice"

    with subtest("the directory of files goes away and comes back"):
        machine.succeed("chmod 0 /var/lib/tenon/files")
        unready(API, "storage")
        machine.succeed("chmod 700 /var/lib/tenon/files")
        is_ready(API)

    machine.shutdown()
  '';
}
