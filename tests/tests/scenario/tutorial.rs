//! The demo is a proof too: it exits with an error if anything that it shows is not so.

use std::process::Command;

use edgeloop_tests::checkout;

/// Two at once, as two people on one machine would.
#[test]
#[ignore = "needs root"]
fn the_demo_shows_what_it_says_also_beside_another() {
    let demo = || Command::new(checkout::program("edgeloop-demo").unwrap()).spawn().unwrap();
    for mut demo in [demo(), demo()] {
        let status = demo.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}
