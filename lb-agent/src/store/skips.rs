//! Which pods are to be skipped: those of this node that carry the label, or whose Namespace does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Change, Kind, Namespace, Object, ObjectName, Pod, PodState, SkipLabel, Unread};

use super::{Namespaces, Store};

/// Whether the label `edgeloop.io/skip` of Pods and Namespaces counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SkipLabelled {
    #[default]
    On,
    Off,
}

/// What the source says of pods and Namespaces. Nothing else of the store hangs on it.
#[derive(Debug, Default)]
pub(super) struct Skips {
    /// Those that have a cgroup on this node, if they can be found.
    pods: BTreeMap<ObjectName, Known>,
    /// Those with the label.
    namespaces: BTreeSet<Arc<str>>,
    unread_pods: BTreeSet<ObjectName>,
    unread_namespaces: BTreeSet<Arc<str>>,
    is_news: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Known {
    uid: Arc<str>,
    label: SkipLabel,
}

impl Skips {
    pub(super) fn apply_pod(&mut self, pod: Pod, here: &str) {
        let Pod { name, uid, node, label, state } = pod;
        self.is_news |= self.unread_pods.remove(&name);
        let is_here = state == PodState::Live && node.is_none_or(|node| *node == *here);
        let Some(uid) = uid.filter(|_| is_here) else { return self.delete_pod(&name) };
        let new = Known { uid, label };
        if self.pods.get(&name) != Some(&new) {
            let was_skipped = self.skips(&name);
            self.pods.insert(name.clone(), new);
            self.is_news |= was_skipped | self.skips(&name);
        }
    }

    pub(super) fn delete_pod(&mut self, name: &ObjectName) {
        self.is_news |= self.unread_pods.remove(name) | self.skips(name);
        self.pods.remove(name);
    }

    pub(super) fn apply_namespace(&mut self, namespace: Namespace) {
        let Namespace { name, label, topology: _ } = namespace;
        self.is_news |= self.unread_namespaces.remove(&name);
        self.is_news |= match label {
            SkipLabel::Skip => self.namespaces.insert(name),
            SkipLabel::Absent => self.namespaces.remove(&name),
        };
    }

    pub(super) fn delete_namespace(&mut self, name: &Arc<str>) {
        self.is_news |= self.unread_namespaces.remove(name) | self.namespaces.remove(name);
    }

    /// What was read of it before stays.
    pub(super) fn unread_pod(&mut self, name: ObjectName) {
        if !self.pods.contains_key(&name) {
            self.unread_pods.insert(name);
        }
    }

    pub(super) fn unread_namespace(&mut self, name: Arc<str>) {
        if !self.namespaces.contains(&name) {
            self.unread_namespaces.insert(name);
        }
    }

    /// It is known by now what else there is.
    pub(super) fn look_again(&mut self) {
        self.is_news = true;
    }

    /// The changes that make it again, and with it what Namespaces say of `topologies`, for the Node `here`.
    pub(super) fn changes<'a>(
        &'a self,
        here: &'a Arc<str>,
        topologies: &'a Namespaces,
    ) -> impl Iterator<Item = Change> + 'a {
        let mut namespaces: BTreeMap<&Arc<str>, Option<&Arc<str>>> =
            self.namespaces.iter().map(|name| (name, None)).collect();
        namespaces.extend(topologies.topologies().iter().map(|(name, text)| (name, Some(text))));
        let namespaces = namespaces.into_iter().map(|(name, topology)| {
            let label = if self.namespaces.contains(name) { SkipLabel::Skip } else { SkipLabel::Absent };
            let (name, topology) = (Arc::clone(name), topology.cloned());
            Change::Apply(Object::Namespace(Namespace { name, label, topology }))
        });
        let namespaces: Vec<Change> = namespaces.collect();
        let pods = self.pods.iter().map(|(name, known)| {
            Change::Apply(Object::Pod(Pod {
                name: name.clone(),
                uid: Some(Arc::clone(&known.uid)),
                node: Some(Arc::clone(here)),
                label: known.label,
                state: PodState::Live,
            }))
        });
        let unread_pods = self.unread_pods.iter().cloned().map(Unread::Pod);
        let unread_namespaces: BTreeSet<&Arc<str>> =
            self.unread_namespaces.iter().chain(topologies.unread()).collect();
        let unread_namespaces = unread_namespaces.into_iter().cloned().map(Unread::Namespace);
        let unread = unread_pods.chain(unread_namespaces).map(Change::Unread);
        namespaces.into_iter().chain(pods).chain(unread)
    }

    fn skips(&self, name: &ObjectName) -> bool {
        let is_labelled =
            |known: &Known| known.label == SkipLabel::Skip || self.namespaces.contains(&name.namespace);
        self.pods.get(name).is_some_and(is_labelled)
    }
}

impl Store {
    /// The pods of this node that are to be skipped, by their uids.
    #[must_use]
    pub fn skipped_pods(&self) -> BTreeMap<Arc<str>, ObjectName> {
        if self.rules.skip_labelled == SkipLabelled::Off {
            return BTreeMap::new();
        }
        let all = self.skips.pods.iter().filter(|(name, _)| self.skips.skips(name));
        all.map(|(name, known)| (Arc::clone(&known.uid), name.clone())).collect()
    }

    /// Whether it is known that no other pod is to be skipped.
    #[must_use]
    pub fn knows_skipped_pods(&self) -> bool {
        let Self { skips, unread, synced, rules, .. } = self;
        if rules.skip_labelled == SkipLabelled::Off {
            return true;
        }
        Kind::SKIPPING.iter().all(|kind| synced.contains(kind))
            && !unread.incomplete
            && skips.unread_pods.is_empty()
            && skips.unread_namespaces.is_empty()
    }

    /// Whether other pods are to be skipped than when this was asked last, or more is known of them.
    pub fn take_skip_news(&mut self) -> bool {
        std::mem::take(&mut self.skips.is_news)
    }
}
