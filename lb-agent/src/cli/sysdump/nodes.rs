//! The bundles of other nodes, made by their agents' pods, in one file.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::remote::{Printed, RemoteArgs, concluded};
use crate::remote::Nodes;
use crate::shown::{Shown, shown};

use super::bundle::{END, MOST, member};
use super::names::cleaned;
use super::write;

/// For the bundle of one node, which takes half of that at most to be made.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How a file begins that gzip made.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes of the manifest for each node: a name has 253 at most, a reason is cut.
const OF_A_NODE: usize = 600;
/// What the header of a member and its last block take at most, in bytes.
const AROUND: usize = 1024;

/// Has each node make its bundle, and writes one file.
///
/// # Errors
/// No node gives one, or the file cannot be written.
pub(super) fn run(
    remote: &RemoteArgs,
    nodes: &Nodes,
    output: Option<PathBuf>,
    anonymous: bool,
) -> anyhow::Result<ExitCode> {
    let mut command = vec!["sysdump", "--output", "-"];
    command.extend(anonymous.then_some("--anonymous"));
    let now = Timestamp::now();
    let bundles = with_reasons(remote.run_within(TIMEOUT, nodes, &command)?);
    let mut without = 0;
    for (node, bundle) in &bundles {
        if let Err(why) = bundle {
            without += 1;
            // Without stderr there is no place left to say it.
            drop(writeln!(io::stderr(), "node {} gave no bundle: {why}", Shown(node)));
        }
    }
    if without < bundles.len() {
        let at = u64::try_from(now.as_second()).unwrap_or_default();
        let Joined { file, left_out } = joined(&bundles, at, anonymous)?;
        let lacks = match left_out {
            0 => String::new(),
            some => format!("; {some} bundles found no room, see MANIFEST in it"),
        };
        write(output, now, "tar", &file, &lacks)?;
    }
    concluded(bundles.len(), without)
}

/// What is no bundle counts as no answer.
fn with_reasons(printed: Printed) -> Printed {
    let bundle_or_reason = |bundle: Vec<u8>| {
        if bundle.starts_with(&GZIP) {
            Ok(bundle)
        } else {
            Err("what it printed is no bundle: its agent may be older than `sysdump`".to_owned())
        }
    };
    printed.into_iter().map(|(node, printed)| (node, printed.and_then(bundle_or_reason))).collect()
}

struct Joined {
    file: Vec<u8>,
    /// Bundles that found no room.
    left_out: usize,
}

/// A tar archive of them, by the node's number, and a manifest. The small ones find room first.
fn joined(bundles: &Printed, at: u64, anonymous: bool) -> io::Result<Joined> {
    let mut order: Vec<(usize, &[u8])> = (1..)
        .zip(bundles)
        .filter_map(|(number, (_, bundle))| Some((number, bundle.as_deref().ok()?)))
        .collect();
    order.sort_by_key(|(_, bundle)| bundle.len());
    let mut room = MOST.saturating_sub(bundles.len() * OF_A_NODE + 2 * AROUND + END.len());
    let mut kept = BTreeSet::new();
    for (number, bundle) in &order {
        let size = bundle.len() + AROUND;
        if size <= room {
            room -= size;
            kept.insert(*number);
        }
    }
    let mut manifest = format!("{:<12} {:>10}  state\n", "file", "bytes");
    let mut members = Vec::new();
    for (number, (node, bundle)) in (1..).zip(bundles) {
        let name = format!("{number}.tar.gz");
        let of = if anonymous { String::new() } else { format!(", of node {}", Shown(node)) };
        let (bytes, state) = match bundle {
            Ok(bundle) if kept.contains(&number) => {
                members.push(member(&name, bundle, at)?);
                (bundle.len().to_string(), format!("whole{of}"))
            }
            Ok(bundle) => {
                (bundle.len().to_string(), format!("missing: no room; have it with --on alone{of}"))
            }
            // A reason has names in it.
            Err(_) if anonymous => ("-".to_owned(), "missing: no answer".to_owned()),
            Err(why) => ("-".to_owned(), format!("missing: no answer{of}: {}", reason(why))),
        };
        manifest.push_str(&format!("{name:<12} {bytes:>10}  {state}\n"));
    }
    let mut file = member("MANIFEST", manifest.as_bytes(), at)?;
    members.into_iter().for_each(|member| file.extend(member));
    file.extend(END);
    Ok(Joined { file, left_out: order.len() - kept.len() })
}

/// On one line, short, without secrets.
fn reason(why: &str) -> String {
    shown(&cleaned::<RandomState>(None, None, why))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn unpacked(file: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(file);
        let files = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        files.collect()
    }

    fn bundle(size: usize) -> Vec<u8> {
        let mut bundle = vec![7; size];
        bundle[..2].copy_from_slice(&GZIP);
        bundle
    }

    fn manifest(files: &BTreeMap<String, Vec<u8>>) -> String {
        String::from_utf8(files["edgeloop-sysdump/MANIFEST"].clone()).unwrap()
    }

    #[test]
    fn nodes_without_a_bundle_are_listed_with_the_reason() {
        let printed = vec![
            ("edge-1".to_owned(), Ok(bundle(100))),
            ("edge-2".to_owned(), Err("https://who:hidden@api/ says no\nmore".to_owned())),
            ("edge-3".to_owned(), Ok(b"error: no such command".to_vec())),
        ];
        let Joined { file, left_out } = joined(&with_reasons(printed.clone()), 7, false).unwrap();
        let files = unpacked(&file);
        let expected = "file              bytes  state\n1.tar.gz            100  whole, of node edge-1\n";
        let text = manifest(&files);
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("2.tar.gz              -  missing: no answer, of node"), "{text}");
        assert!(text.contains("says no") && !text.contains("hidden"), "{text}");
        assert!(text.contains("what it printed is no bundle"), "{text}");
        assert_eq!((files["edgeloop-sysdump/1.tar.gz"].clone(), files.len(), left_out), (bundle(100), 2, 0));

        let Joined { file, .. } = joined(&with_reasons(printed), 7, true).unwrap();
        let expected = "file              bytes  state\n\
                        1.tar.gz            100  whole\n\
                        2.tar.gz              -  missing: no answer\n\
                        3.tar.gz              -  missing: no answer\n";
        assert_eq!(manifest(&unpacked(&file)), expected);
    }

    #[test]
    fn the_file_is_never_longer_than_its_limit_and_the_small_bundles_are_in_it() {
        let sizes = [6 << 20, 1000, 5 << 20, 4 << 20];
        let printed = (1..).zip(sizes).map(|(node, size)| (format!("n{node}"), Ok(bundle(size)))).collect();
        let Joined { file, left_out } = joined(&printed, 7, false).unwrap();
        let files = unpacked(&file);
        assert!(file.len() <= MOST && left_out == 1, "{} {left_out}", file.len());
        let names: Vec<&str> = files.keys().map(|name| &name["edgeloop-sysdump/".len()..]).collect();
        assert_eq!(names, ["2.tar.gz", "3.tar.gz", "4.tar.gz", "MANIFEST"]);
        assert!(
            manifest(&files).contains("1.tar.gz        6291456  missing: no room; have it with --on alone")
        );

        // Each has a line at most as long as it has room for.
        let long = "n".repeat(253);
        let many = (0..2000).map(|node| (format!("{long}{node}"), Err("\u{1b}".repeat(300)))).collect();
        let Joined { file, .. } = joined(&many, 7, false).unwrap();
        assert!(file.len() <= 2000 * OF_A_NODE + 2 * AROUND + END.len(), "{}", file.len());
    }
}
