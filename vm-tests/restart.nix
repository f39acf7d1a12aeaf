# What is changed while people work: nobody notices.
{
  name = "restart";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      # The load is one person's.
      services.tenon.settings.rate_limits.session = "1000000/1m";
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    start_all()
    ready(machine)
    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Card", "status_id": project["statuses"][0]})
    comments = f"{place}/stories/1/comments"

    with subtest("the API is restarted under load, and no request fails"):
        without_loss(machine, comments, "restart", 12, "systemctl restart tenon.service")

    with subtest("everything is restarted under load, as a new release does, and no request fails"):
        units = "tenon-migrate tenon tenon-worker-default tenon-scheduler"
        without_loss(machine, comments, "switch", 15, f"systemctl restart {units}")

    with subtest("a switch that changes nothing of the socket leaves it alone"):
        inode = machine.succeed("stat -c %i /run/tenon/api.sock")
        without_loss(machine, comments, "unchanged socket", 12, "systemctl restart tenon-sockets.service")
        assert machine.succeed("stat -c %i /run/tenon/api.sock") == inode

    with subtest("a socket that should be different is made anew, and its service comes back"):
        place = "/run/systemd/system/tenon.socket.d"
        machine.succeed(f"mkdir -p {place} && printf '[Socket]\nSocketMode=0666\n' > {place}/test.conf && systemctl daemon-reload")
        machine.succeed("systemctl restart tenon-sockets.service && stat -c %a /run/tenon/api.sock | grep -x 660")
        # The module would have written down something else.
        machine.succeed("echo else > /run/tenon-sockets/tenon && systemctl restart tenon-sockets.service")
        machine.succeed("stat -c %a /run/tenon/api.sock | grep -x 666")
        client(machine, "call", "ada", "GET", "/me")

    with subtest("a reload takes over what it can, in the same process"):
        pid = machine.get_unit_property("tenon.service", "MainPID")
        machine.succeed("systemctl reload tenon.service")
        machine.wait_until_succeeds("journalctl -o cat -u tenon.service | grep 'Took over log.level'")
        assert machine.get_unit_property("tenon.service", "MainPID") == pid

    with subtest("a live connection is told to come back"):
        in_background(machine, "ears", "listen", "ada", f"project:{project['id']}", "/tmp/frames", "--count", "1000000")
        machine.wait_until_succeeds("grep subscribed /tmp/frames")
        machine.succeed("systemctl restart tenon.service")
        machine.wait_until_succeeds("journalctl -o cat -u ears | grep 'the server closed'")
        # 1012 is 0x03f4.
        machine.succeed(r"journalctl -o cat -u ears | grep -F '\x03\xf4'")

    machine.shutdown()
  '';
}
