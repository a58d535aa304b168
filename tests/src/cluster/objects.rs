//! Where objects of a kind lie on an API server.

use anyhow::{Context, Result};
use serde_json::Value;

/// How a patch is meant.
#[derive(Clone, Copy, Debug)]
pub enum Patch {
    /// Single operations on single fields.
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Patch {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// Kinds that no namespace has; all others have one.
const GLOBAL: [&str; 11] = [
    "Namespace",
    "Node",
    "NodePool",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "NodeBucket",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// The path that objects like this one are created at.
pub(super) fn collection(object: &Value) -> Result<String> {
    let text = |field: &str| {
        object.get(field).and_then(Value::as_str).with_context(|| format!("an object without {field}"))
    };
    let (version, kind) = (text("apiVersion")?, text("kind")?);
    let root = if version.contains('/') { "apis" } else { "api" };
    let plural = plural(kind);
    if is_global(kind) {
        return Ok(format!("/{root}/{version}/{plural}"));
    }
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
    Ok(format!("/{root}/{version}/namespaces/{namespace}/{plural}"))
}

pub(super) fn is_global(kind: &str) -> bool {
    GLOBAL.contains(&kind)
}

/// The object's own path.
pub(super) fn path(object: &Value) -> Result<String> {
    Ok(format!("{}/{}", collection(object)?, name(object)?))
}

pub(super) fn name(object: &Value) -> Result<&str> {
    object.pointer("/metadata/name").and_then(Value::as_str).context("an object without a name")
}

pub(super) fn uid(object: &Value) -> Result<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str).context("an object without a uid")
}

fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_says_where_it_lies() {
        for (object, expected) in [
            (
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "n"}}),
                "/api/v1/namespaces/n/services/a",
            ),
            (json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}), "/api/v1/nodes/a"),
            (
                json!({"apiVersion": "apps.openyurt.io/v1beta2", "kind": "NodePool", "metadata": {"name": "a"}}),
                "/apis/apps.openyurt.io/v1beta2/nodepools/a",
            ),
            (
                json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"}}),
                "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/a",
            ),
            (
                json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "a"}}),
                "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/a",
            ),
        ] {
            assert_eq!(path(&object).unwrap(), expected);
        }
        assert!(path(&json!({"kind": "Service"})).is_err());
    }
}
