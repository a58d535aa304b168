//! Folders read once.

use std::fs;
use std::path::Path;

use super::super::load::load;
use super::service;
use crate::model::{Change, Object};

fn addresses(folders: &[&Path]) -> Vec<String> {
    let folders: Vec<_> = folders.iter().map(|path| path.to_path_buf()).collect();
    let (changes, _) = load(&folders).unwrap();
    let services = changes.iter().filter_map(|change| match change {
        Change::Apply(Object::Service(service)) => {
            Some(format!("{}={}", service.name.name, service.addresses[0]))
        }
        Change::Apply(_)
        | Change::Delete(_)
        | Change::Unread(_)
        | Change::Synced(_)
        | Change::Endpoints(_)
        | Change::NoEndpoints(_)
        | Change::Incomplete
        | Change::Unlisted
        | Change::Complete => None,
    });
    services.collect()
}

#[test]
fn the_first_folder_wins_then_the_first_name() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(one.path().join("z.yaml"), service("s", "10.0.0.1")).unwrap();
    fs::write(two.path().join("a.yaml"), service("s", "10.0.0.2")).unwrap();
    fs::write(two.path().join("b.yml"), service("t", "10.0.0.4")).unwrap();
    fs::write(
        two.path().join("a.json"),
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"t"},"spec":{"clusterIP":"10.0.0.3"}}"#,
    )
    .unwrap();

    assert_eq!(addresses(&[one.path(), two.path()]), ["s=10.0.0.1", "t=10.0.0.3"]);
    assert_eq!(addresses(&[two.path(), one.path()]), ["s=10.0.0.2", "t=10.0.0.3"]);
}

#[test]
fn what_is_no_manifest_is_not_read() {
    let root = tempfile::tempdir().unwrap();
    for name in [".hidden.yaml", "a.yaml~", ".a.yaml.swp", "README.md", "yaml", ".yaml", "a.yaml.bak"] {
        fs::write(root.path().join(name), "a: [").unwrap();
    }
    fs::create_dir(root.path().join("sub.yaml")).unwrap();
    fs::write(root.path().join("sub.yaml/a.yaml"), service("s", "10.0.0.1")).unwrap();
    let (changes, report) = load(&[root.path().to_path_buf()]).unwrap();
    assert_eq!(changes, []);
    assert_eq!(report, crate::model::FileReport::default());
}

#[test]
fn a_folder_that_is_not_there_is_said_with_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("conf");
    let error = load(std::slice::from_ref(&missing)).unwrap_err().to_string();
    assert_eq!(error, format!("the folder {} does not exist: create it, or name another", missing.display()));

    fs::write(&missing, "").unwrap();
    let error = load(std::slice::from_ref(&missing)).unwrap_err().to_string();
    let expected = "is not a folder: name the folder that holds the manifests";
    assert_eq!(error, format!("{} {expected}", missing.display()));
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.yaml");
    let writer = fs::File::create(&path).unwrap();
    let other = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        fs::write(&path, service("s", "10.0.0.1")).unwrap();
        drop(writer);
    });
    assert_eq!(addresses(&[root.path()]), ["s=10.0.0.1"]);
    other.join().unwrap();

    let _writer = fs::File::create(root.path().join("b.yaml")).unwrap();
    let start = std::time::Instant::now();
    let (_, report) = load(&[root.path().to_path_buf()]).unwrap();
    assert_eq!(report.problems()[0].message, "is still being written");
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "not for ever");
}
