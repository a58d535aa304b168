//! A real folder, changed in the ways that editors, scripts and volumes do it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::follow::{Batch, FollowError, Follower, follow};
use super::{service, told};

const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than anything that is told at once takes, shorter than the looks without an event.
const QUIET: Duration = Duration::from_millis(300);

struct Site {
    root: TempDir,
    batches: Option<Receiver<Batch>>,
    follower: Option<Follower>,
}

impl Site {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("conf")).unwrap();
        Self { root, batches: None, follower: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes beside the folder, then renames into it.
    fn put(&self, name: &str, text: &str) {
        self.write("new", text);
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    /// Replaces a link in one step, as a volume does.
    fn swap(&self, target: impl AsRef<Path>, name: &str) {
        self.link(target, "new-link");
        fs::rename(self.path("new-link"), self.path(name)).unwrap();
    }

    fn follow(&mut self) -> Batch {
        let (send, batches) = channel();
        let follower = follow(self.path("conf"), move |batch| send.send(batch).is_ok()).unwrap();
        self.follower = Some(follower);
        self.batches = Some(batches);
        self.next()
    }

    fn next(&self) -> Batch {
        self.batches.as_ref().unwrap().recv_timeout(PATIENCE).unwrap()
    }

    /// Batches until the changes told so far read `expected`.
    fn expect(&self, expected: &str) {
        let until = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        while told(&all) != expected {
            let left = until.saturating_duration_since(Instant::now());
            match self.batches.as_ref().unwrap().recv_timeout(left) {
                Ok(batch) => all.extend(batch.changes),
                Err(_) => panic!("told {:?} instead of {expected:?}", told(&all)),
            }
        }
    }

    fn expect_quiet(&self) {
        match self.batches.as_ref().unwrap().recv_timeout(QUIET) {
            Err(RecvTimeoutError::Timeout) => {}
            other => panic!("nothing was to be told: {other:?}"),
        }
    }
}

fn problems(batch: &Batch) -> Vec<String> {
    batch.report.problems.iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn the_first_batch_tells_everything_and_then_that_it_was_all() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    site.write("conf/b.yml", &service("b", "10.0.0.2"));
    let first = site.follow();
    assert_eq!(told(&first.changes), "+a=10.0.0.1 +b=10.0.0.2 Service EndpointSlice Node");
    assert!(first.report.incomplete.is_empty());
}

#[test]
fn files_that_are_made_edited_renamed_and_removed_are_followed() {
    let mut site = Site::new();
    site.write("conf/keep.yaml", "# nothing\n");
    site.follow();
    site.put("conf/a.yaml", &service("a", "10.0.0.1"));
    site.expect("+a=10.0.0.1");
    site.put("conf/a.yaml", &service("a", "10.0.0.2"));
    site.expect("+a=10.0.0.2");
    site.write("conf/a.yaml", &service("a", "10.0.0.3"));
    site.expect("+a=10.0.0.3");
    fs::rename(site.path("conf/a.yaml"), site.path("conf/b.yaml")).unwrap();
    site.expect_quiet();
    fs::rename(site.path("conf/b.yaml"), site.path("b.yaml")).unwrap();
    site.expect("-a");
    fs::rename(site.path("b.yaml"), site.path("conf/b.yaml")).unwrap();
    site.expect("+a=10.0.0.3");
    fs::remove_file(site.path("conf/b.yaml")).unwrap();
    site.expect("-a");
}

#[test]
fn a_rename_is_told_within_a_tenth_of_a_second() {
    let mut site = Site::new();
    site.follow();
    let best = (1..=5).map(|number| {
        let start = Instant::now();
        site.put("conf/a.yaml", &service("a", &format!("10.0.0.{number}")));
        site.expect(&format!("+a=10.0.0.{number}"));
        start.elapsed()
    });
    let best = best.min().unwrap();
    assert!(best < Duration::from_millis(100), "it took {best:?}");
}

#[test]
fn a_file_is_read_only_when_its_writer_has_closed_it() {
    let mut site = Site::new();
    site.write("conf/s.yaml", &service("a", "10.0.0.1"));
    site.follow();

    let mut writer = File::create(site.path("conf/s.yaml")).unwrap();
    writer.write_all(service("b", "10.0.0.2").as_bytes()).unwrap();
    writer.sync_all().unwrap();
    site.expect_quiet();
    writer.write_all(format!("---\n{}", service("a", "10.0.0.3")).as_bytes()).unwrap();
    site.expect_quiet();
    drop(writer);
    site.expect("+a=10.0.0.3 +b=10.0.0.2");
}

#[test]
fn a_file_that_is_being_written_at_the_start_is_waited_for() {
    let mut site = Site::new();
    let mut writer = File::create(site.path("conf/s.yaml")).unwrap();
    writer.write_all(service("a", "10.0.0.1").as_bytes()).unwrap();

    let first = site.follow();
    assert_eq!(told(&first.changes), "Service EndpointSlice Node");
    assert_eq!(problems(&first), ["is still being written"]);
    assert_eq!(first.report.incomplete, [site.path("conf/s.yaml")]);

    writer.write_all(format!("---\n{}", service("b", "10.0.0.2")).as_bytes()).unwrap();
    drop(writer);
    let batch = site.next();
    assert_eq!(told(&batch.changes), "+a=10.0.0.1 +b=10.0.0.2");
    assert!(batch.report.incomplete.is_empty());
}

#[test]
fn an_editor_that_moves_the_old_file_away_first_loses_nothing() {
    let mut site = Site::new();
    site.write("conf/s.yaml", &service("a", "10.0.0.1"));
    site.follow();
    fs::rename(site.path("conf/s.yaml"), site.path("conf/s.yaml~")).unwrap();
    let mut writer = File::create(site.path("conf/s.yaml")).unwrap();
    writer.write_all(service("a", "10.0.0.2").as_bytes()).unwrap();
    drop(writer);
    fs::remove_file(site.path("conf/s.yaml~")).unwrap();
    site.expect("+a=10.0.0.2");
}

#[test]
fn a_malformed_file_is_reported_once_and_taken_up_when_mended() {
    let mut site = Site::new();
    site.write("conf/s.yaml", &service("a", "10.0.0.1"));
    site.follow();

    site.put("conf/s.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: 5}\n");
    let batch = site.next();
    assert_eq!(told(&batch.changes), "");
    assert_eq!(
        batch.report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!(
            "{}: document 1: spec.ports: invalid type: integer `5`, expected a sequence",
            site.path("conf/s.yaml").display()
        )]
    );
    site.put("conf/s.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {ports: 5}\n");
    site.expect_quiet();

    site.put("conf/s.yaml", &service("a", "10.0.0.1"));
    let batch = site.next();
    assert_eq!((told(&batch.changes).as_str(), batch.report.problems.len()), ("", 0));
}

#[test]
fn what_is_not_text_or_not_a_file_is_a_problem_of_that_file_alone() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    fs::write(site.path("conf/b.yaml"), [b'a', b':', 0xff]).unwrap();
    site.link("nowhere", "conf/c.yaml");
    site.link("/dev/zero", "conf/d.yaml");
    let first = site.follow();
    assert_eq!(told(&first.changes), "+a=10.0.0.1 Service EndpointSlice Node");
    assert_eq!(
        problems(&first),
        [
            "is not UTF-8 text: the byte at 2 is none",
            "is a link that leads nowhere",
            "is not an ordinary file"
        ]
    );
}

#[test]
fn a_config_map_volume_is_followed_through_its_swap() {
    let mut site = Site::new();
    fs::create_dir(site.path("conf/..1")).unwrap();
    site.write("conf/..1/a.yaml", &service("a", "10.0.0.1"));
    site.write("conf/..1/b.yaml", &service("b", "10.0.0.2"));
    site.link("..1", "conf/..data");
    site.link("..data/a.yaml", "conf/a.yaml");
    site.link("..data/b.yaml", "conf/b.yaml");
    assert_eq!(told(&site.follow().changes), "+a=10.0.0.1 +b=10.0.0.2 Service EndpointSlice Node");

    fs::create_dir(site.path("conf/..2")).unwrap();
    site.write("conf/..2/a.yaml", &service("a", "10.0.0.11"));
    site.write("conf/..2/b.yaml", &service("b", "10.0.0.2"));
    site.swap("..2", "conf/..data");
    fs::remove_dir_all(site.path("conf/..1")).unwrap();
    site.expect("+a=10.0.0.11");

    fs::create_dir(site.path("conf/..3")).unwrap();
    site.write("conf/..3/a.yaml", &service("a", "10.0.0.12"));
    site.swap("..3", "conf/..data");
    fs::remove_file(site.path("conf/b.yaml")).unwrap();
    fs::remove_dir_all(site.path("conf/..2")).unwrap();
    site.expect("+a=10.0.0.12 -b");
}

#[test]
fn a_link_to_a_file_elsewhere_is_followed_there() {
    let mut site = Site::new();
    fs::create_dir(site.path("else")).unwrap();
    site.write("else/real", &service("a", "10.0.0.1"));
    site.link("../else/real", "conf/a.yaml");
    site.follow();
    site.write("else/real", &service("a", "10.0.0.2"));
    site.expect("+a=10.0.0.2");
    site.put("else/real", &service("a", "10.0.0.3"));
    site.expect("+a=10.0.0.3");
    site.write("else/other", &service("a", "10.0.0.4"));
    site.swap("../else/other", "conf/a.yaml");
    site.expect("+a=10.0.0.4");
    site.write("else/other", &service("a", "10.0.0.5"));
    site.expect("+a=10.0.0.5");
}

#[test]
fn a_folder_that_is_a_link_is_followed_when_it_is_swapped() {
    let mut site = Site::new();
    fs::remove_dir(site.path("conf")).unwrap();
    for (folder, address) in [("one", "10.0.0.1"), ("two", "10.0.0.2")] {
        fs::create_dir(site.path(folder)).unwrap();
        site.write(&format!("{folder}/a.yaml"), &service("a", address));
    }
    site.write("one/b.yaml", &service("b", "10.0.0.9"));
    site.link("one", "conf");
    assert_eq!(told(&site.follow().changes), "+a=10.0.0.1 +b=10.0.0.9 Service EndpointSlice Node");

    site.swap("two", "conf");
    site.expect("+a=10.0.0.2 -b");
    site.put("two/a.yaml", &service("a", "10.0.0.3"));
    site.expect("+a=10.0.0.3");
    site.put("one/a.yaml", &service("a", "10.0.0.4"));
    site.expect_quiet();
}

#[test]
fn a_folder_that_is_removed_changes_nothing_until_it_is_back() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    site.write("conf/b.yaml", &service("b", "10.0.0.2"));
    site.follow();

    fs::remove_dir_all(site.path("conf")).unwrap();
    let batch = site.next();
    assert_eq!(told(&batch.changes), "");
    assert_eq!(batch.report.problems[0].file, site.path("conf"));

    fs::create_dir(site.path("conf")).unwrap();
    assert_eq!(told(&site.next().changes), "", "an empty folder that has just come back tells nothing");
    site.put("conf/a.yaml", &service("a", "10.0.0.3"));
    site.expect("+a=10.0.0.3 -b");
    site.put("conf/b.yaml", &service("b", "10.0.0.4"));
    site.expect("+b=10.0.0.4");
}

/// So a volume looks that is not mounted.
#[test]
fn a_folder_without_any_manifest_takes_nothing_back() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    site.write("conf/b.yaml", &service("b", "10.0.0.2"));
    site.follow();
    fs::remove_file(site.path("conf/a.yaml")).unwrap();
    site.expect("-a");
    fs::remove_file(site.path("conf/b.yaml")).unwrap();
    let batch = site.next();
    assert_eq!(told(&batch.changes), "");
    assert!(problems(&batch)[0].starts_with("holds no manifest; to take back"), "{:?}", problems(&batch));
    assert_eq!(batch.report.problems[0].file, site.path("conf"));
    site.expect_quiet();

    site.write("conf/none.yaml", "# nothing\n");
    site.expect("-b");
    fs::remove_file(site.path("conf/none.yaml")).unwrap();
    assert_eq!(problems(&site.next()).len(), 1, "said again");
    site.put("conf/b.yaml", &service("b", "10.0.0.3"));
    let batch = site.next();
    assert_eq!((told(&batch.changes).as_str(), problems(&batch).len()), ("+b=10.0.0.3", 0));
}

#[test]
fn a_folder_that_is_empty_at_the_start_is_not_known_to_define_nothing() {
    let mut site = Site::new();
    let first = site.follow();
    assert_eq!(told(&first.changes), "Service EndpointSlice Node");
    assert_eq!((first.report.incomplete, first.report.problems.len()), (vec![site.path("conf")], 1));
    site.write("conf/none.yaml", "# nothing\n");
    let batch = site.next();
    assert_eq!(batch.report, crate::source::file::Report::default());
}

#[test]
fn a_folder_that_is_removed_and_made_again_in_one_go_is_followed_on() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    site.follow();
    for number in 2..6 {
        fs::remove_dir_all(site.path("conf")).unwrap();
        fs::create_dir(site.path("conf")).unwrap();
        site.put("conf/a.yaml", &service("a", &format!("10.0.0.{number}")));
        site.expect(&format!("+a=10.0.0.{number}"));
        site.put("conf/a.yaml", &service("a", &format!("10.0.1.{number}")));
        site.expect(&format!("+a=10.0.1.{number}"));
    }
}

#[test]
fn a_folder_that_is_moved_away_and_back_changes_nothing() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    site.follow();
    fs::rename(site.path("conf"), site.path("away")).unwrap();
    assert_eq!(problems(&site.next()).len(), 1);
    fs::rename(site.path("away"), site.path("conf")).unwrap();
    let batch = site.next();
    assert_eq!((told(&batch.changes).as_str(), problems(&batch).len()), ("", 0));
    site.put("conf/a.yaml", &service("a", "10.0.0.2"));
    site.expect("+a=10.0.0.2");
}

#[test]
fn writers_that_open_a_file_while_it_is_read_harm_nobody() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    site.follow();
    let (path, stop) = (site.path("conf/a.yaml"), Arc::new(AtomicBool::new(false)));
    let stopping = Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        while !stopping.load(Ordering::Relaxed) {
            drop(OpenOptions::new().append(true).open(&path).unwrap());
        }
    });
    std::thread::sleep(QUIET);
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    site.write("conf/a.yaml", &service("a", "10.0.0.2"));
    site.expect("+a=10.0.0.2");
}

#[test]
fn a_dropped_follower_tells_nothing_more() {
    let mut site = Site::new();
    site.follow();
    site.follower = None;
    site.put("conf/a.yaml", &service("a", "10.0.0.1"));
    let batches = site.batches.take().unwrap();
    assert_eq!(batches.recv_timeout(PATIENCE).unwrap_err(), RecvTimeoutError::Disconnected);
}

#[test]
fn it_ends_when_nobody_listens() {
    let site = Site::new();
    let (send, sent) = channel();
    let follower = follow(site.path("conf"), move |_| {
        send.send(()).unwrap();
        false
    });
    let _follower = follower.unwrap();
    sent.recv_timeout(PATIENCE).unwrap();
    site.put("conf/a.yaml", &service("a", "10.0.0.1"));
    assert_eq!(sent.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_folder_that_is_missing_at_the_start_is_an_error_that_says_what_to_do() {
    let site = Site::new();
    let error = follow(site.path("none"), |_| true).unwrap_err();
    assert!(matches!(error, FollowError::Folder(_)));
    let expected =
        format!("the folder {} does not exist: create it, or name another", site.path("none").display());
    assert_eq!(error.to_string(), expected);
}
