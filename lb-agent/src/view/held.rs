//! What the kernel holds beside what is wanted. Pure.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decisions::Action;
use super::explain::Explanation;
use super::kernel::{KernelView, ServiceView};
use super::services::Services;

/// What the kernel holds for one address.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub state: HeldState,
    /// The service id and its revision; `null` where it holds nothing.
    pub id: Option<u32>,
    pub revision: Option<u32>,
    /// Where it sends connections now, where that is not what is wanted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub backends: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldState {
    /// What is wanted: nothing, where the address is left alone.
    Same,
    /// Nothing, and something is wanted.
    Absent,
    /// Something else.
    Differs,
    /// What was there before, since something that decides is not known.
    Kept,
}

impl HeldState {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Absent => "absent",
            Self::Differs => "differs",
            Self::Kept => "kept",
        }
    }
}

/// What is wanted for one address of a service port.
struct Wanted<'w> {
    /// Namespace, Service and port name.
    owner: [&'w str; 3],
    address: &'w str,
    protocol: &'w str,
    outcome: Action,
    /// What the kernel holds stays whatever is wanted.
    kept: bool,
    backends: Vec<&'w str>,
}

/// What the kernel holds, by address and protocol.
struct Elements<'a>(HashMap<(&'a str, &'a str), &'a ServiceView>);

impl<'a> Elements<'a> {
    fn of(kernel: &'a KernelView) -> Self {
        let all = kernel.services.iter();
        Self(all.map(|service| ((service.address.as_str(), service.protocol.as_str()), service)).collect())
    }

    /// What it holds beside what is wanted. Where that is nothing, because another service port has the address, what is held for
    /// that one is no difference.
    fn beside(&self, wanted: &Wanted<'_>) -> Held {
        let Wanted { owner, address, protocol, outcome, kept, ref backends } = *wanted;
        let is_of_another = |found: &&ServiceView| {
            let names = [&found.namespace, &found.service, &found.port_name];
            !found.service.is_empty() && names.iter().ne(&owner)
        };
        let found = self.0.get(&(address, protocol)).copied();
        let found = found.filter(|found| outcome != Action::Leave || !is_of_another(found));
        let state = state(found, outcome, backends);
        let state = if kept && state == HeldState::Differs { HeldState::Kept } else { state };
        let differs = found.filter(|_| matches!(state, HeldState::Differs | HeldState::Kept));
        Held {
            state,
            id: found.map(|found| found.id),
            revision: found.map(|found| found.revision),
            backends: differs.map(|found| found.backends.clone()).unwrap_or_default(),
        }
    }
}

fn state(found: Option<&ServiceView>, outcome: Action, backends: &[&str]) -> HeldState {
    let is = |found: &ServiceView, wanted: &str| {
        let mut wanted_backends = backends.to_vec();
        wanted_backends.sort_unstable();
        found.outcome == wanted && found.backends.iter().eq(wanted_backends)
    };
    match (outcome, found) {
        (Action::Leave, None) => HeldState::Same,
        (Action::Leave, Some(_)) => HeldState::Differs,
        (Action::Wait, _) => HeldState::Kept,
        (Action::Forward | Action::Refuse, None) => HeldState::Absent,
        (Action::Forward, Some(found)) if is(found, "forward") => HeldState::Same,
        (Action::Refuse, Some(found)) if is(found, "refuse") => HeldState::Same,
        (Action::Forward | Action::Refuse, Some(_)) => HeldState::Differs,
    }
}

/// Sets beside each service port what the kernel holds for it.
pub fn beside(explanation: &mut Explanation, kernel: &KernelView) {
    let elements = Elements::of(kernel);
    let Explanation { namespace, service, ports, .. } = explanation;
    let (namespace, service) = (namespace.as_str(), service.as_str());
    for port in ports {
        let used = port.endpoints.iter().filter(|endpoint| endpoint.used);
        port.kernel = Some(elements.beside(&Wanted {
            owner: [namespace, service, &port.port_name],
            address: &port.address,
            protocol: &port.protocol,
            outcome: port.outcome,
            kept: port.kept,
            backends: used.map(|endpoint| endpoint.backend.as_str()).collect(),
        }));
    }
}

/// The same of all of them.
pub fn beside_all(services: &mut Services, kernel: &KernelView) {
    let elements = Elements::of(kernel);
    for port in &mut services.service_ports {
        port.kernel = Some(elements.beside(&Wanted {
            owner: [&port.namespace, &port.service, &port.port_name],
            address: &port.address,
            protocol: &port.protocol,
            outcome: port.outcome,
            kept: port.kept,
            backends: port.backends.iter().map(String::as_str).collect(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_holds_is_compared_with_what_is_wanted() {
        let service = |address: &str, outcome: &str, backends: &[&str]| ServiceView {
            namespace: "default".to_owned(),
            service: "web".to_owned(),
            port_name: String::new(),
            protocol: "TCP".to_owned(),
            address: address.to_owned(),
            id: 7,
            revision: 3,
            topology: false,
            outcome: outcome.to_owned(),
            backends: backends.iter().map(ToString::to_string).collect(),
        };
        let services = vec![
            service("10.96.0.1:80", "forward", &["10.1.0.1:80", "10.1.0.2:80"]),
            service("10.96.0.2:80", "refuse", &[]),
            service("10.96.0.3:80", "unproven", &["10.1.0.1:80"]),
        ];
        let kernel = KernelView { services, ..KernelView::default() };
        let elements = Elements::of(&kernel);
        for (address, protocol, outcome, backends, state) in [
            ("10.96.0.1:80", "TCP", Action::Forward, &["10.1.0.2:80", "10.1.0.1:80"][..], HeldState::Same),
            ("10.96.0.1:80", "TCP", Action::Forward, &["10.1.0.1:80"], HeldState::Differs),
            ("10.96.0.1:80", "TCP", Action::Refuse, &[], HeldState::Differs),
            ("10.96.0.1:80", "TCP", Action::Leave, &[], HeldState::Differs),
            ("10.96.0.1:80", "TCP", Action::Wait, &[], HeldState::Kept),
            ("10.96.0.1:80", "UDP", Action::Forward, &["10.1.0.1:80"], HeldState::Absent),
            ("10.96.0.2:80", "TCP", Action::Refuse, &[], HeldState::Same),
            ("10.96.0.3:80", "TCP", Action::Forward, &["10.1.0.1:80"], HeldState::Differs),
            ("10.96.0.9:80", "TCP", Action::Refuse, &[], HeldState::Absent),
            ("10.96.0.9:80", "TCP", Action::Leave, &[], HeldState::Same),
        ] {
            let held = elements.beside(&wanted(WEB, address, protocol, outcome, backends));
            assert_eq!(held.state, state, "{address} {protocol} {outcome:?}");
        }
        let one = wanted(WEB, "10.96.0.1:80", "TCP", Action::Forward, &["10.1.0.1:80"]);
        let held = elements.beside(&one);
        assert_eq!((held.id, held.revision, held.backends.len()), (Some(7), Some(3), 2));
        assert_eq!(elements.beside(&Wanted { kept: true, ..one }).state, HeldState::Kept);

        // Another service port has the address, and this one gets nothing: a second Service, or a second port.
        for other in [["default", "web2", ""], ["other", "web", ""], ["default", "web", "second"]] {
            let held = elements.beside(&wanted(other, "10.96.0.1:80", "TCP", Action::Leave, &[]));
            assert_eq!((held.state, held.id), (HeldState::Same, None), "{other:?}");
            let held = elements.beside(&wanted(other, "10.96.0.1:80", "TCP", Action::Forward, &[]));
            assert_eq!(held.state, HeldState::Differs, "{other:?} should have it");
        }
    }

    const WEB: [&str; 3] = ["default", "web", ""];

    fn wanted<'w>(
        owner: [&'w str; 3],
        address: &'w str,
        protocol: &'w str,
        outcome: Action,
        backends: &[&'w str],
    ) -> Wanted<'w> {
        Wanted { owner, address, protocol, outcome, kept: false, backends: backends.to_vec() }
    }
}
