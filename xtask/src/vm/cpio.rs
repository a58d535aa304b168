//! The archive that a kernel unpacks into memory and starts from: cpio in the format `newc`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// Files by their paths in the guest.
#[derive(Default)]
pub(crate) struct Tree(BTreeMap<PathBuf, Content>);

enum Content {
    Folder,
    File(PathBuf),
    Text(String),
    Link(PathBuf),
}

impl Tree {
    /// A file of this machine.
    pub(crate) fn file(&mut self, at: impl AsRef<Path>, from: &Path) {
        self.insert(at.as_ref(), Content::File(from.to_path_buf()));
    }

    pub(crate) fn text(&mut self, at: impl AsRef<Path>, text: String) {
        self.insert(at.as_ref(), Content::Text(text));
    }

    pub(crate) fn link(&mut self, at: impl AsRef<Path>, target: impl Into<PathBuf>) {
        self.insert(at.as_ref(), Content::Link(target.into()));
    }

    pub(crate) fn folder(&mut self, at: impl AsRef<Path>) {
        self.insert(at.as_ref(), Content::Folder);
    }

    /// Folders above it are made with it.
    fn insert(&mut self, at: &Path, content: Content) {
        let at = at.strip_prefix("/").unwrap_or(at);
        for folder in at.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            self.0.entry(folder.to_path_buf()).or_insert(Content::Folder);
        }
        self.0.insert(at.to_path_buf(), content);
    }

    pub(crate) fn write(&self, into: &Path) -> Result<()> {
        let file = File::create(into).with_context(|| format!("could not make {}", into.display()))?;
        let mut archive = Archive { file: BufWriter::new(file), length: 0, number: 0 };
        // A folder sorts before what is in it.
        for (path, content) in &self.0 {
            let name = path.to_string_lossy();
            match content {
                Content::Folder => archive.entry(&name, FOLDER, &[]),
                Content::Text(text) => archive.entry(&name, PROGRAM, text.as_bytes()),
                Content::Link(target) => archive.entry(&name, LINK, target.to_string_lossy().as_bytes()),
                Content::File(from) => {
                    let bytes =
                        fs::read(from).with_context(|| format!("could not read {}", from.display()))?;
                    archive.entry(&name, PROGRAM, &bytes)
                }
            }
            .with_context(|| format!("could not write {}", into.display()))?;
        }
        archive.end().with_context(|| format!("could not write {}", into.display()))
    }
}

struct Archive<W> {
    file: W,
    length: usize,
    number: u32,
}

impl<W: Write> Archive<W> {
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.number += 1;
        let (number, size, named) = (self.number, content.len(), name.len() + 1);
        // inode, mode, owner, group, links, time, size, four numbers of devices, length of the name, a sum.
        let header = format!(
            "070701{number:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:08x}{0:08x}{0:08x}{0:08x}{named:08x}{0:08x}",
            0, 1
        );
        self.write(header.as_bytes())?;
        self.write(name.as_bytes())?;
        self.write(&[0])?;
        self.pad()?;
        self.write(content)?;
        self.pad()
    }

    fn end(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.file.flush()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len();
        self.file.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let missing = self.length.next_multiple_of(4) - self.length;
        self.write(&[0; 3][..missing])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_archive_begins_at_a_multiple_of_four() {
        let mut bytes = Vec::new();
        let mut archive = Archive { file: &mut bytes, length: 0, number: 0 };
        archive.entry("init", PROGRAM, b"hello").unwrap();
        archive.end().unwrap();
        // A header of 110 bytes, "init" and a zero, one more to reach 116; "hello" and three zeros.
        assert_eq!(&bytes[..22], b"07070100000001000081ed".as_slice().get(..22).unwrap());
        assert_eq!(&bytes[110..124], b"init\0\0hello\0\0\0");
        assert_eq!(&bytes[124..130], b"070701");
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn folders_come_with_what_is_in_them_and_before_it() {
        let mut tree = Tree::default();
        tree.text("/a/b/c", "text".to_owned());
        let paths: Vec<_> = tree.0.keys().map(|path| path.to_string_lossy().into_owned()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c"]);
    }
}
