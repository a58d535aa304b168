//! The objects of one kind as the API server sends them, turned into changes. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::api::query::Resource;
use crate::convert::{self, Converted, Interner};
use crate::model::{Change, Kind, ObjectKey, ObjectName};

use super::gone::Gone;
use super::head::Naming;
use super::object::{self, Identity, Named, NotAnObject};

/// What has come of one kind. Of an object only its name and version are kept, so that it is known what is
/// gone when everything has come again, and that no object goes back in time.
#[derive(Debug)]
pub(super) struct Tracker {
    resource: Resource,
    known: HashMap<ObjectName, Seen>,
    gone: Gone,
    list: u32,
    /// The newest version of an object, before this list and of this list.
    newest: u64,
    newest_of_list: u64,
    phase: Phase,
    extent: Extent,
    /// Items that came before it was known what the list is.
    unsettled: Held,
    /// Items that are older than what was sent of these objects before.
    older: Held,
    names: Interner,
    changes: Vec<Change>,
    /// What is wrong with objects, by name.
    problems: BTreeMap<ObjectName, Vec<String>>,
    /// The objects among them of which nothing can be used.
    unread: BTreeSet<ObjectName>,
    /// The problems are not as they were when they were taken last.
    is_news: bool,
}

/// How an object came last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The number of the list that sent it.
    list: u32,
    /// Its own version; 0 where it has none.
    version: u64,
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

/// How much of what exists was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Complete,
    /// Perhaps not all of it: what was not sent may exist.
    Uncertain,
}

/// Items of a list that are kept until its end.
#[derive(Debug, Default)]
struct Held {
    items: Vec<Vec<u8>>,
    bytes: usize,
}

/// No list that a cluster can have is kept back as a whole and is longer.
const MOST_HELD: usize = 64 << 20;

impl Held {
    fn push(&mut self, item: &[u8]) -> Result<(), NotAnObject> {
        self.bytes += item.len();
        if self.bytes > MOST_HELD {
            return Err(NotAnObject::new("a list that does not say what it is a list of"));
        }
        self.items.push(item.to_vec());
        Ok(())
    }
}

/// What an event about an object was.
pub(super) struct Applied {
    pub(super) version: Option<String>,
    /// The object had not come since the list began.
    pub(super) is_new: bool,
}

impl Tracker {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            resource: Resource::of(kind),
            known: HashMap::new(),
            gone: Gone::default(),
            list: 0,
            newest: 0,
            newest_of_list: 0,
            phase: Phase::First,
            extent: Extent::Complete,
            unsettled: Held::default(),
            older: Held::default(),
            names: Interner::default(),
            changes: Vec::new(),
            problems: BTreeMap::new(),
            unread: BTreeSet::new(),
            is_news: false,
        }
    }

    /// Everything is about to come, as `resource`.
    pub(super) fn begin(&mut self, resource: Resource) {
        self.resource = resource;
        self.list += 1;
        self.newest = self.newest.max(std::mem::take(&mut self.newest_of_list));
        self.unsettled = Held::default();
        self.older = Held::default();
        self.phase = match self.phase {
            Phase::First => Phase::First,
            Phase::Following | Phase::Again => Phase::Again,
        };
    }

    /// What comes from now on has other versions: those of before say nothing about it.
    pub(super) fn forget_versions(&mut self) {
        self.gone = Gone::default();
        self.newest = 0;
        for seen in self.known.values_mut() {
            seen.version = 0;
        }
    }

    /// The newest version of an object that has come; `None` where none has any.
    pub(super) fn newest(&self) -> Option<String> {
        let newest = self.newest.max(self.newest_of_list);
        (newest > 0).then(|| newest.to_string())
    }

    /// The version of the newest object of this list, which is as new as that at least.
    pub(super) fn newest_of_list(&self) -> u64 {
        self.newest_of_list
    }

    /// An item of a list. One that is older than what was sent of that object before waits for the end.
    ///
    /// # Errors
    /// The text is not JSON, nothing that has a name, or an object of another kind.
    pub(super) fn item(&mut self, json: &[u8], naming: Naming) -> Result<(), NotAnObject> {
        let named = Named::read(json)?;
        match (named.is_one_of(self.resource), naming) {
            (None, Naming::Unsettled) => return self.unsettled.push(json),
            (Some(true), _) | (None, Naming::ByList) => {}
            (Some(false), _) | (None, Naming::ByItem) => return Err(named.other_than(self.resource)),
        }
        let identity = named.identity(self.resource, &mut self.names)?;
        if self.is_older(&identity) {
            return self.older.push(json);
        }
        self.take(json, &identity);
        Ok(())
    }

    /// It is known by now what the list is, or that it does not say so.
    ///
    /// # Errors
    /// An item that came before is none of what was asked for.
    pub(super) fn settle(&mut self, naming: Naming) -> Result<(), NotAnObject> {
        let naming = if naming == Naming::Unsettled { Naming::ByList } else { naming };
        for item in std::mem::take(&mut self.unsettled).items {
            self.item(&item, naming)?;
        }
        Ok(())
    }

    /// Everything has come up to `version`, the list's. If that is certain, what has not come is gone, and objects
    /// are as they came.
    pub(super) fn end(&mut self, extent: Extent, version: Option<&str>) {
        let older = std::mem::take(&mut self.older).items;
        let at = version.and_then(|version| version.parse().ok()).unwrap_or_default();
        let kind = self.resource.kind();
        if extent == Extent::Complete {
            for item in older {
                // It was read before.
                let named = Named::read(&item);
                if let Ok(identity) = named.and_then(|named| named.identity(self.resource, &mut self.names)) {
                    self.take(&item, &identity);
                }
            }
            self.remove_unsent(at);
        }
        match (self.phase, extent) {
            (Phase::First, Extent::Complete) => self.changes.push(Change::Synced(kind)),
            (Phase::First, Extent::Uncertain) => {
                self.extent = Extent::Uncertain;
                if kind.is_deciding() {
                    self.changes.extend([Change::Unlisted, Change::Synced(kind)]);
                }
            }
            (Phase::Again | Phase::Following, Extent::Complete) if self.extent == Extent::Uncertain => {
                self.extent = Extent::Complete;
                // What decides nothing is in sync only now, for the sake of what it does not name.
                self.changes.push(if kind.is_deciding() { Change::Complete } else { Change::Synced(kind) });
            }
            (Phase::Again | Phase::Following, _) => {}
        }
        self.phase = Phase::Following;
    }

    fn remove_unsent(&mut self, at: u64) {
        let (kind, list) = (self.resource.kind(), self.list);
        let mut gone: Vec<ObjectName> = Vec::new();
        self.known.retain(|name, last| {
            let stays = last.list == list;
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
        gone.sort_unstable();
        for name in gone {
            self.forget_problems(&name);
            self.gone.insert(name.clone(), at);
            self.changes.push(Change::Delete(ObjectKey { kind, name }));
        }
    }

    /// A list has begun and has not come to its end, or none has begun yet.
    pub(super) fn is_listing(&self) -> bool {
        self.phase != Phase::Following
    }

    /// A list has come to its end at least once.
    pub(super) fn is_synced(&self) -> bool {
        self.phase != Phase::First
    }

    /// Whether everything that exists was sent once, for certain.
    pub(super) const fn extent(&self) -> Extent {
        self.extent
    }

    /// Whether this list has not sent that object yet.
    fn is_new_in_list(&self, name: &ObjectName) -> bool {
        self.known.get(name).is_none_or(|seen| seen.list != self.list)
    }

    /// An object is new, or now reads so, as a watch says. What is older than what is known of it says nothing.
    ///
    /// # Errors
    /// The text is not JSON, nothing that has a name, or an object of another kind.
    pub(super) fn apply(&mut self, json: &[u8]) -> Result<Applied, NotAnObject> {
        let identity = self.named_by_itself(json)?;
        let is_new = self.is_new_in_list(&identity.name);
        if !self.is_older(&identity) {
            self.take(json, &identity);
        } else if self.is_listing() {
            self.older.push(json)?;
        }
        Ok(Applied { version: identity.version, is_new })
    }

    /// An object was deleted, or is not one of those that were asked for any more. Returns its version.
    ///
    /// # Errors
    /// The text is not JSON, nothing that has a name, or an object of another kind.
    pub(super) fn delete(&mut self, json: &[u8]) -> Result<Option<String>, NotAnObject> {
        let identity = self.named_by_itself(json)?;
        let at = identity.number().unwrap_or_default();
        if self.known.contains_key(&identity.name) && self.is_older(&identity) {
            return Ok(identity.version);
        }
        let Identity { name, version } = identity;
        let seen = self.known.remove(&name);
        // Where lists do not name everything, it may be one of those.
        if seen.is_some() || self.extent == Extent::Uncertain {
            self.forget_problems(&name);
            self.gone.insert(name.clone(), at.max(seen.map_or(0, |seen| seen.version)));
            self.changes.push(Change::Delete(ObjectKey { kind: self.resource.kind(), name }));
        }
        Ok(version)
    }

    /// Notes the version, and whether something newer was sent of this object, or that it is gone.
    fn is_older(&mut self, identity: &Identity) -> bool {
        let Some(version) = identity.number() else { return false };
        self.newest_of_list = self.newest_of_list.max(version);
        match self.known.get(&identity.name) {
            Some(seen) => version < seen.version,
            None => self.gone.version(&identity.name).is_some_and(|gone| version < gone),
        }
    }

    /// The object now reads so. One that cannot be read is named, and stays as it was.
    fn take(&mut self, json: &[u8], identity: &Identity) {
        let name = identity.name.clone();
        let problems = match object::read(self.resource, json, &mut self.names) {
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
        self.gone.remove(&name);
        self.known.insert(name, Seen { list: self.list, version: identity.number().unwrap_or_default() });
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
            let of = |name: &ObjectName| ObjectKey { kind: self.resource.kind(), name: name.clone() };
            let all = self.problems.iter();
            all.flat_map(|(name, texts)| texts.iter().map(move |text| (of(name), text.clone()))).collect()
        })
    }

    fn forget_problems(&mut self, name: &ObjectName) {
        self.unread.remove(name);
        self.is_news |= self.problems.remove(name).is_some();
    }

    fn named_by_itself(&mut self, json: &[u8]) -> Result<Identity, NotAnObject> {
        let named = Named::read(json)?;
        if named.is_one_of(self.resource) != Some(true) {
            return Err(named.other_than(self.resource));
        }
        named.identity(self.resource, &mut self.names)
    }

    fn unread_change(&mut self, json: &[u8]) -> Option<Change> {
        let object: Value = serde_json::from_slice(json).ok()?;
        convert::unread(self.resource.kind(), &object, &mut self.names).map(Change::Unread)
    }
}
