//! Tells the agent whether its kernel object was built, and where it lies.

use std::path::PathBuf;

/// Names an object that lies elsewhere.
const CHOICE: &str = "EDGELOOP_EBPF_OBJECT";

fn main() {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../lb-ebpf/target/edgeloop.o");
    let object = std::env::var_os(CHOICE).map_or_else(|| PathBuf::from(built), PathBuf::from);
    // `include_bytes` reads from the folder of the source file, we from that of the package.
    let object = std::path::absolute(&object).unwrap_or(object);
    let directives = [
        "rustc-check-cfg=cfg(edgeloop_object)".to_string(),
        format!("rerun-if-env-changed={CHOICE}"),
        format!("rerun-if-changed={}", object.display()),
        // For `include_bytes_aligned!(env!("EDGELOOP_OBJECT"))`.
        format!("rustc-env=EDGELOOP_OBJECT={}", object.display()),
    ];
    for directive in directives {
        tell_cargo(&directive);
    }
    if object.is_file() {
        tell_cargo("rustc-cfg=edgeloop_object");
    }
}

#[expect(clippy::print_stdout, reason = "this is how a build script speaks")]
fn tell_cargo(directive: &str) {
    println!("cargo::{directive}");
}
