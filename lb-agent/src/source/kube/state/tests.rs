//! Tables: what follows on what.

use super::*;

/// A state in a word: `stream`, `list` and since when, or `watch` and its version.
fn words(course: &Course) -> String {
    let since = |since: &Since| match since {
        Since::Any => "any".to_owned(),
        Since::NotOlderThan(version) => format!("{version}+"),
        Since::Newest => "newest".to_owned(),
        Since::Another => "another".to_owned(),
    };
    let text = match &course.state {
        State::Streaming { since: from } => format!("stream {}", since(from)),
        State::Listing { since: from } => format!("list {}", since(from)),
        State::Watching { version } => format!("watch {version}"),
    };
    let beta = if course.resource == Resource::SlicesV1Beta1 { " beta" } else { "" };
    format!("{text}{beta}")
}

const AT: fn(u64) -> Duration = Duration::from_secs;

/// Version 7 is known; a list from any on is one of the start.
fn known(words: &str) -> Option<&'static str> {
    (!words.contains("any")).then_some("7")
}

fn course(words: &str, kind: Kind, is_plain: bool) -> Course {
    let mut course = Course::new(kind);
    if is_plain {
        course.lists = Lists::Plain(PLAIN);
    }
    let words = match words.strip_suffix(" beta") {
        Some(words) => {
            course.resource = Resource::SlicesV1Beta1;
            words
        }
        None => words,
    };
    let (what, since) = words.split_once(' ').unwrap();
    let from = match since {
        "any" => Since::Any,
        "newest" => Since::Newest,
        "another" => Since::Another,
        version => Since::NotOlderThan(version.trim_end_matches('+').to_owned()),
    };
    course.state = match what {
        "stream" => State::Streaming { since: from },
        "list" => State::Listing { since: from },
        _ => State::Watching { version: since.to_owned() },
    };
    course
}

/// Before, what fails, and what follows, when.
const ONE_FAILURE: &[(&str, bool, &[Fault], &str, Retry)] = {
    use Fault::{Broken, Code, Endless, Expired, Future, Garbage, Link, Silence};
    use Retry::{AfterWait, AtOnce, Paced};
    &[
        (
            "watch 7",
            false,
            &[
                Code(401),
                Code(403),
                Code(404),
                Code(410),
                Code(429),
                Code(500),
                Code(502),
                Code(503),
                Code(504),
            ],
            "watch 7",
            AfterWait,
        ),
        ("watch 7", false, &[Link, Broken, Silence, Garbage], "watch 7", AfterWait),
        ("watch 7", false, &[Expired], "stream 7+", Paced),
        ("watch 7", false, &[Future], "stream another", Paced),
        ("watch 7", false, &[Code(400), Code(422)], "stream newest", Paced),
        ("watch 7", true, &[Expired], "list 7+", Paced),
        ("watch 7", true, &[Future], "list another", Paced),
        ("watch 7", true, &[Code(500), Code(504), Link], "watch 7", AfterWait),
        (
            "stream any",
            false,
            &[Code(401), Code(429), Code(500), Code(502), Code(503), Code(504), Link, Garbage],
            "stream any",
            AfterWait,
        ),
        ("stream any", false, &[Expired], "stream newest", Paced),
        ("stream any", false, &[Future], "stream another", Paced),
        (
            "stream any",
            false,
            &[Code(400), Code(403), Code(404), Code(422), Silence, Broken, Endless],
            "list any",
            AtOnce,
        ),
        ("stream 7+", false, &[Expired], "stream newest", Paced),
        ("stream 7+", false, &[Code(422), Silence], "list 7+", AtOnce),
        ("stream newest", false, &[Expired, Future, Code(422), Silence], "list newest", AtOnce),
        ("stream another", false, &[Link], "stream 7+", AfterWait),
        (
            "list any",
            true,
            &[Code(401), Code(403), Code(404), Code(410), Code(422), Code(429), Code(500), Code(504)],
            "list any",
            AfterWait,
        ),
        ("list any", true, &[Link, Broken, Silence, Garbage], "list any", AfterWait),
        ("list any", true, &[Code(400), Expired], "list newest", Paced),
        ("list 7+", true, &[Code(400), Expired], "list newest", Paced),
        ("list 7+", true, &[Future], "list another", Paced),
        ("list newest", true, &[Code(400), Expired, Future, Code(504), Silence], "list newest", AfterWait),
        ("list another", true, &[Code(500), Garbage, Future], "list another", AfterWait),
        ("list another", true, &[Link, Broken], "list 7+", AfterWait),
    ]
};

#[test]
fn what_follows_on_a_failure() {
    for (before, is_plain, faults, after, when) in ONE_FAILURE {
        for fault in *faults {
            let mut course = course(before, Kind::Service, *is_plain);
            let retry = course.after(*fault, known(before), AT(0));
            assert_eq!((words(&course).as_str(), retry), (*after, *when), "{before}, {fault:?}");
        }
    }
}

#[test]
fn what_fails_again_and_again_from_one_version_is_left_for_a_list() {
    use Fault::{Broken, Code, Endless, Garbage, Link, Silence};
    for (shows, before, faults, after) in [
        ("three times", "watch 7", &[(0, Code(500)), (1, Code(500)), (2, Code(500))][..], "list 7+"),
        ("a missing right", "watch 7", &[(0, Code(403)), (1, Code(403)), (2, Code(403))], "list 7+"),
        ("no response to the end", "watch 7", &[(0, Broken), (1, Broken), (2, Broken)], "list 7+"),
        ("for 30 s", "watch 7", &[(0, Silence), (30, Silence)], "list 7+"),
        ("not understood", "watch 7", &[(0, Garbage), (1, Garbage)], "list 7+"),
        ("something else in between", "watch 7", &[(0, Garbage), (1, Code(500)), (2, Garbage)], "watch 7"),
        ("no server", "watch 7", &[(0, Link), (40, Link), (80, Link), (120, Link)], "watch 7"),
        ("a busy one", "watch 7", &[(0, Code(429)), (40, Code(429)), (80, Code(429))], "watch 7"),
        (
            "the list fails: the watch again",
            "watch 7",
            &[(0, Garbage), (1, Garbage), (2, Code(500))],
            "watch 7",
        ),
        ("it is gone: the watch again", "watch 7", &[(0, Garbage), (1, Garbage), (2, Link)], "watch 7"),
        (
            "a list sent by a watch",
            "stream any",
            &[(0, Code(500)), (1, Code(500)), (2, Code(500))],
            "list any",
        ),
        ("one not understood", "stream any", &[(0, Garbage), (1, Garbage)], "list any"),
        ("one without an end", "stream any", &[(0, Endless)], "list any"),
    ] {
        let mut course = course(before, Kind::Service, before.starts_with("watch"));
        for (at, fault) in faults {
            course.after(*fault, known(before), AT(*at));
        }
        assert_eq!(words(&course), after, "{shows}");
    }
}

#[test]
fn progress_or_a_watch_that_lasts_ends_a_row_of_failures() {
    let fail = |course: &mut Course| course.after(Fault::Code(500), Some("7"), AT(0));
    for (shows, between, after) in [
        ("nothing in between", (|_| {}) as fn(&mut Course), "stream 7+"),
        ("another version", |course| course.reached("8".to_owned()), "watch 8"),
        ("the same version again", |course| course.reached("7".to_owned()), "stream 7+"),
        ("an older one", |course| course.reached("6".to_owned()), "stream 7+"),
        ("a watch that lasts", Course::is_sound, "watch 7"),
    ] {
        let mut course = course("watch 7", Kind::Service, false);
        fail(&mut course);
        fail(&mut course);
        between(&mut course);
        fail(&mut course);
        assert_eq!(words(&course), after, "{shows}");
    }
}

#[test]
fn a_list_that_came_is_followed_by_a_watch_from_its_end() {
    for before in ["stream any", "list 7+", "watch 7"] {
        for (version, after) in [(Some("9"), "watch 9"), (None, "watch ")] {
            let mut course = course(before, Kind::Service, false);
            course.listed(version.map(str::to_owned));
            assert_eq!(words(&course), after, "{before}");
        }
    }
}

#[test]
fn streamed_lists_are_tried_again_after_an_hour() {
    for (at, after) in [(3599, "list 7+"), (3600, "stream 7+")] {
        let mut course = course("stream any", Kind::Service, false);
        course.after(Fault::Endless, None, AT(0));
        assert!(course.is_endless());
        course.listed(Some("7".to_owned()));
        course.after(Fault::Expired, Some("7"), AT(at));
        assert_eq!(words(&course), after);
    }
}

#[test]
fn an_api_server_may_have_slices_of_another_version_alone_and_may_be_upgraded() {
    use Fault::{Code, Expired, Link};
    for (shows, before, faults, after) in [
        ("it has the older one", "stream any", &[(0, Code(404))][..], "stream any beta"),
        ("it has neither, for now", "stream any", &[(0, Code(404)), (0, Code(404))], "stream any"),
        ("plain lists", "list any", &[(0, Code(404))], "list any beta"),
        ("the older one is gone", "watch 7 beta", &[(0, Code(404))], "stream 7+"),
        ("a version that has expired", "watch 7 beta", &[(0, Expired)], "stream 7+ beta"),
        ("a dead link", "watch 7 beta", &[(0, Link)], "watch 7 beta"),
        ("what is not known for a moment", "watch 7", &[(0, Code(404))], "watch 7"),
        ("and for longer", "watch 7", &[(0, Code(404)), (1, Code(404)), (2, Code(404))], "stream 7+"),
        (
            "a server that is older than the one before",
            "watch 7",
            &[(0, Code(404)), (1, Code(404)), (2, Code(404)), (3, Code(404))],
            "watch 7 beta",
        ),
    ] {
        let mut course = course(before, Kind::EndpointSlice, false);
        for (at, fault) in faults {
            course.after(*fault, known(before), AT(*at));
        }
        assert_eq!(words(&course), after, "{shows}");
    }
}

#[test]
fn the_newest_version_of_an_api_is_asked_for_now_and_then() {
    use Fault::{Code, Link};
    for (shows, fault, at, asked, then) in [
        ("not too soon", None, 599, "watch 7 beta", "watch 7 beta"),
        ("in time", None, 600, "stream 7+", "watch 7 beta"),
        ("soon after a link was dead", Some(Link), 40, "stream 7+", "watch 7 beta"),
        ("not at once after that", Some(Link), 39, "watch 7 beta", "watch 7 beta"),
    ] {
        let mut course = course("stream any", Kind::EndpointSlice, false);
        course.after(Code(404), None, AT(0));
        course.listed(Some("7".to_owned()));
        if let Some(fault) = fault {
            course.after(fault, Some("7"), AT(10));
        }
        course.look_for_newer(Some("7"), AT(at));
        assert_eq!(words(&course), asked, "{shows}");
        if asked.starts_with("stream") {
            for fault in [Code(404), Link] {
                let mut course = course.clone();
                course.after(fault, Some("7"), AT(at));
                assert_eq!(words(&course), then, "{shows}: it is not there");
            }
            course.listed(Some("9".to_owned()));
            assert_eq!(words(&course), "watch 9", "{shows}: it is");
        }
    }
}

#[test]
fn a_failure_is_remembered_until_a_watch_lasts() {
    use Trust::{Doubtful, Shaken, Sound};
    for (trust, link, other, lasts) in [
        (Sound, Doubtful, Shaken, Sound),
        (Doubtful, Doubtful, Shaken, Doubtful),
        (Shaken, Shaken, Shaken, Doubtful),
    ] {
        let then = |change: &dyn Fn(&mut Course)| {
            let mut course = course("watch 7", Kind::Service, false);
            course.trust = trust;
            change(&mut course);
            course.trust
        };
        let after = (
            then(&|course| _ = course.after(Fault::Link, Some("7"), AT(0))),
            then(&|course| _ = course.after(Fault::Code(500), Some("7"), AT(0))),
            then(&Course::lasts),
        );
        assert_eq!(after, (link, other, lasts), "{trust:?}");
    }
}
