//! Two Services with one backend, and sockets that dialled it in all ways.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use edgeloop_tests::agent::Folder;
use edgeloop_tests::{Datagrams, Node, Pod, Site};

/// The contract's.
const WITHIN: Duration = Duration::from_secs(1);
pub(super) const ITERATOR: &[&str] = &["--end-udp-sockets", "iterator"];
pub(super) const SOCK_DIAG: &[&str] = &["--end-udp-sockets", "sock-diag"];

/// Two pods with clients, one that is skipped, and one with the backends of all Services: 10.244.1.3, fd00:244::3, and the same with a last number of 4.
pub(super) struct World {
    pub(super) clients: [Pod; 2],
    skipped: Pod,
    folder: Folder,
    backends: Pod,
    _site: Site,
}

/// The parts of the Services `dns` (10.96.0.10, fd00:96::10) and `log` (10.96.0.11) that change.
#[derive(Clone, Copy)]
pub(super) struct Set {
    /// Of each endpoint of `dns` by its last number: its conditions, and more of it.
    pub(super) dns: &'static [(u8, &'static str)],
    pub(super) log: &'static [u8],
}

pub(super) const BOTH: &str = "conditions: {ready: true, serving: true}";
const START: Set = Set { dns: &[(3, BOTH)], log: &[3] };
/// The backend of `dns` is gone; `log` still has it.
pub(super) const GONE: Set = Set { dns: &[(4, BOTH)], log: &[3] };

impl World {
    pub(super) fn new() -> Self {
        let site = Site::new().unwrap();
        let node = site.node("n1").unwrap();
        let client = |name, v4, v6| {
            let pod = node.pod(name, v4).unwrap();
            pod.also_at(v6).unwrap();
            pod
        };
        let clients =
            [client("one", "10.244.1.2", "fd00:244::2"), client("two", "10.244.1.7", "fd00:244::7")];
        let backends = site.node("n3").unwrap().pod("dns", "10.244.1.3").unwrap();
        for address in ["10.244.1.4", "fd00:244::3", "fd00:244::4"] {
            backends.also_at(address).unwrap();
        }
        for at in ["10.244.1.3", "10.244.1.4", "[fd00:244::3]", "[fd00:244::4]"] {
            backends.serve_datagrams_at(format!("{at}:5353").parse().unwrap(), "r").unwrap();
        }
        backends.echo(5354).unwrap();
        let skipped = node.pod("mesh", "10.244.1.9").unwrap().within(cgroup()).unwrap();
        // Nothing else serves what it dials.
        skipped.add_addresses(&["10.96.0.10".parse().unwrap()]).unwrap();
        skipped.serve_datagrams_at("10.96.0.10:53".parse().unwrap(), "own").unwrap();
        let folder = Folder::of(&node).unwrap();
        folder.put_text("pods.yaml", &skipped_pod()).unwrap();
        folder.put("nodes.yaml", "node n1 pool=p1\nnode n3 pool=p1").unwrap();
        let world = Self { clients, skipped, folder, backends, _site: site };
        world.publish(START, "");
        world
    }

    pub(super) fn node(&self) -> &Node {
        self.clients[0].node()
    }

    pub(super) const fn skipped(&self) -> &Pod {
        &self.skipped
    }

    pub(super) const fn backends(&self) -> &Pod {
        &self.backends
    }

    /// `more` is of the Service `dns`.
    pub(super) fn publish(&self, set: Set, more: &str) {
        let slice = |service: &str, family: &str, network: &str, endpoints: &[(u8, &str)]| {
            let endpoint = |(last, more): &(u8, &str)| {
                format!("{{addresses: ['{network}{last}'], nodeName: n3, {more}}}")
            };
            let endpoints: Vec<String> = endpoints.iter().map(endpoint).collect();
            format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: {service}-{}, namespace: kube-system, labels: {{kubernetes.io/service-name: {service}}}}}\n\
                 addressType: {family}\n\
                 ports: [{{name: dns, port: 5353, protocol: UDP}}, {{name: tcp, port: 5354, protocol: TCP}}]\nendpoints: [{}]\n",
                family.to_lowercase(),
                endpoints.join(", ")
            )
        };
        let log: Vec<(u8, &str)> = set.log.iter().map(|last| (*last, BOTH)).collect();
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: dns, namespace: kube-system}}\n\
             spec: {{clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, 'fd00:96::10'], ipFamilies: [IPv4, IPv6], \
             ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: tcp, port: 53, protocol: TCP}}]{more}}}\n---\napiVersion: v1\nkind: Service\n\
             metadata: {{name: log, namespace: kube-system}}\n\
             spec: {{clusterIP: 10.96.0.11, ports: [{{name: dns, port: 53, protocol: UDP}}]}}\n{}{}{}",
            slice("dns", "IPv4", "10.244.1.", set.dns),
            slice("dns", "IPv6", "fd00:244::", set.dns),
            slice("log", "IPv4", "10.244.1.", &log),
        );
        self.folder.put_text("services.yaml", &text).unwrap();
    }

    /// Sockets that are connected to `dns`, each in its own way, in both pods.
    pub(super) fn dialled(&self) -> Vec<(&'static str, Datagrams)> {
        let open = |pod: &Pod, family: u8, to: &'static str| {
            let mut socket = if family == 4 { Datagrams::open4(pod) } else { Datagrams::open6(pod) }.unwrap();
            follow(to, &mut socket, &[&format!("connect {to}"), "send q"]);
            (to, socket)
        };
        let of = |pod: &Pod| {
            [
                open(pod, 4, "10.96.0.10:53"),
                open(pod, 6, "[::ffff:10.96.0.10]:53"),
                open(pod, 6, "[fd00:96::10]:53"),
            ]
        };
        self.clients.iter().flat_map(of).collect()
    }

    /// Sockets with the same backend that must live, whatever becomes of it for `dns`.
    pub(super) fn others(&self) -> Vec<(&'static str, Datagrams)> {
        let open = |pod: &Pod, family: u8, shows, steps: &[&str]| {
            let mut socket = if family == 4 { Datagrams::open4(pod) } else { Datagrams::open6(pod) }.unwrap();
            follow(shows, &mut socket, steps);
            (shows, socket)
        };
        let of = |pod: &Pod| {
            let open4 = |shows, steps: &[&str]| open(pod, 4, shows, steps);
            let open6 = |shows, steps: &[&str]| open(pod, 6, shows, steps);
            [
                open4("another Service with that backend", &["connect 10.96.0.11:53", "send q"]),
                open4("dialled itself", &["connect 10.244.1.3:5353", "send q"]),
                open4(
                    "dialled itself after the Service",
                    &["connect 10.96.0.10:53", "connect 10.244.1.3:5353", "send q"],
                ),
                open4(
                    "the other Service after this one",
                    &["connect 10.96.0.10:53", "connect 10.96.0.11:53", "send q"],
                ),
                open6("dialled itself over IPv6", &["connect [fd00:244::3]:5353", "send q"]),
                open6("dialled itself, IPv4 by IPv6", &["connect [::ffff:10.244.1.3]:5353", "send q"]),
            ]
        };
        let skipped = [
            open(
                &self.skipped,
                4,
                "the Service, by a pod that is skipped",
                &["connect 10.96.0.10:53", "send q"],
            ),
            open(
                &self.skipped,
                4,
                "the backend, by a pod that is skipped",
                &["connect 10.244.1.3:5353", "send q"],
            ),
        ];
        self.clients.iter().flat_map(of).chain(skipped).collect()
    }
}

const UID: &str = "0f5a1b2c-1111-2222-3333-444455556666";

/// As a kubelet with the systemd driver makes it.
fn cgroup() -> PathBuf {
    let slice = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
    PathBuf::from("kubepods.slice/kubepods-burstable.slice").join(slice).join("cri-1.scope")
}

fn skipped_pod() -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: shop, name: mesh, uid: {UID}, labels: {{edgeloop.io/skip: \"true\"}}}}\n\
         spec: {{nodeName: n1}}\nstatus: {{phase: Running}}\n"
    )
}

pub(super) fn follow(shows: &str, socket: &mut Datagrams, steps: &[&str]) {
    for step in steps {
        assert_eq!(socket.call(step).unwrap(), "ok", "{shows}: {step}");
    }
}

/// Whether the socket was ended, by a call of its owner.
pub(super) fn is_ended(socket: &mut Datagrams) -> bool {
    match socket.call("send q").unwrap().as_str() {
        "ok" => false,
        "ECONNABORTED" | "EDESTADDRREQ" => true,
        other => panic!("{other}"),
    }
}

pub(super) fn assert_all_end(sockets: &mut [(&'static str, Datagrams)], since: Instant) {
    for (dialled, socket) in sockets {
        while !is_ended(socket) {
            assert!(since.elapsed() < WITHIN, "{dialled} goes on after {:?}", since.elapsed());
            thread::sleep(Duration::from_millis(2));
        }
        // It dials again, and is served. What ended it may wait to be read once more.
        follow(dialled, socket, &[&format!("connect {dialled}")]);
        let said = socket.call("send q").unwrap();
        assert!(["ok", "ECONNABORTED"].contains(&said.as_str()), "{dialled}: {said}");
        follow(dialled, socket, &["send q"]);
    }
}

pub(super) fn assert_all_live(sockets: &mut [(&'static str, Datagrams)]) {
    for (shows, socket) in sockets {
        assert!(!is_ended(socket), "{shows}");
    }
}
