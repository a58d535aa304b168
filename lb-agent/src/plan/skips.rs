//! The cgroups of pods that are to be skipped: the writes between what the kernel holds and what it should hold. Pure.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::layout::{MOST_SKIPPED, SKIP_LEVELS};

/// Cgroups by their ids, with how deep they lie.
pub type Cgroups = BTreeMap<u64, u32>;

/// How deep skipped pods lie, as the programs read it.
pub type Levels = [u8; SKIP_LEVELS];

/// What becomes of cgroups that the kernel holds and that are not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// They may be of pods that are not known yet.
    Stay,
    Go,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipOp {
    Put { cgroup: u64, level: u32 },
    Levels(Levels),
    Remove { cgroup: u64 },
}

/// What leads from one to the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkipSteps {
    pub ops: Vec<SkipOp>,
    /// There is no room for these.
    pub left_out: BTreeSet<u64>,
}

/// The writes that bring `held` to `wanted`. A cgroup is there before its level is looked at, and goes after.
#[must_use]
pub fn skip_steps(wanted: &Cgroups, held: &Cgroups, levels: Levels, unwanted: Unwanted) -> SkipSteps {
    let mut steps = SkipSteps::default();
    let mut stays: Cgroups = held.clone();
    if unwanted == Unwanted::Go {
        stays.retain(|cgroup, level| wanted.get(cgroup) == Some(level));
    }
    let mut depths: BTreeSet<u8> = stays.values().filter_map(|level| depth(*level)).collect();
    for (cgroup, level) in wanted {
        if stays.get(cgroup) == Some(level) {
            continue;
        }
        let has_place =
            depth(*level).is_some_and(|depth| depths.contains(&depth) || depths.len() < SKIP_LEVELS);
        let has_room = stays.contains_key(cgroup) || stays.len() < MOST_SKIPPED as usize;
        match depth(*level).filter(|_| has_place && has_room) {
            Some(depth) => {
                depths.insert(depth);
                stays.insert(*cgroup, *level);
                steps.ops.push(SkipOp::Put { cgroup: *cgroup, level: *level });
            }
            None => _ = steps.left_out.insert(*cgroup),
        }
    }
    let mut now = Levels::default();
    now.iter_mut().zip(&depths).for_each(|(place, depth)| *place = *depth);
    if now != levels {
        steps.ops.push(SkipOp::Levels(now));
    }
    let gone = held.keys().filter(|cgroup| !stays.contains_key(cgroup));
    steps.ops.extend(gone.map(|cgroup| SkipOp::Remove { cgroup: *cgroup }));
    steps
}

/// As the programs count it; the root is no pod's cgroup.
fn depth(level: u32) -> Option<u8> {
    u8::try_from(level).ok().filter(|level| *level > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `7@3` is cgroup 7 at level 3; `+`, `-` and `=` are the writes.
    #[test]
    fn what_is_wanted_is_there_before_its_level_counts_and_goes_after() {
        use Unwanted::{Go, Stay};
        for (shows, wanted, held, levels, unwanted, ops) in [
            ("nothing at all", "", "", "", Go, ""),
            ("the first", "7@3", "", "", Go, "+7@3 =3"),
            ("another at the same level", "7@3 8@3", "7@3", "3", Go, "+8@3"),
            ("another level", "7@3 8@2", "7@3", "3", Go, "+8@2 =2,3"),
            ("one goes", "8@2", "7@3 8@2", "2,3", Go, "=2 -7"),
            ("the last goes", "", "7@3", "3", Go, "= -7"),
            ("one in another's place", "8@3", "7@3", "3", Go, "+8@3 -7"),
            ("what is not known yet stays", "8@2", "7@3", "3", Stay, "+8@2 =2,3"),
            ("levels that were lost", "7@3", "7@3", "", Go, "=3"),
            ("a wrong level", "7@3", "7@4", "4", Go, "+7@3 =3"),
            ("a wrong level, and not all is known", "7@3", "7@4", "4", Stay, "+7@3 =3,4"),
        ] {
            let steps = skip_steps(&read(wanted), &read(held), read_levels(levels), unwanted);
            assert_eq!(written(&steps.ops), ops, "{shows}");
            assert_eq!(steps.left_out, BTreeSet::new(), "{shows}");
        }
    }

    #[test]
    fn what_has_no_place_is_named_and_hurts_no_other() {
        let wanted: Cgroups = (1..=9).map(|number| (u64::from(number), number)).collect();
        let steps = skip_steps(&wanted, &Cgroups::new(), Levels::default(), Unwanted::Go);
        assert_eq!(steps.left_out, BTreeSet::from([9]));
        assert_eq!(steps.ops.last(), Some(&SkipOp::Levels([1, 2, 3, 4, 5, 6, 7, 8])));
        let too_deep = skip_steps(&read("7@300 8@0 9@2"), &Cgroups::new(), Levels::default(), Unwanted::Go);
        assert_eq!((too_deep.left_out, written(&too_deep.ops).as_str()), (BTreeSet::from([7, 8]), "+9@2 =2"));
        let many: Cgroups = (0..=u64::from(MOST_SKIPPED)).map(|cgroup| (cgroup, 2)).collect();
        let steps = skip_steps(&many, &Cgroups::new(), Levels::default(), Unwanted::Go);
        assert_eq!(steps.left_out, BTreeSet::from([u64::from(MOST_SKIPPED)]));
    }

    fn read(text: &str) -> Cgroups {
        let one = |text: &str| {
            let (cgroup, level) = text.split_once('@').unwrap();
            (cgroup.parse().unwrap(), level.parse().unwrap())
        };
        text.split_whitespace().map(one).collect()
    }

    fn read_levels(text: &str) -> Levels {
        let mut levels = Levels::default();
        let all = text.split(',').filter(|level| !level.is_empty());
        levels.iter_mut().zip(all).for_each(|(place, level)| *place = level.parse().unwrap());
        levels
    }

    fn written(ops: &[SkipOp]) -> String {
        let one = |op: &SkipOp| match op {
            SkipOp::Put { cgroup, level } => format!("+{cgroup}@{level}"),
            SkipOp::Remove { cgroup } => format!("-{cgroup}"),
            SkipOp::Levels(levels) => {
                let levels = levels.iter().filter(|level| **level > 0).map(ToString::to_string);
                format!("={}", levels.collect::<Vec<_>>().join(","))
            }
        };
        ops.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}
