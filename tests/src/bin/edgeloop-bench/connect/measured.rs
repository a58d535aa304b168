//! What was measured of one scenario, and the goals for it.

use crate::goals::Goal;

use super::Scenario;
use super::calls::Call;
use super::contender::Shape;
use super::dials::Target;

/// Nanoseconds a run of one scenario, round by round.
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    rounds: [Vec<f64>; Shape::COUNT],
}

impl Measured {
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self { scenario, rounds: Default::default() }
    }

    pub(crate) fn add(&mut self, shape: Shape, nanoseconds: f64) {
        self.rounds[shape as usize].push(nanoseconds);
    }

    pub(crate) fn rounds(&self, shape: Shape) -> &[f64] {
        &self.rounds[shape as usize]
    }

    pub(crate) fn gross(&self, shape: Shape) -> f64 {
        quantile(self.rounds(shape), 0.5)
    }

    /// Less the empty program.
    pub(crate) fn net(&self, shape: Shape) -> f64 {
        self.gross(shape) - self.gross(Shape::Empty)
    }

    pub(crate) fn net_to(&self, other: Shape) -> f64 {
        self.net(Shape::Ours) / self.net(other)
    }

    /// Ours against the previous version, net, in that one of four rounds in which ours did best: what
    /// is slower there is slower in three of four. A single round says little about a few nanoseconds.
    fn net_to_previous_at_best(&self) -> f64 {
        let [ours, previous, empty] =
            [Shape::Ours, Shape::Previous, Shape::Empty].map(|shape| self.rounds(shape).iter());
        let ratios = ours
            .zip(previous)
            .zip(empty)
            .map(|((ours, previous), empty)| (ours - empty) / (previous - empty));
        quantile(&ratios.collect::<Vec<_>>(), 0.25)
    }

    fn against_ipv4(&self, all: &[Self]) -> Option<Goal> {
        let same = Scenario { call: Call::Connect, ..self.scenario };
        let ipv4 = all.iter().find(|measured| measured.scenario == same)?;
        let ratio = self.net(Shape::Ours) / ipv4.net(Shape::Ours);
        Some(Goal::at_most(1.5, format!("{}: net, against IPv4", self.name()), ratio))
    }

    pub(crate) fn name(&self) -> String {
        let Scenario { call, target, services } = self.scenario;
        let services = thousands(services.into());
        let what = match (call, target) {
            (Call::Connect, Target::Service) => "hit",
            (Call::Connect, Target::Unused) => "miss inside of the service range",
            (Call::Connect, Target::Elsewhere) => "miss elsewhere",
            (Call::Connect6, _) => "hit over IPv6",
            (Call::ConnectKept, _) => "hit with session affinity",
            (Call::ConnectBesideSkipped, _) => "hit while pods are left out",
            (Call::ConnectBesideNodePorts, _) => "miss elsewhere, with node ports",
            (Call::UdpConnect, _) => "UDP connect",
            (Call::Sendto, _) => "sendto on a kept socket",
            (Call::Recvfrom, _) => "recvfrom",
        };
        format!("{what}, {services}")
    }

    /// `all` has the same over IPv4.
    pub(crate) fn goals(&self, all: &[Self]) -> Vec<Goal> {
        let name = self.name();
        let against = |limit, shape: Shape| {
            Goal::at_most(limit, format!("{name}: net, against {}", shape.name()), self.net_to(shape))
        };
        let hit = |limit| vec![against(limit, Shape::ThreeHashes), against(limit, Shape::Trie)];
        let Scenario { call, target, services } = self.scenario;
        let mut goals = match (call, target, services) {
            (Call::Connect, Target::Service, 1) => hit(0.2),
            (Call::Connect, Target::Service, 10_000) => hit(0.25),
            (Call::Connect, Target::Service, 50_000) => hit(0.3),
            (Call::Connect, Target::Service, _) => Vec::new(),
            (Call::Connect, Target::Unused, _) => vec![against(0.4, Shape::Trie)],
            (Call::Connect, Target::Elsewhere, _) => vec![against(1.0, Shape::Trie)],
            (Call::Connect6, _, _) => self.against_ipv4(all).into_iter().collect(),
            (Call::ConnectKept, _, _) => vec![against(0.6, Shape::TrieAffine)],
            (Call::ConnectBesideSkipped | Call::ConnectBesideNodePorts, _, _) => Vec::new(),
            (Call::UdpConnect, _, 1) => vec![against(0.75, Shape::Remembering)],
            (Call::UdpConnect, _, _) => vec![against(0.5, Shape::Remembering)],
            (Call::Sendto, _, _) => vec![against(0.2, Shape::Remembering)],
            (Call::Recvfrom, _, _) => vec![against(0.8, Shape::Remembering)],
        };
        if !self.rounds(Shape::Previous).is_empty() {
            let name = format!("{name}: net, against the previous version");
            goals.push(Goal::at_most(1.05, name, self.net_to_previous_at_best()));
        }
        goals
    }
}

/// A number as people read it: 50,000.
pub(crate) fn thousands(number: u64) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", thousands(number / 1000), number % 1000)
    }
}

/// The value below which this part of all lies, between two of them if need be; NaN of nothing.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = part * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_where_it_has_to() {
        for (values, part, expected) in [
            (&[3.0][..], 0.5, 3.0),
            (&[9.0, 1.0, 2.0], 0.5, 2.0),
            (&[4.0, 1.0, 2.0, 9.0], 0.5, 3.0),
            (&[5.0, 1.0, 2.0, 3.0, 4.0], 0.25, 2.0),
        ] {
            assert!((quantile(values, part) - expected).abs() < 1e-9, "{values:?}");
        }
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_version_that_is_slower_in_one_round_of_four_is_not_called_slower() {
        let measured = |ours: [f64; 5]| {
            let mut measured =
                Measured::new(Scenario { call: Call::Connect, target: Target::Service, services: 1_000 });
            for nanoseconds in ours {
                measured.add(Shape::Empty, 60.0);
                measured.add(Shape::Previous, 160.0);
                measured.add(Shape::Ours, nanoseconds);
            }
            measured.goals(&[])[0].met
        };
        assert!(measured([160.0, 160.0, 160.0, 190.0, 190.0]));
        assert!(!measured([160.0, 170.0, 170.0, 170.0, 190.0]));
    }

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [(7, "7"), (1_000, "1,000"), (50_070, "50,070"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
