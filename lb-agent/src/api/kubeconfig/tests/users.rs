//! Who asks: tokens, passwords, certificates, plugins, impersonation.

use super::*;

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
