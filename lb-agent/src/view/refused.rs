//! Why a service port has no backend. Pure.

use crate::model::Slice;
use crate::select::decide::Decision;
use crate::shown::Quoted;
use crate::store::{Port, Store};

/// Why `decision` about `port` chose nothing, as one sentence without a full stop; `None` where each endpoint has
/// its reason.
pub(super) fn why(store: &Store, port: &Port<'_>, decision: &Decision<'_>) -> Option<String> {
    decision.excluded.is_empty().then(|| no_endpoint(store, port))
}

/// The first step on the way to an endpoint that is missing.
fn no_endpoint(store: &Store, port: &Port<'_>) -> String {
    let key = &port.key;
    let not_read = store.not_read(&key.service);
    let mut slices: Vec<&Slice> = store.slices_of(&key.service).filter(|slice| !slice.headless).collect();
    if !not_read.is_empty() {
        return not_read.join("; ");
    }
    if slices.is_empty() {
        return "no EndpointSlice names it".to_owned();
    }
    slices.retain(|slice| slice.family == Some(key.family));
    let family = key.family.label();
    if slices.is_empty() {
        return format!("no EndpointSlice that names it is of {family}");
    }
    let is_this = |slice: &&Slice| {
        slice.ports.iter().any(|other| other.name == key.port_name && other.protocol == key.protocol)
    };
    let protocol = key.protocol.label();
    slices.retain(is_this);
    match (slices.is_empty(), &*key.port_name) {
        (false, _) => format!("its EndpointSlices of {family} have no endpoint that can be used"),
        (true, "") => format!("no EndpointSlice that names it has a {protocol} port without a name"),
        (true, name) => format!("no EndpointSlice that names it has a {protocol} port {}", Quoted(name)),
    }
}

#[cfg(test)]
mod tests {
    use crate::convert::Interner;
    use crate::manifest::read;
    use crate::model::{Change, Kind};
    use crate::store::{Rules, Store};

    use super::super::decisions::{Action, decisions};

    const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: s}, \
        spec: {clusterIP: 10.0.0.1, ports: [{name: web, port: 80}]}}\n---\n\
        {apiVersion: v1, kind: Node, metadata: {name: n1}}\n---\n";

    #[test]
    fn a_refusal_has_a_reason() {
        let slice = |family: &str, port: &str, endpoints: &str| {
            format!(
                "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: s-1, labels: \
                 {{kubernetes.io/service-name: s}}}}, addressType: {family}, ports: [{port}], endpoints: [{endpoints}]}}"
            )
        };
        let web = "{name: web, port: 80}";
        let endpoints = "{apiVersion: v1, kind: Endpoints, metadata: {name: s}, subsets: [{addresses: [{ip: 10.1.0.1}]}]}";
        let far = "{addresses: [10.1.0.1], nodeName: n2}";
        for (shows, slice, expected) in [
            ("no slice", String::new(), "no EndpointSlice names it"),
            (
                "v1 Endpoints alone",
                endpoints.to_owned(),
                "it has endpoints in v1 Endpoints, which are not read, and none that can be used in an EndpointSlice",
            ),
            ("another family", slice("IPv6", web, ""), "no EndpointSlice that names it is of IPv4"),
            (
                "no family",
                slice("ipv4", web, far),
                "the endpoints of EndpointSlice default/s-1 are not read: its addressType \"ipv4\" is neither IPv4 nor IPv6",
            ),
            (
                "another port",
                slice("IPv4", "{name: web, port: 80, protocol: UDP}, {port: 80}", far),
                "no EndpointSlice that names it has a TCP port \"web\"",
            ),
            (
                "no endpoint",
                slice("IPv4", web, ""),
                "its EndpointSlices of IPv4 have no endpoint that can be used",
            ),
            (
                "one that means this host",
                slice("IPv4", web, "{addresses: [127.0.0.1]}"),
                "its EndpointSlices of IPv4 have no endpoint that can be used",
            ),
        ] {
            let mut store = Store::new("n1", Rules::default());
            let found = read(&(SERVICE.to_owned() + &slice), &mut Interner::default());
            let objects = found.objects.into_iter().map(|defined| Change::Apply(defined.object));
            let endpoints = found.endpoints.into_iter().map(Change::Endpoints);
            objects
                .chain(endpoints)
                .chain(Kind::ALL.map(Change::Synced))
                .for_each(|change| store.apply(change));
            let port = &decisions(&store).service_ports[0];
            assert_eq!((port.outcome, port.why.as_deref()), (Action::Refuse, Some(expected)), "{shows}");
        }
    }
}
