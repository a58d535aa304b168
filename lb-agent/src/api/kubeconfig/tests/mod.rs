//! Kubeconfigs against the rules of kubectl (client-go's `clientcmd`, `rest` and `transport`).

mod servers;
mod users;

use std::path::Path;

use super::*;
use crate::api::access::{Access, Identity, KeyPair, Material, Trust};

/// A kubeconfig in which the current context names cluster `c` and user `u`.
fn with(cluster: &str, user: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: x, contexts: [{{name: x, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{{cluster}}}}}], users: [{{name: u, user: {{{user}}}}}]}}"
    )
}

/// What the text leads to in its current context, in one line, or why to nothing.
fn read(text: &str) -> String {
    let chosen = parse(text, Path::new("/etc/k")).and_then(|kubeconfig| choose(&kubeconfig, None));
    chosen.map_or_else(|fault| format!("error: {fault}"), |access| line(&access))
}

fn line(access: &Access) -> String {
    let Access { server, trust, server_name, identity, certificate, impersonation, proxy } = access;
    let mut line = server.to_string();
    match trust {
        Trust::Any => line += " any",
        Trust::System => {}
        Trust::Authorities(ca) => line += &format!(" ca={}", material(ca)),
    }
    if let Some(name) = server_name {
        line += &format!(" name={name}");
    }
    if let Some(KeyPair { certificate, key }) = certificate {
        line += &format!(" cert={} key={}", material(certificate), material(key));
    }
    match identity {
        Identity::Anonymous => {}
        Identity::Fixed(header) => line += &format!(" {}", text(header)),
        Identity::TokenFile { file, otherwise } => {
            line += &format!(" {}", file.display());
            if let Some(header) = otherwise {
                line += &format!(" or {}", text(header));
            }
        }
        Identity::Plugin(plugin) => line += &format!(" exec {}", plugin.command.display()),
    }
    for (name, value) in impersonation {
        line += &format!(" {name}={}", text(value));
    }
    if let Some(proxy) = proxy {
        line += &format!(" proxy={proxy}");
    }
    line
}

fn text(header: &http::HeaderValue) -> String {
    String::from_utf8_lossy(header.as_bytes()).into_owned()
}

fn material(material: &Material) -> String {
    match material {
        Material::Inline(data) => format!("{:?}", String::from_utf8_lossy(data.expose())),
        Material::File(file) => file.display().to_string(),
    }
}

fn check(cases: &[(&str, String, &str)]) {
    for (shows, text, expected) in cases {
        let found = read(text);
        let is_right = match expected.strip_prefix("error: ") {
            Some(part) => found.starts_with("error: ") && found.contains(part),
            None => found == *expected,
        };
        assert!(is_right, "{shows}: expected {expected}, found {found}\n{text}");
    }
}

/// Each value was tried with the real kubectl.
#[test]
fn scalars_are_those_of_the_yaml_that_kubectl_reads() {
    const NOT_A_TEXT: &str = "error: users[0].user.token is not of the type";
    for (value, expected) in [
        ("081", NOT_A_TEXT),
        ("0o17", NOT_A_TEXT),
        ("1_000", NOT_A_TEXT),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("~", ""),
        ("Null", ""),
        ("NULL", ""),
        ("nULL", "nULL"),
        ("!!str 123", "123"),
        ("!!binary aGk=", "hi"),
        ("!!int 3", NOT_A_TEXT),
        ("!foo x", "x"),
        ("010", NOT_A_TEXT),
        ("0b1", NOT_A_TEXT),
        ("1e5", NOT_A_TEXT),
        (".5", NOT_A_TEXT),
        ("1.", NOT_A_TEXT),
        ("+1", NOT_A_TEXT),
        ("y", NOT_A_TEXT),
        ("off", NOT_A_TEXT),
        ("NO", NOT_A_TEXT),
        ("True", NOT_A_TEXT),
        ("190:20:30", "190:20:30"),
        ("81e4521", "81e4521"),
        ("685_230.15", NOT_A_TEXT),
        ("nO", "nO"),
        ("tRue", "tRue"),
        ("0x_1f", NOT_A_TEXT),
        ("=", "="),
        ("\"\\x41\"", "A"),
        ("'it''s'", "it's"),
    ] {
        let found = read(&with("server: 'https://h'", &format!("token: {value}")));
        let expected = match expected {
            "" => "https://h/".to_owned(),
            NOT_A_TEXT => NOT_A_TEXT.to_owned(),
            token => format!("https://h/ Bearer {token}"),
        };
        assert!(
            found.starts_with(&expected) && (expected == NOT_A_TEXT || found == expected),
            "{value}: {found}"
        );
    }
}

#[test]
fn contexts() {
    let file = |rest: &str| {
        format!(
            "{{clusters: [{{name: c, cluster: {{server: 'https://h'}}}}], users: [{{name: u, user: {{token: t}}}}], {rest}}}"
        )
    };
    check(&[
        ("none", file("contexts: [{name: x, context: {cluster: c}}]"), "error: no current context"),
        ("empty", file("current-context: ''"), "error: no current context"),
        ("null", file("current-context: null"), "error: no current context"),
        ("missing", file("current-context: x"), "error: no context of the name \"x\""),
        (
            "without a user",
            file("current-context: x, contexts: [{name: x, context: {cluster: c}}]"),
            "https://h/",
        ),
        (
            "a user that is missing",
            file("current-context: x, contexts: [{name: x, context: {cluster: c, user: v}}]"),
            "error: no user of the name \"v\"",
        ),
        (
            "a cluster that is missing",
            file("current-context: x, contexts: [{name: x, context: {cluster: d, user: u}}]"),
            "error: no cluster of the name \"d\"",
        ),
        (
            "without a cluster",
            file("current-context: x, contexts: [{name: x, context: {user: u}}]"),
            "error: no cluster of the name \"\"",
        ),
        (
            "a name that is a number",
            file("current-context: 1, contexts: []"),
            "error: current-context is not of the type",
        ),
    ]);
}

#[test]
fn whole_files() {
    let good = with("server: 'https://h'", "token: t");
    check(&[
        ("empty", String::new(), "error: no current context"),
        ("blanks and a comment", " \n# x\n".to_owned(), "error: no current context"),
        ("null", "null".to_owned(), "error: no current context"),
        ("a text", "abc".to_owned(), "error: the whole of it is not of the type"),
        ("a list", "[]".to_owned(), "error: the whole of it is not of the type"),
        ("no YAML", "a: b: c".to_owned(), "error: is not YAML: line 1"),
        ("a byte order mark", format!("\u{feff}{good}"), "https://h/ Bearer t"),
        ("JSON", good.replace('\'', "\"").replace("server: ", "\"server\": "), "https://h/ Bearer t"),
        ("the first document counts", format!("---\n{good}\n---\nx: [\n"), "https://h/ Bearer t"),
        (
            "without kind and version",
            good.replace("apiVersion: v1, kind: Config, ", ""),
            "https://h/ Bearer t",
        ),
        ("of another kind", good.replace("kind: Config", "kind: Pod"), "error: is of kind \"Pod\""),
        ("of another version", good.replace("v1", "v2"), "error: version \"v2\""),
        (
            "fields that are not known",
            good.replace("token: t", "token: t, x: {y: [z]}"),
            "https://h/ Bearer t",
        ),
        ("of equal keys the last", good.replace("token: t", "token: s, token: t"), "https://h/ Bearer t"),
        ("case counts", good.replace("token: t", "Token: t"), "https://h/"),
        (
            "null lists",
            "{clusters: null, users: null, contexts: null}".to_owned(),
            "error: no current context",
        ),
        ("a null item", good.replace("users: [", "users: [null, "), "https://h/ Bearer t"),
        (
            "two null items",
            good.replace("users: [", "users: [null, null, "),
            "error: two users of the name \"\"",
        ),
        (
            "two clusters of a name",
            good.replace("clusters: [", "clusters: [{name: c, cluster: {server: 'https://g'}}, "),
            "error: two clusters of the name \"c\"",
        ),
        (
            "what is wrong in an entry that is not used counts, too",
            good.replace("users: [", "users: [{name: v, user: {token: 1}}, "),
            "error: users[0].user.token is not of the type",
        ),
        (
            "contradictions in an entry that is not used do not",
            good.replace("users: [", "users: [{name: v, user: {token: a, username: b}}, "),
            "https://h/ Bearer t",
        ),
        (
            "extensions",
            good.replace("token: t", "token: t, extensions: [{name: x, extension: {a: null}}]"),
            "https://h/ Bearer t",
        ),
    ]);
}

#[test]
fn no_fault_shows_a_secret() {
    let secret = "hunter2";
    for text in [
        with("server: 'https://h'", "token: [hunter2]"),
        with("server: 'https://h'", "client-key-data: hunter2"),
        with("server: 'https://h'", "token: \"hunter2\\n\""),
        with("server: 'https://h'", "token: {hunter2: hunter2}"),
        with("server: 'ftp://u:hunter2@h?hunter2'", ""),
        with("server: 'https://u:hunter2@h:x'", ""),
        with("server: 'https://h', proxy-url: 'http://u:hunter2@p'", ""),
        with("server: 'https://h'", "exec: {command: p, env: [{value: hunter2}]}"),
        with("server: 'https://h'", "token: hunter2, password: hunter2"),
        format!("{}: hunter2: x", "token"),
        "users: [{name: u, user: hunter2}]".to_owned(),
        "token: &hunter2 *hunter2".to_owned(),
        "token: !!int hunter2".to_owned(),
        "token: *hunter2".to_owned(),
        "\"hunter2\\q\"".to_owned(),
    ] {
        assert!(!read(&text).contains(secret), "{}\n{text}", read(&text));
        let kubeconfig = parse(&text, Path::new("/"));
        if text.contains("cluster") {
            assert!(!format!("{:?}", kubeconfig.map(|read| choose(&read, None))).contains(secret), "{text}");
        }
    }
}

#[test]
fn of_several_files_the_first_counts() {
    let file = |text: &str, folder: &str| parse(text, Path::new(folder)).unwrap();
    let one = file("{users: [{name: u, user: {tokenFile: t}}], clusters: [{name: d, cluster: {}}]}", "/one");
    let two = file(
        "{current-context: x, users: [{name: u, user: {tokenFile: s, username: a}}, {name: v, user: {token: w}}], \
         clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: ca}}], \
         contexts: [{name: x, context: {cluster: c, user: u}}, {name: z, context: {cluster: c, user: v}}]}",
        "/two",
    );
    let three = file("{current-context: z, contexts: [{name: x, context: {cluster: d}}]}", "/three");
    let all = merge([one, two, three]);
    let chosen =
        |context| choose(&all, context).map_or_else(|fault| fault.to_string(), |access| line(&access));
    assert_eq!(chosen(None), "https://h/ ca=/two/ca /one/t");
    assert_eq!(chosen(Some("z")), "https://h/ ca=/two/ca Bearer w");
    assert_eq!(chosen(Some("w")), "has no context of the name \"w\"");
}

/// A kubeconfig that has everything.
const FULL: &str = r"
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c
  cluster:
    server: https://a:b@h:1/p?q#f
    tls-server-name: other
    certificate-authority-data: Y2E=
    insecure-skip-tls-verify: false
    proxy-url: http://a:b@p
    extensions: [{name: client.authentication.k8s.io/exec, extension: {a: 1}}]
users:
- name: u
  user:
    token: t
    tokenFile: /t
    client-certificate: /c
    client-key-data: aw==
    as: a
    as-groups: [g]
    as-user-extra: {k: [v]}
    exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: p, env: [{name: n}]}
contexts:
- name: one
  context: {cluster: c, user: u}
";

proptest::proptest! {
    #[test]
    fn whatever_a_kubeconfig_holds_it_is_read_or_refused(
        at in 0..FULL.len(), cut in 0..40_usize, put in "\\PC{0,8}|[\\x00-\\x20&*!|>'\"%@`:{}\\[\\],#-]{0,6}",
    ) {
        let start = (0..=at).rev().find(|at| FULL.is_char_boundary(*at)).unwrap_or(0);
        let end = (at + cut).min(FULL.len());
        read(&format!("{}{put}{}", &FULL[..start], &FULL[end..]));
    }

    #[test]
    fn whatever_an_address_is_it_is_read_or_refused(text in "\\PC{0,40}|https?://[\\[\\]:@a-f0-9./?#%]{0,30}") {
        if let Ok(Server { uri, .. }) = server::server(&text, true) {
            proptest::prop_assert!(uri.host().is_some_and(|host| !host.is_empty()), "{text}");
            let authority = uri.authority().map_or("", http::uri::Authority::as_str);
            proptest::prop_assert!(!authority.contains('@'), "{text}");
        }
    }

    #[test]
    fn whatever_a_text_is_it_can_be_sent_or_is_refused(text in "(?s).{0,20}") {
        let is_sendable = !text.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f);
        proptest::prop_assert_eq!(crate::api::access::bearer(&text).is_ok(), is_sendable);
    }
}
