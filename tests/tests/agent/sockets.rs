//! `lb-agent sockets`: which sockets of a node remember which translation.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;

use edgeloop_tests::agent::{lb_agent_says, wait_for};
use edgeloop_tests::{Datagrams, Node, Pair, Pod};
use serde_json::{Value, json};

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
metadata: {name: dns-6, namespace: kube-system, labels: {kubernetes.io/service-name: dns}}
addressType: IPv6
ports: [{name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: ['fd00:244::3'], nodeName: n3}]
";

fn slice(address: &str) -> String {
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: dns-4, namespace: kube-system, labels: {{kubernetes.io/service-name: dns}}}}
addressType: IPv4
ports: [{{name: dns, port: 5353, protocol: UDP}}]
endpoints: [{{addresses: ['{address}'], nodeName: n3}}]
"
    )
}

#[test]
#[ignore = "needs root"]
fn each_socket_of_each_pod_is_shown_with_what_it_remembers_until_it_is_closed() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let other = node.pod("other", "10.244.1.7").unwrap();
    pair.client.also_at("fd00:244::2").unwrap();
    pair.web.also_at("fd00:244::3").unwrap();
    pair.folder.put_text("dns.yaml", DNS).unwrap();
    pair.folder.put_text("slice.yaml", &slice("10.244.1.3")).unwrap();
    // What is shown of a socket whose backend has left is seen only while it lives.
    let _agent = pair.agent(&["--end-udp-sockets", "off"]).unwrap();
    assert_eq!(shown(node)["sockets"], json!([]), "nothing was dialled yet");

    let sockets = Sockets::open(&pair.client, &other);
    let said = shown(node);
    assert_eq!(said["sockets"].as_array().unwrap().len(), 4, "{said:#}");
    for (socket, peer, translations) in sockets.expected("serving") {
        let found = of(&said, socket.pid());
        assert_eq!((&found["peer"], &found["translations"]), (&peer, &translations), "{said:#}");
        assert_eq!(found["namespace"], namespace_of(socket.pid()), "{said:#}");
        let processes = json!([{"pid": socket.pid(), "name": "edgeloop-pod"}]);
        assert_eq!(found["processes"], processes, "{said:#}");
    }
    assert!(
        of(&said, sockets.connected.pid())["local"].as_str().unwrap().starts_with("10.244.1.2:"),
        "{said:#}"
    );
    let namespaces = &said["namespaces"];
    assert!(namespaces["lookedInto"].as_u64().unwrap() >= 3, "{namespaces}");

    let text = lines(node);
    let line =
        text.iter().find(|line| line.contains(&format!("{} edgeloop-pod", sockets.once.pid()))).unwrap();
    for part in ["disconnected", "10.96.0.10:53", "kube-system/dns:dns", "10.244.1.3:5353"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(text.iter().any(|line| line.starts_with("4 sockets in ")), "{text:#?}");

    // The backend leaves, and a socket is closed.
    pair.folder.put_text("slice.yaml", &slice("10.244.1.9")).unwrap();
    wait_for("the set is another", || Ok(pair.holds("10.96.0.10:53")? == "10.244.1.9:5353")).unwrap();
    let said = shown(node);
    for (socket, _, translations) in sockets.expected("left") {
        assert_eq!(of(&said, socket.pid())["translations"], translations, "{said:#}");
    }
    assert!(lines(node).iter().any(|line| line.contains("10.244.1.3:5353 (has left the set)")));
    let gone = sockets.connected.pid();
    drop(sockets.connected);
    wait_for("the closed socket is gone", || Ok(of(&shown(node), gone).is_null())).unwrap();
    assert_eq!(shown(node)["sockets"].as_array().unwrap().len(), 3);
}

/// Those that remember something, and one that does not.
struct Sockets {
    connected: Datagrams,
    mapped: Datagrams,
    both: Datagrams,
    once: Datagrams,
    _stranger: Datagrams,
}

impl Sockets {
    fn open(client: &Pod, other: &Pod) -> Self {
        let mut connected = Datagrams::open4(client).unwrap();
        follow(&mut connected, &["connect 10.96.0.10:53"]);
        let mut mapped = Datagrams::open6(client).unwrap();
        follow(&mut mapped, &["connect [::ffff:10.96.0.10]:53"]);
        let mut both = Datagrams::open6(client).unwrap();
        follow(&mut both, &["sendto [::ffff:10.96.0.10]:53 q", "sendto [fd00:96::10]:53 q"]);
        let mut once = Datagrams::open4(other).unwrap();
        follow(&mut once, &["connect 10.96.0.10:53", "disconnect", "sendto 10.244.1.3:9 q"]);
        let mut stranger = Datagrams::open4(other).unwrap();
        follow(&mut stranger, &["sendto 10.244.1.3:9 q"]);
        Self { connected, mapped, both, once, _stranger: stranger }
    }

    /// Peer and translations of each, where the IPv4 backend is this to the Service.
    fn expected(&self, v4_is: &str) -> [(&Datagrams, Value, Value); 4] {
        let via = |how: &str, dialled: &str, backend: &str, is: &str| {
            json!({
                "how": how, "dialled": dialled, "service": "kube-system/dns", "portName": "dns",
                "backend": backend, "backendIs": is,
            })
        };
        let v4 = |how| via(how, "10.96.0.10:53", "10.244.1.3:5353", v4_is);
        let v6 = via("recent", "[fd00:96::10]:53", "[fd00:244::3]:5353", "serving");
        let peer = json!("10.244.1.3:5353");
        [
            (&self.connected, peer.clone(), json!([v4("connected")])),
            (&self.mapped, peer, json!([v4("connected")])),
            (&self.both, Value::Null, json!([v6, v4("recent")])),
            (&self.once, Value::Null, json!([v4("disconnected")])),
        ]
    }
}

#[test]
#[ignore = "needs root"]
fn without_maps_or_rights_it_says_what_it_takes() {
    let pair = Pair::new().unwrap();
    let node = pair.client.node();
    let said = lb_agent_says(node, "sockets", &[]).unwrap();
    assert_eq!(said.status.code(), Some(1));
    let error = String::from_utf8(said.stderr).unwrap();
    assert!(error.contains("nothing of Edgeloop is pinned at") && error.contains("--pin-root"), "{error}");
}

fn follow(socket: &mut Datagrams, calls: &[&str]) {
    for call in calls {
        assert_eq!(socket.call(call).unwrap(), "ok", "{call}");
    }
}

/// The answer as JSON.
fn shown(node: &Node) -> Value {
    let said = lb_agent_says(node, "sockets", &["-o", "json"]).unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).unwrap()
}

fn lines(node: &Node) -> Vec<String> {
    let said = lb_agent_says(node, "sockets", &[]).unwrap();
    String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The socket of this process; null without one.
fn of(said: &Value, pid: u32) -> Value {
    let sockets = said["sockets"].as_array().unwrap();
    let is_of = |socket: &&Value| socket["processes"].as_array().unwrap().iter().any(|one| one["pid"] == pid);
    sockets.iter().find(is_of).cloned().unwrap_or_default()
}

fn namespace_of(pid: u32) -> u64 {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap().into_os_string().into_string().unwrap();
    link.trim_start_matches("net:[").trim_end_matches(']').parse().unwrap()
}
