//! Figures, alerts, dashboard, runbooks and the page about them: none names what is not there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    client::Client,
    installation::{Installation, Unit},
    pages::{repository, runbooks},
    processes::{get, until},
    tour,
};

/// What Prometheus adds, and what exporters tell that are not ours: the page names each exporter.
const NOT_OURS: [&str; 11] = [
    "up",
    "namedprocess_namegroup_cpu_seconds_total",
    "node_cpu_seconds_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "pg_settings_max_connections",
    "pg_stat_activity_count",
    "pg_stat_archiver_archived_count",
    "pg_stat_archiver_failed_count",
    "redis_memory_max_bytes",
    "redis_memory_used_bytes",
];
/// Told by the blackbox exporter.
const PROBED: &str = "probe_ssl_earliest_cert_expiry";

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The alerts of the rules: name, expression, and everything up to the next.
fn alerts() -> Vec<(String, String, String)> {
    let text = read("nixos-module/alerts.yaml");
    let alert = |part: &str| {
        let (name, rest) = part.split_once('\n').unwrap();
        let expression = rest.split_once("expr:").unwrap().1;
        let end =
            ["        for:", "        labels:"].iter().filter_map(|key| expression.find(key)).min().unwrap();
        (name.trim().to_owned(), expression[..end].trim_start_matches(" |").to_owned(), rest.to_owned())
    };
    text.split("- alert:").skip(1).map(alert).collect()
}

/// Every expression of the dashboard.
fn panels() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(expression) = members.get("expr").and_then(Value::as_str) {
                    found.push(expression.to_owned());
                }
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = vec![];
    collect(&serde_json::from_str(&read("nixos-module/dashboard.json")).unwrap(), &mut found);
    found
}

/// The names of metrics in an expression: words that are no functions, operators, labels or values of labels.
fn names(expression: &str) -> BTreeSet<String> {
    let mut plain = String::new();
    let mut depth = 0;
    let mut parts = expression.split('"');
    // Every second part stands in quotes.
    while let Some(part) = parts.next() {
        for c in part.chars() {
            match c {
                '{' | '[' => depth += 1,
                '}' | ']' => depth -= 1,
                _ if depth == 0 => plain.push(c),
                _ => {}
            }
        }
        parts.next();
    }
    for clause in ["by", "on", "without", "ignoring"] {
        while let Some(begin) = plain.find(&format!(" {clause} (")) {
            let end = begin + plain[begin..].find(')').unwrap();
            plain.replace_range(begin..=end, " ");
        }
    }
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    let mut rest = plain.as_str();
    while let Some(begin) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_') {
        let word = &rest[begin..];
        let end = word.find(|c: char| !is_of_name(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let calls = after.trim_start().starts_with('(');
        if !calls
            && !["and", "or", "unless", "bool"].contains(&word)
            && !rest[..begin].ends_with(|c: char| c.is_ascii_digit())
        {
            found.insert(word.to_owned());
        }
        rest = after;
    }
    found
}

#[test]
fn names_are_told_from_everything_else_in_an_expression() {
    let expression = r#"sum by (job) (rate(a_total{job="b",status=~"c(d)"}[5m])) / x > 0.05
        unless on (job, e) max by (job) (f{g="h"}) == 1 and time() - i_bucket > 26 * 3600 or absent(j)"#;
    assert_eq!(names(expression), ["a_total", "f", "i_bucket", "j", "x"].map(str::to_owned).into());
}

/// Sums by name of what one process tells, and the kinds of metrics.
#[derive(Default)]
struct Scrape {
    sums: BTreeMap<String, f64>,
    kinds: BTreeMap<String, String>,
}

impl Scrape {
    fn of(units: &[Unit]) -> Self {
        let mut this = Self::default();
        for unit in units {
            let answer = get(&unit.metrics(), "/metrics");
            for line in answer.split_once("\r\n\r\n").unwrap().1.lines() {
                if let Some(kind) = line.strip_prefix("# TYPE ") {
                    let (name, kind) = kind.split_once(' ').unwrap();
                    this.kinds.insert(name.to_owned(), kind.to_owned());
                } else if !line.starts_with('#')
                    && let Some((series, value)) = line.rsplit_once(' ')
                {
                    let name = series.split('{').next().unwrap();
                    *this.sums.entry(name.to_owned()).or_default() += value.parse::<f64>().unwrap();
                }
            }
        }
        this
    }

    /// What has moved when the metric has: its own sum, or of a histogram the count.
    fn movement(&self, name: &str) -> f64 {
        let count = format!("{name}_count");
        self.sums.get(name).or_else(|| self.sums.get(&count)).copied().unwrap_or_default()
    }
}

/// Everything that an installation does in a day, in half a minute.
fn use_it(installation: &Installation, api: &Unit) {
    let address = api.address();
    let environment = [
        ("TENON".to_owned(), format!("http://{address}")),
        ("DATA".to_owned(), installation.path(".tenon").display().to_string()),
    ];
    let here = tempfile::tempdir().unwrap();
    tour::run(&tour::commands(tour::TOUR), here.path(), &environment);
    let mut stranger = Client::new(&*address);
    let wrong = json!({ "login": "nobody", "password": "something else" });
    let refused = (0..50).any(|_| stranger.post("/auth/sign-in", &wrong).unwrap().status == 429);
    assert!(refused, "too many attempts are refused");
    api.starve_until(&address, "Cannot accept connections");
    installation.tenon(&["backup", "create"]);
    installation.tenon(&["backup", "drill"]);
    installation.tenon(&["jobs", "run-now", "purge_expired"]);
    until(|| {
        let waiting = ["--json", "jobs", "list", "--state", "waiting"];
        (installation.tenon(&waiting) == "[]").then_some(())
    });
}

#[tokio::test]
async fn l39_every_figure_that_a_page_rule_panel_or_runbook_names_is_told_and_moves() {
    if !tour::has_tools() {
        return;
    }
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    // An hour would be a long test.
    installation.set("TENON__SCHEDULER__SCHEDULES__PURGE_EXPIRED__CRON", "*/2 * * * * *");
    // Schedulers look when they start, and then now and then.
    installation.tenon(&["backup", "create"]);
    installation.tenon(&["backup", "drill"]);
    let start = |role| installation.start(&[role, "--metrics-listen", "127.0.0.1:0"]);
    let units = ["serve", "worker", "scheduler"].map(start);
    let before = Scrape::of(&units);
    use_it(&installation, &units[0]);
    until(|| (Scrape::of(&units).movement("scheduler_leader") > 0.0).then_some(()));

    let page = read("docs/admin/observability.md");
    let documented: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
        .filter(|name| !name.starts_with("node_") && !NOT_OURS.contains(name))
        .collect();
    assert!(documented.len() > 20, "{documented:?}");
    for name in &documented {
        let moved = || {
            let after = Scrape::of(&units);
            let kind = after.kinds.get(*name)?;
            let still = matches!(kind.as_str(), "counter" | "histogram" | "summary")
                && after.movement(name) <= before.movement(name);
            (!still).then_some(())
        };
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while moved().is_none() {
            assert!(std::time::Instant::now() < patience, "{name} is documented, and does not move");
        }
    }

    let told = Scrape::of(&units).sums;
    let rules = alerts().into_iter().map(|(name, expression, _)| (name, expression));
    let shown = panels().into_iter().map(|expression| ("the dashboard".to_owned(), expression));
    let asked = runbooks().into_iter().flat_map(|(name, page)| {
        let blocks = tour::fenced(&page, "promql");
        blocks
            .into_iter()
            .flat_map(str::lines)
            .map(|line| (name.clone(), line.to_owned()))
            .collect::<Vec<_>>()
    });
    let mut ours = BTreeSet::new();
    for (place, expression) in rules.chain(shown).chain(asked) {
        for name in names(&expression) {
            let elsewhere = NOT_OURS.contains(&&*name) || name == PROBED;
            assert!(
                elsewhere || told.contains_key(&name),
                "{place} names {name}, which nobody tells: {expression}"
            );
            ours.insert(name);
        }
    }
    // The dashboard, or a rule, has a place for every figure that is documented.
    for name in documented {
        let seen = ["", "_bucket", "_sum", "_count"].iter().any(|end| ours.contains(&format!("{name}{end}")));
        assert!(seen, "{name} is documented, and neither shown nor alerted on");
    }
    for name in NOT_OURS.iter().filter(|name| **name != "up").chain([&PROBED]) {
        assert!(page.contains(&format!("`{name}`")), "the page says which exporter tells {name}");
    }
    for unit in units {
        unit.stop();
    }
    installation.end().await;
}

#[test]
fn every_alert_has_a_severity_a_runbook_a_row_on_the_page_and_is_tested_both_ways() {
    let (alerts, page) = (alerts(), read("docs/admin/observability.md"));
    let pages: BTreeMap<String, String> = runbooks().into_iter().collect();
    let tests = read("nixos-module/alerts.test.yaml");
    assert!(alerts.len() > 15);
    for (name, _, rest) in &alerts {
        for severity in ["critical", "warning", "info", ""] {
            assert!(!severity.is_empty(), "{name} has no severity");
            if rest.contains(&format!("severity: {severity}")) {
                let row = format!("| [{name}](../runbooks/{name}.md) | {severity} |");
                assert!(page.contains(&row), "the page has no row {row}");
                break;
            }
        }
        assert!(rest.contains("summary: "), "{name} has no summary");
        assert!(rest.contains(&format!("runbook: docs/runbooks/{name}.md")), "{name} names no runbook");
        let runbook = pages.get(name).unwrap_or_else(|| panic!("{name} has no runbook"));
        for heading in [&format!("# {name}"), "\n## Meaning\n", "\n## Check\n", "\n## Remedy\n"] {
            assert!(runbook.contains(heading), "the runbook of {name} has no {heading}");
        }
        let looks = tests.split("- eval_time:").skip(1);
        let looks: Vec<bool> = looks
            .filter(|look| {
                look.lines().nth(1).is_some_and(|line| line.trim() == format!("alertname: {name}"))
            })
            .map(|look| look.contains("exp_alerts:"))
            .collect();
        assert!(
            looks.contains(&true) && looks.contains(&false),
            "{name} is tested to fire and not to: {looks:?}"
        );
    }
    let names: BTreeSet<&String> = alerts.iter().map(|(name, _, _)| name).collect();
    assert_eq!(names, pages.keys().collect(), "a runbook for each alert, and no other");
}
