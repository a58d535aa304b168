//! Pages that are written from the chart, and what has to agree with the project.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::env;
use std::fmt::Write as _;

use serde_json::Value;

use super::*;

/// Set to anything, the pages are written.
const RECORD: &str = "EDGELOOP_RECORD_CHART";
/// The rest of the chart's README is the table.
const TABLE: &str = "| value | default | |\n|---|---|---|\n";

/// A line of `values.yaml` that begins a value.
struct Key {
    path: Vec<String>,
    /// Of the lines above it.
    comment: String,
}

#[test]
fn every_value_is_explained_and_the_readme_says_it() {
    let file = folder().unwrap().join("README.md");
    let readme = fs::read_to_string(&file).unwrap();
    let (intro, _) = readme.split_once(TABLE).expect("the table begins with its head");
    let now = format!("{intro}{TABLE}{}", table().unwrap());
    agrees("charts/edgeloop/README.md", &now, "pure -- chart");
}

fn agrees(file: &str, now: &str, tests: &str) {
    let path = checkout::folder().unwrap().join(file);
    if env::var_os(RECORD).is_some() {
        fs::write(&path, now).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap();
    let line = now.lines().zip(recorded.lines()).find(|(now, then)| now != then);
    assert!(now == recorded, "{file} is old ({line:?}): `{RECORD}=1 cargo xtask test {tests}` writes it");
}

fn table() -> Result<String> {
    let text = fs::read_to_string(folder()?.join("values.yaml"))?;
    let values: Value = serde_saphyr::from_str(&text)?;
    let mut rows = String::new();
    let keys = keys(&text);
    for (key, next) in keys.iter().zip(keys.iter().skip(1).map(Some).chain([None])) {
        let value = values.pointer(&format!("/{}", key.path.join("/"))).context("a key without a value")?;
        let is_explained_by_parts = next.is_some_and(|next| next.path.starts_with(&key.path));
        ensure!(!key.comment.is_empty(), "{} is not explained", key.path.join("."));
        let default = if is_explained_by_parts { String::new() } else { format!("`{value}`") };
        writeln!(rows, "| `{}` | {default} | {} |", key.path.join("."), key.comment.replace('|', "\\|"))?;
    }
    Ok(rows)
}

/// Keys below one without comments of their own, such as those of a list's items, are a part of its value.
fn keys(text: &str) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    let mut comment = Vec::new();
    let mut path: Vec<String> = Vec::new();
    for line in text.lines() {
        let words = line.trim_start();
        if let Some(words) = words.strip_prefix("# ") {
            comment.push(words);
        } else if let Some((name, _)) = words.split_once(':') {
            path.truncate((line.len() - words.len()) / 2);
            path.push(name.to_owned());
            let is_part = comment.is_empty() && keys.iter().any(|key| path.starts_with(&key.path));
            if !is_part {
                keys.push(Key { path: path.clone(), comment: comment.join(" ") });
            }
            comment.clear();
        }
    }
    keys
}

/// In both directions: a value that the schema lacks would be refused, one that the values lack is unknown to users.
#[test]
fn schema_and_values_name_the_same() {
    let values: Value =
        serde_saphyr::from_str(&fs::read_to_string(folder().unwrap().join("values.yaml")).unwrap()).unwrap();
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(folder().unwrap().join("values.schema.json")).unwrap())
            .unwrap();
    compare("", &values, &schema);
}

fn compare(path: &str, value: &Value, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
    let value = value.as_object().unwrap_or_else(|| panic!("{path} has properties in the schema"));
    for (name, value) in value {
        let of_schema = properties.get(name).unwrap_or_else(|| panic!("the schema has no {path}/{name}"));
        compare(&format!("{path}/{name}"), value, of_schema);
    }
    // Helm's own, and parts of what is given as a whole or not at all.
    let elsewhere = ["/global", "/resources/requests", "/resources/limits"];
    for name in properties.keys().map(|name| format!("{path}/{name}")) {
        let known = value.contains_key(name.rsplit('/').next().unwrap_or_default());
        let may_lack = elsewhere.contains(&name.as_str()) || name.starts_with("/securityContext/seLinux/");
        assert!(known || may_lack, "values.yaml has no {name}");
    }
}

#[test]
fn the_chart_is_of_the_agents_version_and_its_annotations_can_be_read() {
    let text = fs::read_to_string(folder().unwrap().join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field], env!("CARGO_PKG_VERSION"), "{field}");
    }
    let annotations = chart["annotations"].as_object().unwrap();
    for (name, value) in annotations {
        let text = value.as_str().unwrap_or_else(|| panic!("{name} is not a text"));
        let parsed: Value = serde_saphyr::from_str(text).unwrap();
        let fields: &[&str] = match name.as_str() {
            "artifacthub.io/images" => &["name", "image"],
            "artifacthub.io/links" => &["name", "url"],
            "artifacthub.io/changes" => &["kind", "description"],
            _ => continue,
        };
        for entry in parsed.as_array().unwrap_or_else(|| panic!("{name} is no list")) {
            assert!(fields.iter().all(|field| entry[*field].is_string()), "{name}: {entry}");
        }
    }
    for (name, value) in [
        ("artifacthub.io/category", "networking"),
        ("artifacthub.io/license", "Apache-2.0"),
        ("artifacthub.io/prerelease", "true"),
        ("artifacthub.io/containsSecurityUpdates", "false"),
    ] {
        assert_eq!(annotations.get(name).and_then(Value::as_str), Some(value), "{name}");
    }
}

/// For those who install without Helm. What says that Helm manages an object is left out.
#[test]
#[ignore = "needs the programs of a control plane"]
fn the_rights_in_deploy_are_those_of_the_chart() {
    let mut flags = vec!["--show-only", "templates/serviceaccount.yaml"];
    flags.extend(["--show-only", "templates/rbac.yaml"]);
    let text = rendered_text("1.36.0", &flags).unwrap();
    let of_helm =
        ["# Source: ", "helm.sh/chart: ", "app.kubernetes.io/managed-by: ", "app.kubernetes.io/version: "];
    let lines = text.lines().filter(|line| !of_helm.iter().any(|of| line.trim_start().starts_with(of)));
    let mut now = "# What Edgeloop may do at the API server, and no more. It reads; Events are all that it ever writes. Written\n\
                   # from charts/edgeloop/templates, which is the place to change it.\n#\n\
                   #   kubectl apply -f deploy/rbac.yaml\n\n"
        .to_owned();
    let objects: Vec<&str> = lines.skip_while(|line| *line == "---").collect();
    let objects: Vec<String> =
        objects.join("\n").split("\n---\n").map(|object| object.trim_end().to_owned() + "\n").collect();
    now += &objects.join("---\n");
    agrees("deploy/rbac.yaml", &now, "cluster -- rights_in_deploy");
}
