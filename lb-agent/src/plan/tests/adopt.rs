//! Taking over, and noticing what another program changed.

use super::super::fake::Memory;
use super::super::{MapOp, Owner};
use super::*;

fn filled() -> Bench {
    let mut bench = Bench::new(8, 64);
    bench.bring(frontend(1), Some(&want("a", 1..=9)));
    bench.bring(frontend(1), Some(&want("a", 1..=10)));
    bench.bring(frontend(2), Some(&with_topology(want("b", [1]))));
    bench.bring(frontend(3), Some(&want("c", [])));
    bench
}

/// A new agent over the maps of an old one, before its first grace period has passed.
fn just_restarted(bench: Bench) -> Bench {
    let mirror = Mirror::adopt(&bench.maps.held(), bench.mirror.capacity());
    Bench { mirror, maps: bench.maps }
}

fn restarted(bench: Bench) -> Bench {
    let mut bench = just_restarted(bench);
    bench.grace();
    bench
}

#[test]
fn a_restart_finds_everything_and_writes_nothing() {
    let mut bench = just_restarted(filled());
    for (number, wanted) in [(1, want("a", 1..=10)), (2, with_topology(want("b", [1]))), (3, want("c", []))] {
        assert!(bench.mirror.steps(frontend(number), Some(&wanted)).is_empty(), "{number}");
    }
    assert_eq!(bench.mirror.services().cloned().collect::<Vec<_>>(), [name("a"), name("b"), name("c")]);
    assert_eq!(bench.mirror.orphans().len(), 0);
}

#[test]
fn a_restart_goes_on_counting_and_keeps_off_regions_in_use() {
    let before = filled();
    let old = before.element(1).unwrap();
    let mut bench = restarted(before);
    bench.bring(frontend(4), Some(&want("d", 1..=20)));
    let new = bench.element(4).unwrap();
    assert_eq!(bench.mirror.next_id(), new.owner.id + 1);
    assert!(new.owner.id >= 1024, "ids below what was promised may have been used: {:?}", new.owner);
    assert!(new.region >= old.region + 4 || new.region + 16 <= old.region, "{new:?} {old:?}");
    bench.bring(frontend(1), Some(&want("a", [1])));
    let again = bench.element(1).unwrap().owner;
    assert_eq!(again, Owner { id: old.owner.id, revision: old.owner.revision + 1 });
}

/// Programs may still read a region that the agent before gave up in its last moment.
#[test]
fn a_restart_fills_no_region_before_a_grace_period_has_passed() {
    let mut bench = just_restarted(filled());
    bench.bring(frontend(1), Some(&want("a", 1..=11)));
    assert_eq!(bench.backends(1), Some((1..=10).collect()), "what grows waits");
    bench.bring(frontend(4), Some(&with_topology(want("d", 1..=7))));
    assert_eq!(bench.backends(4), Some((1..=6).collect()), "what is new goes on with what needs no region");
    bench.bring(frontend(3), Some(&want("c", [1, 2])));
    assert_eq!(bench.backends(3), Some(vec![1, 2]), "what needs no region does not wait");

    let begun = bench.mirror.start_grace().unwrap();
    bench.mirror.release(begun);
    assert_eq!(bench.mirror.take_retryable(), [name("a"), name("d")]);
    bench.bring(frontend(1), Some(&want("a", 1..=11)));
    bench.bring(frontend(4), Some(&with_topology(want("d", 1..=7))));
    assert_eq!(bench.backends(1), Some((1..=11).collect()));
    assert_eq!(bench.backends(4), Some((1..=7).collect()));
}

#[test]
fn what_does_not_prove_itself_is_written_anew() {
    type Harm = fn(&mut Memory);
    let harms: [(&str, Harm); 7] = [
        ("an older revision's region", |memory| {
            memory.entries.v4.iter_mut().for_each(|(owner, _)| owner.revision += 1)
        }),
        ("a torn value", |memory| stored(memory).proof = Proof::Unproven),
        ("another's region", |memory| memory.entries.v4.iter_mut().for_each(|(owner, _)| owner.id += 1)),
        ("a region past the end", |memory| stored(memory).inline.region = u32::MAX - 1),
        ("a region that is not well placed", |memory| {
            let from = stored(memory).inline.region as usize;
            let entries = memory.entries.v4[from..from + 4].to_vec();
            memory.entries.v4[33..37].clone_from_slice(&entries);
            stored(memory).inline.region = 33;
        }),
        ("no name", |memory| memory.names.clear()),
        ("an id that no agent gives", |memory| {
            stored(memory).inline.owner.id = 0;
            memory.entries.v4.iter_mut().for_each(|(owner, _)| owner.id = 0);
        }),
    ];
    for (shows, harm) in harms {
        let mut bench = filled();
        harm(bench.maps.memory_mut());
        let mut bench = restarted(bench);
        bench.bring_unchecked(frontend(1), &want("a", 1..=10));
        assert_eq!(bench.backends(1), Some((1..=10).collect()), "{shows}");
        assert_ne!(bench.element(1).unwrap().owner.id, 0, "{shows}");
    }
}

/// What does not prove itself says nothing about ids either.
#[test]
fn garbage_ends_no_start_and_no_id() {
    let mut bench = filled();
    stored(bench.maps.memory_mut()).inline.owner.id = u32::MAX;
    stored(bench.maps.memory_mut()).proof = Proof::Unproven;
    let mut bench = restarted(bench);
    assert!(!bench.mirror.is_out_of_ids());
    bench.bring_unchecked(frontend(1), &want("a", 1..=10));
    assert_eq!(bench.backends(1), Some((1..=10).collect()));

    bench.maps.memory_mut().next_id = u32::MAX;
    let mut bench = restarted(bench);
    assert!(bench.mirror.is_out_of_ids(), "the next maps begin anew");
    bench.bring(frontend(4), Some(&want("d", [1])));
    assert_eq!(bench.backends(4), None);
    assert_eq!(bench.mirror.shortages().of(&name("d")).count(), 1);
    bench.bring(frontend(1), Some(&want("a", [1])));
    assert_eq!(bench.backends(1), Some(vec![1]), "what has an id goes on");
}

#[test]
fn the_audit_finds_what_another_program_changed() {
    type Harm = fn(&mut Memory);
    let harms: [(&str, Harm, &[&str]); 5] = [
        ("nothing", |_| {}, &[]),
        ("a value", |memory| memory.services.get_mut(&frontend(2)).unwrap().count = 9, &["b"]),
        ("a region", |memory| memory.entries.v4.fill(Default::default()), &["a"]),
        ("an element is gone", |memory| _ = memory.services.remove(&frontend(2)), &["b"]),
        ("all are gone", |memory| memory.services.clear(), &["a", "b", "c"]),
    ];
    for (shows, harm, services) in harms {
        let mut bench = filled();
        harm(bench.maps.memory_mut());
        let (differ, names) = bench.mirror.compare(&bench.maps.held());
        assert_eq!(
            differ.into_iter().collect::<Vec<_>>(),
            services.iter().map(|s| name(s)).collect::<Vec<_>>(),
            "{shows}"
        );
        for op in &names {
            bench.maps.write(op).unwrap();
        }
        let wants = [(1, want("a", 1..=10)), (2, with_topology(want("b", [1]))), (3, want("c", []))];
        for (number, wanted) in &wants {
            bench.bring_unchecked(frontend(*number), wanted);
        }
        assert_eq!(bench.backends(1), Some((1..=10).collect()), "{shows}");
        assert_eq!(bench.backends(2), Some(vec![1]), "{shows}");
        assert_eq!(bench.backends(3), Some(vec![]), "{shows}");
        bench.grace();
        let (differ, names) = bench.mirror.compare(&bench.maps.held());
        assert!(differ.is_empty() && names.is_empty() && bench.mirror.orphans().is_empty(), "{shows}");
    }
}

#[test]
fn the_audit_finds_elements_and_names_that_no_agent_wrote() {
    let mut bench = filled();
    let memory = bench.maps.memory_mut();
    let foreign = memory.services[&frontend(2)].clone();
    memory.services.insert(frontend(9), foreign);
    let lost = *memory.names.keys().next().unwrap();
    let extra = memory.names.remove(&lost).unwrap();
    memory.names.insert(77, extra.clone());

    let (differ, ops) = bench.mirror.compare(&bench.maps.held());
    assert!(differ.is_empty());
    assert_eq!(bench.mirror.orphans().len(), 1);
    assert_eq!(ops, [MapOp::Name { id: lost, key: extra }, MapOp::Unname { id: 77 }]);
    bench.bring(frontend(9), None);
    assert_eq!(bench.backends(9), None);
    assert_eq!(bench.mirror.orphans().len(), 0);
}

#[test]
fn maps_that_take_the_place_of_others_keep_ids_and_slots() {
    type Renew = fn(&Bench, Capacity) -> Mirror;
    let ways: [(&str, Renew); 2] = [
        ("grown by the same agent", |old, capacity| old.mirror.successor(capacity)),
        ("made by another version, from what it reads", |old, capacity| {
            let mut mirror = Mirror::new(capacity, 1);
            mirror.inherit(&old.maps.held());
            mirror
        }),
    ];
    for (shows, renew) in ways {
        let mut old = Bench::new(8, 64);
        old.bring(frontend(1), Some(&want("a", [20, 30])));
        // The slots are 40, 20, 30 in no order of their own.
        old.bring(frontend(1), Some(&want("a", [40])));
        old.bring(frontend(1), Some(&want("a", [20, 30, 40])));
        old.bring(frontend(2), Some(&want("b", 1..=9)));
        let (before, of_b) = (old.element(1).unwrap(), old.element(2).unwrap().owner);

        let mut new = Bench::new(16, 128);
        new.mirror = renew(&old, new.mirror.capacity());
        new.bring(frontend(1), Some(&want("a", [20, 30, 40])));
        new.bring(frontend(3), Some(&want("c", [1])));
        new.bring(frontend(2), Some(&want("z", [1])));

        let after = new.element(1).unwrap();
        assert_eq!(after.backends, before.backends, "{shows}");
        assert_eq!(
            after.owner,
            Owner { id: before.owner.id, revision: before.owner.revision + 1 },
            "{shows}"
        );
        let fresh = new.element(3).unwrap().owner;
        assert!(fresh.id > before.owner.id && fresh.id > of_b.id, "{shows}: {fresh:?}");
        assert!(new.element(2).unwrap().owner.id > of_b.id, "{shows}: another Service, another id");
        assert_eq!(new.names()[&before.owner.id].service, name("a"), "{shows}");
    }
}

fn stored(memory: &mut Memory) -> &mut super::super::fake::Stored {
    memory.services.get_mut(&frontend(1)).unwrap()
}
