//! Several files as one. Pure.

use std::collections::BTreeMap;

use super::Kubeconfig;

/// The files of `$KUBECONFIG`, in their order: of each name the first entry counts as a whole, and so does the
/// first current context.
pub(crate) fn merge(files: impl IntoIterator<Item = Kubeconfig>) -> Kubeconfig {
    let mut all = Kubeconfig::default();
    for file in files {
        let Kubeconfig { current_context, clusters, users, contexts } = file;
        if all.current_context.is_empty() {
            all.current_context = current_context;
        }
        add(&mut all.clusters, clusters);
        add(&mut all.users, users);
        add(&mut all.contexts, contexts);
    }
    all
}

fn add<T>(to: &mut BTreeMap<String, T>, entries: BTreeMap<String, T>) {
    for (name, entry) in entries {
        to.entry(name).or_insert(entry);
    }
}
