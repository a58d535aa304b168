//! Takes out of a text what looks like a secret. Pure.
//!
//! The agent logs and shows none of its own. What is left are texts of others: an address with a password in it, or what
//! an exec plugin says on stderr.

/// Stands for what is left out.
const OUT: &str = "(left out)";
/// Words after which, and after `=` or `:`, a secret stands.
const NAMES: [&str; 10] = [
    "token",
    "password",
    "passwd",
    "secret",
    "apikey",
    "api-key",
    "client-key-data",
    "certificate-data",
    "certificate-authority-data",
    "private-key",
];
/// A run of letters and digits of this length, in upper and lower case with digits, is no word.
const LONG: usize = 40;

/// `text` without what looks like a secret: users and passwords in addresses, what an `Authorization` header says, tokens,
/// keys and certificates, and values that are named as such.
#[must_use]
pub(crate) fn without_secrets(text: &str) -> String {
    if is_a_short_word(text) {
        return text.to_owned();
    }
    let text = without_pem(text);
    let text = without_users(&text);
    let text = without_headers(&text);
    without_values(&text)
}

/// Most texts are names and addresses: nothing in them can be a secret by what stands around it.
fn is_a_short_word(text: &str) -> bool {
    let plain =
        |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || matches!(one, b'-' | b'.' | b'/');
    let is_address = |one: u8| one.is_ascii_hexdigit() || matches!(one, b'.' | b':' | b'[' | b']');
    text.len() < LONG
        && !text.starts_with("-----")
        && (text.bytes().all(plain) || text.bytes().all(is_address))
}

/// From `-----BEGIN` to the end of that block, or of the text.
fn without_pem(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(from) = rest.find("-----BEGIN") {
        out += &rest[..from];
        out += OUT;
        let block = &rest[from..];
        let end = block.find("-----END").and_then(|end| {
            let name = end + "-----END".len();
            Some(name + block[name..].find("-----")? + "-----".len())
        });
        rest = end.map_or("", |end| &block[end..]);
    }
    out + rest
}

/// `scheme://user:password@host` is an address without the user.
fn without_users(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(from) = rest.find("://") {
        let (before, after) = rest.split_at(from + 3);
        out += before;
        let authority = after.find(ends_authority).map_or(after, |end| &after[..end]);
        rest = after;
        if let Some(user) = authority.rfind('@') {
            out += OUT;
            rest = &after[user..];
        }
    }
    out + rest
}

const fn ends_authority(one: char) -> bool {
    matches!(one, '/' | '?' | '#' | '"' | '\'' | '\\' | '<' | '>' | ',' | ')' | '(') || one.is_whitespace()
}

/// What `Authorization`, `Proxy-Authorization` and `Cookie` say, to the end of the line, and what follows `Bearer` or `Basic`.
fn without_headers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((at, word)) = first_of(rest, &["authorization", "cookie", "bearer ", "basic "]) {
        let (before, after) = rest.split_at(at + word.len());
        out += before;
        let value = after.trim_start_matches(is_between);
        let is_header = !word.ends_with(' ');
        if is_header && !after[..after.len() - value.len()].contains([':', '=']) {
            rest = after;
            continue;
        }
        out += &after[..after.len() - value.len()];
        let end = if is_header {
            value.find(['"', '\'', '\\', '\n'])
        } else {
            value.find(|one: char| ends_value(one))
        };
        let end = end.unwrap_or(value.len());
        // "basic auth" is no secret, and `Basic dXNlcjpw` is one.
        if is_header || value[..end].len() >= 8 {
            out += OUT;
            rest = &value[end..];
        } else {
            rest = value;
        }
    }
    out + rest
}

/// The first of `words` in the text, whatever case it is written in.
fn first_of<'w>(text: &str, words: &[&'w str]) -> Option<(usize, &'w str)> {
    let found = words.iter().filter_map(|word| {
        let mut windows = text.as_bytes().windows(word.len());
        Some((windows.position(|part| part.eq_ignore_ascii_case(word.as_bytes()))?, *word))
    });
    found.min()
}

const fn is_between(one: char) -> bool {
    matches!(one, '=' | ':' | '"' | '\'' | '\\' | ' ')
}

const fn ends_value(one: char) -> bool {
    matches!(one, '"' | '\'' | '\\' | ',' | ';' | '&' | ')' | '}' | ']') || one.is_whitespace()
}

/// Values that are named as a secret, and long runs of signs as tokens and keys have them.
fn without_values(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|one: char| !is_of_word(one)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if looks_like_one(word) {
            out += OUT;
        } else {
            out += word;
        }
        rest = after;
        if let Some(value) = named(word, after) {
            let between = &after[..after.len() - value.len()];
            out += between;
            out += OUT;
            rest = &value[length_of(value, between.chars().next_back())..];
            continue;
        }
        // To the next word.
        let next = rest.find(is_of_word).unwrap_or(rest.len());
        out += &rest[..next];
        rest = &rest[next..];
    }
    out
}

/// What follows `word` as its value, where that names a secret.
fn named<'t>(word: &str, after: &'t str) -> Option<&'t str> {
    let lower = word.to_ascii_lowercase();
    let is_named = NAMES.iter().any(|name| lower.ends_with(name) || lower.replace('_', "-").ends_with(name));
    let value = after.trim_start_matches(is_between);
    let between = &after[..after.len() - value.len()];
    let is_assigned = between.contains(['=', ':']);
    (is_named && is_assigned && !value.is_empty()).then_some(value)
}

/// How long a value is that stands after this sign.
fn length_of(value: &str, after: Option<char>) -> usize {
    let end = match after {
        _ if value.starts_with(OUT) => Some(OUT.len()),
        Some('"') => value.find(['"', '\\']),
        Some('\'') => value.find(['\'', '\n']),
        Some(_) | None => value.find(ends_value),
    };
    end.unwrap_or(value.len())
}

const fn is_of_word(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '+' | '.' | '~')
}

/// Tokens of Kubernetes begin with `eyJ`; other keys are long and mixed.
fn looks_like_one(word: &str) -> bool {
    let has = |of: fn(&u8) -> bool| word.as_bytes().iter().any(of);
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    (word.starts_with("eyJ") && word.len() >= 16) || (word.len() >= LONG && is_mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_left_out_and_the_rest_stays() {
        for (text, without) in [
            ("https://10.0.0.1:6443 is v1.33.1", "https://10.0.0.1:6443 is v1.33.1"),
            ("dial https://user:s3cret@host:8443/x?y now", "dial https://(left out)@host:8443/x?y now"),
            ("http://a@b@c/ and http://d/e@f", "http://(left out)@c/ and http://d/e@f"),
            ("a line: Authorization: Bearer abc.def", "a line: Authorization: (left out)"),
            (
                "{\\\"authorization\\\": \\\"Basic dXNlcjpw\\\"}",
                "{\\\"authorization\\\": \\\"(left out)\\\"}",
            ),
            ("said bearer abcdefghij, and", "said bearer (left out), and"),
            ("basic auth is off", "basic auth is off"),
            ("authorization is not asked for", "authorization is not asked for"),
            ("password: 'a b' next", "password: '(left out)' next"),
            ("token=abc next", "token=(left out) next"),
            ("ID_TOKEN: 'abc' next", "ID_TOKEN: '(left out)' next"),
            ("the token file /var/run/token cannot be read", "the token file /var/run/token cannot be read"),
            ("a client-key-data: LS0tLS1C", "a client-key-data: (left out)"),
            ("eyJhbGciOiJSUzI1NiIs.eyJpc3Mi.c2ln x", "(left out) x"),
            ("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY----- x", "(left out) x"),
            ("-----BEGIN CERTIFICATE-----\\nMII", "(left out)"),
            (
                "Ab0Ab0Ab0Ab0Ab0Ab0Ab0Ab0Ab0Ab0Ab0Ab0Ab0Ab0 ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0",
                "(left out) ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0ab0",
            ),
            ("ä Authorization", "ä Authorization"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(text), without, "{text}");
            assert_eq!(without_secrets(without), without, "once more: {text}");
        }
    }
}
