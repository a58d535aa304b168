//! What single values are taken for, and which of them matter.

use super::*;

/// The value of a label that is read, as kubectl sends it on; `None` where an API server refuses it.
#[test]
fn scalars_are_those_that_kubectl_reads() {
    for (written, expected) in [
        ("tide", Some("tide")),
        ("81e4521", Some("81e4521")),
        ("1e400", Some("1e400")),
        ("nO", Some("nO")),
        ("tRUE", Some("tRUE")),
        ("=", Some("=")),
        ("0b2", Some("0b2")),
        ("08:30", Some("08:30")),
        ("1.2.3", Some("1.2.3")),
        ("2026-01-02", Some("2026-01-02")),
        ("'8'", Some("8")),
        ("\"no\"", Some("no")),
        ("!!str 8", Some("8")),
        ("!!binary dGlkZQ==", Some("tide")),
        ("|-\n      tide", Some("tide")),
        ("8", None),
        ("0x1f", None),
        ("1_000", None),
        ("80.0", None),
        (".5", None),
        ("1e3", None),
        ("no", None),
        ("Y", None),
        ("true", None),
        (".inf", None),
        ("!!int x", None),
        ("[tide]", None),
        ("{tide: tide}", None),
    ] {
        let text = format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s-1\n  labels:\n    \
             kubernetes.io/service-name: {written}\n    other: {written}\n"
        );
        let found = read_all(&text);
        let service = found.objects.first().and_then(|defined| match &defined.object {
            Object::Slice(slice) => slice.service.as_deref(),
            Object::Service(_) | Object::Node(_) | Object::Pod(_) | Object::Namespace(_) => None,
        });
        assert_eq!(service, expected, "{written}");
        assert_eq!(
            (found.unread.len(), found.extent),
            (usize::from(expected.is_none()), Extent::Whole),
            "{written}"
        );
    }
}

#[test]
fn a_number_is_what_it_is_however_it_is_written() {
    for (written, port) in
        [("80", 80), ("80.0", 80), ("8e1", 80), ("0x50", 80), ("0120", 80), ("8_0", 80), ("+80", 80)]
    {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{ports: [{{port: {written}}}]}}\n"
        );
        assert_eq!(ports(&text), [port], "{written}");
    }
    for written in ["80", "80.0", "8e1", "0.8e2"] {
        let text = JSON.replace(
            "{\"name\": \"s\"}",
            &format!("{{\"name\": \"s\"}}, \"spec\": {{\"ports\": [{{\"port\": {written}}}]}}"),
        );
        assert_eq!(ports(&text), [80], "JSON {written}");
    }
    for written in ["80.5", "'80'", "99999999999", "eighty", "1e30"] {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{ports: [{{port: {written}}}]}}\n"
        );
        assert!(
            problem(&text).starts_with("1: Service default/s: spec.ports[0].port: invalid "),
            "{written}"
        );
    }
}

fn ports(text: &str) -> Vec<u16> {
    let found = read_all(text);
    let Some(Defined { object: Object::Service(service), .. }) = found.objects.first() else {
        return Vec::new();
    };
    service.ports.iter().map(|port| port.port).collect()
}

#[test]
fn what_is_not_read_does_not_matter() {
    for odd in
        [".inf", "!!int x", "{~: a}", "{[a]: b}", "{<<: 5}", "5", "true", "[1, {a: .nan}]", "!!binary '*'"]
    {
        let text = format!(
            "apiVersion: v1\nkind: Service\nfuture: {odd}\nmetadata: {{name: s, labels: {{a: {odd}}}, annotations: \
             {{a: {odd}}}, later: {odd}}}\nspec: {{soon: {odd}, clusterIP: 10.0.0.1, ports: [{{port: 80, targetPort: \
             {odd}}}]}}\nstatus: {{x: {odd}}}\n"
        );
        let found = read_all(&text);
        assert_eq!(
            (objects(&found), problems(&found)),
            (vec!["1 Service default/s".to_owned()], vec![]),
            "{odd}"
        );
        assert_eq!(found.left_out, [], "{odd}");
    }
}

/// Each kind has its own fields that are read: of a slice no annotation is, and of a Node no namespace.
#[test]
fn what_is_not_read_of_one_kind_does_not_matter_there() {
    for (kind, field, matters) in [
        ("Service", "metadata: {name: s, uid: 5}", false),
        ("Service", "metadata: {name: s, annotations: 5}", true),
        ("Service", "metadata: {name: s, creationTimestamp: 5}", true),
        ("Service", "metadata: {name: s, managedFields: 5, finalizers: 5}", false),
        ("EndpointSlice", "metadata: {name: s, annotations: 5, uid: 5, creationTimestamp: 5}", false),
        ("EndpointSlice", "metadata: {name: s, labels: 5}", true),
        ("EndpointSlice", "metadata: {name: s}\nspec: 5\nstatus: 5", false),
        ("Node", "metadata: {name: s, namespace: 5, annotations: 5, creationTimestamp: 5}", false),
        ("Node", "metadata: {name: s}\nspec: 5\nstatus: 5", false),
        ("Node", "metadata: {name: s, labels: 5}", true),
    ] {
        let version = if kind == "EndpointSlice" { "discovery.k8s.io/v1" } else { "v1" };
        let found = read_all(&format!("apiVersion: {version}\nkind: {kind}\n{field}\n"));
        assert_eq!(
            (found.objects.len(), found.unread.len()),
            if matters { (0, 1) } else { (1, 0) },
            "{kind}: {field}"
        );
    }
}
