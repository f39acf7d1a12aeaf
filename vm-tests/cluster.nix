# Two machines that serve, a third with Postgres, Redis and the proxy: everything by TCP, with passwords.
let
  node =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      services.tenon = {
        # The proxy is elsewhere.
        domain = null;
        proxy.caddy.internalAuthority = false;
        # By IPv4 alone, so that the proxy comes from there.
        listen.address = "0.0.0.0";
        mail.from = "Tenon <tenon@tenon.test>";
        mail.smtp.host = "front";
        database.createLocally = false;
        redis.createLocally = false;
        secrets.databaseUrlFile = "/etc/secrets/database-url";
        secrets.redisUrlFile = "/etc/secrets/redis-url";
        secrets.signingKeysFile = "/etc/secrets/signing-keys";
        settings.public_url = "https://tenon.test";
        # The load is one person's.
        settings.rate_limits.session = "1000000/1m";
        settings.server.trusted_proxies = [ "192.168.1.0/24" ];
      };
      networking.firewall.allowedTCPPorts = [ 8080 ];
      # On NixOS a tool puts them there; a test may say them.
      environment.etc."secrets/database-url".text = "postgres://tenon:open-sesame@front/tenon";
      environment.etc."secrets/redis-url".text = "redis://:open-sesame@front:6379/0";
      environment.etc."secrets/signing-keys".text = "first:aGVyZS1hcmUtYXQtbGVhc3QtMzItYnl0ZXMtb2Yta2V5";
    };
in
{
  name = "cluster";

  nodes.one = node;
  nodes.two = node;

  nodes.front =
    { pkgs, ... }:
    {
      imports = [ ./lib/machine.nix ];
      services.tenon.enable = false;
      services.postgresql = {
        enable = true;
        enableTCPIP = true;
        ensureDatabases = [ "tenon" ];
        ensureUsers = [ { name = "tenon"; ensureDBOwnership = true; } ];
        authentication = ''
          host tenon tenon 192.168.1.0/24 scram-sha-256
          host tenon tenon 2001:db8:1::/64 scram-sha-256
        '';
      };
      services.redis.servers.tenon = {
        enable = true;
        port = 6379;
        bind = null;
        requirePass = "open-sesame";
      };
      services.caddy = {
        enable = true;
        virtualHosts."tenon.test".extraConfig = ''
          tls internal
          reverse_proxy one:8080 two:8080 {
            lb_policy least_conn
            health_uri /api/v1/readiness
            health_interval 1s
            health_timeout 2s
          }
        '';
      };
      networking.firewall.allowedTCPPorts = [ 2525 5432 6379 ];
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    import time

    servers = [one, two]
    front.start()
    front.wait_for_unit("postgresql.target")
    front.wait_for_unit("redis-tenon.service")
    front.succeed("runuser -u postgres -- psql -c \"alter role tenon password 'open-sesame'\"")

    with subtest("l35_two_machines_migrate_at_once_and_one_does"):
        # Neither begins before both want to.
        locks = "runuser -u postgres -- psql -Atqc \"select count(*) from pg_locks where locktype = 'advisory' and"
        hold = "-c \"select pg_advisory_lock(x'74656e6f6e000001'::bigint)\" -c 'select pg_sleep(600)'"
        front.succeed(f"systemd-run --quiet --unit=hold --setenv=PATH=$PATH runuser -u postgres -- psql {hold} tenon")
        front.wait_until_succeeds(f"{locks} granted\" tenon | grep -x 1")
        start_all()
        front.wait_until_succeeds(f"{locks} not granted\" tenon | grep -x 2")
        terminate = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted"
        front.succeed(f"runuser -u postgres -- psql -Atqc \"{terminate}\" tenon")
        for server in servers:
            server.wait_for_unit("tenon-migrate.service")
            server.wait_for_unit("tenon.service")
        said = [server.succeed("journalctl -o cat -u tenon-migrate.service") for server in servers]
        assert sum("Applied" in text for text in said) == 1, said
        for server in servers:
            assert server.get_unit_property("tenon-migrate.service", "NRestarts") == "0"
            server.wait_for_unit("tenon-worker-default.service")
            server.wait_for_unit("tenon-scheduler.service")
            server.wait_until_succeeds("curl -fsS 127.0.0.1:9464/readiness")

    with subtest("somebody joins, through the proxy"):
        front.wait_for_unit("caddy.service")
        front.wait_until_succeeds("python3 /etc/tenon-test/client.py call - GET /readiness")
        client(front, "join", "ada")
        project = client(front, "project", "ada")
        place = f"/projects/{project['id']}"

    with subtest("either of them backs the installation up"):
        one.succeed("systemctl start tenon-backup.service")
        one.succeed("tenon backup verify")

    with subtest("what is done at one machine is seen live at the other"):
        in_background(front, "ears", "--url", "http://two:8080", "listen", "ada", f"project:{project['id']}", "/tmp/frames")
        front.wait_until_succeeds("grep subscribed /tmp/frames")
        story = {"title": "Card", "status_id": project["statuses"][0]}
        client(front, "--url", "http://one:8080", "call", "ada", "POST", f"{place}/stories", story)
        assert result(front, "ears")[-1]["kind"] == "story.created"


    def leaders() -> list[str]:
        """The machines whose scheduler says that it leads."""
        return [server.name for server in servers if server.execute("curl -fsS -m 2 127.0.0.1:9465/metrics | grep -x 'scheduler_leader 1'")[0] == 0]


    with subtest("one scheduler leads"):
        retry(lambda _: len(leaders()) == 1)

    with subtest("the leader is frozen, and the other takes over"):
        leader = next(server for server in servers if server.name in leaders())
        other = next(server for server in servers if server is not leader)
        began = time.monotonic()
        leader.succeed("systemctl kill --signal=STOP tenon-scheduler.service")
        retry(lambda _: leaders() == [other.name], 120)
        print(f"        another scheduler leads after {time.monotonic() - began:.1f} s")
        leader.wait_for_unit("tenon-scheduler.service")
        leader.wait_until_succeeds("curl -fsS 127.0.0.1:9465/health")
        assert leaders() == [other.name], "two lead, or the wrong one"

    with subtest("a machine dies, and its work is done by the other"):
        in_background(front, "writers", "load", "ada", f"{place}/stories/1/comments", "--seconds", "12", "--posts")
        front.sleep(3)
        one.crash()
        writes = result(front, "writers")
        print(f"        {writes}")
        assert writes["outage"] < 5, writes
        kept = int(front.succeed("runuser -u postgres -- psql -Atqc 'select count(*) from comments' tenon"))
        # Whoever was not answered does not know; whoever was, has it.
        assert writes["requests"] - writes["failed"] <= kept <= writes["requests"], (kept, writes)
        front.succeed("rm -f /var/lib/sink/*")
        client(front, "sign-up", "grace")
        client(front, "mailed", "grace")

    with subtest("a machine that is cut off says so, and comes back by itself"):
        two.block()
        two.wait_until_fails("curl -fsS -m 3 127.0.0.1:9464/readiness")
        two.unblock()
        two.wait_until_succeeds("curl -fsS -m 3 127.0.0.1:9464/readiness")
        client(front, "call", "ada", "GET", "/me")

    with subtest("l45_the_machine_that_died_comes_back_before_its_database_and_by_itself"):
        front.succeed("systemctl stop postgresql.service")
        one.start()
        one.wait_until_succeeds("test $(systemctl show -p NRestarts --value tenon-migrate.service) -ge 2")
        front.succeed("systemctl start postgresql.target")
        one.wait_for_unit("tenon.service")
        one.wait_until_succeeds("curl -fsS 127.0.0.1:9464/readiness")
        front.wait_until_succeeds("python3 /etc/tenon-test/client.py --url http://one:8080 call ada GET /me")

    for each in [front, one, two]:
        each.shutdown()
  '';
}
