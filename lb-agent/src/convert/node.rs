//! Nodes: a name and the labels that say where it is.

use crate::model::{Kind, Labels, Node};
use crate::shown::Quoted;

use super::written::Text;
use super::{Converted, Interner, Unusable, bare_name, label, written};

/// The labels that place a Node wherever nothing else is configured.
const PLACE: [&str; 6] = [
    "apps.openyurt.io/nodepool",
    "apps.openyurt.io/desired-nodepool",
    "apps.kubeedge.io/belonging-to",
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
];

/// A Node's name and its labels. A label with an empty value counts as lacking.
///
/// A label that is no text is left out and named, for hardly any label is read. One that says where the Node is
/// makes it unusable: without it the Node would be elsewhere. Which others say that, the operator chooses: the store
/// looks at `odd_labels` for those.
///
/// # Errors
/// The object has no name, or its place cannot be read.
pub fn node(object: &written::Node, names: &mut Interner) -> Result<Converted<Node>, Unusable> {
    let name = names.share(bare_name(Kind::Node, object.metadata.name.as_deref())?);
    for key in PLACE {
        label(object.metadata.labels.as_ref(), key)?;
    }
    let mut problems = Vec::new();
    let (mut labels, mut odd_labels) = (Labels::new(), Vec::new());
    for (key, value) in object.metadata.labels.iter().flatten() {
        match value {
            Text::Read(value) if value.is_empty() => {}
            Text::Read(value) => _ = labels.insert(names.share(key), names.share(value)),
            Text::Odd => {
                odd_labels.push(names.share(key));
                let key = Quoted(key);
                problems.push(format!("metadata.labels[{key}]: is not a text; the label is left out, and the Node is not read where --pool-label or --topology-label names it"));
            }
        }
    }
    Ok(Converted { object: Node { name, labels, odd_labels }, problems })
}
