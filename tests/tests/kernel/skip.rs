//! Processes in a cgroup that is to be skipped, or below one: what they dial is left alone, and nothing else is.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as the tests do")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Result;
use edgeloop_tests::builds::planted_object;
use edgeloop_tests::kernel::Kernel;
use edgeloop_tests::{Call, Pod, Site};
use lb_agent::datapath::programs::load::OBJECT;
use lb_agent::plan::skips::{Cgroups, Unwanted};
use lb_common::outcome::Outcome;

const SERVICE: &str = "10.96.0.11:80";
const EMPTY: &str = "10.96.0.12:80";
const MAPPED: &str = "[::ffff:10.96.0.11]:80";
const OTHER: &str = "10.96.0.99:80";

/// A decoy holds the addresses, so that what is left alone reaches it.
#[test]
#[ignore = "needs root"]
fn a_skipped_cgroup_and_all_below_it_is_left_alone_and_its_siblings_are_not() {
    let mut world = World::of(OBJECT).unwrap();
    let inner = world.pod("inner", 4, "pods/skipped/a/b").unwrap();
    let skipped = world.pod("skipped", 5, "pods/skipped").unwrap();
    let sibling = world.pod("sibling", 6, "pods/other/a/b").unwrap();
    let above = world.pod("above", 7, "pods").unwrap();
    world.skip(&["pods/skipped"]).unwrap();
    for pod in [&inner, &skipped] {
        for target in [SERVICE, MAPPED, EMPTY] {
            let answer = pod.dial(target, 1).unwrap().remove(0);
            assert!(answer.is_from("decoy"), "{} to {target}: {answer:?}", pod.name());
        }
        let answer = pod.call(Call::Udp, SERVICE).unwrap();
        assert_eq!(answer.peer, Some(SERVICE.parse().unwrap()), "{}: {answer:?}", pod.name());
    }
    for pod in [&sibling, &above] {
        assert!(pod.dial(SERVICE, 1).unwrap()[0].is_from("web"), "{}", pod.name());
        assert!(pod.dial(EMPTY, 1).unwrap()[0].failed_with("ECONNREFUSED"), "{}", pod.name());
    }
    assert_eq!(world.counts(), (8, 2, 0));

    world.skip(&[]).unwrap();
    assert!(inner.dial(SERVICE, 1).unwrap()[0].is_from("web"));
    world.skip(&["pods/other", "pods/skipped/a"]).unwrap();
    assert!(inner.dial(SERVICE, 1).unwrap()[0].is_from("decoy"), "at another level");
    assert!(skipped.dial(SERVICE, 1).unwrap()[0].is_from("web"));
    assert!(sibling.dial(SERVICE, 1).unwrap()[0].is_from("decoy"));
}

/// What is no Service costs a skipped pod no more than any other.
#[test]
#[ignore = "needs root"]
fn whether_a_pod_is_skipped_is_asked_on_hits_alone() {
    let mut world = World::of(OBJECT).unwrap();
    assert_eq!(world.misses_of_a_skipped_pod(), (0, 0, 3));
}

/// A planted bug that the test above must catch.
#[test]
#[ignore = "needs root"]
fn asked_before_the_lookup_misses_are_seen_to_pay_for_it() {
    let mut world = World::of(planted_object("edgeloop-skip-on-misses.o").unwrap()).unwrap();
    assert_eq!(world.misses_of_a_skipped_pod(), (3, 0, 0));
}

struct World {
    kernel: Kernel,
    _site: Site,
    node: edgeloop_tests::Node,
    _web: Pod,
}

impl World {
    /// `SERVICE` has one backend, over TCP and UDP, `EMPTY` none.
    fn of(object: &'static [u8]) -> Result<Self> {
        let site = Site::new()?;
        let node = site.node("n1")?;
        let web = site.node("n2")?.pod("web", "10.244.1.3")?;
        let backend = web.serve_name(9376)?;
        let mut kernel = Kernel::attach_object(&node, object)?;
        kernel.publish(SERVICE, &[backend])?;
        kernel.publish_udp(SERVICE, &[backend])?;
        kernel.publish(EMPTY, &[])?;
        Ok(Self { kernel, _site: site, node, _web: web })
    }

    /// A pod whose own addresses are those of the Services, with a decoy at each.
    fn pod(&self, name: &str, number: u8, folder: &str) -> Result<Pod> {
        let pod = self.node.pod(name, &format!("10.244.1.{number}"))?.within(folder)?;
        for at in [SERVICE, EMPTY, OTHER] {
            let at: SocketAddr = at.parse()?;
            pod.add_addresses(&[at.ip()])?;
            pod.serve(at, "decoy")?;
        }
        Ok(pod)
    }

    /// Skips what runs in these folders of the node, and nothing else.
    fn skip(&mut self, folders: &[&str]) -> Result<()> {
        let depth = |folder: &str| folder.split('/').count();
        // The site's cgroup lies in the root, and the node's in it.
        let top = self.node.cgroup();
        let above = top.ancestors().take_while(|folder| fs::metadata(folder).is_ok_and(|of| of.ino() != 1));
        let above = above.count();
        let one = |folder: &&str| {
            let id = fs::metadata(top.join(folder))?.ino();
            Ok((id, u32::try_from(above + depth(folder))?))
        };
        let wanted: Cgroups = folders.iter().map(one).collect::<Result<_>>()?;
        self.kernel.maps.skip(&wanted, Unwanted::Go)?;
        Ok(())
    }

    fn misses_of_a_skipped_pod(&mut self) -> (u64, u64, u64) {
        let pod = self.pod("skipped", 5, "pods/skipped").unwrap();
        self.skip(&["pods/skipped"]).unwrap();
        let answers = pod.dial(OTHER, 3).unwrap();
        assert!(answers.iter().all(|answer| answer.is_from("decoy")), "{answers:?}");
        self.counts()
    }

    /// How often a call was left alone for a skipped pod, forwarded, and to no Service.
    fn counts(&self) -> (u64, u64, u64) {
        let of = |outcome| self.kernel.count(outcome).unwrap();
        (of(Outcome::Skipped), of(Outcome::Forwarded), of(Outcome::NotAService))
    }
}
