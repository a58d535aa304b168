//! Taking over, and noticing what someone else changed.

use super::super::{MapOp, Observed};
use super::*;

fn filled() -> Bench {
    let mut bench = Bench::new(8, 64);
    bench.bring(frontend(1), Some(&want("a", 1..=9)));
    bench.bring(frontend(1), Some(&want("a", 1..=10)));
    bench.bring(frontend(2), Some(&with_topology(want("b", [1]))));
    bench.bring(frontend(3), Some(&want("c", [])));
    bench
}

/// A new agent over the maps of an old one.
fn restarted(bench: Bench) -> Bench {
    let mirror = Mirror::adopt(bench.maps.held(), bench.mirror.capacity());
    Bench { mirror, maps: bench.maps }
}

#[test]
fn a_restart_finds_everything_and_writes_nothing() {
    let mut bench = restarted(filled());
    for (number, wanted) in [(1, want("a", 1..=10)), (2, with_topology(want("b", [1]))), (3, want("c", []))] {
        assert!(bench.mirror.steps(frontend(number), Some(&wanted)).is_empty(), "{number}");
    }
    assert_eq!(bench.mirror.services().cloned().collect::<Vec<_>>(), [name("a"), name("b"), name("c")]);
    assert_eq!(bench.mirror.orphans().len(), 0);
}

#[test]
fn a_restart_goes_on_counting_and_keeps_off_regions_in_use() {
    let before = filled();
    let old = before.maps.held().services[&frontend(1)];
    let mut bench = restarted(before);
    bench.bring(frontend(4), Some(&want("d", 1..=20)));
    let new = bench.maps.held().services[&frontend(4)];
    assert_eq!(bench.mirror.next_id(), new.id + 1);
    assert!(new.id >= 1024, "ids below what was promised may have been used: {}", new.id);
    assert!(new.region >= old.region + 4 || new.region + 16 <= old.region, "{new:?} {old:?}");
    bench.bring(frontend(1), Some(&want("a", [1])));
    let again = bench.maps.held().services[&frontend(1)];
    assert_eq!((again.id, again.revision), (old.id, old.revision + 1));
}

#[test]
fn what_does_not_prove_itself_is_written_anew() {
    type Harm = fn(&mut Observed);
    let harms: [(&str, Harm); 6] = [
        ("an older revision's region", |held| held.backends.iter_mut().for_each(|entry| entry.revision += 1)),
        ("a torn value", |held| held.services.get_mut(&frontend(1)).unwrap().count = 3),
        ("another's region", |held| held.backends.iter_mut().for_each(|entry| entry.id += 1)),
        ("a region past the end", |held| {
            let service = held.services.get_mut(&frontend(1)).unwrap();
            service.region = u32::MAX - 1;
            service.check = lb_common::element::check::<lb_common::family::V4>(&frontend(1), service);
        }),
        ("a region that is not well placed", |held| {
            let mut service = held.services[&frontend(1)];
            let entries: Vec<_> = held.backends[service.region as usize..][..4].to_vec();
            service.region = 33;
            service.check = lb_common::element::check::<lb_common::family::V4>(&frontend(1), &service);
            held.backends[33..37].copy_from_slice(&entries);
            held.services.insert(frontend(1), service);
        }),
        ("no name", |held| held.names.clear()),
    ];
    for (shows, harm) in harms {
        let mut bench = filled();
        harm(bench.maps.held_mut());
        let mirror = Mirror::adopt(bench.maps.held(), bench.mirror.capacity());
        let mut bench = Bench { mirror, maps: bench.maps };
        bench.bring_unchecked(frontend(1), &want("a", 1..=10));
        assert_eq!(bench.backends(1), Some((1..=10).collect()), "{shows}");
    }
}

#[test]
fn an_element_whose_region_is_lost_is_written_also_when_its_inline_backends_are_what_is_wanted() {
    let mut bench = filled();
    let mut service = bench.maps.held().services[&frontend(1)];
    service.region = 33;
    service.check = lb_common::element::check::<lb_common::family::V4>(&frontend(1), &service);
    bench.maps.held_mut().services.insert(frontend(1), service);
    let mut bench = restarted(bench);
    assert_eq!(bench.mirror.entries().count(), 3);
    bench.bring_unchecked(frontend(1), &want("a", 1..=6));
    assert_eq!(bench.backends(1), Some((1..=6).collect()));
}

#[test]
fn names_read_back_as_the_service_ports_they_were() {
    let mut held = filled().maps.held().clone();
    let id = *held.names.keys().next().unwrap();
    for (protocol, reads) in [(6, Some(Protocol::Tcp)), (17, Some(Protocol::Udp)), (132, None), (0, None)] {
        held.names.get_mut(&id).unwrap().protocol = protocol;
        assert_eq!(held.key(id).map(|key| key.protocol), reads, "{protocol}");
    }
}

#[test]
fn the_audit_finds_what_someone_else_changed() {
    type Harm = fn(&mut Observed);
    let harms: [(&str, Harm, &[&str]); 5] = [
        ("nothing", |_| {}, &[]),
        ("a value", |held| held.services.get_mut(&frontend(2)).unwrap().count = 9, &["b"]),
        ("a region", |held| held.backends.fill(Default::default()), &["a"]),
        ("an element is gone", |held| _ = held.services.remove(&frontend(2)), &["b"]),
        ("all are gone", |held| held.services.clear(), &["a", "b", "c"]),
    ];
    for (shows, harm, services) in harms {
        let mut bench = filled();
        harm(bench.maps.held_mut());
        let (differ, names) = bench.mirror.compare(bench.maps.held());
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
        let (differ, names) = bench.mirror.compare(bench.maps.held());
        assert!(differ.is_empty() && names.is_empty() && bench.mirror.orphans().is_empty(), "{shows}");
    }
}

#[test]
fn the_audit_finds_elements_and_names_that_nobody_wrote() {
    let mut bench = filled();
    let foreign = bench.maps.held().services[&frontend(2)];
    bench.maps.held_mut().services.insert(frontend(9), foreign);
    let names = &mut bench.maps.held_mut().names;
    let lost = *names.keys().next().unwrap();
    let extra = names[&lost];
    names.remove(&lost);
    names.insert(77, extra);

    let (differ, ops) = bench.mirror.compare(bench.maps.held());
    assert!(differ.is_empty());
    assert_eq!(bench.mirror.orphans().len(), 1);
    assert_eq!(ops, [MapOp::Name { id: lost, name: extra }, MapOp::Unname { id: 77 }]);
    bench.bring(frontend(9), None);
    assert_eq!(bench.backends(9), None);
    assert_eq!(bench.mirror.orphans().len(), 0);
}
