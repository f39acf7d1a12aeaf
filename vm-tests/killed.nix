# Whatever is killed is back within half a minute, and nothing is lost.
{
  name = "killed";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    import time

    RTO = 30

    start_all()
    ready(machine)
    client(machine, "join", "ada")
    # What others keep, such as Caddy its authority, shall outlive the power cut; what Tenon keeps must by itself.
    machine.succeed("sync")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"


    def write(title: str) -> None:
        client(machine, "call", "ada", "POST", f"{place}/stories", {"title": title, "status_id": project["statuses"][0]})


    for unit in [
        "tenon.service",
        "tenon-worker-default.service",
        "tenon-scheduler.service",
        "caddy.service",
        "redis-tenon.service",
        "postgresql.service",
    ]:
        with subtest(f"{unit} is back after kill -9"):
            write(f"before {unit}")
            pid = machine.get_unit_property(unit, "MainPID")
            began = time.monotonic()
            machine.succeed(f"systemctl kill --signal=KILL --kill-whom=main {unit}")
            machine.wait_until_succeeds(
                f"test $(systemctl show -p MainPID --value {unit}) != {pid} && systemctl is-active {unit}"
                " && python3 /etc/tenon-test/client.py call - GET /readiness"
                " && python3 /etc/tenon-test/client.py call ada GET /me",
                timeout=60,
            )
            took = time.monotonic() - began
            print(f"        {unit}: {took:.1f} s")
            assert took < RTO, f"{took:.1f} s"
            write(f"after {unit}")

    with subtest("what was acknowledged is there"):
        stories = client(machine, "call", "ada", "GET", f"{place}/workflows/main")["stories"]
        assert len(stories) == 12, [story["title"] for story in stories]

    with subtest("the whole machine is cut from its power"):
        began = time.monotonic()
        machine.crash()
        machine.start()
        machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call ada GET /me")
        print(f"        whole machine: {time.monotonic() - began:.1f} s")
        stories = client(machine, "call", "ada", "GET", f"{place}/workflows/main")["stories"]
        assert len(stories) == 12, [story["title"] for story in stories]

    machine.shutdown()
  '';
}
