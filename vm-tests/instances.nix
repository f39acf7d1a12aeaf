# Two API processes on one machine, behind one proxy, and Redis between them.
{
  name = "instances";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      services.tenon.instances = 2;
      services.tenon.settings.rate_limits = {
        session = "1000000/1m";
        anonymous = "20/1m";
      };
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    FIRST, SECOND = "unix:/run/tenon/api-1.sock", "unix:/run/tenon/api-2.sock"

    start_all()
    machine.wait_for_unit("tenon@1.service")
    machine.wait_for_unit("tenon@2.service")
    machine.wait_for_unit("tenon-worker-default.service")
    machine.wait_for_unit("caddy.service")
    machine.wait_for_open_port(443)
    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    story = {"title": "Card", "status_id": project["statuses"][0]}

    with subtest("what is done at one is seen live at the other"):
        in_background(machine, "ears", "--url", SECOND, "listen", "ada", f"project:{project['id']}", "/tmp/frames")
        machine.wait_until_succeeds("grep subscribed /tmp/frames")
        client(machine, "--url", FIRST, "call", "ada", "POST", f"{place}/stories", story)
        assert result(machine, "ears")[-1]["kind"] == "story.created"

    with subtest("both share the load"):
        client(machine, "load", "ada", "/me", "--seconds", "3", "--people", "6")
        for unit in ["tenon@1", "tenon@2"]:
            answered = int(machine.succeed(f"journalctl -o cat -u {unit} | grep -c '\"http.route\":\"/api/v1/me\"'"))
            assert answered > 50, f"{unit} answered {answered} requests"

    with subtest("one is killed under load, and nothing fails but what it was answering"):
        in_background(machine, "readers", "load", "ada", "/me", "--seconds", "10", "--people", "4")
        machine.sleep(2)
        machine.succeed("systemctl kill --signal=KILL tenon@1.service")
        machine.wait_until_succeeds("curl -fsS 127.0.0.1:9464/readiness", timeout=30)
        reads = result(machine, "readers")
        print(f"        {reads}")
        # What the killed process was answering is lost with it; nothing after that.
        assert reads["failed"] <= 4, reads

    with subtest("one is restarted at a time under load, and nothing fails"):
        in_background(machine, "writers", "load", "ada", f"{place}/stories/1/comments", "--seconds", "10", "--posts")
        for unit in ["tenon@1", "tenon@2"]:
            machine.succeed(f"systemctl restart {unit}.service")
            machine.sleep(1)
        writes = result(machine, "writers")
        print(f"        {writes}")
        assert writes["failed"] == 0, writes
        assert int(sql(machine, "select count(*) from comments")) == writes["requests"]

    with subtest("a budget is one for both"):
        codes = [
            machine.succeed(
                f"curl -s -o /dev/null -w '%{{http_code}}' --unix-socket /run/tenon/api-{1 + number % 2}.sock"
                " http://tenon.test/api/v1/config"
            )
            for number in range(30)
        ]
        assert codes.count("200") <= 20 and codes.count("429") >= 10, codes

    machine.shutdown()
  '';
}
