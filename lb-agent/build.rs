//! Finds the kernel object that the agent carries inside.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(edgeloop_object)");
    println!("cargo::rerun-if-env-changed=EDGELOOP_EBPF_OBJECT");
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lb-ebpf/target/edgeloop.o");
    let object = env::var_os("EDGELOOP_EBPF_OBJECT").map_or(built, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        println!("cargo::rustc-cfg=edgeloop_object");
        println!("cargo::rustc-env=EDGELOOP_OBJECT_PATH={}", object.display());
    }
}
