//! Sentences with names and addresses in them: those that are known are replaced wherever they stand, and others where a
//! sentence of ours says that a name comes. Pure.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr};

use super::names::{Kind, Names};

/// Words before a name in a sentence of ours.
const BEFORE_NAMES: [(&str, Kind); 15] = [
    ("Service", Kind::Service),
    ("service", Kind::Service),
    ("EndpointSlice", Kind::Slice),
    ("Node", Kind::Node),
    ("node", Kind::Node),
    ("nodes", Kind::Node),
    ("Namespace", Kind::Namespace),
    ("namespace", Kind::Namespace),
    ("Pod", Kind::Pod),
    ("pod", Kind::Pod),
    ("pool", Kind::Pool),
    ("group", Kind::Pool),
    ("zone", Kind::Label),
    ("zones", Kind::Label),
    ("object", Kind::Service),
];

/// Words of the sentence on hints; those after them are names.
const HINTED: [&str; 5] = ["to", "node", "nodes", "zone", "zones"];

impl<S: BuildHasher> Names<S> {
    /// A sentence, or lines, with other names and addresses in it.
    pub(super) fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        // The last word before, for names that only a sentence has.
        let mut before = "";
        while let Some(next) = rest.chars().next() {
            if !next.is_ascii_alphanumeric() && next != ':' {
                let end = run(rest, |one| !one.is_ascii_alphanumeric() && one != ':').max(next.len_utf8());
                let between = &rest[..end];
                out += between;
                rest = &rest[end..];
                // A name comes after a blank, or after a field's `=` in the log.
                let leads_on = matches!(between, " " | "=" | "=\"" | " \"");
                let is_list = between == ", " && before == "hinted";
                if !leads_on && !is_list {
                    before = "";
                }
                continue;
            }
            let (made_up, length) = self.at(rest, before, &out);
            out += &made_up;
            let word = &rest[..length];
            before = match (word, before) {
                // "it is hinted to nodes a, b"
                ("hinted", _) | (_, "hinted") => "hinted",
                _ => word,
            };
            rest = &rest[length..];
        }
        out
    }

    /// What stands for the beginning of a text, and how much of it.
    fn at(&mut self, text: &str, before: &str, so_far: &str) -> (String, usize) {
        let sign = so_far.chars().next_back();
        if let Some(found) = self.address_at(text) {
            return found;
        }
        let length = run(text, is_of_name);
        if length == 0 {
            return (text[..1].to_owned(), 1);
        }
        let (whole, after) = (&text[..length], &text[length..]);
        // The text was cut within a word, which may be a name.
        if after.starts_with('…') {
            return (String::new(), length);
        }
        if let Some(found) = self.pair_at(whole, after, sign) {
            return found;
        }
        if sign == Some('=') && is_label(so_far) && !after.starts_with('/') {
            return (self.one(Kind::Label, whole), length);
        }
        let ends = whole.char_indices().filter(|(_, one)| matches!(one, '-' | '.' | '_')).map(|(at, _)| at);
        let mut ends: Vec<usize> = ends.collect();
        ends.push(length);
        for end in ends.iter().rev() {
            let name = &whole[..*end];
            if let Some(made_up) = self.names.get(name).filter(|_| is_distinct(name)) {
                return (made_up.clone(), *end);
            }
        }
        if before == "hinted" && !HINTED.contains(&whole) {
            return (self.one(Kind::Label, whole), length);
        }
        let kind = BEFORE_NAMES.iter().find(|(word, _)| *word == before).map(|(_, kind)| *kind);
        let name = whole.trim_end_matches(['.', '-']);
        if let Some(kind) = kind.filter(|_| {
            is_name(name) && (matches!(sign, Some('=' | '"')) || name.contains(['-', '.']) || has_digit(name))
        }) {
            return (self.one(kind, name), name.len());
        }
        // Up to where the next name may begin.
        let end = ends[0].max(1);
        (whole[..end].to_owned(), end)
    }

    /// An address, with its port or without.
    fn address_at(&mut self, text: &str) -> Option<(String, usize)> {
        let whole = &text[..run(text, |one| one.is_ascii_hexdigit() || matches!(one, ':' | '.'))];
        if whole.len() < 2 || !whole.contains(['.', ':']) {
            return None;
        }
        // What ends a sentence or comes before a port may follow.
        let shorter = whole.strip_suffix(['.', ':']).unwrap_or(whole);
        for part in [whole, shorter, whole.trim_end_matches(['.', ':'])] {
            let port = part.rfind(':').filter(|at| part[..*at].parse::<Ipv4Addr>().is_ok());
            let address = port.map_or(part, |at| &part[..at]);
            if let Ok(real) = address.parse::<IpAddr>() {
                let goes_on =
                    text[part.len()..].starts_with(|one: char| one.is_ascii_alphanumeric() || one == '_');
                return (!goes_on).then(|| (self.address(real).to_string(), address.len()));
            }
        }
        None
    }

    /// `namespace/name`, of which neither is a part of a path or of a label's key.
    fn pair_at(&mut self, namespace: &str, after: &str, sign: Option<char>) -> Option<(String, usize)> {
        let rest = after.strip_prefix('/')?;
        let length = run(rest, is_of_name);
        let name = rest[..length].trim_end_matches(['.', '-']);
        let is_path = rest[length..].starts_with('/') || matches!(sign, Some('/' | '.'));
        if is_path || namespace.contains('.') || !is_name(namespace) || !is_name(name) {
            return None;
        }
        let made_up = format!("{}/{}", self.one(Kind::Namespace, namespace), self.one(Kind::Service, name));
        Some((made_up, namespace.len() + 1 + name.len()))
    }
}

/// How far signs of this kind go.
pub(super) fn run(text: &str, is_one: impl Fn(char) -> bool) -> usize {
    text.find(|one: char| !is_one(one)).unwrap_or(text.len())
}

pub(super) const fn is_of_name(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '-' | '.' | '_')
}

/// As Kubernetes has them.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || matches!(one, b'-' | b'.'))
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|one| one.is_ascii_digit()) && !text.bytes().all(|one| one.is_ascii_digit())
}

/// Whether a name differs from a number and from a letter in a sentence.
fn is_distinct(name: &str) -> bool {
    name.len() > 1 && !name.bytes().all(|one| one.is_ascii_digit())
}

/// Whether a text ends with the key of a label and `=`, as in `topology.kubernetes.io/zone=`.
fn is_label(text: &str) -> bool {
    let key = text.trim_end_matches('=');
    let from = key.rfind(|one: char| !is_of_name(one) && one != '/').map_or(0, |at| at + 1);
    key.get(from..).is_some_and(|key| key.contains('/') && key.contains('.'))
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::DefaultHasher;
    use std::hash::BuildHasherDefault;

    use super::*;

    fn names() -> Names<BuildHasherDefault<DefaultHasher>> {
        let mut names = Names::new(BuildHasherDefault::default());
        for (field, text) in [
            ("namespace", "acme"),
            ("service", "acme/shop"),
            ("service", "a"),
            ("node", "edge.acme.example"),
            ("node", "7"),
            ("pool", "hangzhou"),
            ("server", "https://api.acme.example:6443"),
        ] {
            names.learn(field, text);
        }
        names
    }

    #[test]
    fn no_name_or_address_is_left_in_a_sentence() {
        for text in [
            "Service acme/shop is left alone",
            "shop",
            "shop-7d4f9b",
            "acme_shop and (shop), shop: shop.",
            "node edge.acme.example is in pool hangzhou",
            "process 7 (lb-agent run --node edge.acme.example)",
            "lookup of api.acme.example failed",
            "https://api.acme.example:6443 and https://api.acme.example",
            "Service other-acme/unknown is gone",
            "could not read acme/shop.yaml",
            "node acme-3 is not known",
            "node=\"acmeedge\" starting",
            "node has example.com/rack=acme9 here",
            "it is hinted to nodes acme9, acmex",
            "10.96.1.7:80 and [fd00:acde::7]:80 and ::ffff:10.96.1.7, 10.96.1.7. fd00:acde::7: x",
            "10.96.1.0/24 fd00:acde::/64",
            "a very long name acm… (300 bytes)",
        ] {
            let made_up = names().text(text);
            for name in ["acme", "shop", "hangzhou", "10.96", "acde", "edge.", "api.", "acm…"] {
                let is_left = made_up
                    .split(|one: char| !one.is_ascii_alphanumeric() && one != '.')
                    .any(|word| word == name)
                    || (name != "edge." && name != "api." && made_up.contains(name));
                assert!(!is_left, "{name} in {made_up}, of {text}");
            }
        }
    }

    #[test]
    fn what_is_no_name_stays() {
        for text in [
            "",
            "2026-11-28T20:59:29.123456Z  INFO lb_agent::source::kube: in sync with the API server",
            "Linux 6.18.44 is the kernel; 7 programs, a program loads at [::]:0, 127.0.0.1:10270 and ::1",
            "192.0.2.1:1 and [2001:db8::1]:1 of the self-test",
            "the label openyurt.io/nodepool, http/TCP 8080 and /sys/fs/bpf/x in file:/etc/x/y",
            "Service default/kubernetes and kube-system/kube-dns",
            "Node labels are not known, and a node is gone",
            "ä · … \u{1f980} at the end —",
        ] {
            assert_eq!(names().text(text), text);
        }
    }

    #[test]
    fn the_same_name_has_the_same_stand_in_everywhere() {
        let mut names = names();
        let one = names.value("service", "shop");
        assert_eq!(names.text("shop is gone"), format!("{one} is gone"));
        assert_eq!(
            names.value("about", "Service acme/shop"),
            format!("Service {}/{one}", names.value("namespace", "acme"))
        );
        assert_eq!(names.text(&one), one, "what stands in is not replaced again");
        let address = names.value("backend", "10.1.2.3:80");
        assert_eq!(names.text("to 10.1.2.3:80"), format!("to {address}"));
        assert_eq!(names.text(&address), address);
        assert_eq!(
            (names.value("outcome", "shop").as_str(), names.value("portName", "shop").as_str()),
            ("shop", "shop")
        );
        assert_eq!(
            names.value("node", "7").len(),
            "node-0123456789".len(),
            "a number is a name where it is one"
        );
    }
}
