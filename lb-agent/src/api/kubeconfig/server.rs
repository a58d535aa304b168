//! The address of an API server, as client-go understands it. Pure.

use http::Uri;

use crate::api::secret::Secret;
use crate::shown::shown;

/// An address taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Scheme, host, port and path: what stands in front of the path of each request.
    pub(crate) uri: Uri,
    /// The user that the address itself names.
    pub(crate) user: Option<(String, Secret)>,
}

const NO_ADDRESS: &str = "write it as https://HOST:PORT";

/// Reads what stands at `server`.
///
/// 1. Without a scheme it is https where TLS is configured, else http; and then it has no path.
/// 2. A path stands in front of the path of every request. A query and a fragment are left out.
/// 3. A user and a password in the address are basic authentication.
///
/// # Errors
/// Why it is not an address.
pub(crate) fn server(text: &str, has_tls: bool) -> Result<Server, &'static str> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err("it holds a control character");
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (if has_tls { "https" } else { "http" }.to_owned(), text),
    };
    if scheme != "http" && scheme != "https" {
        return Err("the scheme has to be https or http");
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    if !text.contains("://") && !matches!(path, "" | "/") {
        return Err("an address with a path begins with https:// or http://");
    }
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    check_host(host)?;
    let uri = format!("{scheme}://{}{}", host.trim_end_matches(':'), clean(path));
    Ok(Server { uri: uri.parse().map_err(|_no_uri| NO_ADDRESS)?, user: user.map(user_of) })
}

/// The port is a number that fits, and what looks like IPv6 stands in brackets.
fn check_host(host: &str) -> Result<(), &'static str> {
    let (name, port) = match host.rsplit_once(']') {
        Some((name, rest)) => (name, rest.strip_prefix(':').unwrap_or(rest)),
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    if name.is_empty() {
        return Err(NO_ADDRESS);
    }
    if !name.starts_with('[') && name.contains(':') {
        return Err("an IPv6 address stands in brackets");
    }
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err("the port has to be a number up to 65535");
    }
    Ok(())
}

/// Without empty and relative parts, and with what no path may hold escaped.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut cleaned = String::new();
    for part in parts {
        cleaned.push('/');
        for byte in part.bytes() {
            if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
                cleaned.push(char::from(byte));
            } else {
                cleaned += &format!("%{byte:02X}");
            }
        }
    }
    cleaned
}

fn user_of(text: &str) -> (String, Secret) {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    (unescaped(user), Secret::new(unescaped(password)))
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An address as it may be shown: without a user, a password and a query.
pub(crate) fn without_secrets(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit('@').next().unwrap_or_default();
    shown(&format!("{scheme}{rest}"))
}
