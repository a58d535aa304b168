//! Nodes: a name and the labels that say where it is.

use crate::model::{Kind, Node};

use super::{Converted, Interner, Nameless, bare_name, written};

/// A Node's name and its labels. A label with an empty value counts as lacking.
///
/// # Errors
/// The object has no name.
pub fn node(object: &written::Node, names: &mut Interner) -> Result<Converted<Node>, Nameless> {
    let name = names.share(bare_name(Kind::Node, &object.metadata)?);
    let labels = object
        .metadata
        .labels
        .iter()
        .flatten()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (names.share(key), names.share(value)))
        .collect();
    Ok(Converted { object: Node { name, labels }, problems: Vec::new() })
}
