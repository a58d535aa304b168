//! What the writer makes of the self-test's rounds, and when it asks for one besides those by the clock.

use std::sync::Arc;
use std::time::Instant;

use crate::model::{Family, PerFamily, SelfTest, SelfTestRound, Staleness, self_test};
use crate::plan::Mirror;
use crate::self_test::Tester;

use super::lifecycle::Lifecycle;

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

/// What the programs do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Programs {
    #[default]
    Detached,
    Attached,
    /// Attached, and they leave everything as it is dialled (`--max-stale`): a connection that does not arrive is as it should be.
    Stale,
}

impl Programs {
    fn of(lifecycle: &Lifecycle) -> Self {
        let is_stale = lifecycle.staleness().as_ref().is_some_and(Staleness::is_over);
        match (lifecycle.is_attached(), is_stale) {
            (false, _) => Self::Detached,
            (true, false) => Self::Attached,
            (true, true) => Self::Stale,
        }
    }
}

/// What a round depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Circumstances {
    programs: Programs,
    /// The families in which the maps hold what the self-test dials. They do not where this machine has its address itself,
    /// and where there is no room.
    held: PerFamily<bool>,
    /// How often something was repaired.
    repairs: u64,
}

impl Circumstances {
    pub(super) fn of(lifecycle: &Lifecycle) -> Self {
        let mirror = lifecycle.mirror();
        let holds = |mirror: &Mirror, family| {
            mirror.owner(&self_test::frontend(family)).is_some_and(self_test::is_self_test)
        };
        let held = PerFamily::each(|family| mirror.is_some_and(|mirror| holds(mirror, family)));
        Self { programs: Programs::of(lifecycle), held, repairs: lifecycle.repairs() }
    }
}

impl SelfTests {
    pub(super) const fn new(config: SelfTestConfig) -> Self {
        let held = PerFamily { v4: false, v6: false };
        let last = Circumstances { programs: Programs::Detached, held, repairs: 0 };
        Self { config, last, passed: None, failures: 0, why: None }
    }

    /// Asks for a round where programs or maps are others than when the last one was asked for.
    pub(super) fn look(&mut self, now: Circumstances) {
        if let SelfTestConfig::By(tester) = &self.config
            && now != self.last
            && now.programs == Programs::Attached
        {
            tester.ask();
        }
        self.last = now;
    }

    /// A round has ended.
    pub(super) fn ended(&mut self, round: SelfTestRound, now: Instant) {
        let SelfTestRound { failed } = round;
        if self.not_testable().is_some() {
            // What the round met says nothing, and what failed before need not fail any more.
            (self.failures, self.why) = (0, None);
            return;
        }
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

    /// Why a connection of the agent's own says nothing now.
    fn not_testable(&self) -> Option<&'static str> {
        let Circumstances { programs, held, .. } = self.last;
        match (programs, held == PerFamily::default()) {
            (Programs::Stale, _) => {
                Some("what the maps hold is older than --max-stale, and everything is left as it is dialled")
            }
            (Programs::Attached, true) => {
                Some("the maps do not hold its addresses: this machine has them itself, or there is no room")
            }
            (Programs::Attached, false) | (Programs::Detached, _) => None,
        }
    }

    pub(super) fn state(&self) -> SelfTest {
        match &self.config {
            SelfTestConfig::Off => SelfTest::Off,
            SelfTestConfig::NotTested(why) => SelfTest::NotTested(Arc::clone(why)),
            SelfTestConfig::By(_) => match (self.not_testable(), self.has_failed(), self.passed, &self.why) {
                (Some(why), ..) => SelfTest::NotTested(why.into()),
                (None, true, passed, Some(why)) => SelfTest::Failed { why: Arc::clone(why), passed },
                (None, _, Some(at), _) => SelfTest::Passed { at },
                (None, _, None, _) => SelfTest::Pending,
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
        tests.look(Circumstances { programs: Programs::Attached, held, ..Circumstances::default() });
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
        tests.look(Circumstances { programs: Programs::Attached, ..Circumstances::default() });
        assert!(matches!(tests.state(), SelfTest::NotTested(_)));
    }

    /// And once the source is in sync again, rounds of before count no more.
    #[test]
    fn what_is_too_old_is_not_tested() {
        let (now, mut tests) = (Instant::now(), tests(EACH));
        let fresh = tests.last;
        tests.look(Circumstances { programs: Programs::Stale, ..fresh });
        for _ in 0..3 {
            tests.ended(round(Some("untouched"), Some("untouched")), now);
        }
        assert!(matches!(tests.state(), SelfTest::NotTested(_)));
        tests.look(fresh);
        assert_eq!(tests.state(), SelfTest::Pending);
        tests.ended(round(None, None), now);
        assert_eq!(tests.state(), SelfTest::Passed { at: now });
    }

    #[test]
    fn a_round_is_asked_for_once_when_something_has_changed() {
        let (tester, asked) = channel();
        let mut tests = SelfTests::new(SelfTestConfig::By(Tester::from(tester)));
        let now = Circumstances { programs: Programs::Attached, held: EACH, ..Circumstances::default() };
        for (now, asks) in [
            (Circumstances { programs: Programs::Detached, ..now }, 0),
            (now, 1),
            (now, 0),
            (Circumstances { repairs: 1, ..now }, 1),
            (Circumstances { repairs: 1, held: V4, ..now }, 1),
            (Circumstances { programs: Programs::Stale, ..now }, 0),
            (Circumstances { repairs: 1, held: V4, ..now }, 1),
        ] {
            tests.look(now);
            assert_eq!(asked.try_iter().count(), asks, "{now:?}");
        }
    }
}
