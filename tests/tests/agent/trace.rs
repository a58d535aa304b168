//! What the programs decide, live: `lb-agent trace`.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Output;

use edgeloop_tests::agent::{in_kernel, lb_agent, lb_agent_says, wait_for};
use edgeloop_tests::{Ability, Child, Datagrams, Pair, Pod, programs};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const NONE: &str = "10.96.0.12:80";
const UID: &str = "0f5a1b2c-1111-2222-3333-444455556666";
const DNS: &str = r"
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: kube-system}
spec:
  clusterIPs: [10.96.0.10, 'fd00:96::10']
  ipFamilies: [IPv4, IPv6]
  clusterIP: 10.96.0.10
  ports: [{name: dns, port: 53, protocol: UDP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-4, namespace: kube-system, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports: [{name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: ['10.244.1.3'], nodeName: n3}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-6, namespace: kube-system, labels: {kubernetes.io/service-name: dns}}
addressType: IPv6
ports: [{name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: ['fd00:244::3'], nodeName: n3}]
";
const STICKY: &str = r"
apiVersion: v1
kind: Service
metadata: {name: sticky, namespace: default}
spec:
  clusterIP: 10.96.0.15
  sessionAffinity: ClientIP
  ports: [{name: http, port: 80, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sticky-1, namespace: default, labels: {kubernetes.io/service-name: sticky}}
addressType: IPv4
ports: [{name: http, port: 9376, protocol: TCP}]
endpoints: [{addresses: ['10.244.1.3'], nodeName: n3}]
";

fn pair() -> Pair {
    let pair = Pair::new().unwrap();
    pair.folder.put("none.yaml", "service none 10.96.0.12:80").unwrap();
    pair.folder.put_text("dns.yaml", DNS).unwrap();
    pair.folder.put_text("sticky.yaml", STICKY).unwrap();
    pair
}

/// A running `lb-agent trace`.
struct Tracer {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Tracer {
    /// One that listens.
    fn start(pair: &Pair, flags: &[&str]) -> Self {
        let node = pair.client.node();
        let [out, err] = ["trace.out", "trace.err"].map(|name| node.file(name));
        let mut command = lb_agent(node, "trace").unwrap();
        command.args(flags).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let tracer = Self { child: Child::spawn("lb-agent trace", &mut command).unwrap(), out, err };
        tracer.says("listening at ");
        tracer
    }

    fn err(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// Waits longer than for others: a dozen programs are verified, also where every instruction is emulated.
    fn says(&self, text: &str) {
        let is_said = || wait_for(text, || Ok(self.err().contains(text))).is_ok();
        assert!((0..4).any(|_| is_said()), "{text}: {}", self.err());
    }

    fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    /// The first decisions, as soon as there are so many, without what differs from run to run.
    fn decisions(&self, count: usize) -> Vec<Value> {
        wait_for("decisions are shown", || Ok(self.out().lines().count() >= count))
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out(), self.err()));
        let lines: Vec<Value> = self.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    fn end(mut self) -> (String, String) {
        self.child.signal(Signal::SIGINT).unwrap();
        let status = self.child.wait(std::time::Duration::from_secs(10)).unwrap();
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", self.err());
        (self.out(), self.err())
    }
}

fn of(decision: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| decision[field].clone()).collect()
}

/// What it decided, a word for each field.
fn in_a_line(decision: &Value) -> String {
    const WHAT: [&str; 10] = [
        "hook", "protocol", "dialled", "service", "portName", "verdict", "outcome", "backend", "pool", "how",
    ];
    let word = |field: &&str| match &decision[*field] {
        Value::String(text) if !text.is_empty() => text.clone(),
        other @ (Value::String(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other.to_string(),
    };
    WHAT.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The programs behind the links, as the kernel shows them.
fn shapes(pair: &Pair) -> Vec<Vec<String>> {
    let hooks = in_kernel(pair.client.node()).unwrap().hooks;
    assert_eq!(hooks.len(), 8);
    hooks.iter().map(|hook| programs::shape(hook.program_id).unwrap()).collect()
}

fn trace_says(pair: &Pair, flags: &[&str]) -> Output {
    lb_agent_says(pair.client.node(), "trace", flags).unwrap()
}

#[test]
#[ignore = "needs root"]
fn each_decision_is_shown_as_the_program_made_it_with_process_and_pod() {
    if Ability::Extensions.is_missing().unwrap() {
        return;
    }
    let pair = pair();
    let _agent = pair.agent(&[]).unwrap();
    let cart: Pod = pair.client.node().pod("cart", "10.244.1.6").unwrap();
    let cart = cart.within(format!("kubepods/burstable/pod{UID}/container")).unwrap();
    let logs = pair.client.node().file("pods");
    fs::create_dir_all(logs.join(format!("shop_cart_{UID}"))).unwrap();
    let before = shapes(&pair);
    let tracer = Tracer::start(&pair, &["-o", "json", "--pod-logs", logs.to_str().unwrap()]);
    assert_eq!(shapes(&pair), before, "what runs behind the links is what ran there");

    assert!(cart.dial(Pair::SERVICE, 1).unwrap()[0].is_from("web"));
    assert!(pair.dial("[::ffff:10.96.0.11]:80").unwrap().is_from("web"));
    assert!(pair.dial(NONE).unwrap().failed_with("ECONNREFUSED"));
    pair.dial("10.96.0.99:80").unwrap(); // no Service: not shown
    assert!(pair.client.dial("10.96.0.15:80", 2).unwrap().iter().all(|answer| answer.is_from("web")));
    let mut lives = Datagrams::open4(&pair.client).unwrap();
    lives.call("sendto 10.96.0.10:53 q").unwrap();
    let decisions = tracer.decisions(6);
    let kept = "TCP 10.96.0.15:80 default/sticky http forwarded forwarded 10.244.1.3:9376 p3";
    let web = format!("TCP {} default/web \"\" forwarded forwarded 10.244.1.3:9376 p3 drawn", Pair::SERVICE);
    let expected = [
        format!("connect4 {web}"),
        format!("connect6 {web}"),
        format!("connect4 TCP {NONE} default/none \"\" refused no_backends null null null"),
        format!("connect4 {kept} firstOfClient"),
        format!("connect4 {kept} keptByClient"),
        "sendmsg4 UDP 10.96.0.10:53 kube-system/dns dns forwarded forwarded 10.244.1.3:5353 p3 drawn"
            .to_owned(),
    ];
    assert_eq!(decisions.iter().map(in_a_line).collect::<Vec<_>>(), expected);
    assert_eq!(decisions[0]["pod"], json!({"uid": UID, "namespace": "shop", "name": "cart"}));
    assert_eq!(decisions[1]["pod"], json!(null));
    // One that has ended when its line is printed has no name any more.
    let is_name = |decision: &Value| ["edgeloop-pod", "-"].contains(&decision["process"].as_str().unwrap());
    assert!(decisions.iter().all(is_name), "{decisions:?}");
    assert_eq!(of(&decisions[5], &["process", "pid"]), json!(["edgeloop-pod", lives.pid()]));
    assert!(decisions.iter().all(|decision| decision["id"] != 0 && decision["revision"] == 1));

    let (_, err) = tracer.end();
    assert!(err.ends_with("6 decisions shown, 0 lost\n"), "{err}");
    assert_eq!(shapes(&pair), before);
    assert!(pair.is_served().unwrap());
}

#[test]
#[ignore = "needs root"]
fn datagrams_are_shown_over_both_families_and_why_their_backend_was_chosen() {
    if Ability::Extensions.is_missing().unwrap() {
        return;
    }
    let pair = pair();
    let _agent = pair.agent(&[]).unwrap();
    pair.client.also_at("fd00:244::2").unwrap();
    pair.web.also_at("fd00:244::3").unwrap();
    let tracer = Tracer::start(&pair, &["-o", "json", "--service", "dns"]);
    assert!(pair.is_served().unwrap(), "of another Service: not shown");
    let mut v4 = Datagrams::open4(&pair.client).unwrap();
    let mut v6 = Datagrams::open6(&pair.client).unwrap();
    for call in ["sendto 10.96.0.10:53 q", "sendto 10.96.0.10:53 q", "connect 10.96.0.10:53", "send q"] {
        v4.call(call).unwrap();
    }
    for call in ["sendto [fd00:96::10]:53 q", "connect [fd00:96::10]:53"] {
        assert_eq!(v6.call(call).unwrap(), "ok", "{call}");
    }
    let decisions = tracer.decisions(5);
    let (dns4, dns6) = ("10.244.1.3:5353", "[fd00:244::3]:5353");
    for (decision, expected) in decisions.iter().zip([
        json!(["sendmsg4", "10.96.0.10:53", dns4, "drawn", v4.pid()]),
        json!(["sendmsg4", "10.96.0.10:53", dns4, "keptBySocket", v4.pid()]),
        json!(["connect4", "10.96.0.10:53", dns4, "keptBySocket", v4.pid()]),
        json!(["sendmsg6", "[fd00:96::10]:53", dns6, "drawn", v6.pid()]),
        json!(["connect6", "[fd00:96::10]:53", dns6, "keptBySocket", v6.pid()]),
    ]) {
        assert_eq!(of(decision, &["hook", "dialled", "backend", "how", "pid"]), expected, "{decision}");
        assert_eq!(of(decision, &["protocol", "service", "pool"]), json!(["UDP", "kube-system/dns", "p3"]));
    }
}

#[test]
#[ignore = "needs root"]
fn people_read_a_line_each_and_it_ends_after_as_many_as_were_asked_for() {
    if Ability::Extensions.is_missing().unwrap() {
        return;
    }
    let pair = pair();
    let _agent = pair.agent(&[]).unwrap();
    let mut tracer = Tracer::start(&pair, &["--refused", "--count", "2"]);
    assert!(pair.is_served().unwrap(), "no refusal: not shown");
    pair.client.dial(NONE, 3).unwrap();
    let status = tracer.child.wait(std::time::Duration::from_secs(10)).unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    let out = tracer.out();
    let words = |line: &str| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = out.lines().map(words).collect();
    assert_eq!(lines[0], "PROCESS POD DIALLED SERVICE GOT");
    let got =
        "TCP 10.96.0.12:80 default/none refused (no_backends): the Service has no backend for this node";
    assert!(lines.len() == 3 && lines[1..].iter().all(|line| line.ends_with(got)), "{out}");

    let all = trace_says(&pair, &["--for", "1s", "--all"]);
    assert!(all.status.success(), "{}", String::from_utf8_lossy(&all.stderr));
}

#[test]
#[ignore = "needs root"]
fn a_killed_trace_leaves_everything_as_it_was_and_a_second_one_is_refused() {
    if Ability::Extensions.is_missing().unwrap() {
        return;
    }
    let pair = pair();
    let agent = pair.agent(&[]).unwrap();
    let before = shapes(&pair);
    let load = pair.client.dial_continuously(Pair::SERVICE, 20, 1).unwrap();
    for _ in 0..3 {
        let mut tracer = Tracer::start(&pair, &["-o", "json"]);
        let second = trace_says(&pair, &["--for", "1s"]);
        let why = String::from_utf8_lossy(&second.stderr).into_owned();
        assert_eq!(second.status.code(), Some(1), "{why}");
        assert!(why.contains("one `lb-agent trace` listens at a time"), "{why}");
        wait_for("it shows the load", || Ok(tracer.out().lines().count() > 5)).unwrap();
        tracer.child.signal(Signal::SIGKILL).unwrap();
        tracer.child.wait(std::time::Duration::from_secs(10)).unwrap();
        assert_eq!(shapes(&pair), before);
    }
    let calls = load.stop().unwrap();
    assert!(calls.failed.is_empty() && calls.dialled() > 20, "{calls:?}");
    assert!(pair.is_served().unwrap());
    assert!(!agent.log().contains("was put behind the link"), "{}", agent.log());
}

#[test]
#[ignore = "needs root"]
fn what_finds_no_room_is_counted_and_said() {
    if Ability::Extensions.is_missing().unwrap() {
        return;
    }
    let pair = pair();
    let _agent = pair.agent(&[]).unwrap();
    let mut tracer = Tracer::start(&pair, &["-o", "json", "--buffer", "4"]);
    tracer.child.signal(Signal::SIGSTOP).unwrap();
    pair.client.dial(NONE, 100).unwrap();
    tracer.child.signal(Signal::SIGCONT).unwrap();
    tracer.says(" decisions lost: ");
    let (out, err) = tracer.end();
    // A record takes 88 bytes of 4096.
    let shown = out.lines().count();
    assert!((1..=46).contains(&shown), "{shown}");
    assert!(err.ends_with(&format!("{shown} decisions shown, {} lost\n", 100 - shown)), "{err}");
}

#[test]
#[ignore = "needs root"]
fn a_trace_goes_on_with_the_programs_of_the_next_agent() {
    if Ability::Extensions.is_missing().unwrap() {
        return;
    }
    let pair = pair();
    let agent = pair.agent(&[]).unwrap();
    let tracer = Tracer::start(&pair, &["-o", "json", "--service", "default/web"]);
    agent.end_by(Signal::SIGTERM).unwrap();
    assert!(pair.is_served().unwrap());
    tracer.decisions(1);
    let _next = pair.agent(&[]).unwrap();
    tracer.says("listening again");
    assert!(pair.is_served().unwrap());
    tracer.decisions(2);
}

#[test]
#[ignore = "needs root"]
fn programs_of_another_build_and_none_at_all_are_not_traced() {
    let pair = pair();
    let why = |said: Output| {
        assert_eq!(said.status.code(), Some(1));
        String::from_utf8_lossy(&said.stderr).into_owned()
    };
    let none = why(trace_says(&pair, &["--for", "1s"]));
    assert!(none.contains("nothing of Edgeloop is pinned"), "{none}");
    let _agent = pair.agent(&["--program-log"]).unwrap();
    let other = why(trace_says(&pair, &["--for", "1s"]));
    assert!(other.contains("is not of this lb-agent"), "{other}");
}
