# Redis is away, under load and for as long as it takes: what it shares among processes is missed, and nothing else.
{
  name = "redis";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      # The load is one person's.
      services.tenon.settings.rate_limits.session = "1000000/1m";
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    API, WORKER = "127.0.0.1:9464", "127.0.0.1:9466"

    start_all()
    ready(machine)
    for name in ("ada", "eve"):
        client(machine, "join", name)
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Card", "status_id": project["statuses"][0]})
    comments = f"{place}/stories/1/comments"
    # Whoever wants it would start it again; so it does not start while this file is there.
    machine.succeed("mkdir -p /run/systemd/system/redis-tenon.service.d")
    machine.succeed(
        "printf '[Unit]\\nConditionPathExists=!/run/redis-is-away\\n' > /run/systemd/system/redis-tenon.service.d/away.conf"
        " && systemctl daemon-reload"
    )


    def degraded() -> list[str]:
        """What the API works without, while it is ready."""
        shown = json.loads(machine.succeed(f"curl -fsS {API}/readiness"))
        return [one if isinstance(one, str) else one["component"] for one in shown["degraded"]]


    with subtest("Redis stops under load, and every request is answered as before"):
        before = int(sql(machine, "select count(*) from comments"))
        in_background(machine, "readers", "load", "ada", "/me", "--seconds", "15", "--people", "3")
        in_background(machine, "writers", "load", "ada", comments, "--seconds", "15", "--people", "3", "--posts")
        machine.sleep(3)
        machine.succeed("touch /run/redis-is-away && systemctl stop redis-tenon.service")
        reads, writes = result(machine, "readers"), result(machine, "writers")
        print(f"        {reads['requests']} reads, {writes['requests']} writes, the slowest {reads['slowest']} s")
        assert reads["failed"] == 0 and writes["failed"] == 0, (reads["failures"], writes["failures"])
        assert max(reads["slowest"], writes["slowest"]) < 3, (reads, writes)
        # Whoever waited for Redis at each request would have made a few dozen.
        assert reads["requests"] > 300, reads
        assert int(sql(machine, "select count(*) from comments")) == before + writes["requests"], "a comment is lost or twice"

    with subtest("readiness stays, and says what is missed"):
        retry(lambda _: "bus" in degraded(), 30)
        machine.succeed("python3 /etc/tenon-test/client.py call - GET /readiness")

    with subtest("processes start without it, and work"):
        machine.succeed("systemctl restart tenon.service tenon-worker-default.service tenon-scheduler.service")
        machine.fail("systemctl is-active redis-tenon.service")
        for unit in ["tenon", "tenon-worker-default", "tenon-scheduler"]:
            machine.wait_for_unit(f"{unit}.service")
        machine.wait_until_succeeds(f"curl -fsS {WORKER}/readiness")
        client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Without", "status_id": project["statuses"][0]})
        # The mail is a worker's.
        client(machine, "sign-up", "grace")
        client(machine, "mailed", "grace")

    with subtest("wrong passwords are still limited"):
        guess = json.dumps({"login": "eve@example.org", "password": "wrong and wrong again", "delivery": "body"})
        codes = [
            machine.succeed(
                f"curl -sS -m 10 -o /dev/null -w '%{{http_code}}' -H 'content-type: application/json' -d {shlex.quote(guess)}"
                " --cacert /var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt https://tenon.test/api/v1/auth/sign-in"
            )
            for _ in range(20)
        ]
        assert codes[0] == "401" and codes[-1] == "429", codes

    with subtest("Redis comes back, and nothing is missed any more"):
        machine.succeed("rm /run/redis-is-away && systemctl start redis-tenon.service")
        retry(lambda _: degraded() == [], 60)

    machine.shutdown()
  '';
}
