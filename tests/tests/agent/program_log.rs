//! What the programs say of each call, where they were asked to.

use edgeloop_tests::Pair;
use edgeloop_tests::agent::{Agent, wait_for};
use nix::sys::signal::Signal;

#[test]
#[ignore = "needs root"]
fn programs_say_what_was_dialled_what_it_got_and_why_and_only_where_they_are_asked_to() {
    let pair = Pair::new().unwrap();
    pair.folder.put("none.yaml", "service none 10.96.0.12:80").unwrap();
    let many = "service many 10.96.0.13:80\nslice many-1 of many 9376 10.244.1.3 10.245.0.1..20";
    pair.folder.put("many.yaml", many).unwrap();
    let agent = pair.agent(&["--program-log"]).unwrap();
    assert!(pair.is_served().unwrap());
    assert!(pair.dial("[::ffff:10.96.0.11]:80").unwrap().is_from("web"), "programs of the other hook");
    assert!(pair.dial("10.96.0.12:80").unwrap().failed_with("ECONNREFUSED"));
    pair.dial("10.96.0.99:80").unwrap();
    pair.client.dial("10.96.0.13:80", 20).unwrap();
    for said in [
        "dials 10.96.0.11:80 (connect4)",
        "dials 10.96.0.11:80 (connect6)",
        "revision 1, 1 backends",
        "is sent to 10.244.1.3:9376",
        "dials 10.96.0.12:80 (connect4)",
        "revision 1, 0 backends",
        "refused, the Service has no backend for this node",
        "dials 10.96.0.99:80 (connect4)",
        "allowed, no Service is there",
        "revision 1, 21 backends",
        "is sent to 10.245.0.",
    ] {
        let lines = || agent.log().lines().any(|line| line.contains("line=process ") && line.contains(said));
        wait_for(said, || Ok(lines())).unwrap_or_else(|error| panic!("{error}: {}", agent.log()));
    }

    // The next one goes on over the same maps, with programs that say nothing.
    agent.end_by(Signal::SIGTERM).unwrap();
    assert!(pair.is_served().unwrap(), "programs whose lines nothing reads go on");
    let agent: Agent = pair.agent(&[]).unwrap();
    let before = agent.log().len();
    assert!(pair.is_served().unwrap());
    pair.folder.put("late.yaml", "service late 10.96.0.14:80").unwrap();
    wait_for("it goes on", || Ok(pair.holds("10.96.0.14:80")? == "refused")).unwrap();
    assert!(!agent.log().split_off(before).contains("line=process"), "{}", agent.log());
}
