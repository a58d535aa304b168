//! Each rule of reading a file, and the exact words for what is wrong with one.

mod limits;
mod scalars;
mod versions;

use super::*;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: 10.0.0.1}\n";
const SLICE: &str = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-1}\naddressType: IPv4\nendpoints: null\nports: null\n";
const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n";
const JSON: &str = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}"#;
const JSON_NODE: &str = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}"#;

/// Each object as `document kind name`.
fn objects(manifest: &Manifest) -> Vec<String> {
    let objects = manifest.objects.iter();
    objects.map(|defined| format!("{} {}", defined.document, defined.object.key())).collect()
}

/// Each problem as `document: object: field: message`, as far as they are known, `*` before one that may be about
/// any object.
fn problems(manifest: &Manifest) -> Vec<String> {
    let problem = |Problem { document, object, field, message }: &Problem| {
        let document = document.map(|number| format!("{number}: ")).unwrap_or_default();
        let object = object.as_ref().map_or("*: ".to_owned(), |object| format!("{object}: "));
        let field = field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
        format!("{document}{object}{field}{message}")
    };
    manifest.problems.iter().map(problem).collect()
}

fn read_all(text: &str) -> Manifest {
    read(text, &mut Interner::default())
}

/// What is wrong with the only object of a text.
fn problem(text: &str) -> String {
    let found = read_all(text);
    assert_eq!(found.objects, [], "{text}");
    problems(&found).join("; ")
}

#[test]
fn manifests_are_known_by_their_names() {
    for (name, expected) in [
        ("a.yaml", true),
        ("a.b.yml", true),
        ("a.json", true),
        (".a.yaml", false),
        ("..data", false),
        (".yaml", false),
        ("a.yaml~", false),
        ("a.yaml.swp", false),
        ("a.txt", false),
        ("yaml", false),
        ("a.YAML", false),
    ] {
        assert_eq!(is_manifest(name), expected, "{name}");
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
        ("a comment right behind a divider", format!("{SERVICE}---# two\n{NODE}"), both),
        ("blanks behind a divider", format!("{SERVICE}--- \t\n{NODE}"), both),
        ("a document on the divider's line", format!("--- {JSON}\n---\n{NODE}"), both),
        ("after a document's end without a divider", format!("{SERVICE}...\n{NODE}"), both),
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
        (
            "JSON values one after another",
            format!("{JSON}\n{JSON_NODE} {JSON_NODE}"),
            "1 Service default/s, 2 Node n1, 3 Node n1",
        ),
        (
            "JSON after a divider",
            format!("{NODE}---\n{JSON}{JSON_NODE}"),
            "1 Node n1, 2 Service default/s, 3 Node n1",
        ),
        ("YAML after JSON", format!("{JSON}\n---\n{NODE}"), both),
        (
            "YAML that begins with a brace",
            "{apiVersion: v1, kind: Node, metadata: {name: n1}}".to_owned(),
            "1 Node n1",
        ),
        (
            "JSON with a number that is too large, in a field that is not read",
            JSON_NODE.replace("{\"name", "{\"x\": 1e400, \"name"),
            "1 Node n1",
        ),
    ] {
        let found = read_all(&text);
        assert_eq!(objects(&found).join(", "), expected, "{shows}");
        assert_eq!((problems(&found), found.extent), (vec![], Extent::Whole), "{shows}");
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
        (
            "of which the kind comes last",
            r#"{"apiVersion":"v1","items":[{"metadata":{"name":"s"}},{"metadata":{"name":"t"}}],"kind":"ServiceList"}"#,
            "1 Service default/s, 1 Service default/t",
        ),
        (
            "slices of v1beta1",
            r#"{"apiVersion":"discovery.k8s.io/v1beta1","kind":"EndpointSliceList","items":[{"metadata":{"name":"s-1"}}]}"#,
            "1 EndpointSlice default/s-1",
        ),
        (
            "YAML",
            "apiVersion: v1\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: n1}}\n- null\nkind: List\n",
            "1 Node n1",
        ),
        ("no items", r#"{"apiVersion":"v1","kind":"List","items":null}"#, ""),
        ("not even the field", r#"{"apiVersion":"v1","kind":"ServiceList"}"#, ""),
        ("nothing at all", " \n", ""),
    ] {
        let found = read_all(text);
        assert_eq!(objects(&found).join(", "), expected, "{shows}");
        assert_eq!((problems(&found), found.extent), (vec![], Extent::Whole), "{shows}");
    }
}

#[test]
fn other_kinds_are_skipped_with_one_note_for_each() {
    let text = "apiVersion: apps.openyurt.io/v1beta2\nkind: NodePool\nmetadata: {name: a}\nspec: {type: Edge}\n\
        ---\napiVersion: apps.openyurt.io/v1beta2\nkind: NodePool\nmetadata: {name: b}\n\
        ---\napiVersion: other.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: old}\nendpoints: 5\n\
        ---\napiVersion: serving.knative.dev/v1\nkind: Service\n\
        ---\napiVersion: v1\nkind: ConfigMap\n\
        ---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n";
    let found = read_all(text);
    assert_eq!((objects(&found), problems(&found)), (vec!["6 Node n1".to_owned()], vec![]));
    assert_eq!(
        found.notes,
        [
            "ConfigMap of v1 is not read here: 1 skipped",
            "EndpointSlice of other.k8s.io/v1 is not read here, only discovery.k8s.io/v1 and v1beta1 are: 1 skipped",
            "NodePool of apps.openyurt.io/v1beta2 is not read here: 2 skipped",
            "Service of serving.knative.dev/v1 is not read here, only v1 is: 1 skipped",
        ]
    );
}

#[test]
fn what_is_wrong_costs_its_object_alone_and_is_named() {
    for (shows, (text, extent), expected) in wrong_documents() {
        let found = read_all(&format!("{SERVICE}---\n# none\n---\n{text}---\n{NODE}"));
        assert_eq!(objects(&found), ["1 Service default/s", "4 Node n1"], "{shows}");
        assert_eq!(problems(&found), [format!("3: {expected}")], "{shows}");
        assert_eq!(found.extent, extent, "{shows}");
        let unread: Vec<String> = found.unread.iter().map(|object| object.key().to_string()).collect();
        let expected = if extent == Extent::Whole { &["Service default/bad"][..] } else { &[] };
        assert_eq!(unread, expected, "{shows}");
    }
}

/// What it shows, the document and how much of a file with it is known, and the problem.
fn wrong_documents() -> Vec<(&'static str, (String, Extent), &'static str)> {
    let whole = |text: &str| (named("Service", text), Extent::Whole);
    let part = |text: &str| (text.to_owned(), Extent::Part);
    vec![
        ("not YAML", part("a: [1\n"), "*: line 8, column 4: a syntax error: unclosed bracket '['"),
        ("half of a file", part("apiVersion: v1\n"), "*: kind: is missing"),
        ("half of a word", part("apiVersion: v1\nmetadata: {}\n"), "*: kind: is missing"),
        ("the other half", part("kind: Service\n"), "*: apiVersion: is missing"),
        (
            "half of a field's name",
            part("apiVers\n"),
            "*: is not a Kubernetes object: apiVersion and kind are expected",
        ),
        ("a kind that is no text", part("apiVersion: v1\nkind: [Service]\n"), "*: kind: is not a text"),
        (
            "a list of objects that is no List",
            part("[{apiVersion: v1, kind: Node}]\n"),
            "*: is not a Kubernetes object: apiVersion and kind are expected",
        ),
        (
            "objects in a list without a kind",
            part("items: [{apiVersion: v1, kind: Node, metadata: {name: n1}}]\n"),
            "*: kind: is missing",
        ),
        ("no name", part(&named("Node", "{}")), "*: metadata.name: every Node needs a name"),
        (
            "an empty name",
            part(&named("Service", "{name: \"\"}")),
            "*: metadata.name: every Service needs a name",
        ),
        (
            "a name that is no text",
            part(&named("Node", "{name: 5}")),
            "*: metadata.name: invalid type: integer `5`, expected a string",
        ),
        (
            "a field deep inside",
            whole("{name: bad}\nspec:\n  ports:\n  - port: 80\n  - port: eighty\n"),
            "Service default/bad: spec.ports[1].port: invalid type: string \"eighty\", expected i32",
        ),
        (
            "what JSON does not have, where it is read",
            whole("{name: bad}\nspec: {ports: [{port: .inf}]}\n"),
            "Service default/bad: spec.ports[0].port: is a value that JSON does not have",
        ),
        (
            "what looks like a number is one",
            whole("{name: bad}\nspec: {clusterIP: 0x_1f}\n"),
            "Service default/bad: spec.clusterIP: invalid type: integer `31`, expected a string",
        ),
        (
            "an annotation that is read, without quotes",
            whole("{name: bad, annotations: {openyurt.io/topologyKeys: true}}"),
            "Service default/bad: metadata.annotations[\"openyurt.io/topologyKeys\"]: is not a text",
        ),
    ]
}

fn named(kind: &str, metadata: &str) -> String {
    format!("apiVersion: v1\nkind: {kind}\nmetadata: {metadata}\n")
}

/// Such files lie next to manifests. No object can hide in them, so they hold nothing back.
#[test]
fn a_document_without_apiversion_and_kind_is_no_object() {
    let none =
        |count: usize| format!("without apiVersion and kind it is no Kubernetes object: {count} skipped");
    let other = |what: &str| format!("{what} is not read here: 1 skipped");
    for (shows, text, note) in [
        ("kustomization.yaml", "resources:\n  - tide.yaml\n", none(1)),
        ("kustomization.yaml with a kind", "kind: Kustomization\n", other("Kustomization of ?")),
        ("values.yaml", "image: {tag: 1.0}\nitems: [a b, 5, {b: c}]\n", none(1)),
        ("a list of words", "items: [tide, reef]\n", none(1)),
        ("null in both", "apiVersion:\nkind: ~\na: 1\n", none(1)),
        ("Chart.yaml", "apiVersion: v2\nname: tide\n", other("? of v2")),
        ("a JSON patch", "- {op: replace, path: /spec, value: 5}\n", none(1)),
        ("package.json", r#"{"name": "tide", "items": [1, {"a": null}]}"#, none(1)),
        ("an empty list", "[]", none(1)),
        ("a number", "1.5\n", none(1)),
        ("a sentence", "see the manual\n", none(1)),
        ("several", "a: 1\n---\nb: 2\n", none(2)),
        ("an object of another kind without its version", "kind: Deployment\n", other("Deployment of ?")),
    ] {
        let found = read_all(text);
        assert_eq!((problems(&found), found.extent), (vec![], Extent::Whole), "{shows}");
        assert_eq!((objects(&found), found.notes), (vec![], vec![note]), "{shows}");
    }
}

#[test]
fn a_line_in_a_message_is_the_files_line() {
    let wrong = "*: line 7, column 6: a syntax error: mapping values are not allowed in this context";
    assert_eq!(
        problems(&read_all(&format!("{SERVICE}---\napiVersion: v1\n kind: Node\n"))),
        [format!("2: {wrong}")]
    );
    assert_eq!(problem("\n\n{\"a\":"), "1: *: line 3, column 5: EOF while parsing a value");
    let found = read_all(&format!("{NODE}---\n{JSON}\n{{\"a\": 1"));
    assert_eq!(objects(&found), ["1 Node n1", "2 Service default/s"]);
    assert_eq!(problems(&found), ["3: *: line 6, column 7: EOF while parsing an object"]);
}

#[test]
fn a_malformed_item_of_a_list_is_named_by_its_place() {
    let no_object = "is not a Kubernetes object: apiVersion and kind are expected";
    for (item, expected) in [
        ("5", format!("*: items[1]: {no_object}")),
        ("{a: b}", "*: items[1].kind: is missing".to_owned()),
        ("{apiVersion: v1}", "*: items[1].kind: is missing".to_owned()),
        (
            "{apiVersion: v1, kind: Node, metadata: {name: n2, labels: 5}}",
            "Node n2: items[1].metadata.labels: invalid type: integer `5`, expected a map".to_owned(),
        ),
        ("{apiVersion: v1, kind: Node}", "*: items[1].metadata.name: every Node needs a name".to_owned()),
        ("{apiVersion: v1, kind: List, items: 5}", "*: items[1].items: is not a list".to_owned()),
        (
            "{apiVersion: v1, kind: NodeList, items: [{metadata: 5}]}",
            "*: items[1].items[0].metadata: invalid type: integer `5`, expected an object".to_owned(),
        ),
    ] {
        let text = format!("apiVersion: v1\nkind: List\nitems:\n- null\n- {item}\n- {JSON_NODE}\n");
        let found = read_all(&text);
        assert_eq!(
            (objects(&found), problems(&found)),
            (vec!["1 Node n1".to_owned()], vec![format!("1: {expected}")]),
            "{item}"
        );
    }
    assert_eq!(problem("apiVersion: v1\nkind: List\nitems: 5\n"), "1: *: items: is not a list");
}

/// As to kubectl.
#[test]
fn of_equal_keys_the_last_counts() {
    let found = read_all("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nmetadata: {name: n2}\n");
    assert_eq!(objects(&found), ["1 Node n2"]);
}

#[test]
fn of_v1_endpoints_it_is_known_that_there_are_some() {
    let endpoints = |subsets: &str| {
        format!(
            "apiVersion: v1\nkind: Endpoints\nmetadata: {{name: s, namespace: shop}}\nsubsets: {subsets}\n"
        )
    };
    for (subsets, expected) in [
        ("[{addresses: [{ip: 10.1.0.1}]}]", 1),
        ("[{notReadyAddresses: [{ip: 10.1.0.1}]}]", 1),
        ("[{ports: [{port: 80}]}]", 0),
        ("[]", 0),
        ("null", 0),
        ("5", 0),
    ] {
        let found = read_all(&endpoints(subsets));
        assert_eq!(
            (found.endpoints.len(), problems(&found), found.notes),
            (expected, vec![], vec![]),
            "{subsets}"
        );
        assert!(found.endpoints.iter().all(|service| *service == ObjectName::new("shop", "s")));
    }
}

#[test]
fn anchors_stay_within_their_document() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: &ip 10.0.0.1, clusterIPs: [*ip]}\n";
    assert_eq!(objects(&read_all(text)), ["1 Service default/s"]);
    assert_eq!(problems(&read_all(&format!("{text}---\na: *ip\n"))).len(), 1);
}

#[test]
fn what_is_left_out_names_its_document_and_object() {
    let text = format!(
        "{NODE}---\n{SLICE}---\napiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{clusterIP: ten}}\n"
    );
    let found = read_all(&text);
    let part = LeftOut {
        document: 3,
        object: found.objects[2].object.key(),
        why: "spec.clusterIP: \"ten\" is not an IP address; it is left out".to_owned(),
    };
    assert_eq!(found.left_out, [part]);
    assert_eq!(found.objects.len(), 3);
}
