//! DNS through a cluster IP: a real server in a pod, asked by `dig`, by the C library's resolver, and by a library of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::process::Stdio;

use edgeloop_tests::agent::wait_for;
use edgeloop_tests::{Child, Pair, Pod};

/// 53/UDP and 53/TCP of one Service.
const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: kube-system, annotations: {openyurt.io/topologyKeys: openyurt.io/nodepool}}
spec:
  clusterIP: 10.96.0.10
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
"#;

/// Two servers: one in the client's pool, one elsewhere.
const SLICE: &str = r#"
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports:
- {name: dns, port: 5353, protocol: UDP}
- {name: dns-tcp, port: 5353, protocol: TCP}
endpoints:
- {addresses: [10.244.1.5], nodeName: n2, conditions: {ready: true}}
- {addresses: [10.244.1.6], nodeName: n3, conditions: {ready: true}}
"#;

#[test]
#[ignore = "needs root"]
fn names_are_resolved_by_the_dns_pod_of_the_own_pool() {
    let pair = Pair::new().unwrap();
    let near = pair.site.node("n2").unwrap().pod("near", "10.244.1.5").unwrap();
    let far = pair.web.node().pod("far", "10.244.1.6").unwrap();
    let servers = [serve(&near, &["192.0.2.1"]), serve(&far, &["192.0.2.2"])];
    pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n2 pool=p1\nnode n3 pool=p3").unwrap();
    pair.folder.put_text("dns.yaml", &format!("{SERVICE}---{SLICE}")).unwrap();
    let agent = pair.agent(&[]).unwrap();
    wait_for("the server answers", || Ok(dig(&pair, &["web.example"]).contains("192.0.2."))).unwrap();

    for (shows, question, answer) in [
        ("over UDP", &["web.example"][..], "192.0.2.1"),
        ("over TCP", &["+tcp", "web.example"], "192.0.2.1"),
        (
            "too long for UDP, so that dig asks again over TCP",
            &["+bufsize=512", "+noedns", "TXT", "long.example"],
            "xxxx",
        ),
    ] {
        for _ in 0..10 {
            let said = dig(&pair, question);
            assert!(said.contains(answer), "{shows}: {said}");
        }
    }
    let resolved = pair.client.resolve([10, 96, 0, 10].into(), "web.example", 20).unwrap();
    assert_eq!(resolved, vec!["192.0.2.1"; 20], "by a resolver library, at once");
    let resolv = pair.client.node().file("resolv.conf");
    fs::write(&resolv, "nameserver 10.96.0.10\noptions timeout:2 attempts:1\n").unwrap();
    for (shows, options, name) in [
        ("connected sockets", "", "web.example"),
        ("with both questions at once", "options single-request-reopen\n", "web.example"),
        ("over TCP", "options use-vc\n", "web.example"),
    ] {
        fs::write(&resolv, format!("nameserver 10.96.0.10\noptions timeout:2 attempts:1\n{options}"))
            .unwrap();
        let script =
            format!("mount --bind {} /etc/resolv.conf && exec getent ahosts {name}", resolv.display());
        let mut command = pair.client.command("unshare");
        let output = command.args(["--mount", "sh", "-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("192.0.2.1"), "{shows}: {said} {}", String::from_utf8_lossy(&output.stderr));
    }

    // Without a ready pod in the pool, queries are refused at once, and the agent says so.
    pair.folder.put("nodes.yaml", "node n1 pool=p1\nnode n2 pool=p3\nnode n3 pool=p3").unwrap();
    wait_for("queries are refused", || Ok(dig(&pair, &["web.example"]).contains("refused"))).unwrap();
    agent
        .wait_until("it says so", |view| {
            view.diagnostics.iter().any(|diagnostic| diagnostic.reason.label() == "dns-out-of-reach")
        })
        .unwrap();
    drop(servers);
}

/// A server that knows `web.example` as these addresses.
pub(super) fn serve(pod: &Pod, web: &[&str]) -> Child {
    serve_at(pod, &pod.address().to_string(), 5353, web)
}

/// The same at any address that the pod has.
pub(super) fn serve_at(pod: &Pod, address: &str, port: u16, web: &[&str]) -> Child {
    let mut command = pod.command("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
    ]);
    command.args(["--bind-interfaces", &format!("--port={port}"), &format!("--listen-address={address}")]);
    command.args(web.iter().map(|address| format!("--address=/web.example/{address}")));
    let text = "x".repeat(250);
    command.arg(format!("--txt-record=long.example,{}", vec![text; 6].join(",")));
    Child::spawn("dnsmasq", command.stdin(Stdio::null())).unwrap()
}

/// What `dig` says on standard output, which is where its errors are, too.
fn dig(pair: &Pair, question: &[&str]) -> String {
    let mut command = pair.client.command("dig");
    command.args(["+tries=1", "+time=2"]);
    if !question.iter().any(|word| word.starts_with('@')) {
        command.arg("@10.96.0.10");
    }
    let output = command.args(question).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
