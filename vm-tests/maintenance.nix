# While an administrator works, nobody else does; no process is restarted for it.
{
  name = "maintenance";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      services.tenon.instances = 2;
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    UNITS = ["tenon@1.service", "tenon@2.service", "tenon-worker-default.service", "tenon-scheduler.service"]

    start_all()
    for unit in UNITS:
        machine.wait_for_unit(unit)
    machine.wait_for_unit("caddy.service")
    machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call - GET /readiness")
    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    pids = [machine.get_unit_property(unit, "MainPID") for unit in UNITS]

    with subtest("everybody hears it, from every process"):
        machine.succeed("tenon maintenance on --message 'Moving to a larger disk.' --until 30m")
        for socket in ["api-1", "api-2"]:
            machine.wait_until_succeeds(
                f"curl -s --unix-socket /run/tenon/{socket}.sock http://tenon.test/api/v1/config | grep 'larger disk'", timeout=10
            )
        story = json.dumps({"title": "Card", "status_id": project["statuses"][0]})
        said = machine.fail(f"python3 /etc/tenon-test/client.py call ada POST {place}/stories {shlex.quote(story)} 2>&1")
        assert said.startswith("503") and "larger disk" in said, said
        machine.fail("python3 /etc/tenon-test/client.py call ada GET /me")

    with subtest("readiness stays, so that a balancer leaves the message to be read"):
        client(machine, "call", "-", "GET", "/readiness")

    with subtest("a process that starts during it knows"):
        machine.succeed("systemctl restart tenon@1.service")
        machine.fail("curl -fsS --unix-socket /run/tenon/api-1.sock http://tenon.test/api/v1/config")
        pids[0] = machine.get_unit_property("tenon@1.service", "MainPID")

    with subtest("jobs wait"):
        machine.succeed("tenon user create grace@example.org --name Grace")
        machine.sleep(3)
        machine.succeed("tenon jobs list --state waiting | grep send_mail")

    with subtest("everything goes on afterwards"):
        machine.succeed("tenon maintenance off")
        for socket in ["api-1", "api-2"]:
            machine.wait_until_succeeds(f"curl -fsS --unix-socket /run/tenon/{socket}.sock http://tenon.test/api/v1/config", timeout=10)
        client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Card", "status_id": project["statuses"][0]})
        client(machine, "mailed", "grace")
        assert [machine.get_unit_property(unit, "MainPID") for unit in UNITS] == pids, "a process was restarted"

    machine.shutdown()
  '';
}
