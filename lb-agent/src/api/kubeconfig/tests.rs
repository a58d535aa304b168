//! Kubeconfigs against the rules of kubectl (client-go's `clientcmd`, `rest` and `transport`).

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

#[test]
fn servers() {
    let server = |server: &str| with(&format!("server: {server:?}"), "token: t");
    let with_ca = |server: &str| with(&format!("server: {server:?}, certificate-authority: ca"), "");
    check(&[
        ("a URL", server("https://h:6443"), "https://h:6443/ Bearer t"),
        ("a scheme in capitals", server("HTTPS://h"), "https://h/ Bearer t"),
        ("no scheme: http", server("127.0.0.1:8801"), "http://127.0.0.1:8801/ Bearer t"),
        ("no scheme, a name and a port", server("localhost:8080"), "http://localhost:8080/ Bearer t"),
        ("no scheme, with a CA: https", with_ca("h:1"), "https://h:1/ ca=/etc/k/ca"),
        (
            "no scheme, insecure: https",
            with("server: 'h:1', insecure-skip-tls-verify: true", ""),
            "https://h:1/ any",
        ),
        (
            "no scheme, with a client certificate: https",
            with("server: 'h:1'", "client-certificate: a, client-key: b"),
            "https://h:1/ cert=/etc/k/a key=/etc/k/b",
        ),
        ("no scheme and a slash", server("h:1/"), "http://h:1/ Bearer t"),
        ("no scheme and a path", server("h:1/a"), "error: begins with https:// or http://"),
        ("another scheme", server("ftp://h"), "error: the scheme has to be https or http"),
        ("a path", server("https://h/a/b"), "https://h/a/b Bearer t"),
        ("a path that ends with a slash", server("https://h/a/"), "https://h/a Bearer t"),
        ("a path with odd slashes and dots", server("https://h//a/./x/../b"), "https://h/a/b Bearer t"),
        ("a path with a blank", server("https://h/a b"), "https://h/a%20b Bearer t"),
        ("a query and a fragment", server("https://h/a?x=1#y"), "https://h/a Bearer t"),
        ("a query without a path", server("https://h?x=1"), "https://h/ Bearer t"),
        ("a user in it comes first", server("https://a:b@h"), "https://h/ Basic YTpi"),
        ("an escaped password", server("https://a:b%40@h"), "https://h/ Basic YTpiQA=="),
        ("IPv6", server("https://[fd00::1]:6443"), "https://[fd00::1]:6443/ Bearer t"),
        ("IPv6 without brackets", server("https://fd00::1"), "error: stands in brackets"),
        ("an empty port", server("https://h:"), "https://h/ Bearer t"),
        ("a port that is too large", server("https://h:65536"), "error: up to 65535"),
        ("a port that is a word", server("https://h:x"), "error: up to 65535"),
        ("no host", server("https://"), "error: write it as"),
        ("no host, but a path", server("https:///a"), "error: write it as"),
        ("only slashes", server("//h"), "error: begins with"),
        ("a blank in the host", server("https://h h"), "error: write it as"),
        ("a line break", server("https://h\n"), "error: a control character"),
        ("NUL", server("https://h\u{0}"), "error: a control character"),
        ("beyond ASCII", server("https://hö"), "error: write it as"),
        ("very long", server(&format!("https://{}", "h".repeat(70_000))), "error: write it as"),
        ("empty", server(""), "error: has no server"),
        ("null", with("server: null", ""), "error: has no server"),
        ("absent", with("", ""), "error: has no server"),
        ("a number", with("server: 1", ""), "error: clusters[0].cluster.server is not of the type"),
    ]);
}

#[test]
fn authorities() {
    let https = |more: &str| with(&format!("server: 'https://h', {more}"), "");
    check(&[
        ("data", https("certificate-authority-data: Y2E="), "https://h/ ca=\"ca\""),
        ("data in lines", https("certificate-authority-data: \"Y2\\r\\nE\\n=\\n\""), "https://h/ ca=\"ca\""),
        ("data with a blank", https("certificate-authority-data: 'Y2 E='"), "error: -data is not base64"),
        ("data without its padding", https("certificate-authority-data: Y2E"), "error: is not base64"),
        ("data for URLs", https("certificate-authority-data: '_-8='"), "error: is not base64"),
        ("empty data", https("certificate-authority-data: ''"), "https://h/"),
        ("a relative file", https("certificate-authority: a/ca"), "https://h/ ca=/etc/k/a/ca"),
        ("an absolute file", https("certificate-authority: /ca"), "https://h/ ca=/ca"),
        (
            "both",
            https("certificate-authority: /ca, certificate-authority-data: Y2E="),
            "error: both certificate-authority and certificate-authority-data",
        ),
        (
            "insecure with a CA",
            https("insecure-skip-tls-verify: true, certificate-authority: /ca"),
            "error: both insecure-skip-tls-verify and",
        ),
        ("insecure alone", https("insecure-skip-tls-verify: true"), "https://h/ any"),
        ("insecure as a text", https("insecure-skip-tls-verify: 'true'"), "error: is not of the type"),
        ("another name", https("tls-server-name: other"), "https://h/ name=other"),
        ("a proxy", https("proxy-url: 'http://a:b@p:3128/x'"), "https://h/ proxy=p:3128"),
        ("an empty proxy", https("proxy-url: ''"), "https://h/"),
        ("compression does not matter", https("disable-compression: true"), "https://h/"),
    ]);
}

#[test]
fn users() {
    let user = |user: &str| with("server: 'https://h'", user);
    check(&[
        ("none", user(""), "https://h/"),
        ("a token", user("token: t"), "https://h/ Bearer t"),
        ("an empty token", user("token: ''"), "https://h/"),
        ("null", user("token: null"), "https://h/"),
        ("a token that is a number", user("token: 12345"), "error: users[0].user.token is not of the type"),
        ("a number in quotes", user("token: '12345'"), "https://h/ Bearer 12345"),
        ("a token that is a bool", user("token: true"), "error: is not of the type"),
        ("a token that is a list", user("token: [t]"), "error: is not of the type"),
        (
            "a token with a line break",
            user("token: \"t\\n\""),
            "error: the token of user \"u\" holds a line break (at byte 1)",
        ),
        ("a token with NUL", user("token: \"a\\0b\""), "error: the control character 0x00 (at byte 1)"),
        ("a token with DEL", user("token: \"\\x7f\""), "error: the control character 0x7f"),
        ("a token with a tab", user("token: \"a\\tb\""), "https://h/ Bearer a\tb"),
        ("a token beyond ASCII", user("token: tö"), "https://h/ Bearer tö"),
        ("a file", user("tokenFile: t"), "https://h/ /etc/k/t"),
        ("a file and a token", user("tokenFile: /t, token: x"), "https://h/ /t or Bearer x"),
        ("a password", user("username: a, password: b"), "https://h/ Basic YTpi"),
        ("a user without a password", user("username: a"), "https://h/ Basic YTo="),
        ("a password without a user", user("password: b"), "https://h/ Basic OmI="),
        (
            "a password with a line break",
            user("username: a, password: \"b\\n\""),
            "https://h/ Basic YTpiCg==",
        ),
        ("token and password", user("token: t, username: a"), "error: both a token and a username"),
        ("file and password", user("tokenFile: t, password: a"), "error: both a token and a username"),
    ]);
}

#[test]
fn client_certificates_and_auth_providers() {
    let user = |user: &str| with("server: 'https://h'", user);
    check(&[
        (
            "a certificate",
            user("client-certificate: a, client-key-data: aw=="),
            "https://h/ cert=/etc/k/a key=\"k\"",
        ),
        (
            "a certificate and a token",
            user("client-certificate-data: Yw==, client-key: b, token: t"),
            "https://h/ cert=\"c\" key=/etc/k/b Bearer t",
        ),
        (
            "a certificate twice",
            user("client-certificate: a, client-certificate-data: Yw==, client-key: b"),
            "error: both client-certificate and client-certificate-data",
        ),
        (
            "a key twice",
            user("client-certificate: a, client-key: b, client-key-data: Yw=="),
            "error: both client-key and client-key-data",
        ),
        ("a certificate without a key", user("client-certificate: a"), "error: no client-key"),
        ("a key without a certificate does not matter", user("client-key: b"), "https://h/"),
        (
            "data that is no base64",
            user("client-key-data: '*'"),
            "error: users[0].user.client-key-data is not base64",
        ),
        (
            "an auth-provider",
            user("auth-provider: {name: gcp, config: {access-token: s}}"),
            "error: the auth-provider \"gcp\", which is not supported",
        ),
        (
            "an auth-provider and a token",
            user("token: t, auth-provider: {name: gcp}"),
            "error: the auth-provider \"gcp\", which is not supported",
        ),
    ]);
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
fn impersonation() {
    let user = |user: &str| with("server: 'https://h'", user);
    check(&[
        ("a user", user("as: a"), "https://h/ impersonate-user=a"),
        (
            "everything",
            user("as: a, as-uid: '1', as-groups: [g, h], as-user-extra: {k: [v, w]}"),
            "https://h/ impersonate-user=a impersonate-uid=1 impersonate-group=g impersonate-group=h \
             impersonate-extra-k=v impersonate-extra-k=w",
        ),
        (
            "keys that no header can have",
            user("as: a, as-user-extra: {'x/y %ü': [v]}"),
            "https://h/ impersonate-user=a impersonate-extra-x%2fy%20%25%c3%bc=v",
        ),
        ("groups without a user", user("as-groups: [g]"), "error: and no as"),
        ("a uid without a user", user("as-uid: '1'"), "error: and no as"),
        ("extra without a user", user("as-user-extra: {k: [v]}"), "error: and no as"),
        (
            "a uid that is a number",
            user("as: a, as-uid: 1"),
            "error: users[0].user.as-uid is not of the type",
        ),
        (
            "a line break",
            user("as: a, as-groups: [\"g\\nh\"]"),
            "error: as-groups of user \"u\" holds a line break",
        ),
        (
            "a null among the groups",
            user("as: a, as-groups: [null]"),
            "https://h/ impersonate-user=a impersonate-group=",
        ),
    ]);
}

#[test]
fn plugins() {
    let exec = |exec: &str| with("server: 'https://h'", &format!("exec: {{{exec}}}"));
    let v1 = "apiVersion: client.authentication.k8s.io/v1";
    let mode = "interactiveMode: Never";
    check(&[
        ("by name", exec(&format!("{v1}, {mode}, command: p")), "https://h/ exec p"),
        ("a relative path", exec(&format!("{v1}, {mode}, command: ./p")), "https://h/ exec /etc/k/./p"),
        ("an absolute path", exec(&format!("{v1}, {mode}, command: /p")), "https://h/ exec /p"),
        (
            "v1beta1 needs no mode",
            exec("apiVersion: client.authentication.k8s.io/v1beta1, command: p"),
            "https://h/ exec p",
        ),
        ("v1 needs one", exec(&format!("{v1}, command: p")), "error: has no interactiveMode"),
        (
            "if available: it is not",
            exec(&format!("{v1}, interactiveMode: IfAvailable, command: p")),
            "https://h/ exec p",
        ),
        (
            "always",
            exec(&format!("{v1}, interactiveMode: Always, command: p")),
            "error: an agent has no terminal",
        ),
        (
            "an odd mode",
            exec(&format!("{v1}, interactiveMode: never, command: p")),
            "error: the interactiveMode \"never\"",
        ),
        (
            "v1alpha1",
            exec("apiVersion: client.authentication.k8s.io/v1alpha1, command: p"),
            "error: v1alpha1\": client.authentication.k8s.io/v1 and",
        ),
        ("no version", exec(&format!("{mode}, command: p")), "error: has no apiVersion"),
        ("no command", exec(&format!("{v1}, {mode}")), "error: has no command"),
        ("nothing", exec(""), "error: has no command"),
        ("null", with("server: 'https://h'", "exec: null"), "https://h/"),
        (
            "a nameless env",
            exec(&format!("{v1}, {mode}, command: p, env: [{{value: x}}]")),
            "error: an env without a name",
        ),
        (
            "args that are numbers",
            exec(&format!("{v1}, {mode}, command: p, args: [1]")),
            "error: is not of the type",
        ),
        (
            "args and env that are null",
            exec(&format!("{v1}, {mode}, command: p, args: null, env: null")),
            "https://h/ exec p",
        ),
    ]);
}

#[test]
fn other_credentials_come_before_a_plugin() {
    let more = |more: &str| {
        let exec = "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: p";
        with("server: 'https://h'", &format!("exec: {{{exec}}}, {more}"))
    };
    let always = "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always, command: p}";
    check(&[
        ("a token comes first", more("token: t"), "https://h/ Bearer t"),
        ("a token's file comes first", more("tokenFile: /t"), "https://h/ /t"),
        ("a password comes first", more("username: a"), "https://h/ Basic YTo="),
        (
            "a certificate comes first",
            more("client-certificate: /a, client-key: /b"),
            "https://h/ cert=/a key=/b",
        ),
        ("with an auth-provider", more("auth-provider: {name: x}"), "error: both auth-provider and exec"),
        (
            "always, and it is not asked",
            with("server: 'https://h'", &format!("token: t, {always}")),
            "https://h/ Bearer t",
        ),
    ]);
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
