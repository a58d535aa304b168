//! What a fuzzer calls: one target of `lb_agent::fuzzing`, named by the environment.

#![no_main]

use std::sync::OnceLock;

use lb_agent::fuzzing::{TARGET, Target};
use libfuzzer_sys::fuzz_target;

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var(TARGET).unwrap_or_default();
        let target = Target::named(&name).unwrap_or_else(|| panic!("{TARGET}={name:?} is no target"));
        CHOSEN.get_or_init(|| target);
    },
    |data: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            target.run(data);
        }
    }
);
