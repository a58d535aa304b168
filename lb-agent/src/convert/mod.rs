//! Kubernetes objects into our words. Pure: what cannot be used is left out and named.

mod interner;
mod node;
mod service;
mod slice;
#[cfg(test)]
mod tests;
mod unread;
pub mod written;

use std::net::{IpAddr, Ipv4Addr};

use crate::model::{Kind, ObjectName, Protocol};

pub use interner::Interner;
pub use node::node;
pub use service::service;
pub use slice::slice;
pub use unread::unread;
use written::Metadata;

/// An object in our words, and what of the original had to be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted<T> {
    pub object: T,
    /// One sentence for each part that cannot be used, beginning with its field.
    pub problems: Vec<String>,
}

/// Without a name an object is not one of its kind: nothing of it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every {} needs a name", kind.label())]
pub struct Nameless {
    pub kind: Kind,
}

fn object_name(kind: Kind, metadata: &Metadata, names: &mut Interner) -> Result<ObjectName, Nameless> {
    let name = bare_name(kind, metadata)?;
    let namespace = metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    Ok(ObjectName { namespace: names.share(namespace.unwrap_or("default")), name: names.share(name) })
}

fn bare_name(kind: Kind, metadata: &Metadata) -> Result<&str, Nameless> {
    metadata.name.as_deref().filter(|name| !name.is_empty()).ok_or(Nameless { kind })
}

fn label<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn annotation<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Absent is TCP, as the API server would fill it in.
fn protocol(written: Option<&str>) -> Result<Protocol, String> {
    match written {
        None | Some("" | "TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => Err(format!("\"{other}\" is not TCP, UDP or SCTP")),
    }
}

fn port(number: i32) -> Result<u16, String> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{number} is not a port number"))
}

/// Reads an address as kube-proxy does: leading zeros of an IPv4 address are decimal, and an
/// IPv4-mapped IPv6 address is the IPv4 address.
fn address(written: &str) -> Result<IpAddr, String> {
    written
        .parse::<IpAddr>()
        .ok()
        .or_else(|| with_leading_zeros(written).map(IpAddr::V4))
        .map(|address| address.to_canonical())
        .ok_or_else(|| format!("\"{written}\" is not an IP address"))
}

fn with_leading_zeros(written: &str) -> Option<Ipv4Addr> {
    let mut parts = written.split('.').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.trim_start_matches('0')).map(|part| if part.is_empty() { "0" } else { part })
    });
    let mut octets = [0_u8; 4];
    for octet in &mut octets {
        *octet = parts.next()??.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}
