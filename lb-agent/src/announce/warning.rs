//! What the owner of a Service reads on the Service itself. Pure.

use std::sync::Arc;

use crate::model::ObjectName;
use crate::select::topology::{Invalid, InvalidWhy, KEYS, OnInvalid, Topology};
use crate::store::{Origin, Store, Written};
use crate::suggest::suggest;

/// A topology that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyWarning {
    pub service: ObjectName,
    /// `None` where the object has none.
    pub uid: Option<Arc<str>>,
    /// The annotation as written.
    pub written: Arc<str>,
    /// What is wrong, what is done meanwhile, and what to write instead.
    pub text: String,
}

/// The warning that is due on a Service, if one is.
///
/// 1. Only of a topology that is not understood: any other diagnostic may be as the owner wants
///    it, or differ from node to node.
/// 2. Not of a Service that is left alone: its topology decides nothing.
/// 3. The text is the same on every node under the same rules, and of a bounded length.
#[must_use]
pub fn topology_warning(store: &Store, service: &ObjectName) -> Option<TopologyWarning> {
    let (service, topology) = store.service(service)?;
    let Topology::Invalid(invalid) = topology else { return None };
    let Written { text, origin: Origin::Annotation(dialect) } = store.written(service)? else { return None };
    if store.is_left_alone(service) {
        return None;
    }
    let meanwhile = match store.on_invalid() {
        OnInvalid::Unfiltered => {
            "Until it is corrected, this Service is not filtered: connections may leave their node pool."
        }
        OnInvalid::Refuse => "Until it is corrected, connections to this Service are refused.",
    };
    let instead = instead(invalid);
    let invalid = Invalid { item: shortened(&invalid.item), ..invalid.clone() };
    Some(TopologyWarning {
        service: service.name.clone(),
        uid: service.uid.clone(),
        written: Arc::clone(text),
        text: format!(
            "The annotation {} is not understood: {invalid}. {meanwhile} {instead}",
            dialect.annotation()
        ),
    })
}

fn instead(invalid: &Invalid) -> String {
    match invalid.why {
        InvalidWhy::UnknownKey => match suggest(&shortened(&invalid.item), KEYS).first() {
            Some(meant) => format!("Did you mean {meant}?"),
            None => format!("Known keys are {}, and * at the end.", KEYS.join(", ")),
        },
        InvalidWhy::OnlyBlanks => {
            "Remove the annotation, or write a key such as openyurt.io/nodepool.".to_owned()
        }
        InvalidWhy::EmptyItem => {
            "Write keys with one comma between them, such as kubernetes.io/hostname, openyurt.io/nodepool."
                .to_owned()
        }
        InvalidWhy::AnyNotLast => "Move * to the end, or remove what follows it.".to_owned(),
        InvalidWhy::Repeated => {
            "Name each key once; openyurt.io/nodepool and kubernetes.io/zone are the same key.".to_owned()
        }
        InvalidWhy::NotTheRange => "Remove the annotation, or write range-nodegroup.".to_owned(),
        InvalidWhy::NotAList => {
            "Write node label keys as a JSON list, such as [\"kubernetes.io/hostname\"].".to_owned()
        }
        InvalidWhy::TooManyKeys => "Name only the labels that matter.".to_owned(),
    }
}

/// An annotation may be as long as a book.
fn shortened(item: &str) -> String {
    match item.char_indices().nth(LONGEST) {
        None => item.to_owned(),
        Some((end, _)) => format!("{}…", &item[..end]),
    }
}

/// No key that someone may have meant is longer.
const LONGEST: usize = 60;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::convert::{self, Interner};
    use crate::model::{Change, Dialect, Object};
    use crate::store::Rules;

    #[test]
    fn a_topology_that_is_not_understood_is_a_warning_with_what_to_write_instead() {
        for (shows, keys, ends) in [
            ("none", "", ""),
            ("good", "openyurt.io/nodepool", ""),
            ("a good list", "kubernetes.io/hostname, *", ""),
            (
                "unknown",
                "rack",
                "Known keys are kubernetes.io/hostname, openyurt.io/nodepool, kubernetes.io/zone, topology.kubernetes.io/zone, topology.kubernetes.io/region, and * at the end.",
            ),
            ("misspelt", "openyurt.io/nodepools", "Did you mean openyurt.io/nodepool?"),
            ("a letter is not taken for *, which is wider", "a", "and * at the end."),
            ("blanks", "  ", "Remove the annotation, or write a key such as openyurt.io/nodepool."),
            (
                "two commas",
                "kubernetes.io/hostname,,*",
                "Write keys with one comma between them, such as kubernetes.io/hostname, openyurt.io/nodepool.",
            ),
            ("any first", "*, kubernetes.io/hostname", "Move * to the end, or remove what follows it."),
            (
                "twice",
                "kubernetes.io/zone, openyurt.io/nodepool",
                "Name each key once; openyurt.io/nodepool and kubernetes.io/zone are the same key.",
            ),
        ] {
            let text = text(keys, &json!({}), Rules::default());
            assert_eq!(text.is_empty(), ends.is_empty(), "{shows}: {text}");
            assert!(text.ends_with(ends), "{shows}: {text}");
        }
    }

    #[test]
    fn what_is_done_meanwhile_is_what_the_operator_settled() {
        let refuse = Rules { on_invalid: OnInvalid::Refuse, ..Rules::default() };
        assert!(text("rack", &json!({}), Rules::default()).contains(
            "\"rack\" (item 1) is neither a known key nor a node label allowed by --topology-label. \
             Until it is corrected, this Service is not filtered: connections may leave their node pool."
        ));
        assert!(text("rack", &json!({}), refuse).contains(" connections to this Service are refused."));
    }

    #[test]
    fn a_service_that_is_left_alone_has_no_warning() {
        let excluded = Rules { excluded: [name()].into(), ..Rules::default() };
        let allowed = Rules { topology_labels: vec!["rack".into()], ..Rules::default() };
        for (shows, spec, rules) in [
            ("headless", json!({"clusterIP": "None"}), Rules::default()),
            ("excluded", json!({}), excluded),
            ("allowed by this agent", json!({}), allowed),
        ] {
            assert_eq!(text("rack", &spec, rules), "", "{shows}");
        }
    }

    #[test]
    fn what_another_project_does_not_understand_is_a_warning_where_its_annotation_counts() {
        for (annotation, written, expected) in [
            (
                Dialect::KubeEdge,
                "range",
                "The annotation apps.kubeedge.io/service-topology is not understood: \"range\" is not range-nodegroup, the only \
                 value that is known. Until it is corrected, this Service is not filtered: connections may leave their node pool. \
                 Remove the annotation, or write range-nodegroup.",
            ),
            (
                Dialect::SuperEdge,
                "zone1",
                "The annotation topologyKeys is not understood: \"zone1\" is not a JSON list of node label keys. Until it is \
                 corrected, this Service is not filtered: connections may leave their node pool. Write node label keys as a \
                 JSON list, such as [\"kubernetes.io/hostname\"].",
            ),
        ] {
            let object = json!({
                "metadata": {"name": "web", "uid": "u-1", "annotations": {annotation.annotation(): written}},
                "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]},
            });
            let text = |dialects: &[Dialect]| {
                let rules = Rules { dialects: dialects.iter().copied().collect(), ..Rules::default() };
                topology_warning(&store_of(object.clone(), rules), &name())
            };
            let warning = text(&[annotation]).unwrap();
            assert_eq!((warning.text.as_str(), &*warning.written), (expected, written));
            assert_eq!(warning.uid.as_deref(), Some("u-1"));
            assert_eq!(text(&[]), None, "not asked for");
        }
    }

    #[test]
    fn however_long_an_annotation_is_the_text_fits_an_event() {
        for item in ["x".repeat(5000), "\u{10ffff}".repeat(5000), "\"".repeat(5000)] {
            let text = text(&item, &json!({}), Rules::default());
            assert!(text.len() <= 1024, "{} bytes", text.len());
        }
    }

    #[test]
    fn a_service_keeps_its_uid_only_with_a_topology() {
        for (keys, uid) in [("rack", Some("u-1")), ("openyurt.io/nodepool", Some("u-1"))] {
            let store = store(keys, &json!({}), Rules::default());
            assert_eq!(store.service(&name()).unwrap().0.uid.as_deref(), uid, "{keys}");
        }
        let bare = json!({"metadata": {"name": "a", "uid": "u-1"}});
        let bare = serde_json::from_value(bare).unwrap();
        assert_eq!(convert::service(&bare, &mut Interner::default()).unwrap().object.uid, None);
    }

    fn name() -> ObjectName {
        ObjectName::new("default", "web")
    }

    /// The text of the warning of a Service with this topology, or "".
    fn text(keys: &str, spec: &Value, rules: Rules) -> String {
        topology_warning(&store(keys, spec, rules), &name()).map(|warning| warning.text).unwrap_or_default()
    }

    fn store(keys: &str, spec: &Value, rules: Rules) -> Store {
        let mut object = json!({
            "metadata": {"name": "web", "uid": "u-1", "annotations": {"openyurt.io/topologyKeys": keys}},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]},
        });
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        store_of(object, rules)
    }

    fn store_of(object: Value, rules: Rules) -> Store {
        let object = serde_json::from_value(object).unwrap();
        let object = convert::service(&object, &mut Interner::default()).unwrap().object;
        let mut store = Store::new("n1", rules);
        store.apply(Change::Apply(Object::Service(object)));
        store
    }
}
