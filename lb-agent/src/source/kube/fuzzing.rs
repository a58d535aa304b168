//! For `crate::fuzzing`: bytes of an API server into changes, however they are cut on their way.

use super::event::Event;
use super::frames::Frames;
use super::head::{self, Naming};
use super::split::Splitter;
use super::tracker::{Extent, Tracker};
use crate::api::query::Resource;
use crate::model::Kind;

/// What the lines of a watch become, and what is said of them.
///
/// # Panics
/// When that depends on how the bytes were cut.
pub(crate) fn watch(data: &[u8]) -> Vec<String> {
    let all = Kind::ALL.map(|kind| {
        let [whole, parts] = [data.len().max(1), 7].map(|size| watch_in(kind, data, size));
        assert_eq!(whole, parts, "as a whole, and in parts");
        whole
    });
    all.concat()
}

/// What a list becomes, and what is said of it.
///
/// # Panics
/// When that depends on how the bytes were cut.
pub(crate) fn list(data: &[u8]) -> Vec<String> {
    let all = Kind::ALL.map(|kind| {
        let [whole, parts] = [data.len().max(1), 7].map(|size| list_in(kind, data, size));
        assert_eq!(whole, parts, "as a whole, and in parts");
        whole
    });
    all.concat()
}

fn watch_in(kind: Kind, data: &[u8], size: usize) -> Vec<String> {
    let (mut tracker, mut frames, mut said) = (Tracker::new(kind), Frames::default(), Vec::new());
    tracker.begin(Resource::of(kind));
    for bytes in data.chunks(size) {
        frames.push(bytes);
        loop {
            let line = match frames.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => return [said, vec![error.to_string()]].concat(),
            };
            said.extend(event(&mut tracker, line, kind).err());
        }
    }
    said.extend(changes(&mut tracker));
    said
}

fn event(tracker: &mut Tracker, line: &[u8], kind: Kind) -> Result<(), String> {
    match Event::read(line, Resource::of(kind)).map_err(|error| error.to_string())? {
        Event::Added(json) | Event::Applied(json) => {
            tracker.apply(json).map(drop).map_err(|error| error.to_string())
        }
        Event::Deleted(json) => tracker.delete(json).map(drop).map_err(|error| error.to_string()),
        Event::Bookmark { ends_list: true, version } => {
            tracker.end(Extent::Complete, version.as_deref());
            Ok(())
        }
        Event::Bookmark { .. } => Ok(()),
        Event::Error(_) => Err("an error".to_owned()),
    }
}

fn list_in(kind: Kind, data: &[u8], size: usize) -> Vec<String> {
    let (mut tracker, resource) = (Tracker::new(kind), Resource::of(kind));
    tracker.begin(resource);
    let ended = read_list(&mut tracker, resource, data, size);
    let mut said = changes(&mut tracker);
    said.extend(ended.err());
    said
}

fn read_list(tracker: &mut Tracker, resource: Resource, data: &[u8], size: usize) -> Result<(), String> {
    let (mut splitter, mut naming) = (Splitter::default(), None::<Naming>);
    let said = |error: &dyn std::fmt::Display| error.to_string();
    for bytes in data.chunks(size) {
        splitter
            .feed(bytes, |before, item| -> Result<(), Said> {
                let naming = match naming {
                    Some(naming) => naming,
                    None => {
                        *naming.insert(head::naming(before, resource).map_err(|error| Said(said(&error)))?)
                    }
                };
                tracker.item(item, naming).map_err(|error| Said(said(&error)))
            })
            .map_err(|Said(error)| error)?;
    }
    let around = splitter.finish().map_err(|error| said(&error))?;
    let ended = head::end(&around, resource).map_err(|error| said(&error))?;
    tracker.settle(ended.naming).map_err(|error| said(&error))?;
    tracker.end(Extent::Complete, ended.version.as_deref());
    Ok(())
}

/// What was said of a list that failed.
struct Said(String);

impl From<super::split::NotAList> for Said {
    fn from(error: super::split::NotAList) -> Self {
        Self(error.to_string())
    }
}

/// All that has come of it, as texts.
fn changes(tracker: &mut Tracker) -> Vec<String> {
    let changes: Vec<String> = tracker.take_changes().iter().map(|change| format!("{change:?}")).collect();
    let problems = tracker.take_problems().unwrap_or_default();
    let problems: Vec<String> = problems.iter().map(|(object, why)| format!("{object}: {why}")).collect();
    [changes, problems].concat()
}
