//! Each rule of reading a file, and the exact words for what is wrong with one.

use super::*;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: 10.0.0.1}\n";
const SLICE: &str = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-1}\naddressType: IPv4\nendpoints: null\nports: null\n";
const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n";

/// Each object as `document kind name`.
fn objects(manifest: &Manifest) -> Vec<String> {
    let objects = manifest.objects.iter();
    objects.map(|defined| format!("{} {}", defined.document, defined.object.key())).collect()
}

fn yaml(text: &str) -> Result<Manifest, Unusable> {
    read(text, Format::Yaml, &mut Interner::default()).map_err(|rejected| rejected.why)
}

fn json(text: &str) -> Result<Manifest, Unusable> {
    read(text, Format::Json, &mut Interner::default()).map_err(|rejected| rejected.why)
}

#[test]
fn manifests_are_known_by_their_names() {
    for (name, expected) in [
        ("a.yaml", Some(Format::Yaml)),
        ("a.b.yml", Some(Format::Yaml)),
        ("a.json", Some(Format::Json)),
        (".a.yaml", None),
        ("..data", None),
        (".yaml", None),
        ("a.yaml~", None),
        ("a.yaml.swp", None),
        ("a.txt", None),
        ("yaml", None),
        ("a.YAML", None),
    ] {
        assert_eq!(Format::of(name), expected, "{name}");
    }
}

#[test]
fn documents_are_divided_and_counted_by_their_dividers() {
    let both = "1 Service default/s, 2 Node n1";
    for (shows, text, expected) in [
        ("one", SERVICE.to_owned(), "1 Service default/s"),
        ("two", format!("{SERVICE}---\n{NODE}"), both),
        (
            "all three kinds",
            format!("{SERVICE}---\n{SLICE}---\n{NODE}"),
            "1 Service default/s, 2 EndpointSlice default/s-1, 3 Node n1",
        ),
        ("a divider first", format!("---\n{SERVICE}---\n{NODE}"), both),
        ("a comment before the first divider", format!("# who wrote it\n\n---\n{SERVICE}---\n{NODE}"), both),
        ("a directive", format!("%YAML 1.2\n---\n{SERVICE}"), "1 Service default/s"),
        ("dividers with comments", format!("--- # one\n{SERVICE}--- # two\n{NODE}"), both),
        (
            "empty documents are counted",
            format!("{SERVICE}---\n# none\n---\n{NODE}---\n"),
            "1 Service default/s, 3 Node n1",
        ),
        ("a document's end", format!("{SERVICE}...\n---\n{NODE}...\n"), both),
        ("Windows lines", format!("{SERVICE}---\n{NODE}").replace('\n', "\r\n"), both),
        ("a byte order mark", format!("\u{feff}{SERVICE}"), "1 Service default/s"),
        (
            "a divider inside a text does not divide",
            SERVICE.to_owned() + "x: |\n  a\n  ---\n  b\n",
            "1 Service default/s",
        ),
        ("comments only", "# one\n# two\n".to_owned(), ""),
        ("blanks only", "\n  \n".to_owned(), ""),
        ("null", "null\n---\n~\n".to_owned(), ""),
    ] {
        let found = yaml(&text).unwrap_or_else(|error| panic!("{shows}: {error}"));
        assert_eq!(objects(&found).join(", "), expected, "{shows}");
        assert!(found.notes.is_empty() && found.left_out.is_empty(), "{shows}");
    }
}

#[test]
fn lists_are_opened() {
    for (shows, text, expected) in [
        (
            "any kinds",
            r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}},{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"}}]}"#,
            "1 Node n1, 1 Service default/s",
        ),
        (
            "a list in a list",
            r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"NodeList","items":[{"metadata":{"name":"n1"}}]}]}"#,
            "1 Node n1",
        ),
        (
            "items say nothing of their kind",
            r#"{"apiVersion":"v1","kind":"ServiceList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"s"}}]}"#,
            "1 Service default/s",
        ),
        (
            "slices",
            r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSliceList","items":[{"metadata":{"name":"s-1"},"addressType":"IPv4","endpoints":null}]}"#,
            "1 EndpointSlice default/s-1",
        ),
        (
            "nodes",
            r#"{"apiVersion":"v1","kind":"NodeList","items":[{"metadata":{"name":"n1"}},{"metadata":{"name":"n2"}}]}"#,
            "1 Node n1, 1 Node n2",
        ),
        ("no items", r#"{"apiVersion":"v1","kind":"List","items":null}"#, ""),
        ("not even the field", r#"{"apiVersion":"v1","kind":"ServiceList"}"#, ""),
        ("nothing at all", " \n", ""),
    ] {
        let found = json(text).unwrap_or_else(|error| panic!("{shows}: {error}"));
        assert_eq!(objects(&found).join(", "), expected, "{shows}");
    }
}

#[test]
fn other_kinds_are_skipped_with_one_note_for_each() {
    let text = "apiVersion: apps.openyurt.io/v1beta2\nkind: NodePool\nmetadata: {name: a}\nspec: {type: Edge}\n\
        ---\napiVersion: apps.openyurt.io/v1beta2\nkind: NodePool\nmetadata: {name: b}\n\
        ---\napiVersion: discovery.k8s.io/v1alpha1\nkind: EndpointSlice\nmetadata: {name: old}\nendpoints: 5\n\
        ---\napiVersion: serving.knative.dev/v1\nkind: Service\n\
        ---\napiVersion: v1\nkind: Pod\n\
        ---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n";
    let found = yaml(text).unwrap();
    assert_eq!(objects(&found), ["6 Node n1"]);
    assert_eq!(
        found.notes,
        [
            "EndpointSlice of discovery.k8s.io/v1alpha1 is not read here, only discovery.k8s.io/v1 and v1beta1 are: 1 skipped",
            "NodePool of apps.openyurt.io/v1beta2 is not read here: 2 skipped",
            "Pod of v1 is not read here: 1 skipped",
            "Service of serving.knative.dev/v1 is not read here, only v1 is: 1 skipped",
        ]
    );
}

#[test]
fn one_malformed_document_makes_the_file_unusable_and_is_named() {
    for (shows, text, expected) in [
        ("not YAML", "a: [1".to_owned(), "unclosed bracket '[' at line 1, column 4"),
        ("a null byte", "\0".to_owned(), "unexpected character: `\\u{0}' at line 1, column 1"),
        ("a text", "hello\n".to_owned(), "is not a Kubernetes object: apiVersion and kind are expected"),
        ("half of a file", "apiVersion: v1\n".to_owned(), "kind: is missing"),
        ("the other half", "kind: Service\n".to_owned(), "apiVersion: is missing"),
        ("a kind that is no text", "apiVersion: v1\nkind: [Service]\n".to_owned(), "kind: is not a text"),
        ("no name", named("Node", "{}"), "metadata.name: every Node needs a name"),
        ("an empty name", named("Service", "{name: \"\"}"), "metadata.name: every Service needs a name"),
        (
            "a field deep inside",
            named("Service", "{name: s}") + "spec:\n  ports:\n  - port: 80\n  - port: eighty\n",
            "spec.ports[1].port: invalid type: string \"eighty\", expected i32",
        ),
        (
            "an annotation without quotes",
            named("Service", "{name: s, annotations: {openyurt.io/topologyKeys: true}}"),
            "metadata.annotations[\"openyurt.io/topologyKeys\"]: is not a text",
        ),
    ] {
        assert_eq!(yaml(&text).expect_err(shows).to_string(), format!("document 1: {expected}"), "{shows}");
        let error = yaml(&format!("{SERVICE}---\n# none\n---\n{text}")).expect_err(shows);
        assert_eq!(error.document, Some(3), "{shows}");
    }
}

fn named(kind: &str, metadata: &str) -> String {
    format!("apiVersion: v1\nkind: {kind}\nmetadata: {metadata}\n")
}

#[test]
fn an_unusable_file_still_names_what_can_be_named() {
    let bad = named("Service", "{name: bad}") + "spec: 5\n";
    let list = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSliceList\nitems: [5, {metadata: {name: s-2}, ports: 5}]\n";
    for (shows, text, names) in [
        ("the malformed one", bad.clone(), "Service default/bad"),
        (
            "those around it",
            format!("{SERVICE}---\n{bad}---\n{NODE}"),
            "Service default/s, Service default/bad, Node n1",
        ),
        ("not what is no YAML", format!("{SERVICE}---\na: [1\n---\n{NODE}"), "Service default/s, Node n1"),
        ("items of a list", list.to_owned(), "EndpointSlice default/s-2"),
        ("none without a name", named("Service", "5"), ""),
        ("none of other kinds", format!("{}---\n{bad}", named("Pod", "{name: p}")), "Service default/bad"),
    ] {
        let rejected = read(&text, Format::Yaml, &mut Interner::default()).expect_err(shows);
        let found: Vec<String> = rejected.objects.iter().map(|object| object.key().to_string()).collect();
        assert_eq!(found.join(", "), names, "{shows}");
    }
    let json = format!("{{{}", SERVICE);
    assert_eq!(read(&json, Format::Json, &mut Interner::default()).unwrap_err().objects, []);
}

#[test]
fn a_line_in_a_message_is_the_files_line() {
    let error = yaml(&format!("{SERVICE}---\napiVersion: v1\n kind: Node\n")).unwrap_err();
    let expected = "document 2: mapping values are not allowed in this context at line 7, column 6";
    assert_eq!(error.to_string(), expected);
    assert_eq!(json("{").unwrap_err().to_string(), "EOF while parsing an object at line 1 column 1");
    assert_eq!(json("{} {}").unwrap_err().to_string(), "trailing characters at line 1 column 4");
}

#[test]
fn a_malformed_item_of_a_list_is_named_by_its_place() {
    for (item, expected) in [
        ("5", "items[1]: is not a Kubernetes object: apiVersion and kind are expected"),
        ("{apiVersion: v1}", "items[1].kind: is missing"),
        (
            "{apiVersion: v1, kind: Node, metadata: {name: 5}}",
            "items[1].metadata.name: invalid type: integer `5`, expected a string",
        ),
        ("{apiVersion: v1, kind: Node}", "items[1].metadata.name: every Node needs a name"),
        ("{apiVersion: v1, kind: List, items: 5}", "items[1].items: is not a list"),
        (
            "{apiVersion: v1, kind: NodeList, items: [{metadata: 5}]}",
            "items[1].items[0].metadata: invalid type: integer `5`, expected an object",
        ),
    ] {
        let text = format!("apiVersion: v1\nkind: List\nitems:\n- null\n- {item}\n");
        assert_eq!(yaml(&text).expect_err(item).to_string(), format!("document 1: {expected}"));
    }
    let error = yaml("apiVersion: v1\nkind: List\nitems: 5\n").unwrap_err();
    assert_eq!(error.to_string(), "document 1: items: is not a list");
}

#[test]
fn a_key_that_stands_twice_is_malformed() {
    let error = yaml("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nmetadata: {name: n2}\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "document 1: duplicate mapping key `metadata` is not allowed here at line 4, column 1"
    );
}

#[test]
fn unknown_fields_do_not_matter() {
    let text = "apiVersion: v1\nkind: Service\nfuture: {a: [1]}\nmetadata: {name: s, later: 1}\nspec: {soon: yes, clusterIP: 10.0.0.1}\nstatus: {x: 1}\n";
    assert_eq!(objects(&yaml(text).unwrap()), ["1 Service default/s"]);
}

#[test]
fn anchors_stay_within_their_document() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: &ip 10.0.0.1, clusterIPs: [*ip]}\n";
    assert_eq!(objects(&yaml(text).unwrap()), ["1 Service default/s"]);
    assert!(yaml(&format!("{text}---\na: *ip\n")).is_err());
}

#[test]
fn what_is_left_out_names_its_document_and_object() {
    let text = format!(
        "{NODE}---\n{SLICE}---\napiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{clusterIP: ten}}\n"
    );
    let found = yaml(&text).unwrap();
    let part = LeftOut {
        document: 3,
        text: "Service default/s: spec.clusterIP: \"ten\" is not an IP address; it is left out".to_owned(),
    };
    assert_eq!(found.left_out, [part]);
    assert_eq!(found.objects.len(), 3);
}

#[test]
fn a_large_file_is_read() {
    let item = "- {apiVersion: v1, kind: Node, metadata: {name: n, labels: {a: b, c: d}}}\n"
        .replace(": n,", ": node,");
    let text = format!("apiVersion: v1\nkind: List\nitems:\n{}", item.repeat(30_000));
    assert_eq!(yaml(&text).unwrap().objects.len(), 30_000);
    assert_eq!(yaml(&format!("{NODE}---\n").repeat(2_000)).unwrap().objects.len(), 2_000);
}
