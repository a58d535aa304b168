//! Metrics, alerts and the dashboard, as Prometheus reads them.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::collections::BTreeSet;
use std::env;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;

use edgeloop_tests::Pair;

use super::*;

/// The folder of promtool and of a parser of OpenMetrics, which `cargo xtask test` fetches.
const TOOLS: &str = "EDGELOOP_PROMETHEUS_TOOLS";

fn promtool(arguments: &[&str]) -> Command {
    let mut promtool = Command::new(tools().join("promtool"));
    promtool.args(arguments);
    promtool
}

fn tools() -> PathBuf {
    env::var_os(TOOLS).map(PathBuf::from).context("cargo xtask test sets it").unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].concat().iter().map(|byte| char::from(*byte)).collect()
}

/// What a program makes of a text that it reads.
fn fed(command: &mut Command, text: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
#[ignore = "needs promtool"]
fn each_alert_is_raised_by_what_it_is_for_and_none_where_all_is_well() {
    let alerts = fs::read_to_string(folder().unwrap().join("files/alerts.yaml")).unwrap();
    let test = include_str!("alerts.yaml");
    let run = |alerts: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("alerts.yaml"), alerts).unwrap();
        fs::write(folder.path().join("test.yaml"), test).unwrap();
        promtool(&["test", "rules", "test.yaml"]).current_dir(folder.path()).output().unwrap()
    };
    let output = run(&alerts);
    assert!(output.status.success(), "{}", said(&output));
    for name in names(&alerts) {
        assert!(test.contains(&format!("name: {name}\n")), "{name} is not tried");
    }
    let broken = alerts.replace("edgeloop_ready == 0", "edgeloop_ready == 2");
    assert!(!run(&broken).status.success(), "an alert that is never raised is not noticed");
}

#[test]
#[ignore = "needs promtool"]
fn each_alert_has_a_symptom_a_command_and_a_remedy_on_the_page_that_it_names() {
    let alerts = fs::read_to_string(folder().unwrap().join("files/alerts.yaml")).unwrap();
    let page = fs::read_to_string(checkout::folder().unwrap().join("docs/operations.md")).unwrap();
    for name in names(&alerts) {
        let section = page.split(&format!("\n### {name}\n")).nth(1).unwrap_or_else(|| panic!("{name}"));
        let section = section.split("\n#").next().unwrap();
        for part in ["**Symptom.** ", "**Command.** `", "**Remedy.** "] {
            assert!(section.contains(part), "{name}: {part}");
        }
        assert!(alerts.contains(&format!("runbook: docs/operations.md#{}\n", name.to_lowercase())), "{name}");
    }
}

/// Each expression of the dashboard as a rule, and no metric in one that no agent has.
#[test]
#[ignore = "needs promtool"]
fn the_dashboard_and_the_alerts_ask_for_metrics_that_there_are() {
    let alerts = fs::read_to_string(folder().unwrap().join("files/alerts.yaml")).unwrap();
    let dashboard = fs::read_to_string(folder().unwrap().join("files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for target in
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap())
    {
        let expression =
            target["expr"].as_str().unwrap().replace("$__rate_interval", "5m").replace("$node", ".*");
        rules += &format!(
            "  - record: a:b\n    labels: {{n: '{}'}}\n    expr: |-\n      {expression}\n",
            rules.len()
        );
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &rules).unwrap();
    let output = promtool(&["check", "rules"]).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));

    let page = fs::read_to_string(checkout::folder().unwrap().join("docs/reference/metrics.md")).unwrap();
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    let text = rules + &alerts;
    let used: BTreeSet<&str> =
        text.split(|sign| !is_name(sign)).filter(|word| word.starts_with("edgeloop_")).collect();
    assert!(used.len() > 10, "{used:?}");
    for name in used {
        let name = name.trim_end_matches("_bucket");
        assert!(page.contains(&format!("`{name}`")), "no agent has {name}");
    }
}

#[test]
#[ignore = "needs root and promtool"]
fn both_forms_of_a_running_agents_metrics_are_read_by_strict_parsers() {
    let pair = Pair::new().unwrap();
    let doors = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _agent = pair.agent(&["--http", &doors.to_string()]).unwrap();
    assert!(pair.is_served().unwrap());

    let (kind, text) = get(doors, "text/plain");
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let output = fed(&mut promtool(&["check", "metrics"]), &text);
    // Its opinion on names is of no weight for metrics that are there already.
    assert!(
        !said(&output).contains("error while linting") && output.status.code() != Some(1),
        "{}",
        said(&output)
    );
    let broken = text.replace("# TYPE edgeloop_ready gauge", "# TYPE edgeloop_ready gauge gauge");
    assert_eq!(fed(&mut promtool(&["check", "metrics"]), &broken).status.code(), Some(1));

    let (kind, text) = get(doors, "application/openmetrics-text; version=1.0.0");
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let parse = |text: &str| {
        let program = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as read\nprint(len(list(read(sys.stdin.read()))))";
        let mut python = Command::new("python3");
        fed(python.env("PYTHONPATH", tools()).args(["-c", program]), text)
    };
    let output = parse(&text);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).trim().parse::<usize>().unwrap() > 20, "{}", said(&output));
    assert!(!parse(&text.replace("# EOF\n", "")).status.success(), "a text without its end passes");
}

/// What kind of text an agent sends, and the text.
fn get(doors: SocketAddr, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(doors).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
    (kind.to_owned(), body.to_owned())
}

fn names(alerts: &str) -> Vec<&str> {
    let names: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10);
    names
}
