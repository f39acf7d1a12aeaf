# Two API processes without sockets of systemd, as on other systems, behind a Caddy that asks how they are: one is restarted after
# the other under load, and no request fails.
{
  name = "rolling";

  nodes.machine =
    { config, lib, ... }:
    let
      cfg = config.services.tenon;

      # As somebody writes it who has no systemd that listens.
      process = number: {
        name = "plain@${toString number}";
        value = {
          description = "Tenon API without a socket";
          wantedBy = [ "multi-user.target" ];
          after = [ "tenon-migrate.service" ];
          wants = [ "tenon-migrate.service" ];
          environment = {
            TENON_CONFIG = "/etc/tenon/tenon.toml";
            TENON__SERVER__LISTEN = "127.0.0.1:808${toString number}";
            TENON__METRICS__LISTEN = "127.0.0.1:950${toString number}";
          };
          serviceConfig = {
            Type = "notify";
            ExecStart = "${lib.getExe cfg.package} serve";
            EnvironmentFile = "-/run/plain.env";
            User = cfg.user;
            Group = cfg.group;
            SupplementaryGroups = [ config.services.redis.servers.tenon.group ];
            StateDirectory = "tenon";
            StateDirectoryMode = "0700";
            WorkingDirectory = cfg.stateDir;
            Restart = "always";
            TimeoutStopSec = 60;
          };
        };
      };
    in
    {
      imports = [ ./lib/machine.nix ];
      services.tenon = {
        domain = null;
        instances = 0;
        settings = {
          public_url = "https://tenon.test";
          server.trusted_proxies = [ "127.0.0.1" ];
          mail.from = "Tenon <tenon@tenon.test>";
          # The load is one person's.
          rate_limits.session = "1000000/1m";
        };
      };
      systemd.services = lib.listToAttrs (map process [ 1 2 ]);
      services.caddy = {
        enable = true;
        # The one asks for readiness, and keeps connections; the other tries again where it is refused.
        virtualHosts."tenon.test".extraConfig = ''
          tls internal
          reverse_proxy 127.0.0.1:8081 127.0.0.1:8082 {
            lb_policy round_robin
            health_uri /api/v1/readiness
            health_interval 500ms
            flush_interval -1
          }
        '';
        virtualHosts."tenon.test:8443".extraConfig = ''
          tls internal
          reverse_proxy 127.0.0.1:8081 127.0.0.1:8082 {
            lb_policy round_robin
            lb_try_duration 5s
            flush_interval -1
            transport http {
              keepalive off
            }
          }
        '';
      };
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    start_all()
    for unit in ["tenon-migrate", "plain@1", "plain@2", "tenon-worker-default", "caddy"]:
        machine.wait_for_unit(f"{unit}.service")
    machine.wait_for_open_port(443)
    machine.wait_until_succeeds("python3 /etc/tenon-test/client.py call - GET /readiness")
    client(machine, "join", "ada")
    project = client(machine, "project", "ada")
    place = f"/projects/{project['id']}"
    client(machine, "call", "ada", "POST", f"{place}/stories", {"title": "Card", "status_id": project["statuses"][0]})
    comments = f"{place}/stories/1/comments"


    def ready_to_drain(drain: str) -> None:
        """Starts both anew, so that they stop like this when they are stopped the next time."""
        machine.succeed(f"echo TENON__SERVER__DRAIN={drain} > /run/plain.env")
        for number in (1, 2):
            machine.succeed(f"systemctl restart plain@{number}.service")
            machine.wait_until_succeeds(f"curl -fsS 127.0.0.1:808{number}/api/v1/readiness")
        # Until Caddy has asked as well.
        machine.sleep(2)


    def one_after_the_other() -> None:
        for number in (1, 2):
            machine.succeed(f"systemctl restart plain@{number}.service")
            machine.wait_until_succeeds(f"curl -fsS 127.0.0.1:808{number}/api/v1/readiness")
            machine.sleep(2)


    def under_load(name: str, *url: str) -> tuple[int, list[str]]:
        """Restarts one after the other while people read and write; no read may fail, and no write be lost that was answered."""
        before = int(sql(machine, "select count(*) from comments"))
        in_background(machine, f"{name}-readers", *url, "load", "ada", "/me", "--seconds", "24", "--people", "3")
        in_background(machine, f"{name}-writers", *url, "load", "ada", comments, "--seconds", "24", "--people", "3", "--posts")
        machine.sleep(1)
        one_after_the_other()
        reads, writes = result(machine, f"{name}-readers"), result(machine, f"{name}-writers")
        print(f"        {name}: {reads['requests']} reads, {writes['requests']} writes,"
              f" the slowest {max(reads['slowest'], writes['slowest'])} s")
        assert reads["failed"] == 0, reads["failures"]
        written = int(sql(machine, "select count(*) from comments")) - before
        assert written == writes["requests"] - writes["failed"], "a comment is lost or twice"
        return writes["failed"], writes["failures"]


    with subtest("while it drains, a process says that it leaves, and still answers"):
        ready_to_drain("4s")
        machine.succeed("systemctl stop --no-block plain@1.service")
        machine.wait_until_succeeds("curl -sS 127.0.0.1:8081/api/v1/readiness | grep draining")
        machine.succeed("curl -fsS 127.0.0.1:8081/api/v1/health")
        machine.wait_until_fails("curl -sS 127.0.0.1:8081/api/v1/health")
        machine.succeed("systemctl start plain@1.service")
        machine.wait_until_succeeds("curl -fsS 127.0.0.1:8081/api/v1/readiness")
        machine.sleep(2)

    with subtest("they drain while a balancer notices, and no request fails"):
        failed, failures = under_load("draining")
        assert failed == 0, failures

    with subtest("they close at once, a balancer tries the other, and what it can send again does not fail"):
        ready_to_drain("0s")
        # Caddy closes the body of a request that was refused, and has nothing to send to the other process.
        failed, failures = under_load("closing", "--url", "https://tenon.test:8443")
        assert all(failure.startswith("502 ") for failure in failures), failures

    machine.shutdown()
  '';
}
