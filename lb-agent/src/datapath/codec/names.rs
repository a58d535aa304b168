//! What service ids mean, as bytes. Pure.

use lb_common::layout::{NAME_BYTES, ServiceName};

use crate::model::{Family, ObjectName, Protocol, ServicePortKey};
use crate::plan::cut;

/// The name of a service port as the map of names has it. What is too long is cut.
pub(crate) fn name(key: &ServicePortKey) -> ServiceName {
    ServiceName {
        namespace: bytes(&key.service.namespace),
        service: bytes(&key.service.name),
        port: bytes(&key.port_name),
        protocol: key.protocol.number(),
        family: match key.family {
            Family::V4 => 4,
            Family::V6 => 6,
        },
        zero: [0; 2],
    }
}

/// The service port that a name stands for; `None` where no agent writes such a name.
pub(crate) fn key(name: &ServiceName) -> Option<ServicePortKey> {
    Some(ServicePortKey {
        service: ObjectName::new(&text(&name.namespace)?, &text(&name.service)?),
        port_name: text(&name.port)?.into(),
        protocol: Protocol::of_number(name.protocol)?,
        family: match name.family {
            4 => Family::V4,
            6 => Family::V6,
            _ => return None,
        },
    })
}

pub(super) fn bytes(name: &str) -> [i8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    for (to, from) in bytes.iter_mut().zip(cut(name).bytes()) {
        *to = from.cast_signed();
    }
    bytes
}

pub(super) fn text(bytes: &[i8; NAME_BYTES]) -> Option<String> {
    let bytes: Vec<u8> =
        bytes.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_the_service_ports_they_were_and_are_cut_where_they_are_too_long() {
        let key_of = |service: &str| ServicePortKey {
            service: ObjectName::new("default", service),
            port_name: "http".into(),
            protocol: Protocol::Udp,
            family: Family::V6,
        };
        for (written, read) in [
            ("web".to_owned(), "web".to_owned()),
            ("x".repeat(63), "x".repeat(63)),
            ("x".repeat(64), "x".repeat(63)),
            ("ä".repeat(40), "ä".repeat(31)),
        ] {
            let name = name(&key_of(&written));
            assert_eq!(name.service[NAME_BYTES - 1], 0, "a zero byte ends it");
            assert_eq!(key(&name), Some(key_of(&read)), "{written}");
        }
    }

    #[test]
    fn a_name_that_no_agent_writes_is_not_read() {
        type Harm = fn(&mut ServiceName);
        let harms: [(&str, Harm); 3] = [
            ("a protocol", |name| name.protocol = 1),
            ("a family", |name| name.family = 5),
            ("text", |name| name.service[0] = -1),
        ];
        for (shows, harm) in harms {
            let mut name = name(&ServicePortKey {
                service: ObjectName::new("default", "web"),
                port_name: "".into(),
                protocol: Protocol::Tcp,
                family: Family::V4,
            });
            harm(&mut name);
            assert_eq!(key(&name), None, "{shows}");
        }
    }
}
