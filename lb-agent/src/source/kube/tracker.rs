//! The objects of one kind as the API server sends them, turned into changes. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::convert::{self, Converted, Interner, Nameless, Unusable, Version, written};
use crate::model::{Change, Kind, Object, ObjectKey, ObjectName};

/// What has come of one kind. Of an object only its name is kept, so that it is known what is
/// gone when everything has come again.
#[derive(Debug)]
pub(super) struct Tracker {
    kind: Kind,
    /// Each object's name, with the number of the list that sent it last.
    known: HashMap<ObjectName, u32>,
    list: u32,
    phase: Phase,
    names: Interner,
    changes: Vec<Change>,
    /// What is wrong with objects, by name.
    problems: BTreeMap<ObjectName, Vec<String>>,
    /// The objects among them of which nothing can be used.
    unread: BTreeSet<ObjectName>,
    /// The problems are not as they were when they were taken last.
    is_news: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No list has come to its end yet.
    First,
    /// Changes come one by one.
    Following,
    /// Everything comes again.
    Again,
}

/// What was sent is not JSON, or not an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotAnObject(String);

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    metadata: NameAndVersion,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NameAndVersion {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
}

impl Tracker {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            known: HashMap::new(),
            list: 0,
            phase: Phase::First,
            names: Interner::default(),
            changes: Vec::new(),
            problems: BTreeMap::new(),
            unread: BTreeSet::new(),
            is_news: false,
        }
    }

    /// Everything is about to come.
    pub(super) fn begin(&mut self) {
        self.list += 1;
        self.phase = match self.phase {
            Phase::First => Phase::First,
            Phase::Following | Phase::Again => Phase::Again,
        };
    }

    /// Everything has come: what has not is gone.
    pub(super) fn end(&mut self) {
        let (kind, list) = (self.kind, self.list);
        let mut gone: Vec<ObjectName> = Vec::new();
        self.known.retain(|name, last| {
            let stays = *last == list;
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
        gone.sort_unstable();
        for name in gone {
            self.forget_problems(&name);
            self.changes.push(Change::Delete(ObjectKey { kind, name }));
        }
        if self.phase == Phase::First {
            self.changes.push(Change::Synced(kind));
        }
        self.phase = Phase::Following;
    }

    /// A list has begun and has not come to its end, or none has begun yet.
    pub(super) fn is_listing(&self) -> bool {
        self.phase != Phase::Following
    }

    /// A list has come to its end at least once.
    pub(super) fn is_synced(&self) -> bool {
        self.phase != Phase::First
    }

    /// An object now reads so. One that cannot be read is named, and stays as it was. Returns its
    /// resource version.
    ///
    /// # Errors
    /// The text is not JSON, or nothing that has a name.
    pub(super) fn apply(&mut self, json: &[u8]) -> Result<Option<String>, NotAnObject> {
        let (name, version) = self.named(json)?;
        let problems = match self.convert(json) {
            Ok(Converted { object, problems }) => {
                self.changes.push(Change::Apply(object));
                self.unread.remove(&name);
                problems
            }
            Err(why) => {
                let change = self.unread_change(json);
                self.changes.extend(change);
                self.unread.insert(name.clone());
                vec![format!("cannot be read; what was read of it before stays: {why}")]
            }
        };
        if problems.is_empty() {
            self.forget_problems(&name);
        } else if self.problems.get(&name) != Some(&problems) {
            self.problems.insert(name.clone(), problems);
            self.is_news = true;
        }
        self.known.insert(name, self.list);
        Ok(version)
    }

    /// An object was deleted, or is not one of those that were asked for any more.
    ///
    /// # Errors
    /// The text is not JSON, or nothing that has a name.
    pub(super) fn delete(&mut self, json: &[u8]) -> Result<Option<String>, NotAnObject> {
        let (name, version) = self.named(json)?;
        if self.known.remove(&name).is_some() {
            self.forget_problems(&name);
            self.changes.push(Change::Delete(ObjectKey { kind: self.kind, name }));
        }
        Ok(version)
    }

    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn waiting(&self) -> usize {
        self.changes.len()
    }

    /// How many objects exist of which nothing can be used.
    pub(super) fn unread(&self) -> usize {
        self.unread.len()
    }

    /// What is wrong with objects, if that has changed since it was taken last.
    pub(super) fn take_problems(&mut self) -> Option<Vec<(ObjectKey, String)>> {
        std::mem::take(&mut self.is_news).then(|| {
            let of = |name: &ObjectName| ObjectKey { kind: self.kind, name: name.clone() };
            let all = self.problems.iter();
            all.flat_map(|(name, texts)| texts.iter().map(move |text| (of(name), text.clone()))).collect()
        })
    }

    fn forget_problems(&mut self, name: &ObjectName) {
        self.unread.remove(name);
        self.is_news |= self.problems.remove(name).is_some();
    }

    fn named(&mut self, json: &[u8]) -> Result<(ObjectName, Option<String>), NotAnObject> {
        let Named { metadata } = read(json).map_err(|error| NotAnObject(error.to_string()))?;
        let Some(name) = metadata.name.filter(|name| !name.is_empty()) else {
            return Err(NotAnObject(Nameless { kind: self.kind }.to_string()));
        };
        let namespace = match self.kind {
            Kind::Node => "",
            Kind::Service | Kind::EndpointSlice => {
                metadata.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or("default")
            }
        };
        let name = ObjectName { namespace: self.names.share(namespace), name: self.names.share(&name) };
        Ok((name, metadata.resource_version.filter(|version| !version.is_empty())))
    }

    fn unread_change(&mut self, json: &[u8]) -> Option<Change> {
        let object: Value = read(json).ok()?;
        convert::unread(self.kind, &object, &mut self.names).map(Change::Unread)
    }

    fn convert(&mut self, json: &[u8]) -> Result<Converted<Object>, String> {
        let names = &mut self.names;
        match self.kind {
            Kind::Service => typed(json, |read| convert::service(read, names), Object::Service),
            Kind::EndpointSlice => {
                typed(json, |read| convert::slice(read, Version::V1, names), Object::Slice)
            }
            Kind::Node => typed::<written::Node, _>(json, |read| convert::node(read, names), Object::Node),
        }
    }
}

fn typed<K: DeserializeOwned, T>(
    json: &[u8],
    convert: impl FnOnce(&K) -> Result<Converted<T>, Unusable>,
    wrap: impl FnOnce(T) -> Object,
) -> Result<Converted<Object>, String> {
    let mut from = serde_json::Deserializer::from_slice(json);
    let read: K = serde_path_to_error::deserialize(&mut from)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    let Converted { object, problems } = convert(&read).map_err(|why| why.to_string())?;
    Ok(Converted { object: wrap(object), problems })
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    serde_json::from_slice(json)
}
