//! Processes that are not where one expects a client to be, or that made their socket before the agent came.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::net::SocketAddr;

use edgeloop_tests::{Datagrams, Pair, Unconnected};

/// The address that the Services have, in both families.
const ADDRESSES: [&str; 2] = ["10.96.0.11", "fd00:96::11"];

/// A Service in both families, and the slices of pods that have these addresses.
fn manifests(v4: &str, v6: &str) -> String {
    let slice = |family: &str, address: &str| {
        format!(
            "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-{family}, labels: {{kubernetes.io/service-name: web}}}}
addressType: {family}
ports: [{{name: tcp, port: 9376}}, {{name: udp, port: 9376, protocol: UDP}}]
endpoints: [{{addresses: ['{address}'], nodeName: n3}}]"
        )
    };
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  clusterIP: 10.96.0.11
  clusterIPs: [10.96.0.11, 'fd00:96::11']
  ipFamilies: [IPv4, IPv6]
  ports: [{{name: tcp, port: 80}}, {{name: udp, port: 53, protocol: UDP}}]{}{}",
        slice("IPv4", v4),
        slice("IPv6", v6)
    )
}

/// The pod `web` serves both families, TCP and UDP.
fn pair() -> Pair {
    let pair = Pair::new().unwrap();
    pair.client.also_at("fd00:244::2").unwrap();
    pair.web.also_at("fd00:244::3").unwrap();
    pair.web.serve_datagrams(9376).unwrap();
    let at: SocketAddr = "[fd00:244::3]:9376".parse().unwrap();
    pair.web.serve(at, "web").unwrap();
    pair.web.serve_datagrams_at(at, "web").unwrap();
    pair.folder.put_text("web.yaml", &manifests("10.244.1.3", "fd00:244::3")).unwrap();
    pair
}

fn at(address: &str, port: u16) -> String {
    SocketAddr::new(address.parse().unwrap(), port).to_string()
}

fn open(pair: &Pair, address: &str) -> Datagrams {
    if address.contains(':') { Datagrams::open6(&pair.client) } else { Datagrams::open4(&pair.client) }
        .unwrap()
}

#[test]
#[ignore = "needs root"]
fn processes_in_nested_cgroups_and_cgroup_namespaces_are_answered() {
    let pair = pair();
    let _agent = pair.agent(&[]).unwrap();
    let container = pair.client.node().cgroup().join("pod/container");
    fs::create_dir_all(&container).unwrap();
    let enter = format!("echo $$ > {}/cgroup.procs", container.display());
    for address in ADDRESSES {
        let dials = format!(
            "exec 3<>/dev/tcp/{address}/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && tail -n 1 <&3 && \
             exec 4<>/dev/udp/{address}/53 && printf q >&4 && timeout 5 dd bs=512 count=1 status=none <&4"
        );
        for (shows, script) in [
            ("nested", format!("{enter} && {dials}")),
            (
                "a cgroup namespace",
                format!("{enter} && exec unshare --cgroup bash -c '{}'", dials.replace('\'', "\"")),
            ),
            (
                "a nested cgroup of a cgroup namespace",
                format!(
                    "{enter} && exec unshare --cgroup bash -c 'mkdir -p {0}/inner && echo $$ > {0}/inner/cgroup.procs && {1}'",
                    container.display(),
                    dials.replace('\'', "\"")
                ),
            ),
        ] {
            let output = pair.client.command("bash").args(["-c", &script]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said, "web\nweb q", "{shows}, {address}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
#[ignore = "needs root"]
fn a_pod_reaches_the_service_that_it_backs_itself() {
    let pair = pair();
    pair.client.serve_name(9376).unwrap();
    pair.client.serve_datagrams(9376).unwrap();
    let own: SocketAddr = "[fd00:244::2]:9376".parse().unwrap();
    pair.client.serve(own, "client").unwrap();
    pair.client.serve_datagrams_at(own, "client").unwrap();
    pair.folder.put_text("web.yaml", &manifests("10.244.1.2", "fd00:244::2")).unwrap();
    let _agent = pair.agent(&[]).unwrap();
    for address in ADDRESSES {
        let answer = pair.dial(&at(address, 80)).unwrap();
        assert!(answer.is_from("client"), "{address}: {answer:?}");
        let service = at(address, 53);
        let mut socket = open(&pair, address);
        assert_eq!(socket.call(&format!("sendto {service} q")).unwrap(), "ok");
        assert_eq!(socket.call("recvfrom").unwrap(), format!("client q from {service}"));
        let mut socket = open(&pair, address);
        assert_eq!(socket.call(&format!("connect {service}")).unwrap(), "ok");
        assert_eq!(socket.call("send q").unwrap(), "ok");
        assert_eq!(socket.call("recvmsg").unwrap(), format!("client q from {service}"));
        assert_eq!(socket.call("peer").unwrap(), service);
    }
}

/// A decoy in another pod has the Service's addresses: what is not rewritten reaches it.
#[test]
#[ignore = "needs root"]
fn sockets_from_before_the_agent_are_rewritten_from_their_next_dial_on() {
    let pair = pair();
    let decoy = pair.web.node().pod("decoy", "10.244.1.8").unwrap();
    for (pod, addresses) in [
        (&decoy, ADDRESSES),
        (&pair.client, ["10.96.0.2", "fd00:96::2"]),
        (&pair.web, ["10.96.0.3", "fd00:96::3"]),
    ] {
        addresses.iter().for_each(|address| pod.also_at(address).unwrap());
    }
    let mut before = Vec::new();
    for address in ADDRESSES {
        decoy.serve(at(address, 80).parse().unwrap(), "decoy").unwrap();
        decoy.serve_datagrams_at(at(address, 53).parse().unwrap(), "decoy").unwrap();
        let service = at(address, 53);
        assert!(pair.dial(&at(address, 80)).unwrap().is_from("decoy"));
        let (mut connected, unused) = (open(&pair, address), open(&pair, address));
        assert_eq!(connected.call(&format!("connect {service}")).unwrap(), "ok");
        let unconnected = Unconnected::open(&pair.client, &at(address, 80)).unwrap();
        before.push((service, unconnected, connected, unused));
    }
    let _agent = pair.agent(&[]).unwrap();
    for (service, unconnected, mut connected, mut unused) in before {
        let answer = unconnected.dial().unwrap();
        assert!(answer.is_from("web"), "TCP, {service}: {answer:?}");
        for (shows, socket, calls) in [
            (
                "it was connected by then, which stays as it is until it dials again",
                &mut connected,
                &[
                    "send q -> ok",
                    "recvfrom -> decoy q from SERVICE",
                    "peer -> SERVICE",
                    "connect SERVICE -> ok",
                    "send q -> ok",
                    "recvfrom -> web q from SERVICE",
                    "peer -> SERVICE",
                ][..],
            ),
            ("it was made", &mut unused, &["sendto SERVICE q -> ok", "recvfrom -> web q from SERVICE"]),
        ] {
            for call in calls {
                let call = call.replace("SERVICE", &service);
                let (call, said) = call.split_once(" -> ").unwrap();
                assert_eq!(socket.call(call).unwrap(), said, "{shows}: {call}");
            }
        }
    }
}
