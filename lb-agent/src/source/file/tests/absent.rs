//! A folder that is gone, empty, or not there yet: unknown is not empty.

use std::fs;

use super::super::follow::{FollowError, follow};
use super::site::{Site, problems};
use super::{service, words};

#[test]
fn a_folder_that_is_removed_changes_nothing_until_it_is_back() {
    let mut site = Site::new();
    site.write("conf/a.yaml", &service("a", "10.0.0.1"));
    site.write("conf/b.yaml", &service("b", "10.0.0.2"));
    site.follow();

    fs::remove_dir_all(site.path("conf")).unwrap();
    let batch = site.next();
    assert_eq!(words(&batch.changes), "");
    assert_eq!(batch.report.problems()[0].file, site.path("conf"));

    fs::create_dir(site.path("conf")).unwrap();
    assert_eq!(words(&site.next().changes), "", "an empty folder that has just come back changes nothing");
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
    assert_eq!(words(&batch.changes), "");
    assert!(problems(&batch)[0].starts_with("holds no manifest; to take back"), "{:?}", problems(&batch));
    assert_eq!(batch.report.problems()[0].file, site.path("conf"));
    site.expect_quiet();

    site.write("conf/none.yaml", "# nothing\n");
    site.expect("-b");
    fs::remove_file(site.path("conf/none.yaml")).unwrap();
    assert_eq!(problems(&site.next()).len(), 1, "said again");
    site.put("conf/b.yaml", &service("b", "10.0.0.3"));
    let batch = site.next();
    assert_eq!((words(&batch.changes).as_str(), problems(&batch).len()), ("+b=10.0.0.3", 0));
}

#[test]
fn a_folder_that_is_empty_at_the_start_is_not_known_to_define_nothing() {
    let mut site = Site::new();
    let first = site.follow();
    assert_eq!(words(&first.changes), "incomplete Service EndpointSlice Node Pod Namespace");
    assert_eq!((first.report.unknown_files(), first.report.problems().len()), (vec![&*site.path("conf")], 1));
    site.write("conf/none.yaml", "# nothing\n");
    let batch = site.next();
    assert_eq!(batch.report, crate::model::FileReport::default());
    assert_eq!(words(&batch.changes), "complete");
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
    assert_eq!((words(&batch.changes).as_str(), problems(&batch).len()), ("", 0));
    site.put("conf/a.yaml", &service("a", "10.0.0.2"));
    site.expect("+a=10.0.0.2");
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
