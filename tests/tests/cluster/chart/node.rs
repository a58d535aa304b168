//! What agents may change of Nodes: nothing unless it is asked for.

use serde_json::{Value, json};

use super::*;

const ON: &str = "nodeCondition.enabled=true,startupTaint.enabled=true";

/// The rights and the use that is made of them come and go together, each in a role of its own.
#[test]
#[ignore = "needs the programs of a control plane"]
fn nodes_are_changed_only_where_that_is_asked_for() {
    for (flags, condition, taint) in [
        ("nameOverride=", false, false),
        ("nodeCondition.enabled=true", true, false),
        ("startupTaint.enabled=true,startupTaint.key=a.b/c", false, true),
        (ON, true, true),
    ] {
        let objects = rendered("1.18.0", &["--set", flags]).unwrap();
        let writes = |resource: &str, role: &Value| {
            let rules = role["rules"].as_array().cloned().unwrap_or_default();
            rules.iter().any(|rule| {
                words(&rule["resources"]).contains(&resource) && words(&rule["verbs"]).contains(&"patch")
            })
        };
        let roles = |resource: &str| -> Vec<&str> {
            let roles = objects.iter().filter(|object| object["kind"] == "ClusterRole");
            let roles = roles.filter(|role| writes(resource, role));
            roles.filter_map(|role| role["metadata"]["name"].as_str()).collect()
        };
        let only = |is_on: bool, name: &'static str| if is_on { vec![name] } else { vec![] };
        assert_eq!(roles("nodes/status"), only(condition, "edgeloop-agent-node-condition"), "{flags}");
        assert_eq!(roles("nodes"), only(taint, "edgeloop-agent-startup-taint"), "{flags}");
        for role in [roles("nodes"), roles("nodes/status")].concat() {
            let binding = object(&objects, "ClusterRoleBinding", role).unwrap();
            assert_eq!(binding["roleRef"]["name"], role);
            assert_eq!(binding["subjects"][0]["name"], "edgeloop-agent");
        }
        let agent = &agent_pod("1.18.0", &["--set", flags]).unwrap()["spec"]["containers"][0];
        let arguments = words(&agent["args"]);
        assert_eq!(arguments.iter().any(|one| one.starts_with("--startup-taint=")), taint, "{flags}");
        let variable = json!({"name": "EDGELOOP_NODE_CONDITION", "value": "true"});
        assert_eq!(agent["env"].as_array().unwrap().contains(&variable), condition, "{flags}");
        assert!(objects.iter().all(|object| object["kind"] != "ValidatingAdmissionPolicy"), "not in 1.18");
    }
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn a_policy_by_node_comes_with_the_rights_where_the_api_server_knows_it() {
    for (version, flags, is_there) in [
        ("1.36.0", "nameOverride=", false),
        ("1.36.0", ON, true),
        ("1.30.0", "startupTaint.enabled=true", true),
        ("1.29.9", ON, false),
        ("1.36.0", "nodeCondition.enabled=true,nodeGuard.enabled=false", false),
    ] {
        let objects = rendered(version, &["--set", flags]).unwrap();
        let policy = object(&objects, "ValidatingAdmissionPolicy", "edgeloop-agent-node");
        assert_eq!(policy.is_ok(), is_there, "{version} {flags}");
        let binding = object(&objects, "ValidatingAdmissionPolicyBinding", "edgeloop-agent-node");
        assert_eq!(binding.is_ok(), is_there, "{version} {flags}");
        if let Ok(policy) = policy {
            let who = policy["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
            assert!(who.ends_with("\"system:serviceaccount:kube-system:edgeloop-agent\""), "{who}");
        }
    }
}
