//! Puts the kernel object that the agent carries inside where the compiler finds it.
//!
//! No path of this checkout is kept: a checkout that is copied with its `target` folder builds from
//! its own files.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Names an object that lies elsewhere.
const CHOICE: &str = "EDGELOOP_EBPF_OBJECT";
/// From the folder of this package, which is where cargo runs this program.
const BUILT: &str = "../lb-ebpf/target/edgeloop.o";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(edgeloop_object)");
    println!("cargo::rerun-if-env-changed={CHOICE}");
    let object = env::var_os(CHOICE).map_or_else(|| PathBuf::from(BUILT), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
        let copy = Path::new(&out).join("edgeloop.o");
        if let Err(error) = fs::copy(&object, &copy) {
            panic!("could not copy {} to {}: {error}", object.display(), copy.display());
        }
        println!("cargo::rustc-cfg=edgeloop_object");
    }
}
