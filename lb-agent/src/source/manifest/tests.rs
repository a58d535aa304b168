use super::*;

#[test]
fn probe() {
    for text in [
        "a: [1",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n---\napiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec:\n  ports:\n  - port: eighty\n",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n---\napiVersion: v1\n kind: Service\n",
        "# c\n",
        "# c\n---\n# d\n---\n",
        "",
        "---\n---\nfoo",
        "%YAML 1.2\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n}\n...\n",
        "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nmetadata: {name: m}",
        "apiVersion: v1\nkind: Node\nmetadata: {name: n, creationTimestamp: yesterday}",
        "apiVersion: v1\nkind: Node\nmetadata: {name: n, labels: {a: 1}}",
        "apiVersion: v1\nkind: Node\nmetadata: 7",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata: {}\n",
        "\0\0\0\0",
    ] {
        println!(
            "{text:?}\n   {:?}",
            read(text, Format::Yaml, &mut Interner::default()).map_err(|e| e.to_string())
        );
    }
    for text in ["{", "{} {}", "[]", "{\"apiVersion\":\"v1\"}", ""] {
        println!(
            "{text:?}\n   {:?}",
            read(text, Format::Json, &mut Interner::default()).map_err(|e| e.to_string())
        );
    }
}
