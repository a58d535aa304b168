//! An object that cannot be read, as far as it is known which one it is.

use serde_json::Value;

use crate::model::{Kind, ObjectName, SliceOwner, Unread};

use super::Interner;
use super::slice::{HEADLESS, SERVICE_NAME};

/// Which object of `kind` this is, and for a slice the Service it has endpoints of. `None` where not even
/// the name can be read.
#[must_use]
pub fn unread(kind: Kind, object: &Value, names: &mut Interner) -> Option<Unread> {
    let metadata = object.get("metadata")?;
    let name = metadata.get("name")?.as_str().filter(|name| !name.is_empty())?;
    let name = names.share(name);
    match kind {
        Kind::Node => return Some(Unread::Node(name)),
        Kind::Namespace => return Some(Unread::Namespace(name)),
        Kind::Service | Kind::EndpointSlice | Kind::Pod => {}
    }
    let namespace = match metadata.get("namespace") {
        None | Some(Value::Null) => "default",
        Some(namespace) => namespace.as_str()?,
    };
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    let name = ObjectName { namespace: names.share(namespace), name };
    Some(match kind {
        Kind::EndpointSlice => Unread::Slice { name, owner: owner(metadata.get("labels"), names) },
        Kind::Pod => Unread::Pod(name),
        Kind::Service | Kind::Node | Kind::Namespace => Unread::Service(name),
    })
}

/// By the same rules as for a slice that can be read.
fn owner(labels: Option<&Value>, names: &mut Interner) -> SliceOwner {
    let labels = match labels {
        None | Some(Value::Null) => return SliceOwner::None,
        Some(Value::Object(labels)) => labels,
        Some(_) => return SliceOwner::Unknown,
    };
    if labels.contains_key(HEADLESS) {
        return SliceOwner::None;
    }
    match labels.get(SERVICE_NAME) {
        None | Some(Value::Null) => SliceOwner::None,
        Some(Value::String(service)) if service.is_empty() => SliceOwner::None,
        Some(Value::String(service)) => SliceOwner::Service(names.share(service)),
        Some(_) => SliceOwner::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unread_slice_still_says_whose_it_is_if_its_labels_can_be_read() {
        let of = |name: &str| SliceOwner::Service(name.into());
        for (shows, labels, owner) in [
            ("the label", json!({SERVICE_NAME: "web"}), of("web")),
            ("the label among others", json!({"app": "a", SERVICE_NAME: "web"}), of("web")),
            ("an unreadable label next to it", json!({"app": 5, SERVICE_NAME: "web"}), of("web")),
            ("no label", json!({}), SliceOwner::None),
            ("an empty one", json!({SERVICE_NAME: ""}), SliceOwner::None),
            ("a label of null", json!({SERVICE_NAME: null}), SliceOwner::None),
            ("null", json!(null), SliceOwner::None),
            ("headless", json!({SERVICE_NAME: "web", HEADLESS: ""}), SliceOwner::None),
            ("a label that is no text", json!({SERVICE_NAME: 5}), SliceOwner::Unknown),
            ("labels that are no map", json!("web"), SliceOwner::Unknown),
        ] {
            let object = json!({"metadata": {"namespace": "shop", "name": "web-1", "labels": labels}});
            let name = ObjectName::new("shop", "web-1");
            let expected = Some(Unread::Slice { name, owner });
            assert_eq!(unread(Kind::EndpointSlice, &object, &mut Interner::default()), expected, "{shows}");
        }
    }

    #[test]
    fn an_unread_object_is_known_by_its_name_alone() {
        let service = |namespace: &str| Some(Unread::Service(ObjectName::new(namespace, "web")));
        for (shows, kind, object, expected) in [
            (
                "a Service",
                Kind::Service,
                json!({"metadata": {"namespace": "shop", "name": "web"}}),
                service("shop"),
            ),
            ("no namespace", Kind::Service, json!({"metadata": {"name": "web"}}), service("default")),
            (
                "an empty one",
                Kind::Service,
                json!({"metadata": {"name": "web", "namespace": ""}}),
                service("default"),
            ),
            (
                "a Node",
                Kind::Node,
                json!({"metadata": {"name": "n1", "labels": 5}}),
                Some(Unread::Node("n1".into())),
            ),
            (
                "a namespace that is no text",
                Kind::Service,
                json!({"metadata": {"name": "web", "namespace": 5}}),
                None,
            ),
            ("no name", Kind::Service, json!({"metadata": {}}), None),
            ("an empty name", Kind::Node, json!({"metadata": {"name": ""}}), None),
            ("a name that is no text", Kind::Node, json!({"metadata": {"name": 5}}), None),
            ("no object", Kind::Service, json!([5]), None),
        ] {
            assert_eq!(unread(kind, &object, &mut Interner::default()), expected, "{shows}");
        }
    }
}
