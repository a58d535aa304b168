//! What is written of a topology, read: the annotation `openyurt.io/topologyKeys`, and what all dialects are read into.

use std::fmt;
use std::sync::Arc;

use crate::model::Dialect;
use crate::shown::Shown;

use super::dialect::{range, union};
pub use super::invalid::{Invalid, InvalidWhy};
use super::nodes::PoolKeys;

/// The node label that zone hints are compared with; also a key of its own.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const REGION_LABEL: &str = "topology.kubernetes.io/region";

/// OpenYurt's name for the node itself; to SuperEdge the node label of this name.
pub(super) const HOST_KEY: &str = "kubernetes.io/hostname";
/// The node label of KubeEdge's node groups.
pub(super) const GROUP_LABEL: &str = "apps.kubeedge.io/belonging-to";
const POOL_KEY: &str = "openyurt.io/nodepool";
/// OpenYurt's other name for the pool: it reads no zone label.
const POOL_KEY_AS_ZONE: &str = "kubernetes.io/zone";
const ANY_KEY: &str = "*";

/// The keys that every list may name, besides `*`.
pub const KEYS: &[&str] = &[HOST_KEY, POOL_KEY, POOL_KEY_AS_ZONE, ZONE_LABEL, REGION_LABEL];

/// Step one of a Service, as its annotation asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// No annotation, or one that asks for nothing.
    None,
    /// One of OpenYurt's three values, as a whole string: [`Key::Host`] or [`Key::Pool`]; or KubeEdge's [`Key::Group`].
    Hard(Key),
    /// A list, nearest first.
    Ordered(Vec<Key>),
    /// SuperEdge's list of labels, each once: what any of them reaches, whatever its health.
    Union(Vec<Key>),
    /// Not understood.
    Invalid(Invalid),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// `kubernetes.io/hostname`: compares node names, reads no label.
    Host,
    /// `openyurt.io/nodepool` or `kubernetes.io/zone`.
    Pool,
    /// A node label whose value must equal the client node's.
    Label(Arc<str>),
    /// KubeEdge's node group, as its label says it. The nodes that lack the label are a group as well.
    Group,
    /// `*`.
    Any,
}

/// How far from this node the connections of a service port go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// To every node.
    All,
    Host,
    Pool(Arc<str>),
    /// To the nodes that have this label with this value.
    Label {
        key: Arc<str>,
        value: Arc<str>,
    },
    /// To the nodes that have any of these labels with its value: at least two.
    AnyOf(Vec<(Arc<str>, Arc<str>)>),
    /// To this node group; `None` is that of the nodes without a label.
    Group(Option<Arc<str>>),
    /// To none.
    None,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all nodes"),
            Self::Host => f.write_str("this node"),
            Self::Pool(pool) => write!(f, "pool {}", Shown(pool)),
            Self::Label { key, value } => write!(f, "nodes with {}={}", Shown(key), Shown(value)),
            Self::AnyOf(labels) => {
                let labels = labels.iter().map(|(key, value)| format!("{}={}", Shown(key), Shown(value)));
                write!(f, "nodes with {}", labels.collect::<Vec<_>>().join(" or "))
            }
            Self::Group(Some(group)) => write!(f, "node group {}", Shown(group)),
            Self::Group(None) => f.write_str("nodes in no node group"),
            Self::None => f.write_str("no node"),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("this node"),
            Self::Pool => f.write_str("this node's pool"),
            Self::Label(key) => write!(f, "nodes with this node's {}", Shown(key)),
            Self::Group => f.write_str("this node's node group"),
            Self::Any => f.write_str("any node"),
        }
    }
}

/// What a topology that is not understood does to its Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInvalid {
    /// As OpenYurt: step one does nothing.
    #[default]
    Unfiltered,
    /// Nothing stays.
    Refuse,
}

impl Topology {
    /// Reads what an annotation of `dialect` says. `allowed` are the node label keys that the operator lets lists of
    /// OpenYurt's name.
    #[must_use]
    pub fn read(dialect: Dialect, written: &str, allowed: &[Arc<str>]) -> Self {
        match dialect {
            Dialect::OpenYurt => Self::parse(Some(written), allowed),
            Dialect::KubeEdge => range(written),
            Dialect::SuperEdge => union(written),
        }
    }

    /// Reads the annotation of OpenYurt. `allowed` are the node label keys that the operator lets lists name.
    ///
    /// 1. Absent or empty: no topology.
    /// 2. One of OpenYurt's three values to the letter: a hard key.
    /// 3. Anything else, a single key with a blank around it too: a list, blanks around its
    ///    items trimmed. The first item that is not understood makes all of it invalid.
    #[must_use]
    pub fn parse(raw: Option<&str>, allowed: &[Arc<str>]) -> Self {
        match raw {
            None | Some("") => Self::None,
            Some(HOST_KEY) => Self::Hard(Key::Host),
            Some(POOL_KEY | POOL_KEY_AS_ZONE) => Self::Hard(Key::Pool),
            Some(list) => ordered(list, allowed).map_or_else(Self::Invalid, Self::Ordered),
        }
    }

    /// What it asks for, as one sentence without a full stop.
    #[must_use]
    pub fn describe(&self, on_invalid: OnInvalid) -> String {
        match (self, on_invalid) {
            (Self::None, _) => "all nodes, as kube-proxy".to_owned(),
            (Self::Hard(key), _) => format!("{key} and no other"),
            (Self::Ordered(keys), _) => {
                let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                format!("the first of these that has an endpoint to use: {}", keys.join(", "))
            }
            (Self::Union(keys), _) => {
                let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                format!("{} and no other", keys.join(", or "))
            }
            (Self::Invalid(invalid), OnInvalid::Unfiltered) => {
                format!("not understood, so all nodes: {invalid}")
            }
            (Self::Invalid(invalid), OnInvalid::Refuse) => format!("not understood, so no node: {invalid}"),
        }
    }

    /// Whether the client node's own labels must be known before this can be decided.
    #[must_use]
    pub fn reads_labels(&self) -> bool {
        self.keys().iter().any(|key| matches!(key, Key::Pool | Key::Label(_) | Key::Group))
    }

    /// Whether there are nodes that this never goes to, however much is missing nearby.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        !self.keys().is_empty() && !self.keys().contains(&Key::Any)
    }

    /// Every node label that this reads, each once.
    #[must_use]
    pub fn label_keys(&self, pool_keys: &PoolKeys) -> Vec<Arc<str>> {
        let mut read: Vec<Arc<str>> = Vec::new();
        for key in self.keys() {
            match key {
                Key::Pool => {
                    read.push(Arc::clone(&pool_keys.preferred));
                    read.extend(pool_keys.fallback.clone());
                }
                Key::Label(label) => read.push(Arc::clone(label)),
                Key::Group => read.push(GROUP_LABEL.into()),
                Key::Host | Key::Any => {}
            }
        }
        read.sort_unstable();
        read.dedup();
        read
    }

    fn keys(&self) -> &[Key] {
        match self {
            Self::None | Self::Invalid(_) => &[],
            Self::Hard(key) => std::slice::from_ref(key),
            Self::Ordered(keys) | Self::Union(keys) => keys,
        }
    }
}

/// Whether a node that lacks this label is somewhere all the same, for some topology that reads it: then it makes a
/// difference whether a node without it is known.
#[must_use]
pub fn counts_without(label: &str) -> bool {
    matches!(label, GROUP_LABEL | HOST_KEY)
}

fn ordered(list: &str, allowed: &[Arc<str>]) -> Result<Vec<Key>, Invalid> {
    if list.trim().is_empty() {
        return Err(Invalid { item: list.to_owned(), position: 1, why: InvalidWhy::OnlyBlanks });
    }
    let items: Vec<&str> = list.split(',').map(str::trim).collect();
    let mut keys = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let is_last = index + 1 == items.len();
        let key = understood(item, is_last, &keys, allowed).map_err(|why| Invalid {
            item: (*item).to_owned(),
            position: index + 1,
            why,
        })?;
        keys.push(key);
    }
    Ok(keys)
}

fn understood(item: &str, is_last: bool, before: &[Key], allowed: &[Arc<str>]) -> Result<Key, InvalidWhy> {
    let key = match item {
        "" => return Err(InvalidWhy::EmptyItem),
        HOST_KEY => Key::Host,
        POOL_KEY | POOL_KEY_AS_ZONE => Key::Pool,
        ANY_KEY if is_last => Key::Any,
        ANY_KEY => return Err(InvalidWhy::AnyNotLast),
        ZONE_LABEL | REGION_LABEL => Key::Label(item.into()),
        _ => match allowed.iter().find(|label| ***label == *item) {
            Some(label) => Key::Label(Arc::clone(label)),
            None => return Err(InvalidWhy::UnknownKey),
        },
    };
    if before.contains(&key) { Err(InvalidWhy::Repeated) } else { Ok(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &str = "example.com/rack";

    #[test]
    fn a_value_openyurt_knows_is_hard_and_any_other_is_a_list() {
        let label = |key: &str| Key::Label(key.into());
        for (shows, raw, reads_as) in [
            ("empty is no topology", "", Topology::None),
            ("hostname", "kubernetes.io/hostname", Topology::Hard(Key::Host)),
            ("nodepool", "openyurt.io/nodepool", Topology::Hard(Key::Pool)),
            ("zone is another name of the pool", "kubernetes.io/zone", Topology::Hard(Key::Pool)),
            ("hard is not trimmed: before", " kubernetes.io/hostname", Topology::Ordered(vec![Key::Host])),
            ("hard is not trimmed: after", "openyurt.io/nodepool\n", Topology::Ordered(vec![Key::Pool])),
            ("zone in a list is the pool too", "kubernetes.io/zone ", Topology::Ordered(vec![Key::Pool])),
            ("any alone", "*", Topology::Ordered(vec![Key::Any])),
            (
                "blanks around items do not count",
                "\tkubernetes.io/hostname ,openyurt.io/nodepool , *",
                Topology::Ordered(vec![Key::Host, Key::Pool, Key::Any]),
            ),
            (
                "the order is the operator's",
                "openyurt.io/nodepool,kubernetes.io/hostname",
                Topology::Ordered(vec![Key::Pool, Key::Host]),
            ),
            (
                "the zone label, as a list of one",
                "topology.kubernetes.io/zone",
                Topology::Ordered(vec![label("topology.kubernetes.io/zone")]),
            ),
            (
                "the zone label is not the pool",
                "topology.kubernetes.io/zone,kubernetes.io/zone,topology.kubernetes.io/region",
                Topology::Ordered(vec![
                    label("topology.kubernetes.io/zone"),
                    Key::Pool,
                    label("topology.kubernetes.io/region"),
                ]),
            ),
            ("a label that is allowed", ALLOWED, Topology::Ordered(vec![label(ALLOWED)])),
        ] {
            assert_eq!(Topology::parse(Some(raw), &[ALLOWED.into()]), reads_as, "{shows}");
        }
        assert_eq!(Topology::parse(None, &[]), Topology::None, "no annotation");
    }

    #[test]
    fn what_is_not_understood_names_the_item_and_why() {
        for (raw, says) in [
            (
                "example.com/row",
                "\"example.com/row\" (item 1) is neither a known key nor a node label allowed by --topology-label",
            ),
            (
                "openyurt.io/nodepool, Kubernetes.io/hostname",
                "\"Kubernetes.io/hostname\" (item 2) is neither a known key nor a node label allowed by --topology-label",
            ),
            (
                "openyurt.io/nodepool *",
                "\"openyurt.io/nodepool *\" (item 1) is neither a known key nor a node label allowed by --topology-label",
            ),
            (" \t", "the value \" \\t\" is only blanks"),
            (",", "item 1 is empty"),
            ("kubernetes.io/hostname, ", "item 2 is empty"),
            ("kubernetes.io/hostname,,*", "item 2 is empty"),
            ("*, kubernetes.io/hostname", "\"*\" (item 1) may only stand last"),
            ("*,*", "\"*\" (item 1) may only stand last"),
            ("*,", "\"*\" (item 1) may only stand last"),
            (
                "kubernetes.io/hostname,kubernetes.io/hostname",
                "\"kubernetes.io/hostname\" (item 2) names a key that stands before it",
            ),
            (
                "openyurt.io/nodepool,kubernetes.io/hostname,kubernetes.io/zone",
                "\"kubernetes.io/zone\" (item 3) names a key that stands before it",
            ),
            (
                "example.com/rack,example.com/rack",
                "\"example.com/rack\" (item 2) names a key that stands before it",
            ),
            (
                "example.com/row,,*",
                "\"example.com/row\" (item 1) is neither a known key nor a node label allowed by --topology-label",
            ),
        ] {
            let Topology::Invalid(invalid) = Topology::parse(Some(raw), &[ALLOWED.into()]) else {
                panic!("{raw:?} was understood")
            };
            assert_eq!(invalid.to_string(), says, "{raw:?}");
        }
    }

    #[test]
    fn a_label_is_a_key_only_where_the_operator_allows_it() {
        assert!(matches!(Topology::parse(Some(ALLOWED), &[]), Topology::Invalid(_)));
        assert!(matches!(
            Topology::parse(Some(ALLOWED), &["a".into(), ALLOWED.into()]),
            Topology::Ordered(_)
        ));
    }

    #[test]
    fn the_labels_a_topology_reads_are_those_of_its_keys() {
        let pool = ["apps.openyurt.io/desired-nodepool", "apps.openyurt.io/nodepool"];
        let zone = "topology.kubernetes.io/zone";
        for (raw, reads) in [
            ("", vec![]),
            ("kubernetes.io/hostname", vec![]),
            ("*", vec![]),
            ("kubernetes.io/hostname, *", vec![]),
            ("not understood", vec![]),
            ("openyurt.io/nodepool", pool.to_vec()),
            ("kubernetes.io/zone", pool.to_vec()),
            ("topology.kubernetes.io/zone", vec![zone]),
            (
                "kubernetes.io/hostname, openyurt.io/nodepool, topology.kubernetes.io/zone, *",
                vec![pool[0], pool[1], zone],
            ),
        ] {
            let topology = Topology::parse(Some(raw), &[]);
            let keys = topology.label_keys(&PoolKeys::default());
            assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), reads, "{raw:?}");
            assert_eq!(topology.reads_labels(), !reads.is_empty(), "{raw:?}");
        }
    }

    #[test]
    fn a_label_that_is_read_as_the_pool_and_by_itself_is_listed_once() {
        let pool_keys = PoolKeys { preferred: ALLOWED.into(), fallback: None };
        let topology = Topology::parse(Some("openyurt.io/nodepool, example.com/rack"), &[ALLOWED.into()]);
        assert_eq!(topology.label_keys(&pool_keys), [ALLOWED.into()]);
    }
}
