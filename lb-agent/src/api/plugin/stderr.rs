//! A line of a plugin's stderr, as it may be shown. Pure.

use crate::shown::shown;

const HIDDEN: &str = "(hidden)";
/// A word of letters and digits of this length is taken for a secret.
const LONG: usize = 20;
/// What stands behind one of these is taken for a secret.
const SIGNS: [&str; 8] = ["token", "password", "passwd", "secret", "bearer", "basic", "authorization", "key"];

/// What stands in every answer.
const FIELDS: [&str; 10] = [
    "apiVersion",
    "kind",
    "ExecCredential",
    "spec",
    "interactive",
    "status",
    "token",
    "expirationTimestamp",
    "clientCertificateData",
    "clientKeyData",
];

/// The last line that says something. Hidden in it is what the plugin was given (`known`), what it wrote to
/// stdout, and what looks like a token or a password.
pub(super) fn last_line(stderr: &[u8], known: &[&str], stdout: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let stdout = String::from_utf8_lossy(stdout);
    let mut secrets: Vec<&str> = known.iter().copied().flat_map(str::lines).map(str::trim).collect();
    // A shell may have taken them apart.
    secrets.extend(known.iter().flat_map(|text| text.split(|part: char| !part.is_alphanumeric())));
    secrets.extend(stdout.split(|part: char| !is_of_token(part)).filter(|word| !FIELDS.contains(word)));
    secrets.retain(|secret| secret.len() > 2);
    // The longest first: one may be a part of another.
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let line = secrets.iter().fold(line.to_owned(), |line, secret| line.replace(secret, HIDDEN));
    Some(shown(&without_tokens(&line)))
}

const fn is_of_token(part: char) -> bool {
    part.is_ascii_alphanumeric() || matches!(part, '-' | '_' | '+' | '=' | '.' | '/' | '~')
}

fn without_tokens(line: &str) -> String {
    let mut shown = String::new();
    let mut follows_sign = false;
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|part| !is_of_token(part)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let end = after.find(is_of_token).unwrap_or(after.len());
        let (between, after) = after.split_at(end);
        let lower = word.to_ascii_lowercase();
        let (name, value) = lower.split_once('=').unwrap_or((&lower, ""));
        let is_sign = SIGNS.iter().any(|sign| name.ends_with(sign));
        if looks_secret(word) || (follows_sign && !word.is_empty()) || (is_sign && !value.is_empty()) {
            shown += HIDDEN;
        } else {
            shown += word;
        }
        // As in `token: x`, `"token":"x"`, `token="x"` and `Bearer x`.
        let is_scheme = matches!(lower.as_str(), "bearer" | "basic");
        follows_sign = is_sign && (is_scheme || between.contains(':') || lower.ends_with('='));
        shown += between;
        rest = after;
    }
    shown
}

fn looks_secret(word: &str) -> bool {
    word.starts_with("eyJ")
        || word.split(['.', '/', '=', '-', '_']).any(|part| {
            part.len() >= LONG
                && part.contains(|one: char| one.is_ascii_digit())
                && part.contains(|one: char| one.is_ascii_alphabetic())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_plugin_says_no_secret_is_shown() {
        let known = ["--password", "hunter2", "SEKRIT", "one/zwo"];
        let stdout = br#"{"status": {"token": "tok-out"}}"#;
        for (shows, stderr, expected) in [
            ("nothing", "", None),
            ("blank lines alone", "\n  \n", None),
            ("the last line that says something", "a\nno network\n\n", Some("no network")),
            ("an argument", "bad flag --password hunter2", Some("bad flag (hidden) (hidden)")),
            ("an environment variable", "with SEKRIT inside", Some("with (hidden) inside")),
            ("a part of it", "with zwo inside", Some("with (hidden) inside")),
            ("what went to stdout", "I wrote tok-out", Some("I wrote (hidden)")),
            ("a JWT", "got eyJh.eyJz.c2ln", Some("got (hidden)")),
            ("a long word of letters and digits", "got 0123456789abcdef0123", Some("got (hidden)")),
            (
                "a URL stays",
                "GET https://idp.example.com/a/b: 500",
                Some("GET https://idp.example.com/a/b: 500"),
            ),
            ("a scheme", "Authorization: Bearer abc", Some("Authorization: (hidden) (hidden)")),
            ("a field", r#"{"id_token":"abc","a":"b"}"#, Some(r#"{"id_token":"(hidden)","a":"b"}"#)),
            ("a setting", "client_secret=abc failed", Some("(hidden) failed")),
            ("a sentence about a token", "the token has expired", Some("the token has expired")),
            ("escapes", "\x1b[2Jred\u{202e}", Some("\\u{1b}[2Jred\\u{202e}")),
        ] {
            assert_eq!(last_line(stderr.as_bytes(), &known, stdout).as_deref(), expected, "{shows}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_two_letters() {
        let line = last_line("ü".repeat(300).as_bytes(), &[], b"").unwrap();
        assert_eq!(line, format!("{}… (600 bytes)", "ü".repeat(128)));
    }
}
