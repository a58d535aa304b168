//! What `resolv.conf` says, as far as it matters here. Pure.

use std::net::{IpAddr, SocketAddr};

const PORT: u16 = 53;
/// Of servers, as the C library has it.
const MOST: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<String>,
    /// A name with fewer dots is tried with the search list first.
    dots: usize,
}

impl Settings {
    /// Lines that are not understood are passed over. The last search list counts.
    pub(super) fn read(text: &str) -> Self {
        let mut settings = Self { servers: Vec::new(), search: Vec::new(), dots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => settings.servers.extend(words.next().and_then(server)),
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let dots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    settings.dots = dots.unwrap_or(settings.dots);
                }
                _ => {}
            }
        }
        settings.servers.truncate(MOST);
        settings
    }

    /// The names that `host` may stand for, in the order in which they are tried.
    pub(super) fn names(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let longer = self.search.iter().map(|end| format!("{host}.{}", end.trim_end_matches('.')));
        let mut names: Vec<String> = longer.collect();
        let at = if host.matches('.').count() >= self.dots { 0 } else { names.len() };
        names.insert(at, host.to_owned());
        names
    }
}

/// One with a zone, such as `fe80::1%eth0`, is not asked.
fn server(text: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_what_is_not_understood_is_passed_over() {
        let text = "# by hand\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\nnameserver\nsortlist 1.2.3.4\n\
                    \tnameserver fd00:96::10 # second\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n";
        let servers: Vec<String> = Settings::read(text).servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.96.0.10:53", "[fd00:96::10]:53", "192.0.2.1:53"]);
        assert!(Settings::read("").servers.is_empty());
    }

    #[test]
    fn names_are_tried_in_the_order_of_the_c_library() {
        let plain = "search a.example b.example.\n";
        let many = "domain old.example\nsearch a.example\noptions timeout:1 ndots:5\n";
        for (shows, text, host, names) in [
            ("no list", "", "api", &["api"][..]),
            ("one without a dot", plain, "api", &["api.a.example", "api.b.example", "api"]),
            ("one with a dot", plain, "api.x", &["api.x", "api.x.a.example", "api.x.b.example"]),
            ("one that ends", plain, "api.x.", &["api.x"]),
            ("fewer dots than asked for", many, "api.x", &["api.x.a.example", "api.x"]),
        ] {
            assert_eq!(Settings::read(text).names(host), names, "{shows}");
        }
    }
}
