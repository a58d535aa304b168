//! Which addresses can be dialled, or be an endpoint. Pure.

use std::net::{IpAddr, Ipv4Addr};

use crate::shown::Quoted;

/// Reads an address as kube-proxy does: leading zeros of an IPv4 address are decimal, and an
/// IPv4-mapped IPv6 address is the IPv4 address. One that means this host, or no single host, cannot be
/// used: an API server refuses it, and a connection to it would reach the client itself.
pub(super) fn address(written: &str) -> Result<IpAddr, String> {
    let address = read(written)?;
    match meaning(address) {
        None => Ok(address),
        Some(meaning) => Err(format!("{address} is {meaning}")),
    }
}

/// As [`address`], of a load balancer: some have link-local addresses of IPv4, kube-proxy serves them, and no scope is missing.
pub(super) fn of_balancer(written: &str) -> Result<IpAddr, String> {
    match read(written)? {
        IpAddr::V4(found) if found.is_link_local() => Ok(IpAddr::V4(found)),
        IpAddr::V4(_) | IpAddr::V6(_) => address(written),
    }
}

fn read(written: &str) -> Result<IpAddr, String> {
    let address = written.parse::<IpAddr>().ok().or_else(|| with_leading_zeros(written).map(IpAddr::V4));
    address
        .map(|address| address.to_canonical())
        .ok_or_else(|| format!("{} is not an IP address", Quoted(written)))
}

/// What an address means that is not one host of a network.
fn meaning(address: IpAddr) -> Option<&'static str> {
    let of_v4 = |address: Ipv4Addr| match address.octets() {
        [0, ..] => Some("unspecified: it means this host"),
        [127, ..] => Some("a loopback address: it means this host"),
        [169, 254, ..] => Some("a link-local address"),
        [224..=239, ..] => Some("a multicast address"),
        [255, 255, 255, 255] => Some("the broadcast address"),
        _ => None,
    };
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) if address.is_unspecified() => Some("unspecified: it means this host"),
        IpAddr::V6(address) if address.is_loopback() => Some("a loopback address: it means this host"),
        IpAddr::V6(address) if address.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(address) if address.is_multicast() => Some("a multicast address"),
        IpAddr::V6(_) => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_this_host_or_no_single_one_cannot_be_used() {
        for (written, expected) in [
            ("10.1.0.1", "10.1.0.1"),
            ("010.001.000.1", "10.1.0.1"),
            ("1.0.0.0", "1.0.0.0"),
            ("126.255.255.255", "126.255.255.255"),
            ("128.0.0.1", "128.0.0.1"),
            ("169.253.255.255", "169.253.255.255"),
            ("169.255.0.0", "169.255.0.0"),
            ("223.255.255.255", "223.255.255.255"),
            ("240.0.0.1", "240.0.0.1"),
            ("255.255.255.254", "255.255.255.254"),
            ("fd00::1", "fd00::1"),
            ("::2", "::2"),
            ("fec0::1", "fec0::1"),
            ("::ffff:10.1.0.1", "10.1.0.1"),
            ("0.0.0.0", "0.0.0.0 is unspecified: it means this host"),
            ("0.1.2.3", "0.1.2.3 is unspecified: it means this host"),
            ("127.0.0.1", "127.0.0.1 is a loopback address: it means this host"),
            ("127.255.255.254", "127.255.255.254 is a loopback address: it means this host"),
            ("127.000.000.001", "127.0.0.1 is a loopback address: it means this host"),
            ("169.254.0.1", "169.254.0.1 is a link-local address"),
            ("224.0.0.5", "224.0.0.5 is a multicast address"),
            ("239.255.255.250", "239.255.255.250 is a multicast address"),
            ("255.255.255.255", "255.255.255.255 is the broadcast address"),
            ("::", ":: is unspecified: it means this host"),
            ("::1", "::1 is a loopback address: it means this host"),
            ("fe80::1", "fe80::1 is a link-local address"),
            ("febf::1", "febf::1 is a link-local address"),
            ("ff02::1", "ff02::1 is a multicast address"),
            ("::ffff:0.0.0.0", "0.0.0.0 is unspecified: it means this host"),
            ("::ffff:127.0.0.1", "127.0.0.1 is a loopback address: it means this host"),
            ("::ffff:e000:5", "224.0.0.5 is a multicast address"),
            ("fe80::1%eth0", "\"fe80::1%eth0\" is not an IP address"),
            ("ten", "\"ten\" is not an IP address"),
            ("", "\"\" is not an IP address"),
        ] {
            let found = address(written).map_or_else(|why| why, |address| address.to_string());
            assert_eq!(found, expected, "{written}");
        }
    }
}
