//! What the pods may do on their node, and the uninstalling Job at the API server.

use serde_json::{Value, json};

use super::*;

#[test]
#[ignore = "needs the programs of a control plane"]
fn the_agent_is_not_privileged_and_has_the_capabilities_that_it_needs() {
    for (flags, capabilities) in [
        ("securityContext.sysResource=true", vec!["BPF", "NET_ADMIN", "SYS_RESOURCE", "PERFMON"]),
        ("securityContext.sysResource=false", vec!["BPF", "NET_ADMIN", "PERFMON"]),
        ("securityContext.perfmon=false", vec!["BPF", "NET_ADMIN", "SYS_RESOURCE"]),
        ("securityContext.legacyCapabilities=true", vec!["SYS_ADMIN", "NET_ADMIN", "SYS_RESOURCE"]),
        // Such a runtime does not know it either, and SYS_ADMIN is more.
        (
            "securityContext.legacyCapabilities=true,securityContext.perfmon=true",
            vec!["SYS_ADMIN", "NET_ADMIN", "SYS_RESOURCE"],
        ),
        ("endUdpSockets.inPods=true", vec!["BPF", "NET_ADMIN", "SYS_RESOURCE", "PERFMON", "SYS_ADMIN"]),
        (
            "endUdpSockets.inPods=true,securityContext.legacyCapabilities=true",
            vec!["SYS_ADMIN", "NET_ADMIN", "SYS_RESOURCE"],
        ),
    ] {
        let pod = agent_pod("1.36.0", &["--set", flags]).unwrap();
        assert_eq!(pod["spec"]["containers"].as_array().map(Vec::len), Some(1));
        let context = &pod["spec"]["containers"][0]["securityContext"];
        assert_eq!(context["privileged"], false);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"], "add": capabilities}), "{flags}");
        for field in ["hostPID", "hostIPC", "shareProcessNamespace"] {
            assert!(pod["spec"][field].is_null(), "{field}");
        }
        for volume in pod["spec"]["volumes"].as_array().unwrap() {
            let path = volume["hostPath"]["path"].as_str().unwrap();
            assert!(
                ["/sys/fs/bpf", "/sys/fs/cgroup", "/run/edgeloop", "/run/netns", "/var/lib/edgeloop"]
                    .contains(&path),
                "{path}"
            );
        }
    }
}

/// Where Kubernetes has no field for it yet, an annotation says it.
#[test]
#[ignore = "needs the programs of a control plane"]
fn profiles_of_the_runtime_are_fields_or_annotations_by_version() {
    let seccomp = "seccomp.security.alpha.kubernetes.io/pod";
    let app_armor = "container.apparmor.security.beta.kubernetes.io/agent";
    for (version, seccomp_is_field, app_armor_is_field) in [
        ("1.18.0", false, false),
        ("1.19.0", true, false),
        ("1.29.9", true, false),
        ("1.30.0-rc.1", true, true),
        ("1.36.0+k3s1", true, true),
    ] {
        let pod = agent_pod(version, &[]).unwrap();
        let annotations = &pod["metadata"]["annotations"];
        let agent = &pod["spec"]["containers"][0]["securityContext"];
        let (field, text) = (&pod["spec"]["securityContext"]["seccompProfile"], &annotations[seccomp]);
        assert_eq!(
            said(field, text, seccomp_is_field),
            (json!({"type": "RuntimeDefault"}), json!("runtime/default"))
        );
        let (field, text) = (&agent["appArmorProfile"], &annotations[app_armor]);
        assert_eq!(
            said(field, text, app_armor_is_field),
            (json!({"type": "Unconfined"}), json!("unconfined"))
        );
    }
}

/// What field and annotation say, one of which has to be absent: its place is filled with what it would say.
fn said(field: &Value, annotation: &Value, is_field: bool) -> (Value, Value) {
    let as_annotation = match field["type"].as_str() {
        Some("RuntimeDefault") => json!("runtime/default"),
        _ => json!("unconfined"),
    };
    let as_field = match annotation.as_str() {
        Some("runtime/default") => json!({"type": "RuntimeDefault"}),
        _ => json!({"type": "Unconfined"}),
    };
    assert_eq!((field.is_null(), annotation.is_null()), (!is_field, is_field));
    if is_field { (field.clone(), as_annotation) } else { (as_field, annotation.clone()) }
}

/// The hook may change this one DaemonSet, and see pods; everything of it goes when it was successful.
#[test]
#[ignore = "needs the programs of a control plane"]
fn what_uninstalls_may_change_one_daemon_set_and_comes_before_anything_is_deleted() {
    let objects = rendered("1.36.0", &["--set", "uninstall.timeoutSeconds=77"]).unwrap();
    let named = |kind: &str| object(&objects, kind, "edgeloop-uninstall").unwrap();
    assert_eq!(
        named("Role")["rules"],
        json!([
            {"apiGroups": ["apps"], "resources": ["daemonsets"], "resourceNames": ["edgeloop-agent"], "verbs": ["get", "patch"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        ])
    );
    let weight = |kind: &str| {
        let annotations = &named(kind)["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/hook"], "pre-delete", "{kind}");
        assert_eq!(
            annotations["helm.sh/hook-delete-policy"], "before-hook-creation,hook-succeeded",
            "{kind}"
        );
        annotations["helm.sh/hook-weight"].as_str().unwrap().parse::<i32>().unwrap()
    };
    let rights = ["ServiceAccount", "Role", "RoleBinding"].map(weight);
    assert!(rights.iter().all(|of_right| *of_right < weight("Job")), "{rights:?}");

    let job = named("Job");
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 137);
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "edgeloop-uninstall");
    assert!(pod["volumes"].is_null());
    assert_eq!(
        pod["containers"][0]["args"],
        json!(["uninstall", "--namespace=kube-system", "--daemonset=edgeloop-agent", "--timeout=77"])
    );
    assert_eq!(
        pod["containers"][0]["securityContext"],
        json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "runAsNonRoot": true, "runAsUser": 65534, "capabilities": {"drop": ["ALL"]},
        })
    );

    let without = rendered("1.36.0", &["--set", "uninstall.enabled=false"]).unwrap();
    assert!(without.iter().all(|object| object["metadata"]["annotations"]["helm.sh/hook"] != "pre-delete"));
}

#[test]
#[ignore = "needs the programs of a control plane"]
fn the_api_servers_protection_is_in_the_words_of_its_version() {
    for (version, group, shares) in [
        ("1.20.0", "v1beta1", "assuredConcurrencyShares"),
        ("1.24.0", "v1beta2", "assuredConcurrencyShares"),
        ("1.26.0", "v1beta3", "nominalConcurrencyShares"),
        ("1.29.0", "v1", "nominalConcurrencyShares"),
    ] {
        let objects = rendered(version, &["--set", "flowSchema.enabled=true"]).unwrap();
        for kind in ["FlowSchema", "PriorityLevelConfiguration"] {
            let of_group = format!("flowcontrol.apiserver.k8s.io/{group}");
            assert_eq!(
                object(&objects, kind, "edgeloop-agent").unwrap()["apiVersion"],
                of_group,
                "{version}"
            );
        }
        let level = object(&objects, "PriorityLevelConfiguration", "edgeloop-agent").unwrap();
        assert_eq!(level["spec"]["limited"][shares], 10, "{version}");
    }
}
