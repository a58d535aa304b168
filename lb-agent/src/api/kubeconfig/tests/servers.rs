//! Where the API server is, and whom it is trusted by.

use super::*;

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
