//! Which service port had which id: within a boot none is used for another. Pure.

use std::collections::BTreeMap;

use lb_common::layout::ServiceName;

#[derive(Debug, Default)]
pub(super) struct Ids(BTreeMap<u32, ServiceName>);

impl Ids {
    /// Takes note of ids, each with the service port that it means. Returns how many of them meant another one before.
    pub(super) fn note(&mut self, ids: impl IntoIterator<Item = (u32, ServiceName)>) -> u64 {
        let mut again = 0;
        for (id, name) in ids {
            again += u64::from(*self.0.entry(id).or_insert(name) != name);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;

    #[test]
    fn an_id_is_used_again_when_another_service_or_port_has_it() {
        let name = |service, family| {
            let mut name = ServiceName { family, ..ServiceName::zeroed() };
            name.service[0] = service;
            name
        };
        let mut ids = Ids::default();
        assert_eq!(ids.note([(10, name(1, 4)), (11, name(1, 6))]), 0);
        assert_eq!(ids.note([(10, name(1, 4)), (12, name(1, 6))]), 0, "a port may get another id");
        assert_eq!(ids.note([(13, name(2, 4)), (11, name(2, 6))]), 1, "another Service has it");
        assert_eq!(ids.note([(12, name(1, 4))]), 1, "another port of the same Service has it");
    }
}
