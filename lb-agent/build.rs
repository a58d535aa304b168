//! Puts the kernel objects that the agent carries inside where the compiler finds it.
//!
//! No path of this checkout is kept: a checkout that is copied with its `target` folder builds from
//! its own files.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Names an object that lies elsewhere.
const CHOICE: &str = "EDGELOOP_EBPF_OBJECT";
/// From the folder of this package, which is where cargo runs this program.
const BUILT: &str = "../lb-ebpf/target/edgeloop.o";
/// The object with lines for each call lies beside the ordinary one.
const LOGGING: &str = "edgeloop-log.o";

fn main() {
    println!("cargo::rerun-if-env-changed={CHOICE}");
    let object = env::var_os(CHOICE).map_or_else(|| PathBuf::from(BUILT), PathBuf::from);
    carry(&object, "edgeloop.o", "edgeloop_object", Ok);
    // Few agents ever use it.
    carry(&object.with_file_name(LOGGING), "edgeloop-log.o.gz", "edgeloop_log_object", |object| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&object)?;
        packed.finish()
    });
}

/// Copies an object as `pack` makes it, if it is there, and sets `condition` then.
fn carry(object: &Path, name: &str, condition: &str, pack: fn(Vec<u8>) -> io::Result<Vec<u8>>) {
    println!("cargo::rustc-check-cfg=cfg({condition})");
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
        let copy = Path::new(&out).join(name);
        let carried = fs::read(object).and_then(pack).and_then(|bytes| fs::write(&copy, bytes));
        if let Err(error) = carried {
            panic!("could not copy {} to {}: {error}", object.display(), copy.display());
        }
        println!("cargo::rustc-cfg={condition}");
    }
}
