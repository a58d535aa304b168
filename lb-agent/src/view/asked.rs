//! Which Service is asked for: by its name, or by what clients dial. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::model::ObjectName;
use crate::model::self_test::is_self_test;
use crate::shown::Quoted;
use crate::store::Store;
use crate::suggest::suggest;

use super::kernel::ServiceView;

/// Which Service is meant, and which of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) service: ObjectName,
    /// A name or a number; all of them without one.
    pub(super) port: Option<String>,
}

pub(super) fn find(store: &Store, asked: &str) -> Result<Asked, String> {
    if let Some((address, port)) = dialled(asked) {
        let owner = store.owner_of(address, port).filter(|owner| !is_self_test(owner));
        let owner = owner.ok_or_else(|| {
            format!("{asked} belongs to no Service that is known: it is left as it is dialled")
        })?;
        return Ok(Asked { service: owner.clone(), port: port.map(|port| port.to_string()) });
    }
    let (name, port) = match asked.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.to_owned())),
        None => (asked, None),
    };
    // No Service has the name of an address.
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    if is_address && let Some(port) = &port {
        return Err(format!("{} is not a port number between 0 and 65535", Quoted(port)));
    }
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    if namespace.is_empty() || name.is_empty() || port.as_deref() == Some("") {
        return Err(format!(
            "{} names no Service: write NAME, NAMESPACE/NAME or an address, and :PORT after it for one port",
            Quoted(asked)
        ));
    }
    Ok(Asked { service: ObjectName { namespace: namespace.into(), name: name.into() }, port })
}

/// Whether an element of the maps is one that is asked for, in the same words.
#[must_use]
pub fn is_meant(element: &ServiceView, asked: &str) -> bool {
    let Ok(address) = element.address.parse::<SocketAddr>() else { return false };
    if let Some((ip, port)) = dialled(asked) {
        let is_there = address.ip() == ip || (address.ip().is_unspecified() && port.is_some());
        return is_there && port.is_none_or(|port| address.port() == port);
    }
    let (name, port) = asked.rsplit_once(':').map_or((asked, None), |(name, port)| (name, Some(port)));
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let has_port = |port: &str| element.port_name == port || port.parse() == Ok(address.port());
    (element.namespace.as_str(), element.service.as_str()) == (namespace, name) && port.is_none_or(has_port)
}

/// An address as clients write it: with a port, or alone.
fn dialled(asked: &str) -> Option<(IpAddr, Option<u16>)> {
    let with_port = asked.parse().map(|at: SocketAddr| (at.ip(), Some(at.port())));
    let (address, port) = with_port.or_else(|_| asked.parse().map(|at: IpAddr| (at, None))).ok()?;
    // Sockets of IPv6 dial addresses of IPv4 as ::ffff:a.b.c.d.
    Some((address.to_canonical(), port))
}

pub(super) fn no_service(store: &Store, service: &ObjectName) -> String {
    let names: Vec<String> = store
        .services()
        .map(|(service, _)| &service.name)
        .filter(|name| !is_self_test(name))
        .map(ToString::to_string)
        .collect();
    let of_other_namespaces = |other: &&String| other.rsplit('/').next() == Some(&*service.name);
    let mut near: Vec<&str> =
        names.iter().filter(of_other_namespaces).map(String::as_str).take(FEW).collect();
    if near.is_empty() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        near = suggest(&service.to_string(), &names);
    }
    let known = if store.is_synced() { "there is no Service" } else { "the source has not shown a Service" };
    match near.as_slice() {
        [] => format!("{known} {service}"),
        near => format!("{known} {service}: did you mean {}?", near.join(" or ")),
    }
}

const FEW: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Rules;

    #[test]
    fn an_address_with_something_else_than_a_port_is_no_name() {
        let store = Store::new("n1", Rules::default());
        for (asked, port) in
            [("10.96.0.11:99999", "99999"), ("10.96.0.11:http", "http"), ("[fd00::1]:-1", "-1")]
        {
            let says = format!("\"{port}\" is not a port number between 0 and 65535");
            assert_eq!(find(&store, asked), Err(says), "{asked}");
        }
        assert_eq!(find(&store, "web:99999").unwrap().port.as_deref(), Some("99999"), "the name of a port");
    }
}
