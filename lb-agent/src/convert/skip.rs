//! Pods and Namespaces: which of them are to be skipped, and what a Namespace says of topology.

use crate::model::{Kind, Namespace, Pod, PodState, SkipLabel};
use crate::shown::Quoted;

use super::written::{Labels, Text};
use super::{Converted, Interner, Unusable, annotation, bare_name, label, object_name, written};

/// The label of a Pod or a Namespace whose connections are left alone.
const SKIP: &str = "edgeloop.io/skip";
/// The annotation of a Namespace that says the topology of its Services.
const TOPOLOGY: &str = "edgeloop.io/topology";
/// On the mirror of a static pod: the uid that the kubelet gave the pod itself.
const MIRRORS: &str = "kubernetes.io/config.mirror";

/// A pod, as far as it matters here.
///
/// 1. Its cgroup is named after its uid: of the mirror of a static pod, after the uid of that pod.
/// 2. One whose containers have all ended for good has no cgroup.
///
/// # Errors
/// The object has no name, or a label or annotation that is read is no text.
pub fn pod(object: &written::Pod, names: &mut Interner) -> Result<Converted<Pod>, Unusable> {
    let metadata = &object.metadata;
    let name = object_name(Kind::Pod, metadata.name.as_deref(), metadata.namespace.as_deref(), names)?;
    let mut problems = Vec::new();
    let label = skip_label(metadata.labels.as_ref(), &mut problems)?;
    let own = match &metadata.uid {
        Some(Text::Read(uid)) => Some(uid.as_str()),
        Some(Text::Odd) | None => None,
    };
    let uid = annotation(metadata.annotations.as_ref(), MIRRORS)?.or(own).filter(|uid| !uid.is_empty());
    let node = object.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let phase = object.status.as_ref().and_then(|status| status.phase.as_deref());
    let state = match phase {
        Some("Succeeded" | "Failed") => PodState::Ended,
        Some(_) | None => PodState::Live,
    };
    if uid.is_none() && label == SkipLabel::Skip {
        problems.push("metadata.uid: is missing, and the pod cannot be skipped without it".to_owned());
    }
    let node = node.filter(|node| !node.is_empty()).map(|node| names.share(node));
    let object = Pod { name, uid: uid.map(Into::into), node, label, state };
    Ok(Converted { object, problems })
}

/// A Namespace, as far as it matters here.
///
/// # Errors
/// The object has no name, or the label or the topology is no text.
pub fn namespace(
    object: &written::Namespace,
    names: &mut Interner,
) -> Result<Converted<Namespace>, Unusable> {
    let name = names.share(bare_name(Kind::Namespace, object.metadata.name.as_deref())?);
    let mut problems = Vec::new();
    let label = skip_label(object.metadata.labels.as_ref(), &mut problems)?;
    let topology = annotation(object.metadata.annotations.as_ref(), TOPOLOGY)?;
    let topology = topology.map(|keys| names.share(keys));
    Ok(Converted { object: Namespace { name, label, topology }, problems })
}

fn skip_label(labels: Option<&Labels>, problems: &mut Vec<String>) -> Result<SkipLabel, Unusable> {
    Ok(match label(labels, SKIP)? {
        Some("true") => SkipLabel::Skip,
        Some("false") | None => SkipLabel::Absent,
        Some(other) => {
            let other = Quoted(other);
            problems.push(format!(
                "metadata.labels[\"{SKIP}\"]: {other} is neither true nor false; the label is left out"
            ));
            SkipLabel::Absent
        }
    })
}
