"""Where processes listen, and who finds them there."""

import base64
import json
import re
import subprocess
import tempfile
from pathlib import Path

from .demands import demand, of
from .plans import Plan, Unit


def the_proxy_enters_where_systemd_listens(plans: dict[str, Plan]) -> None:
    """Each socket has its upstream and each upstream its socket; nobody but the proxy may enter."""
    for plan in plans.values():
        sockets = plan.units(".socket")
        listening = {value for unit in sockets for value in unit.said("ListenStream") if value.startswith("/")}
        text = plan.services["caddy"]["configFile"] + plan.services["nginx"]["configFile"]
        upstreams = set(re.findall(r"unix/?:?(/run/[^\s;]+)", text))
        demand(listening == upstreams, f"{plan.name}: the proxy goes to {upstreams}, systemd listens on {listening}")
        proxy = "caddy" if plan.services["caddy"]["enable"] else "nginx"
        for unit in sockets if listening else []:
            demand(unit.one("SocketGroup") == proxy, f"{of(plan, unit)}: {proxy} cannot enter")
            demand(unit.one("SocketMode") == "0660", f"{of(plan, unit)} is open to others")
    demand(len(plans["everything"].units(".socket")) == 3, "three instances need three sockets")


def without_a_proxy_only_this_machine_may_connect(plans: dict[str, Plan]) -> None:
    """Until `listen.address` says otherwise."""
    found = [value for unit in plans["no-proxy"].units(".socket") for value in unit.said("ListenStream")]
    demand(found == ["127.0.0.1:8080"], f"no-proxy listens on {found}")
    found = [value for unit in plans["api-only"].units(".socket") for value in unit.said("ListenStream")]
    demand(found == ["10.0.0.5:8080", "10.0.0.5:8081"], f"api-only listens on {found}")
    found = [value for unit in plans["ipv6"].units(".socket") for value in unit.said("ListenStream")]
    demand(found == ["[::1]:8080"], f"ipv6 listens on {found}")
    demand("@[2001:db8::7]:5432/" in plans["ipv6"].settings, "ipv6 looks elsewhere for its database")
    demand('trusted_proxies = [ "127.0.0.1", "::1" ]' in plans["ipv6"].settings, "ipv6 believes no proxy of this machine")


def an_address_that_comes_later_can_be_listened_at(plans: dict[str, Plan]) -> None:
    """Sockets are made before the machine has its addresses."""
    for plan in plans.values():
        for unit in plan.units(".socket"):
            network = [value for value in unit.said("ListenStream") if not value.startswith("/")]
            demand(not network or unit.one("FreeBind") == "true", f"{of(plan, unit)} fails before the network is up")


def every_process_has_figures_of_its_own(plans: dict[str, Plan]) -> None:
    """l39: on loopback, no two on one port."""
    for plan in plans.values():
        addresses = [unit.environment().get("TENON__METRICS__LISTEN", "") for unit in plan.lasting()]
        demand(len(set(addresses)) == len(addresses), f"{plan.name}: processes share an address: {addresses}")
        host = "[::1]:" if plan.name == "ipv6" else "127.0.0.1:"
        demand(all(address.startswith(host) for address in addresses), f"{plan.name}: {addresses}")


def prometheus_collects_from_every_process(plans: dict[str, Plan]) -> None:
    """From those, and from nowhere else."""
    plan = plans["everything"]
    jobs = json.loads(plan.services["prometheus"]["configFile"])["scrape_configs"]
    tenon = next(job for job in jobs if job["job_name"] == "tenon")
    collected = {target for one in tenon["static_configs"] for target in one["targets"]}
    processes = {unit.environment()["TENON__METRICS__LISTEN"] for unit in plan.lasting()}
    demand(collected == processes, f"Prometheus asks {collected}, processes answer at {processes}")


def rules_have_the_exporters_that_they_ask(plans: dict[str, Plan]) -> None:
    """A rule without its exporter never fires, and nobody would know."""
    for name in ("everything", "monitored"):
        plan = plans[name]
        prometheus = plan.services["prometheus"]
        config = json.loads(prometheus["configFile"])
        demand(config["rule_files"] == ["/etc/prometheus/alerts.yaml"], f"{name} has no rules")
        asked = {
            target for job in config["scrape_configs"] for one in job["static_configs"] for target in one["targets"]
        }
        asked |= {
            rule.get("replacement") for job in config["scrape_configs"] for rule in job.get("relabel_configs", [])
        }
        wanted = {"node", "postgres", "process", "redis", "blackbox"}
        found = {exporter for exporter, one in prometheus["exporters"].items() if one["enable"]}
        demand(found == wanted, f"{name} has the exporters {sorted(found)}")
        for exporter in found:
            one = prometheus["exporters"][exporter]
            demand(f"127.0.0.1:{one['port']}" in asked, f"{name} does not ask {exporter}")
            demand(one["listenAddress"] == "127.0.0.1", f"{name}: everybody may ask {exporter}")


def disks_that_hold_our_data_alarm(plans: dict[str, Plan]) -> None:
    """And no other; and Postgres is measured by the processors that it may use."""
    wanted = {"monitored": ("/", "1000"), "several-disks": ("/|/var/lib/postgresql|/var/backup", "2")}
    for name, (mounts, processors) in wanted.items():
        rules = plans[name].files["etc/prometheus/alerts.yaml"]
        demand(rules.count(f'mountpoint=~"{mounts}"') == 2 and 'mountpoint=~".*"' not in rules, f"{name}: other disks alarm")
        demand(f", {processors}) > 0.8" in rules, f"{name}: Postgres has other processors")


def only_the_program_says_that_browsers_come_by_https(plans: dict[str, Plan]) -> None:
    """Said twice, with two times, nobody knows which counts."""
    for plan in plans.values():
        text = plan.services["caddy"]["configFile"] + plan.services["nginx"]["site"]
        demand("strict-transport-security" not in text.lower(), f"{plan.name}: the proxy says it as well")


def a_certificate_of_the_machine_is_used(plans: dict[str, Plan]) -> None:
    """By either proxy, and none is asked for beside it."""
    place = "/var/lib/acme/example.org/"
    demand(place in plans["shared-certificate"].services["caddy"]["configFile"], "Caddy has another certificate")
    demand(place in plans["shared-certificate-nginx"].services["nginx"]["site"], "nginx has another certificate")


def grafana_makes_a_key_of_its_own(plans: dict[str, Plan]) -> None:
    """Where it looks for one; not in the store, and nothing that is written elsewhere already."""
    plan = plans["monitored"]
    key = "/var/lib/grafana/secret_key"
    demand(not plan.content["failedAssertions"], "; ".join(plan.content["failedAssertions"]))
    demand(plan.services["grafana"]["settings"]["security"]["secret_key"] == f"$__file{{{key}}}", "it looks elsewhere")
    script = plan.script(Unit("grafana", plan.files["etc/systemd/system/grafana.service.d/tenon.conf"]), "ExecStartPre")
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory, "secret_key")
        made = []
        for _ in range(2):
            subprocess.run(["sh", "-c", script.replace(key, str(place))], check=True)
            made.append(place.read_text() if place.exists() else "")
        demand(len(base64.b64decode(made[0])) == 32, "no key is made")
        demand(made[0] == made[1], "each start makes another key")
        demand(place.stat().st_mode & 0o777 == 0o600, "others can read the key")


def uploads_and_live_connections_pass_nginx(plans: dict[str, Plan]) -> None:
    """Its own limits are not in the way: 1 MiB, a minute of silence, one protocol."""
    site = plans["nginx"].services["nginx"]["site"]
    for words in ("client_max_body_size 0;", "proxy_read_timeout 1h;", "proxy_set_header Upgrade $http_upgrade;"):
        demand(words in site, f"nginx is not told: {words}")
    demand("proxy_set_header X-Forwarded-For $remote_addr;" in site, "anybody could claim to be anybody")


def what_the_machine_says_in_nginx_stays(plans: dict[str, Plan]) -> None:
    """Its recommended headers are not sent beside ours, and its own headers of answers are not dropped for ours."""
    for plan in plans.values():
        site = plan.services["nginx"]["site"]
        demand("include recommended-proxy-headers;" not in site, f"{plan.name}: headers are sent twice")
        demand("add_header" not in site, f"{plan.name}: headers of the machine are dropped")


def a_database_elsewhere_is_spoken_to_encrypted(plans: dict[str, Plan]) -> None:
    """And only when its certificate is verified."""
    settings = plans["external-database"].settings
    demand("sslmode=verify-full&sslrootcert=/etc/" in settings, "whoever is on the way to the database reads along")


def workers_take_their_queues(plans: dict[str, Plan]) -> None:
    """And as many jobs at once as they may."""
    mail, rest = plans["everything"].roles("worker")
    demand(mail.environment().get("TENON__WORKER__QUEUES") == "mail", "the worker mail takes other queues")
    demand(mail.environment().get("TENON__WORKER__CONCURRENCY") == "16", "the worker mail is not heeded")
    demand(rest.environment().get("TENON__WORKER__QUEUES") == "default", "the worker rest takes other queues")


def administrators_act_as_the_service(plans: dict[str, Plan]) -> None:
    """`tenon` has the account, the settings and the secrets of the units."""
    for plan in plans.values():
        [script] = [text for path, text in plan.files.items() if path.endswith("/bin/tenon")]
        unit = plan.own()[0]
        for key in ("User", "Group", "SupplementaryGroups", "LoadCredential", "EnvironmentFile"):
            for value in unit.said(key):
                demand(f"--property={key}={value}" in script, f"tenon of {plan.name} lacks {key}={value}")
        [for_postgres] = [line for line in script.splitlines() if "/etc/tenon/wal.toml" in line]
        foreign = re.findall(r"LoadCredential=(?!backup\.)[^ ]*", for_postgres)
        demand(not foreign, f"what restores for Postgres in {plan.name} has settings for {foreign}, which it does not know")
        demand("TENON_CONFIG=/etc/tenon/tenon.toml" in script, f"tenon of {plan.name} has other settings")


LAWS = (
    the_proxy_enters_where_systemd_listens,
    without_a_proxy_only_this_machine_may_connect,
    an_address_that_comes_later_can_be_listened_at,
    every_process_has_figures_of_its_own,
    prometheus_collects_from_every_process,
    rules_have_the_exporters_that_they_ask,
    disks_that_hold_our_data_alarm,
    only_the_program_says_that_browsers_come_by_https,
    a_certificate_of_the_machine_is_used,
    grafana_makes_a_key_of_its_own,
    uploads_and_live_connections_pass_nginx,
    what_the_machine_says_in_nginx_stays,
    a_database_elsewhere_is_spoken_to_encrypted,
    workers_take_their_queues,
    administrators_act_as_the_service,
)
