//! What happens to the plan in its model, and which faults are planted there.

use proptest::prelude::*;

/// Addresses: fewer than the Services that want one, and more than there is room for.
const ADDRESSES: u8 = 6;

/// What can happen. Numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// From now on a Service with these backends is wanted at an address, in place of any other.
    Want {
        address: u8,
        service: u8,
        backends: (u16, u16),
        has_topology: bool,
    },
    Unwant {
        address: u8,
    },
    /// The writer's loop, with one write in so many that fails.
    Pass {
        fails: Option<(u64, u64)>,
    },
    /// A connection looks an element up, and reads its region only later.
    Read,
    StartGrace,
    EndGrace,
    Restart,
    /// Other maps are filled, and take the place of those in use unless a write fails.
    ChangeOver {
        frontends: u32,
        backends: u32,
        fails: Option<(u64, u64)>,
    },
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let fails = || prop_oneof![3 => Just(None), 2 => (2_u64..12, any::<u64>()).prop_map(Some)];
    let want = (0..ADDRESSES, 0_u8..8, (0_u16..12, 0_u16..16), any::<bool>()).prop_map(
        |(address, service, backends, has_topology)| Act::Want { address, service, backends, has_topology },
    );
    prop_oneof![
        8 => want,
        2 => (0..ADDRESSES).prop_map(|address| Act::Unwant { address }),
        8 => fails().prop_map(|fails| Act::Pass { fails }),
        3 => Just(Act::Read),
        3 => Just(Act::StartGrace),
        3 => Just(Act::EndGrace),
        1 => Just(Act::Restart),
        1 => (3_u32..9, 4_u32..40, fails())
            .prop_map(|(frontends, backends, fails)| Act::ChangeOver { frontends, backends, fails }),
    ]
}

/// A fault that is planted, so that the model is seen to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Regions are free again without a grace period.
    NoGrace,
    /// A region is filled after the element that points at it.
    PutFirst,
    NotAdmitted,
    /// A write that failed counts as done.
    Forgetful,
    /// A start begins with service id 1.
    IdsFromOne,
    /// The maps that are changed over to know nothing of those before.
    NoSuccessor,
    /// Backends of the set before stay in the new one.
    OldBackends,
    /// An address that changes hands is first taken back.
    TakenBack,
}
