//! A real folder, changed in the ways that editors, scripts and volumes do it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::super::follow::follow;
use super::site::{PATIENCE, QUIET, Site, problems};
use super::{service, words};

#[test]
fn the_first_batch_tells_everything_and_then_that_it_was_all() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    site.write("conf/b.yml", &service("b", "10.0.0.2"));
    let first = site.follow();
    assert_eq!(words(&first.changes), "+a=10.0.0.1 +b=10.0.0.2 Service EndpointSlice Node Pod Namespace");
    assert!(first.report.unknown == 0);
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
    site.write("conf/none.yaml", "# nothing\n");
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
    assert_eq!(words(&first.changes), "incomplete Service EndpointSlice Node Pod Namespace");
    assert_eq!(problems(&first), ["is still being written"]);
    assert_eq!(first.report.unknown_files(), [site.path("conf/s.yaml")]);

    writer.write_all(format!("---\n{}", service("b", "10.0.0.2")).as_bytes()).unwrap();
    drop(writer);
    let batch = site.next();
    assert_eq!(words(&batch.changes), "+a=10.0.0.1 +b=10.0.0.2 complete");
    assert!(batch.report.unknown == 0);
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
fn a_malformed_file_is_reported_once_and_read_again_when_corrected() {
    let mut site = Site::new();
    site.write("conf/s.yaml", &service("a", "10.0.0.1"));
    site.follow();

    site.put("conf/s.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: 5}\n");
    let batch = site.next();
    assert_eq!(words(&batch.changes), "");
    assert_eq!(
        batch.report.problems().iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!(
            "{}: document 1: spec.ports: invalid type: integer `5`, expected a sequence",
            site.path("conf/s.yaml").display()
        )]
    );
    site.put("conf/s.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a, uid: u}\nspec: {ports: 5}\n");
    site.expect_quiet();

    site.put("conf/s.yaml", &service("a", "10.0.0.1"));
    let batch = site.next();
    assert_eq!((words(&batch.changes).as_str(), batch.report.problems().len()), ("", 0));
}

#[test]
fn what_is_not_text_or_not_a_file_is_a_problem_of_that_file_alone() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    fs::write(site.path("conf/b.yaml"), [b'a', b':', 0xff]).unwrap();
    site.link("nowhere", "conf/c.yaml");
    site.link("/dev/zero", "conf/d.yaml");
    let first = site.follow();
    assert_eq!(words(&first.changes), "incomplete +a=10.0.0.1 Service EndpointSlice Node Pod Namespace");
    assert_eq!(
        problems(&first),
        [
            "is not UTF-8 text: the byte at 2 does not fit",
            "is a link that leads nowhere",
            "is not an ordinary file"
        ]
    );
}

/// The kernel may have no inotify, or none left.
#[test]
fn a_folder_that_cannot_be_watched_is_looked_through_every_second() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    let first = site.follow_with(|_, _| Err(notify::Error::generic("no inotify")));
    assert_eq!(words(&first.changes), "+a=10.0.0.1 Service EndpointSlice Node Pod Namespace");
    assert_eq!(problems(&first), ["could not be watched, only read every second: no inotify"]);
    assert_eq!(first.report.unknown, 0);
    for number in 2..4 {
        let start = Instant::now();
        site.put("conf/a.yaml", &service("a", &format!("10.0.0.{number}")));
        site.expect(&format!("+a=10.0.0.{number}"));
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
    site.write("conf/b.yaml", "# nothing\n");
    fs::remove_file(site.path("conf/a.yaml")).unwrap();
    site.expect("-a");
}

#[test]
fn a_file_that_is_too_large_is_not_read_and_the_limit_is_named() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    let large = File::create(site.path("conf/b.yaml")).unwrap();
    // A hole: nothing is written.
    large.set_len((64 << 20) + 1).unwrap();
    drop(large);
    let first = site.follow();
    assert_eq!(words(&first.changes), "incomplete +a=10.0.0.1 Service EndpointSlice Node Pod Namespace");
    assert_eq!(problems(&first), ["has 65 MiB, and 64 MiB are the most that is read"]);
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
    assert_eq!(
        words(&site.follow().changes),
        "+a=10.0.0.1 +b=10.0.0.2 Service EndpointSlice Node Pod Namespace"
    );

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
    assert_eq!(
        words(&site.follow().changes),
        "+a=10.0.0.1 +b=10.0.0.9 Service EndpointSlice Node Pod Namespace"
    );

    site.swap("two", "conf");
    site.expect("+a=10.0.0.2 -b");
    site.put("two/a.yaml", &service("a", "10.0.0.3"));
    site.expect("+a=10.0.0.3");
    site.put("one/a.yaml", &service("a", "10.0.0.4"));
    site.expect_quiet();
}

#[test]
fn writers_that_open_a_file_while_it_is_read_do_no_harm() {
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
fn it_ends_when_its_receiver_is_gone() {
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
