//! What other projects than OpenYurt write of a topology, read as they do.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::topology::{HOST_KEY, Invalid, InvalidWhy, Key, Topology};

/// The only value of KubeEdge's annotation that has a meaning.
pub(super) const RANGE: &str = "range-nodegroup";
/// No list of SuperEdge's is longer: each key costs memory, and who writes Services need not be an operator.
pub(super) const MOST_KEYS: usize = 64;

/// KubeEdge's annotation, compared as a whole string: the node group of this node, and no other. Empty asks for nothing.
pub(super) fn range(written: &str) -> Topology {
    match written {
        "" => Topology::None,
        RANGE => Topology::Hard(Key::Group),
        other => invalid(other, InvalidWhy::NotTheRange),
    }
}

/// SuperEdge's annotation: a JSON list of node label keys, as Go reads it.
///
/// 1. Empty, `null` or an empty list: it asks for nothing.
/// 2. `null` in the list is the empty key, which no node has.
/// 3. Each key counts once, and their order does not matter.
pub(super) fn union(written: &str) -> Topology {
    if written.is_empty() {
        return Topology::None;
    }
    let Ok(items) = serde_json::from_str::<Option<Vec<Option<String>>>>(written) else {
        return invalid(written, InvalidWhy::NotAList);
    };
    let keys: BTreeSet<String> = items.into_iter().flatten().map(Option::unwrap_or_default).collect();
    match keys.len() {
        0 => Topology::None,
        1..=MOST_KEYS => Topology::Union(keys.into_iter().map(|key| Key::Label(key.into())).collect()),
        _ => invalid(written, InvalidWhy::TooManyKeys),
    }
}

fn invalid(item: &str, why: InvalidWhy) -> Topology {
    Topology::Invalid(Invalid { item: item.to_owned(), position: 1, why })
}

impl Topology {
    /// Whether both ask for the same, also in the words of two projects.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self == other || (self.is_host_alone() && other.is_host_alone())
    }

    fn is_host_alone(&self) -> bool {
        let label = Key::Label(Arc::from(HOST_KEY));
        match self {
            Self::Hard(key) => *key == Key::Host,
            Self::Union(keys) => *keys == [label],
            Self::None | Self::Ordered(_) | Self::Invalid(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Dialect::{KubeEdge, OpenYurt, SuperEdge};
    use crate::select::nodes::PoolKeys;

    #[test]
    fn an_annotation_is_read_as_its_project_does() {
        let any_of =
            |keys: &[&str]| Topology::Union(keys.iter().map(|key| Key::Label((*key).into())).collect());
        for (shows, dialect, written, reads_as) in [
            ("the node group", KubeEdge, "range-nodegroup", Topology::Hard(Key::Group)),
            ("empty asks for nothing", KubeEdge, "", Topology::None),
            ("one label", SuperEdge, r#"["zone1"]"#, any_of(&["zone1"])),
            ("blanks as JSON has them", SuperEdge, " [ \"b\",\n\"a\" ] ", any_of(&["a", "b"])),
            ("each once", SuperEdge, r#"["a","a"]"#, any_of(&["a"])),
            ("hostname is a label", SuperEdge, r#"["kubernetes.io/hostname"]"#, any_of(&[HOST_KEY])),
            ("* is a key like any other", SuperEdge, r#"["*"]"#, any_of(&["*"])),
            ("null in the list is the empty key", SuperEdge, "[null]", any_of(&[""])),
            ("an empty list asks for nothing", SuperEdge, "[]", Topology::None),
            ("nor does null", SuperEdge, "null", Topology::None),
            ("nor an empty text", SuperEdge, "", Topology::None),
            ("OpenYurt's stays what it is", OpenYurt, HOST_KEY, Topology::Hard(Key::Host)),
        ] {
            assert_eq!(Topology::read(dialect, written, &[]), reads_as, "{shows}");
        }
    }

    #[test]
    fn what_its_project_does_not_understand_is_named() {
        let many: Vec<String> = (0..=MOST_KEYS).map(|number| format!("\"k{number}\"")).collect();
        let many = format!("[{}]", many.join(","));
        for (dialect, written, says) in [
            (KubeEdge, "range", "\"range\" is not range-nodegroup, the only value that is known"),
            (
                KubeEdge,
                " range-nodegroup",
                "\" range-nodegroup\" is not range-nodegroup, the only value that is known",
            ),
            (SuperEdge, "zone1", "\"zone1\" is not a JSON list of node label keys"),
            (SuperEdge, "[\"a\"", "\"[\\\"a\\\"\" is not a JSON list of node label keys"),
            (SuperEdge, "\"a\"", "\"\\\"a\\\"\" is not a JSON list of node label keys"),
            (SuperEdge, "[1]", "\"[1]\" is not a JSON list of node label keys"),
            (SuperEdge, "[\"a\"] x", "\"[\\\"a\\\"] x\" is not a JSON list of node label keys"),
            (SuperEdge, " ", "\" \" is not a JSON list of node label keys"),
        ] {
            assert_eq!(not_understood(dialect, written), says);
        }
        assert!(not_understood(SuperEdge, &many).ends_with(" has more than 64 keys"));
        assert!(matches!(union(&many.replace("\"k64\"", "\"k0\"")), Topology::Union(_)), "as many as may be");
    }

    #[test]
    fn the_labels_that_another_dialect_reads_are_known() {
        for (dialect, written, reads) in [
            (KubeEdge, "range-nodegroup", vec!["apps.kubeedge.io/belonging-to"]),
            (KubeEdge, "range", vec![]),
            (SuperEdge, r#"["b","kubernetes.io/hostname"]"#, vec!["b", "kubernetes.io/hostname"]),
            (SuperEdge, "[]", vec![]),
        ] {
            let topology = Topology::read(dialect, written, &[]);
            let keys = topology.label_keys(&PoolKeys::default());
            assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), reads, "{written}");
            assert_eq!(topology.reads_labels(), !reads.is_empty(), "{written}");
            assert_eq!(topology.is_strict(), !reads.is_empty(), "{written}");
        }
    }

    #[test]
    fn what_is_asked_for_is_the_same_in_other_words() {
        for (shows, one, other, same) in [
            ("this node", (OpenYurt, HOST_KEY), (SuperEdge, r#"["kubernetes.io/hostname"]"#), true),
            (
                "this node first, then another",
                (OpenYurt, HOST_KEY),
                (SuperEdge, r#"["kubernetes.io/hostname","a"]"#),
                false,
            ),
            ("pools are no node groups", (OpenYurt, "openyurt.io/nodepool"), (KubeEdge, RANGE), false),
            (
                "a node group counts nodes without the label",
                (SuperEdge, r#"["apps.kubeedge.io/belonging-to"]"#),
                (KubeEdge, RANGE),
                false,
            ),
            ("the order says nothing", (SuperEdge, r#"["a","b"]"#), (SuperEdge, r#"["b","a"]"#), true),
            ("nothing", (SuperEdge, "[]"), (OpenYurt, ""), true),
        ] {
            let read = |(dialect, written)| Topology::read(dialect, written, &[]);
            assert_eq!(read(one).asks_the_same(&read(other)), same, "{shows}");
            assert_eq!(read(other).asks_the_same(&read(one)), same, "{shows}");
        }
    }

    fn not_understood(dialect: crate::model::Dialect, written: &str) -> String {
        match Topology::read(dialect, written, &[]) {
            Topology::Invalid(invalid) => invalid.to_string(),
            Topology::None | Topology::Hard(_) | Topology::Ordered(_) | Topology::Union(_) => {
                panic!("{written:?} was understood")
            }
        }
    }
}
