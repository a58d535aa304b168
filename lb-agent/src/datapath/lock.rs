//! One agent for one pin root: an exclusive `flock` for the agent's life.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::shown::shown;

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS: i64 = 0xcafe_4a11;
/// Maps and links are for the agent alone.
const MODE: u32 = 0o700;
/// How often the folder may go away between its opening and the lock on it.
const TRIES: u32 = 100;
/// A killed process holds its locks until the kernel is done with it: this long it is waited for.
const ENDING: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(5);

/// The process that holds a pin root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// `None` where the holder lives in a process namespace that we do not see.
    pub pid: Option<i32>,
    /// Its command line.
    pub command: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} ({})", self.command),
            None => write!(f, "a process of another container"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the pin root {} is held by {holder}: one agent serves a pin root; stop it first", path.display())]
    Held { path: PathBuf, holder: Holder },
    #[error(
        "the pin root {} does not lie on a bpf file system; run `lb-agent init` or `mount -t bpf bpf /sys/fs/bpf`, or name another with \
         --pin-root",
        path.display()
    )]
    NotBpf { path: PathBuf },
    #[error("nothing of Edgeloop is pinned at {}", path.display())]
    Absent { path: PathBuf },
    #[error("the pin root {} is removed again and again; end what removes it, then try again", path.display())]
    Unsteady { path: PathBuf },
    #[error(
        "the pin root {} belongs to user {owner}, who can do with maps and programs as they like: remove it, close the \
         folder above it to others, or name another with --pin-root",
        path.display()
    )]
    Foreign { path: PathBuf, owner: u32 },
    #[error("could not open the pin root {} (it takes root)", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Held until dropped; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _folder: File,
    id: FileId,
}

impl Lock {
    #[must_use]
    pub fn pin_root(&self) -> &Path {
        &self.path
    }

    /// Whether the pin root is still the folder that was locked. If not, another process removed
    /// it, and may hold a new one.
    #[must_use]
    pub fn is_current(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| FileId::of(&found) == self.id)
    }
}

/// What a lock is on: a path can name another folder a moment later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// Makes the pin root if need be, for its owner alone, and takes hold of it.
///
/// # Errors
/// When another process holds it, or it cannot be a pin root.
pub fn acquire(pin_root: &Path) -> Result<Lock, LockError> {
    let failed = |source| LockError::Open { path: pin_root.to_owned(), source };
    let parent = pin_root.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    if !is_bpf(parent).map_err(failed)? {
        return Err(LockError::NotBpf { path: pin_root.to_owned() });
    }
    for _ in 0..TRIES {
        DirBuilder::new().recursive(true).mode(MODE).create(pin_root).map_err(failed)?;
        if let Some(lock) = take(pin_root)? {
            close_to_others(&lock);
            return Ok(lock);
        }
    }
    Err(LockError::Unsteady { path: pin_root.to_owned() })
}

/// Takes hold of a pin root that exists.
///
/// # Errors
/// As [`acquire`], and when no lock exists.
pub fn acquire_existing(pin_root: &Path) -> Result<Lock, LockError> {
    for _ in 0..TRIES {
        match fs::metadata(pin_root) {
            Ok(found) if found.is_dir() => {}
            // What may not be looked at may be there.
            Err(source)
                if !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Err(LockError::Open { path: pin_root.to_owned(), source });
            }
            Ok(_) | Err(_) => return Err(LockError::Absent { path: pin_root.to_owned() }),
        }
        // The holder of a pin root may remove what lies in it.
        if !is_bpf(pin_root).map_err(|source| LockError::Open { path: pin_root.to_owned(), source })? {
            return Err(LockError::NotBpf { path: pin_root.to_owned() });
        }
        if let Some(lock) = take(pin_root)? {
            return Ok(lock);
        }
    }
    Err(LockError::Unsteady { path: pin_root.to_owned() })
}

/// The process that holds the pin root now, found without taking hold of it. `None` also where
/// the holder lives in a process namespace that we do not see.
#[must_use]
pub fn holder(pin_root: &Path) -> Option<Holder> {
    let id = FileId::of(&fs::metadata(pin_root).ok()?);
    let pid = holder_of(id).ok()??;
    Some(Holder { pid: Some(pid), command: command_of(pid) })
}

/// `None` when the folder that was locked is not the pin root any more: another process held it,
/// and removed it at its end.
fn take(pin_root: &Path) -> Result<Option<Lock>, LockError> {
    let failed = |source| LockError::Open { path: pin_root.to_owned(), source };
    let folder = match File::open(pin_root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let found = folder.metadata().map_err(failed)?;
    let own = own_user().map_err(failed)?;
    if !is_trusted(found.uid(), own) {
        return Err(LockError::Foreign { path: pin_root.to_owned(), owner: found.uid() });
    }
    let id = FileId::of(&found);
    let give_up = Instant::now() + ENDING;
    while !try_lock(&folder).map_err(failed)? {
        let pid = holder_of(id).map_err(failed)?;
        let holder = Holder { pid, command: pid.map(command_of).unwrap_or_default() };
        // A process that has ended has no command line any more.
        if !holder.command.is_empty() || Instant::now() >= give_up {
            return Err(LockError::Held { path: pin_root.to_owned(), holder });
        }
        std::thread::sleep(AGAIN);
    }
    let lock = Lock { path: pin_root.to_owned(), _folder: folder, id };
    Ok(lock.is_current().then_some(lock))
}

/// Whether a folder, or a process, of this user is as good as one of `own`.
const fn is_trusted(user: u32, own: u32) -> bool {
    user == 0 || user == own
}

/// The user that this process acts as.
fn own_user() -> io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

/// Whether the process looks like an agent: a program of the name of ours, of our user or root.
#[must_use]
pub fn is_agent(pid: i32) -> bool {
    let name = |of: &str| Some(fs::read_link(format!("/proc/{of}/exe")).ok()?.file_name()?.to_owned());
    // The kernel says so of a program that was replaced, as an upgrade does it.
    let name = |of: &str| Some(name(of)?.to_string_lossy().trim_end_matches(" (deleted)").to_owned());
    let user = fs::metadata(format!("/proc/{pid}")).ok().map(|found| found.uid());
    let is_trusted = user.zip(own_user().ok()).is_some_and(|(user, own)| is_trusted(user, own));
    is_trusted && name(&pid.to_string()).is_some_and(|program| name("self") == Some(program))
}

/// Whether the lock is ours now.
fn try_lock(folder: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open, and the call takes no pointers.
    if unsafe { libc::flock(folder.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
}

/// Earlier versions made pin roots that others can read. The root of a mount is not ours alone.
fn close_to_others(lock: &Lock) {
    let is_mount = |found: &Metadata| {
        let above = lock.path.parent().and_then(|parent| fs::metadata(parent).ok());
        above.is_none_or(|above| above.dev() != found.dev())
    };
    let Ok(found) = fs::metadata(&lock.path) else { return };
    if found.mode() & 0o077 == 0 || is_mount(&found) {
        return;
    }
    if let Err(error) = fs::set_permissions(&lock.path, Permissions::from_mode(MODE)) {
        let path = lock.path.display();
        tracing::warn!(%path, %error, "could not close the pin root to other users; set its mode to 0700");
    }
}

fn holder_of(id: FileId) -> io::Result<Option<i32>> {
    Ok(holder_in(&fs::read_to_string("/proc/locks")?, id))
}

/// Looks a lock up in the text of `/proc/locks`, where a line is
/// `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`, the device in hexadecimal.
/// A process that waits for the lock has `->` in the second place.
fn holder_in(locks: &str, id: FileId) -> Option<i32> {
    let place = format!("{:02x}:{:02x}:{}", libc::major(id.device), libc::minor(id.device), id.inode);
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1) == Some(&"FLOCK") && fields.get(5) == Some(&place.as_str());
        if is_it { fields.get(4)?.parse::<i32>().ok().filter(|pid| *pid > 0) } else { None }
    })
}

fn command_of(pid: i32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    shown(String::from_utf8_lossy(&command).replace('\0', " ").trim())
}

fn is_bpf(folder: &Path) -> io::Result<bool> {
    Ok(super::sys::filesystem(&File::open(folder)?)? == BPF_FS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_folder_is_no_pin_root() {
        let folder = tempfile::tempdir().unwrap();
        for taken in
            [acquire(folder.path()), acquire_existing(folder.path()), acquire(&folder.path().join("new"))]
        {
            assert!(matches!(taken, Err(LockError::NotBpf { .. })), "{taken:?}");
        }
        assert!(!folder.path().join("new").exists());
    }

    #[test]
    fn what_may_not_be_looked_at_is_not_absent() {
        let top = tempfile::tempdir().unwrap();
        let pin_root = top.path().join("edgeloop");
        assert!(matches!(acquire_existing(&pin_root), Err(LockError::Absent { .. })));
        fs::set_permissions(top.path(), Permissions::from_mode(0o0)).unwrap();
        let as_another = std::thread::spawn(move || {
            // SAFETY: the call takes a number. It holds for this thread alone, and takes root's way past permissions with it.
            unsafe { libc::setfsuid(65534) };
            // Where root has no other user to be, it sees everything.
            fs::read_dir(pin_root.parent()?).is_err().then(|| acquire_existing(&pin_root))
        });
        let found = as_another.join().unwrap();
        fs::set_permissions(top.path(), Permissions::from_mode(MODE)).unwrap();
        assert!(matches!(found, None | Some(Err(LockError::Open { .. }))), "{found:?}");
    }

    #[test]
    fn the_holder_is_the_process_with_the_lock_on_this_inode_of_this_device() {
        let id = FileId { device: libc::makedev(0, 0x31), inode: 42 };
        for (shows, line, pid) in [
            ("the lock", "1: FLOCK  ADVISORY  WRITE 1234 00:31:42 0 EOF", Some(1234)),
            ("another inode", "1: FLOCK  ADVISORY  WRITE 1234 00:31:43 0 EOF", None),
            ("another device", "1: FLOCK  ADVISORY  WRITE 1234 00:32:42 0 EOF", None),
            ("another major device", "1: FLOCK  ADVISORY  WRITE 1234 08:31:42 0 EOF", None),
            ("a process that waits", "1: -> FLOCK  ADVISORY  WRITE 1234 00:31:42 0 EOF", None),
            ("a lock of another kind", "1: POSIX  ADVISORY  WRITE 1234 00:31:42 0 EOF", None),
            ("of another process namespace", "1: FLOCK  ADVISORY  WRITE 0 00:31:42 0 EOF", None),
        ] {
            let others = "7: POSIX  ADVISORY  READ 5 00:31:42 0 EOF\n";
            assert_eq!(holder_in(&format!("{others}{line}\n{others}"), id), pid, "{shows}");
        }
    }

    /// A killed process is such a one for a moment. Here its place is taken by a child that has ended and
    /// was not waited for, whose descriptor lives on in us.
    #[test]
    fn a_holder_that_has_ended_is_waited_for() {
        let top = tempfile::tempdir().unwrap();
        let held = File::open(top.path()).unwrap();
        let mut child = std::process::Command::new("flock")
            .args(["--exclusive", "0"])
            .stdin(held.try_clone().unwrap())
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
        assert!(!try_lock(&File::open(top.path()).unwrap()).unwrap(), "held, by no living process");
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(held);
        });
        assert!(take(top.path()).unwrap().is_some());
        release.join().unwrap();
    }

    #[test]
    fn asking_who_holds_a_folder_takes_no_lock() {
        let top = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let asks = scope.spawn(|| (0..200).filter(|_| holder(top.path()).is_some()).count());
            while !asks.is_finished() {
                drop(take(top.path()).unwrap().unwrap());
            }
        });
    }

    #[test]
    fn a_folder_of_another_user_is_no_pin_root_of_ours() {
        for (user, own, is) in
            [(0, 0, true), (1000, 0, false), (0, 1000, true), (1000, 1000, true), (7, 8, false)]
        {
            assert_eq!(is_trusted(user, own), is, "{user} for {own}");
        }
        let top = tempfile::tempdir().unwrap();
        if own_user().unwrap() == 0 {
            std::os::unix::fs::chown(top.path(), Some(1000), None).unwrap();
            let taken = take(top.path());
            assert!(matches!(taken, Err(LockError::Foreign { owner: 1000, .. })), "{taken:?}");
        }
    }

    #[test]
    fn an_agent_is_a_process_of_our_program() {
        let sleeps = std::process::Command::new("sleep").arg("100").spawn();
        let mut sleeps = sleeps.unwrap();
        let is = [std::process::id(), sleeps.id(), u32::MAX >> 1].map(|pid| is_agent(pid.cast_signed()));
        sleeps.kill().unwrap();
        sleeps.wait().unwrap();
        assert_eq!(is, [true, false, false]);
    }

    #[test]
    fn a_lock_on_a_folder_that_was_removed_is_no_lock_on_the_next_of_that_name() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("pins");
        fs::create_dir(&path).unwrap();
        let lock = take(&path).unwrap().unwrap();
        assert!(lock.is_current());
        assert_eq!(holder(&path).and_then(|holder| holder.pid), Some(std::process::id().cast_signed()));

        // Not removed: its inode could be given to the next one.
        fs::rename(&path, top.path().join("away")).unwrap();
        assert!(!lock.is_current() && holder(&path).is_none());
        fs::create_dir(&path).unwrap();

        assert!(!lock.is_current());
        assert_eq!(holder(&path), None);
        assert!(take(&path).unwrap().is_some_and(|lock| lock.is_current()));
    }
}
