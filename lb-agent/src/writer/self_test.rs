//! What the writer makes of the self-test's rounds, and when it asks for one besides those by the clock.

use std::sync::Arc;
use std::time::Instant;

use crate::model::{Family, PerFamily, SelfTest, SelfTestRound, self_test};
use crate::plan::Mirror;
use crate::self_test::Tester;

/// How the self-test is done.
#[derive(Debug)]
pub enum SelfTestConfig {
    /// `--self-test off`.
    Off,
    /// It cannot be done here, and why.
    NotTested(Arc<str>),
    By(Tester),
}

#[derive(Debug)]
pub(super) struct SelfTests {
    config: SelfTestConfig,
    /// When a round is asked for last, it was so.
    last: Circumstances,
    /// When a round passed last.
    passed: Option<Instant>,
    /// How many rounds in a row have failed since.
    failures: u32,
    why: Option<Arc<str>>,
}

/// What a round depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Circumstances {
    is_attached: bool,
    /// The families in which the maps hold what the self-test dials. They do not where this machine has its address itself,
    /// and where there is no room.
    held: PerFamily<bool>,
    /// How often something was repaired.
    repairs: u64,
}

impl Circumstances {
    pub(super) fn of(is_attached: bool, mirror: Option<&Mirror>, repairs: u64) -> Self {
        let holds = |mirror: &Mirror, family| {
            mirror.owner(&self_test::frontend(family)).is_some_and(self_test::is_self_test)
        };
        let held = PerFamily::each(|family| mirror.is_some_and(|mirror| holds(mirror, family)));
        Self { is_attached, held, repairs }
    }
}

impl SelfTests {
    pub(super) const fn new(config: SelfTestConfig) -> Self {
        let last = Circumstances { is_attached: false, held: PerFamily { v4: false, v6: false }, repairs: 0 };
        Self { config, last, passed: None, failures: 0, why: None }
    }

    /// Asks for a round where programs or maps are others than when the last one was asked for.
    pub(super) fn look(&mut self, now: Circumstances) {
        if let SelfTestConfig::By(tester) = &self.config
            && now != self.last
            && now.is_attached
        {
            tester.ask();
        }
        self.last = now;
    }

    /// A round has ended.
    pub(super) fn ended(&mut self, round: SelfTestRound, now: Instant) {
        let SelfTestRound { failed } = round;
        let held = Family::ALL.into_iter().filter(|family| *self.last.held.of(*family));
        let mut failed = held.filter_map(|family| failed.of(family).clone());
        let Some(why) = failed.next() else {
            if self.has_failed() {
                tracing::info!("the self-test passes");
            }
            (self.passed, self.failures, self.why) = (Some(now), 0, None);
            return;
        };
        let had_failed = self.has_failed();
        self.failures += 1;
        if self.has_failed() && !had_failed {
            tracing::warn!(%why, "the self-test fails: a connection of the agent's own does not arrive where the maps say");
        }
        self.why = Some(why);
    }

    /// One failed round may be one in which a link was moved.
    const fn has_failed(&self) -> bool {
        self.failures >= 2
    }

    pub(super) fn state(&self) -> SelfTest {
        let Circumstances { is_attached, held, .. } = self.last;
        match &self.config {
            SelfTestConfig::Off => SelfTest::Off,
            SelfTestConfig::NotTested(why) => SelfTest::NotTested(Arc::clone(why)),
            SelfTestConfig::By(_) if is_attached && held == PerFamily::default() => SelfTest::NotTested(
                "the maps do not hold its addresses: this machine has them itself, or there is no room"
                    .into(),
            ),
            SelfTestConfig::By(_) => match (self.has_failed(), self.passed, &self.why) {
                (true, passed, Some(why)) => SelfTest::Failed { why: Arc::clone(why), passed },
                (_, Some(at), _) => SelfTest::Passed { at },
                (_, None, _) => SelfTest::Pending,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    const EACH: PerFamily<bool> = PerFamily { v4: true, v6: true };
    const V4: PerFamily<bool> = PerFamily { v4: true, v6: false };

    fn round(v4: Option<&str>, v6: Option<&str>) -> SelfTestRound {
        SelfTestRound { failed: PerFamily { v4: v4.map(Into::into), v6: v6.map(Into::into) } }
    }

    fn tests(held: PerFamily<bool>) -> SelfTests {
        let (tester, _asked) = channel();
        let mut tests = SelfTests::new(SelfTestConfig::By(Tester::from(tester)));
        tests.look(Circumstances { is_attached: true, held, repairs: 0 });
        tests
    }

    #[test]
    fn two_failures_in_a_row_count_and_one_success_ends_them() {
        let (start, mut tests) = (Instant::now(), tests(EACH));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(tests.state(), SelfTest::Pending);
        tests.ended(round(Some("a"), None), at(1));
        assert_eq!(tests.state(), SelfTest::Pending, "one may have met the moving of a link");
        tests.ended(round(None, Some("b")), at(2));
        assert_eq!(tests.state(), SelfTest::Failed { why: "b".into(), passed: None });
        tests.ended(round(None, None), at(3));
        assert_eq!(tests.state(), SelfTest::Passed { at: at(3) });
        tests.ended(round(Some("c"), None), at(4));
        assert_eq!(tests.state(), SelfTest::Passed { at: at(3) });
        tests.ended(round(Some("d"), None), at(5));
        assert_eq!(tests.state(), SelfTest::Failed { why: "d".into(), passed: Some(at(3)) });
    }

    #[test]
    fn a_family_whose_element_is_not_there_is_not_tested() {
        let (now, mut tests) = (Instant::now(), tests(V4));
        for _ in 0..3 {
            tests.ended(round(None, Some("no element")), now);
        }
        assert_eq!(tests.state(), SelfTest::Passed { at: now });
        tests.look(Circumstances { is_attached: true, ..Circumstances::default() });
        assert!(matches!(tests.state(), SelfTest::NotTested(_)));
    }

    #[test]
    fn a_round_is_asked_for_once_when_something_has_changed() {
        let (tester, asked) = channel();
        let mut tests = SelfTests::new(SelfTestConfig::By(Tester::from(tester)));
        let now = Circumstances { is_attached: true, held: EACH, repairs: 0 };
        for (now, asks) in [
            (Circumstances { is_attached: false, ..now }, 0),
            (now, 1),
            (now, 0),
            (Circumstances { repairs: 1, ..now }, 1),
            (Circumstances { repairs: 1, held: V4, ..now }, 1),
        ] {
            tests.look(now);
            assert_eq!(asked.try_iter().count(), asks, "{now:?}");
        }
    }
}
