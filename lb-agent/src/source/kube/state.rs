//! What is asked of the API server next, and what follows when it fails. Pure.

use std::cmp::Ordering;
use std::time::Duration;

use super::history::compare;
use super::repeats::Repeats;
use crate::api::query::{Resource, VersionMatch};
use crate::model::Kind;

/// A server that does not send lists by watches is asked for one again after this time: it may be a newer one.
const PLAIN: Duration = Duration::from_secs(3600);

/// As long a newer version of the API is not asked for.
const OLDER_API: Duration = Duration::from_secs(600);

/// It is asked for so soon after a link was dead: the server may have been upgraded.
const AFTER_LINK: Duration = Duration::from_secs(30);

/// What is asked for next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Everything is to come, as a watch that sends the whole list first.
    Streaming { since: Since },
    /// Everything is to come, as a plain list.
    Listing { since: Since },
    /// Everything has come up to `version`, and changes from there are to come. The version is empty where
    /// the list had none.
    Watching { version: String },
}

/// From when on a list has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// As the server has it at hand.
    Any,
    NotOlderThan(String),
    /// As etcd has it.
    Newest,
    /// As etcd has it, and older than what is known if need be: the server has not come to that version.
    Another,
}

impl Since {
    fn known(version: Option<&str>) -> Self {
        version.map_or(Self::Any, |version| Self::NotOlderThan(version.to_owned()))
    }
}

impl From<&Since> for VersionMatch {
    fn from(since: &Since) -> Self {
        match since {
            Since::Any => Self::Any,
            Since::NotOlderThan(version) => Self::NotOlderThan(version.clone()),
            Since::Newest | Since::Another => Self::Newest,
        }
    }
}

/// How this server is asked for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    Streamed,
    /// It refuses those sent by watches; until then.
    Plain(Duration),
    /// It begins them and does not end them; until then.
    Endless(Duration),
}

/// What is known of the server at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The last watch ran its time.
    Sound,
    /// A watch ended early: the server that responds now may be another one.
    Doubtful,
    /// The last request failed: the next watch has to last before it counts.
    Shaken,
}

/// What a failed request says about what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server responded with this code.
    Code(u16),
    /// It does not know the version any more.
    Expired,
    /// It does not know the version yet.
    Future,
    /// What it sent was not understood.
    Garbage,
    /// It sent nothing for too long.
    Silence,
    /// The response broke off, or was none worth the name.
    Broken,
    /// A list sent by a watch did not come to its end.
    Endless,
    /// The server was not reached.
    Link,
}

/// When the next request is made. All wait as `Pace` says, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// At once, and nothing is reported: the server only wants to be asked in another way.
    AtOnce,
    /// After the next of the growing waits.
    AfterWait,
    /// As soon as a list may be asked for.
    Paced,
}

/// Where following one kind of objects stands. Times are counted from any one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) state: State,
    pub(super) resource: Resource,
    pub(super) trust: Trust,
    lists: Lists,
    repeats: Repeats,
    /// Where a watch goes on if the list fails that is tried in its place.
    resume: Option<Resume>,
    /// When the newest version of the API is asked for again.
    newer_at: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Resume {
    resource: Resource,
    version: String,
}

impl Course {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            state: State::Streaming { since: Since::Any },
            resource: Resource::of(kind),
            trust: Trust::Sound,
            lists: Lists::Streamed,
            repeats: Repeats::default(),
            resume: None,
            newer_at: Duration::ZERO,
        }
    }

    /// What is asked for next: nothing that is older than what is known.
    pub(super) fn next(&self, known: Option<&str>) -> State {
        match &self.state {
            State::Streaming { since: Since::Any } => State::Streaming { since: Since::known(known) },
            State::Listing { since: Since::Any } => State::Listing { since: Since::known(known) },
            state @ (State::Streaming { .. } | State::Listing { .. } | State::Watching { .. }) => {
                state.clone()
            }
        }
    }

    /// A list has come to its end.
    pub(super) fn listed(&mut self, version: Option<String>) {
        self.resume = None;
        self.repeats = Repeats::default();
        self.state = State::Watching { version: version.unwrap_or_default() };
    }

    /// A watch says that everything up to this version has come. It never goes back.
    pub(super) fn reached(&mut self, version: String) {
        let State::Watching { version: before } = &mut self.state else { return };
        if !matches!(compare(&version, before), Some(Ordering::Less | Ordering::Equal)) {
            *before = version;
            self.repeats = Repeats::default();
        }
    }

    /// A watch goes on, or sent something that was understood.
    pub(super) fn lasts(&mut self) {
        if self.trust == Trust::Shaken {
            self.trust = Trust::Doubtful;
        }
    }

    /// A watch lasted for long.
    pub(super) fn is_sound(&mut self) {
        self.repeats = Repeats::default();
    }

    /// The last list did not surely name everything, and another one may.
    pub(super) fn is_uncertain(&mut self, known: Option<&str>, now: Duration) {
        if let State::Watching { version } = self.state.clone() {
            self.again(Since::known(known), now);
            self.resume = Some(Resume { resource: self.resource, version });
        }
    }

    /// What is known is of another history than the server's.
    pub(super) fn is_another(&mut self, now: Duration) {
        self.again(Since::Another, now);
    }

    /// Asks for the newest version of the API where an older one is followed and it is time.
    pub(super) fn look_for_newer(&mut self, known: Option<&str>, now: Duration) {
        let newest = Resource::of(self.resource.kind());
        if self.resource != newest
            && now >= self.newer_at
            && let State::Watching { version } = self.state.clone()
        {
            self.again(Since::known(known), now);
            self.resume = Some(Resume { resource: self.resource, version });
            self.resource = newest;
        }
    }

    /// Whether plain lists are asked for because this server does not end those that it sends by watches.
    pub(super) const fn is_endless(&self) -> bool {
        matches!(self.lists, Lists::Endless(_))
    }

    /// What to do after a failure, and when. `known` is the newest version up to which everything has come.
    ///
    /// 1. A server that is busy, not reached or does not know us is asked the same again.
    /// 2. A version that it does not know any more: everything again, no older than that. One that it does
    ///    not know yet: everything it has, older or not.
    /// 3. A list that a watch cannot send is asked for as such for an hour, whatever the server has against it.
    /// 4. What fails again and again from one version is left: everything again. If the list fails as well,
    ///    the watch is tried again.
    /// 5. Where the path is unknown, another version of the API is asked for.
    pub(super) fn after(&mut self, fault: Fault, known: Option<&str>, now: Duration) -> Retry {
        self.doubt(fault, now);
        match (&self.state, fault) {
            (_, Fault::Link | Fault::Code(401 | 429)) => self.same(fault, known),
            (_, Fault::Code(404)) if self.resource.kind() == Kind::EndpointSlice => {
                self.other_api(known, now)
            }
            (State::Watching { .. }, fault) => self.after_watch(fault, known, now),
            (State::Streaming { since } | State::Listing { since }, Fault::Expired | Fault::Future)
                if !matches!(since, Since::Newest | Since::Another) =>
            {
                self.again(if fault == Fault::Future { Since::Another } else { Since::Newest }, now);
                Retry::Paced
            }
            (State::Streaming { since }, fault) => {
                let since = since.clone();
                self.after_stream(since, fault, now)
            }
            (State::Listing { since }, Fault::Code(400))
                if !matches!(since, Since::Newest | Since::Another) =>
            {
                self.again(Since::Newest, now);
                Retry::Paced
            }
            (State::Listing { .. }, fault) => self.same(fault, known),
        }
    }

    fn doubt(&mut self, fault: Fault, now: Duration) {
        self.trust = match (self.trust, fault) {
            (Trust::Sound | Trust::Doubtful, Fault::Link) => Trust::Doubtful,
            _ => Trust::Shaken,
        };
        if fault == Fault::Link {
            self.newer_at = self.newer_at.min(now + AFTER_LINK);
        }
    }

    /// The same again, or the watch in whose place a list was tried.
    fn same(&mut self, fault: Fault, known: Option<&str>) -> Retry {
        if let Some(resume) = self.resume.take() {
            self.resume(resume);
        } else if let (State::Streaming { since } | State::Listing { since }, Fault::Link | Fault::Broken) =
            (&mut self.state, fault)
            && *since == Since::Another
        {
            // What responds next may be another server.
            *since = Since::known(known);
        }
        Retry::AfterWait
    }

    fn after_watch(&mut self, fault: Fault, known: Option<&str>, now: Duration) -> Retry {
        let State::Watching { version } = self.state.clone() else { return Retry::AfterWait };
        let since = match fault {
            Fault::Expired => Since::known(known),
            Fault::Future => Since::Another,
            Fault::Code(400 | 422) => Since::Newest,
            Fault::Code(_)
            | Fault::Garbage
            | Fault::Silence
            | Fault::Broken
            | Fault::Endless
            | Fault::Link => {
                if !self.repeats.is_enough(fault, now) {
                    return Retry::AfterWait;
                }
                self.again(Since::known(known), now);
                self.resume = Some(Resume { resource: self.resource, version });
                return Retry::Paced;
            }
        };
        self.again(since, now);
        Retry::Paced
    }

    fn after_stream(&mut self, since: Since, fault: Fault, now: Duration) -> Retry {
        let may_pass = matches!(fault, Fault::Code(500 | 502..=504) | Fault::Garbage);
        if may_pass && !self.repeats.is_enough(fault, now) {
            return Retry::AfterWait;
        }
        let until = now + PLAIN;
        self.lists = if fault == Fault::Endless { Lists::Endless(until) } else { Lists::Plain(until) };
        self.state = State::Listing { since };
        Retry::AtOnce
    }

    /// The server does not know this version of the API: it has another one, or it has lost this one.
    fn other_api(&mut self, known: Option<&str>, now: Duration) -> Retry {
        let newest = Resource::of(self.resource.kind());
        match (self.resource.before(), &self.state) {
            (_, State::Watching { .. }) if self.resource == newest => {
                self.after_watch(Fault::Code(404), known, now)
            }
            (_, State::Watching { .. }) => {
                self.again(Since::known(known), now);
                self.resource = newest;
                Retry::Paced
            }
            (Some(before), _) => {
                self.resource = before;
                self.newer_at = now + OLDER_API;
                if let Some(resume) = self.resume.take() {
                    self.resume(Resume { resource: before, ..resume });
                }
                Retry::AtOnce
            }
            (None, _) => {
                self.resource = newest;
                Retry::AfterWait
            }
        }
    }

    fn resume(&mut self, Resume { resource, version }: Resume) {
        self.repeats = Repeats::default();
        self.resource = resource;
        self.state = State::Watching { version };
    }

    fn again(&mut self, since: Since, now: Duration) {
        if let Lists::Plain(until) | Lists::Endless(until) = self.lists
            && now >= until
        {
            self.lists = Lists::Streamed;
        }
        self.resume = None;
        self.repeats = Repeats::default();
        self.state = match self.lists {
            Lists::Streamed => State::Streaming { since },
            Lists::Plain(_) | Lists::Endless(_) => State::Listing { since },
        };
    }
}

#[cfg(test)]
mod tests;
