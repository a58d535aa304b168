//! The file that a bundle is: `.tar.gz`, never longer than a limit.

use std::io;
use std::time::Instant;

use super::parts::{File, Missing, cut, first, packed};

/// The bundle is not longer, in bytes.
pub(super) const MOST: usize = 10 << 20;
/// What the manifest has room for.
const FOR_MANIFEST: usize = 128 << 10;
/// Its files lie in this folder.
const FOLDER: &str = "edgeloop-sysdump";
/// A tar archive is made of blocks, and ends with two empty ones.
const BLOCK: usize = 512;
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What the manifest says besides which files there are, a line each.
pub(super) struct About {
    pub(super) lines: Vec<String>,
    /// In seconds since 1970.
    pub(super) at: u64,
    /// No further file is begun after it.
    pub(super) until: Instant,
}

/// `files`, each as `clean` makes it, with a manifest that says what is missing.
pub(super) fn bundle(
    about: &About,
    files: &[File],
    missing: &[Missing],
    clean: impl FnMut(&File, String) -> String,
    mut say: impl FnMut(&str) -> String,
) -> anyhow::Result<Vec<u8>> {
    let (members, mut list) = members(about, files, clean, MOST - FOR_MANIFEST)?;
    list.extend(
        missing.iter().map(|Missing { part, why }| format!("{part:<18} {:>10}  missing: {}", "-", say(why))),
    );
    let head = about.lines.join("\n");
    let manifest = format!("{head}\n\n{:<18} {:>10}  state\n{}\n", "file", "bytes", list.join("\n"));
    let manifest = first(manifest.as_bytes(), FOR_MANIFEST / 2);
    // gzip is made of members, one after another.
    let mut all = packed(&member("MANIFEST", manifest, about.at)?)?;
    members.into_iter().for_each(|member| all.extend(member));
    all.extend(packed(&END)?);
    Ok(all)
}

/// Each file packed, as long as all have room, and what the manifest says of it.
fn members(
    about: &About,
    files: &[File],
    mut clean: impl FnMut(&File, String) -> String,
    mut room: usize,
) -> anyhow::Result<(Vec<Vec<u8>>, Vec<String>)> {
    let (mut members, mut list) = (Vec::new(), Vec::new());
    for file in files {
        if Instant::now() > about.until {
            list.push(format!("{:<18} {:>10}  missing: no time was left to write it", file.name, "-"));
            continue;
        }
        let content = clean(file, file.content()?);
        let mut kept = content.as_bytes();
        let mut packing = packed(&member(&file.name, kept, about.at)?)?;
        // What is left of it may pack less well.
        while packing.len() > room && !kept.is_empty() {
            let most = kept.len() as u64 * room as u64 / packing.len() as u64 * 9 / 10;
            kept = first(kept, most as usize);
            packing = packed(&member(&file.name, kept, about.at)?)?;
        }
        let state = match &file.cut {
            _ if kept.len() < content.len() => cut(kept.len(), content.len()),
            Some(cut) => cut.clone(),
            None => "whole".to_owned(),
        };
        list.push(format!("{:<18} {:>10}  {state}", file.name, kept.len()));
        // A file of nothing is short, but there may be no room at all.
        if packing.len() <= room {
            room -= packing.len();
            members.push(packing);
        }
    }
    Ok((members, list))
}

/// A file as it lies in a tar archive.
pub(super) fn member(name: &str, content: &[u8], at: u64) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_path(format!("{FOLDER}/{name}"))?;
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(at);
    header.set_cksum();
    let padding = vec![0; content.len().next_multiple_of(BLOCK) - content.len()];
    Ok([header.as_bytes().as_slice(), content, &padding].concat())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;
    use std::time::Duration;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn unpacked(bundle: &[u8]) -> BTreeMap<String, String> {
        let mut archive = tar::Archive::new(MultiGzDecoder::new(bundle));
        let files = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text)
        });
        files.collect()
    }

    fn made(files: &[File]) -> Vec<u8> {
        made_until(Instant::now() + Duration::from_secs(600), files)
    }

    fn made_until(until: Instant, files: &[File]) -> Vec<u8> {
        let about = About { lines: vec!["one".to_owned()], at: 7, until };
        let missing = [Missing { part: "sockets", why: "no root".to_owned() }];
        bundle(&about, files, &missing, |_, text| text.replace('x', "y"), |why| why.replace("root", "r"))
            .unwrap()
    }

    #[test]
    fn a_bundle_unpacks_to_its_files_and_a_manifest_that_lists_them() {
        let files = [File::text("log.txt", "x1\n").unwrap(), File::json("a.json", b"{}").unwrap()];
        let found = unpacked(&made(&files));
        assert_eq!(found["edgeloop-sysdump/log.txt"], "y1\n");
        assert_eq!(found["edgeloop-sysdump/a.json"], "{}");
        let expected = "one\n\nfile                    bytes  state\nlog.txt                     3  whole\n\
                        a.json                      2  whole\nsockets                     -  missing: no r\n";
        assert_eq!(found["edgeloop-sysdump/MANIFEST"], expected);
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn once_it_is_late_the_other_files_are_listed_alone() {
        let found = unpacked(&made_until(Instant::now(), &[File::text("log.txt", "x").unwrap()]));
        assert_eq!(found.len(), 1);
        assert!(found["edgeloop-sysdump/MANIFEST"].contains("-  missing: no time was left to write it\n"));
    }

    #[test]
    fn a_bundle_is_never_longer_than_its_limit_and_says_what_is_cut() {
        // Numbers without a pattern hardly pack.
        let mut state = 1_u64;
        let mut odd = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:016x}\n", state ^ state >> 31)
        };
        let text: String = (0..900_000).map(|_| odd()).collect();
        let files = ["1", "2", "3"].map(|name| File::text(name, &text).unwrap());
        let all = made(&files);
        assert!(all.len() <= MOST && all.len() > MOST / 2, "{}", all.len());
        let found = unpacked(&all);
        let manifest = &found["edgeloop-sysdump/MANIFEST"];
        assert!(manifest.contains("\n1 ") && manifest.contains("15300000  whole"), "{manifest}");
        assert!(manifest.contains(" of 15300000 bytes"), "{manifest}");
    }
}
