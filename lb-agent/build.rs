//! Finds the kernel object that the agent carries inside.

use std::env;
use std::path::{Path, PathBuf};

/// Names an object that lies elsewhere.
const CHOICE: &str = "EDGELOOP_EBPF_OBJECT";

fn main() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lb-ebpf/target/edgeloop.o");
    let object = env::var_os(CHOICE).map_or(built, PathBuf::from);
    // `include_bytes` reads from the folder of the source file, we from that of the package.
    let object = std::path::absolute(&object).unwrap_or(object);
    println!("cargo::rustc-check-cfg=cfg(edgeloop_object)");
    println!("cargo::rerun-if-env-changed={CHOICE}");
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        println!("cargo::rustc-cfg=edgeloop_object");
        println!("cargo::rustc-env=EDGELOOP_OBJECT_PATH={}", object.display());
    }
}
