# Prometheus, its exporters and our rules: everything that is asked for is there, live.
{
  name = "monitored";

  nodes.machine =
    { ... }:
    {
      imports = [ ./lib/machine.nix ];
      services.tenon.monitoring.prometheus.enable = true;
      services.prometheus.globalConfig = {
        scrape_interval = "1s";
        evaluation_interval = "1s";
      };
    };

  testScript = builtins.readFile ./lib/prelude.py + ''
    import re


    def prometheus(question: str) -> Any:
        """What Prometheus answers."""
        return json.loads(machine.succeed(f"curl -fsSG http://127.0.0.1:9090/api/v1/{question}"))["data"]


    start_all()
    ready(machine)
    machine.wait_for_unit("prometheus.service")
    machine.wait_for_open_port(9090)
    client(machine, "join", "ada")
    project = client(machine, "project", "ada")

    with subtest("every target answers, with a label of its own"):
        def healths() -> list[str]:
            return [one["health"] for one in prometheus("targets?state=active")["activeTargets"]]

        retry(lambda _: set(healths()) == {"up"}, 60)
        targets = prometheus("targets?state=active")["activeTargets"]
        instances = {one["labels"]["instance"] for one in targets if one["labels"]["job"] == "tenon"}
        assert len(instances) == 3, targets
        jobs = {one["labels"]["job"] for one in targets}
        assert {"tenon", "tenon-machine", "tenon-postgres", "tenon-process", "tenon-redis", "tenon-certificate"} <= jobs, jobs

    with subtest("every rule can be evaluated"):
        rules = [rule for group in prometheus("rules")["groups"] for rule in group["rules"]]
        assert len(rules) > 10, rules
        retry(lambda _: all(rule["health"] == "ok" for group in prometheus("rules")["groups"] for rule in group["rules"]), 30)

    with subtest("l39_every_series_that_a_rule_names_is_there"):
        # Figures that begin with the first of their kind.
        for unit in ["tenon-backup", "tenon-restore-drill"]:
            machine.succeed(f"systemctl start {unit}.service")
        words = r"[a-z_]+(?:_[a-z_]+)+(?=[{\[ )]|$)"
        named = {name for rule in rules for name in re.findall(words, re.sub(r'"[^"]*"|\([a-z_, ]*\)', "", rule["query"]))}
        functions = {"histogram_quantile", "group_left", "group_right"}

        def missing() -> list[str]:
            return [name for name in sorted(named - functions) if not prometheus(f"series?match%5B%5D={name}")]

        machine.wait_until_succeeds("curl -fsS 127.0.0.1:9464/metrics | grep ^backup_drill_duration_seconds", timeout=60)
        retry(lambda _: missing() == [], 20)

    with subtest("nothing is alarming on a machine that is well"):
        def loud() -> set[str]:
            states = {rule["name"]: rule["state"] for group in prometheus("rules")["groups"] for rule in group["rules"]}
            return {name for name, state in states.items() if state != "inactive"}

        # A machine that tests run on may be busy.
        retry(lambda _: loud() <= {"TenonScaleOut"}, 60)

    with subtest("a worker that is gone is noticed"):
        machine.succeed("systemctl stop tenon-worker-default.service")
        retry(lambda _: "TenonDown" in [one["labels"]["alertname"] for one in prometheus("alerts")["alerts"]], 30)
        machine.succeed("systemctl start tenon-worker-default.service")
        retry(lambda _: "TenonDown" not in [one["labels"]["alertname"] for one in prometheus("alerts")["alerts"]], 30)

    machine.shutdown()
  '';
}
