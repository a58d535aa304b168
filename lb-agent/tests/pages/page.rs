//! A page that is written, or compared.

use std::fs;
use std::path::PathBuf;

const RECORD: &str = "EDGELOOP_RECORD_PAGES";

/// Of the checkout that the test runs in.
fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap()
}

/// Fails unless `docs/reference/NAME` is `text`; writes it where that is asked for.
pub(crate) fn compare(name: &str, text: &str) {
    let file = package().join("../docs/reference").join(name);
    if std::env::var_os(RECORD).is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(text.lines()).position(|(found, text)| found != text);
    assert!(
        found == text,
        "docs/reference/{name} differs from line {} on: `{RECORD}=1 cargo xtask test pure -- pages` writes it",
        differs.map_or(found.lines().count().min(text.lines().count()), |line| line) + 1
    );
}
