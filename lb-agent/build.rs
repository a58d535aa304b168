//! Puts the kernel objects that the agent carries inside where the compiler finds it.
//!
//! No path of this checkout is kept: a checkout that is copied with its `target` folder builds from
//! its own files.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Names an object that lies elsewhere.
const CHOICE: &str = "EDGELOOP_EBPF_OBJECT";
/// From the folder of this package, which is where cargo runs this program.
const BUILT: &str = "../lb-ebpf/target/edgeloop.o";
/// The object with lines for each call lies beside the ordinary one.
const LOGGING: &str = "edgeloop-log.o";

fn main() {
    println!("cargo::rerun-if-env-changed={CHOICE}");
    let object = env::var_os(CHOICE).map_or_else(|| PathBuf::from(BUILT), PathBuf::from);
    carry(&object, "edgeloop.o", "edgeloop_object");
    carry(&object.with_file_name(LOGGING), LOGGING, "edgeloop_log_object");
}

/// Copies an object, if it is there, and sets `condition` then.
fn carry(object: &Path, name: &str, condition: &str) {
    println!("cargo::rustc-check-cfg=cfg({condition})");
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
        let copy = Path::new(&out).join(name);
        if let Err(error) = fs::copy(object, &copy) {
            panic!("could not copy {} to {}: {error}", object.display(), copy.display());
        }
        println!("cargo::rustc-cfg={condition}");
    }
}
