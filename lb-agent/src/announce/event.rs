//! A warning as a Kubernetes Event. Pure.

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use crate::api::query::escaped;
use crate::model::ObjectName;
use crate::shown::line;

use super::warning::TopologyWarning;

const REASON: &str = "InvalidTopology";
const COMPONENT: &str = "edgeloop";
/// What was done when it was noticed; Events with a time in microseconds have to name it.
const ACTION: &str = "ReadTopology";
/// Kubernetes takes no longer name of a reporter.
const LONGEST_INSTANCE: usize = 128;

/// Where Events on `service` are made.
pub(crate) fn path(service: &ObjectName) -> String {
    format!("/api/v1/namespaces/{}/events", escaped(&service.namespace))
}

/// The Event's name. It follows from the Service and from its annotation as written, so that all
/// agents, whatever their version and rules, make one Event of one mistake, and another one when
/// the mistake is another or the Service was created again.
pub(crate) fn name(warning: &TopologyWarning) -> String {
    let TopologyWarning { service, uid, written, text: _ } = warning;
    let owner = uid.as_deref().map_or_else(|| service.to_string(), str::to_owned);
    format!("{}.{:016x}", service.name, hash([owner.as_bytes(), written.as_bytes()]))
}

/// The Event that the agent on `node` makes.
pub(crate) fn body(warning: &TopologyWarning, node: &str, now: Timestamp) -> Vec<u8> {
    let TopologyWarning { service, uid, written: _, text } = warning;
    let (seconds, micros) = (format!("{now:.0}"), format!("{now:.6}"));
    let instance: String = node.chars().take(LONGEST_INSTANCE).collect();
    let mut involved = json!({
        "apiVersion": "v1", "kind": "Service", "namespace": *service.namespace, "name": *service.name,
    });
    if let Some(uid) = uid {
        involved["uid"] = json!(**uid);
    }
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name(warning), "namespace": *service.namespace},
        "involvedObject": involved,
        "type": "Warning",
        "reason": REASON,
        "message": line(text),
        "action": ACTION,
        "count": 1,
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "eventTime": micros,
        "source": {"component": COMPONENT, "host": node},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
    });
    event.to_string().into_bytes()
}

/// FNV-1a: the same in every version, for all agents have to agree.
fn hash(parts: [&[u8]; 2]) -> u64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let [owner, what] = parts;
    let bytes = owner.iter().chain(&[0]).chain(what);
    bytes.fold(START, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn warning(service: &str, uid: Option<&str>, written: &str, text: &str) -> TopologyWarning {
        let service = ObjectName::new("shop", service);
        TopologyWarning { service, uid: uid.map(Into::into), written: written.into(), text: text.to_owned() }
    }

    #[test]
    fn one_mistake_has_one_name_and_another_another() {
        let of = |service, uid, written| name(&warning(service, uid, written, ""));
        let one = of("web", Some("u-1"), "rack");
        // An agent of another version has to come to the same.
        assert_eq!(one, "web.95840e4cbb91fbe5");
        assert_eq!(name(&warning("web", Some("u-1"), "rack", "in other words")), one);
        for (shows, other) in [
            ("another annotation", of("web", Some("u-1"), "row")),
            ("made anew", of("web", Some("u-2"), "rack")),
            ("no uid", of("web", None, "rack")),
            ("another Service without one", of("api", None, "rack")),
            ("the border between the two counts", of("web", Some("u-1r"), "ack")),
        ] {
            assert_ne!(other, one, "{shows}");
        }
    }

    #[test]
    fn an_event_says_who_what_when_and_on_what() {
        let now: Timestamp = "2026-01-02T03:04:05.678901234Z".parse().unwrap();
        let node = "n".repeat(200);
        let with_uid = warning("web", Some("u-1"), "rack", "It is wrong.");
        let event: Value = serde_json::from_slice(&body(&with_uid, &node, now)).unwrap();
        for (field, expected) in [
            ("/apiVersion", json!("v1")),
            ("/kind", json!("Event")),
            ("/metadata/name", json!(name(&with_uid))),
            ("/metadata/namespace", json!("shop")),
            ("/type", json!("Warning")),
            ("/reason", json!("InvalidTopology")),
            ("/message", json!("It is wrong.")),
            ("/count", json!(1)),
            ("/firstTimestamp", json!("2026-01-02T03:04:05Z")),
            ("/lastTimestamp", json!("2026-01-02T03:04:05Z")),
            ("/eventTime", json!("2026-01-02T03:04:05.678901Z")),
            ("/source/component", json!("edgeloop")),
            ("/source/host", json!(node)),
            ("/reportingComponent", json!("edgeloop")),
            ("/reportingInstance", json!("n".repeat(128))),
            (
                "/involvedObject",
                json!({"apiVersion": "v1", "kind": "Service", "namespace": "shop", "name": "web", "uid": "u-1"}),
            ),
        ] {
            assert_eq!(event.pointer(field), Some(&expected), "{field}");
        }
        let without = body(&warning("web", None, "rack", ""), "n1", now);
        let event: Value = serde_json::from_slice(&without).unwrap();
        assert_eq!(event.pointer("/involvedObject/uid"), None);
        assert_eq!(path(&with_uid.service), "/api/v1/namespaces/shop/events");
    }
}
