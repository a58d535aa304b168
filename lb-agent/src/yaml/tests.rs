//! Texts against what the Go library makes of them. Each was tried with kubectl.

use serde_json::{Value, json};

use super::{Fault, first, odd, pieces};

fn fault(text: &str) -> Fault {
    first(text).unwrap_err().fault
}

#[test]
fn plain_scalars_are_those_of_yaml_1_1_as_go_reads_it() {
    for (text, expected) in [
        ("~", json!(null)),
        ("Null", json!(null)),
        ("nULL", json!("nULL")),
        ("y", json!(true)),
        ("On", json!(true)),
        ("NO", json!(false)),
        ("nO", json!("nO")),
        ("tRue", json!("tRue")),
        ("=", json!("=")),
        ("<<", json!("<<")),
        ("'8'", json!("8")),
        ("\"\\x41\"", json!("A")),
        ("!!str 8", json!("8")),
        ("!!int '8'", json!(8)),
        ("!!float 3", json!(3)),
        ("!!binary aGk=", json!("hi")),
        ("!other 8", json!("8")),
        ("! 8", json!("8")),
    ] {
        check(text, expected);
    }
}

fn check(text: &str, expected: Value) {
    let read = first(&format!("[{text} ]")).map(|value| value[0].clone());
    assert_eq!(read, Ok(expected), "{text}");
}

#[test]
fn numbers_are_those_of_yaml_1_1_as_go_reads_it() {
    for (text, expected) in [
        ("8", json!(8)),
        ("-8", json!(-8)),
        ("+8", json!(8)),
        ("+-8", json!("+-8")),
        ("010", json!(8)),
        ("081", json!(81)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0x_1f", json!(31)),
        ("-0x1f", json!(-31)),
        ("0b101", json!(5)),
        ("0b2", json!("0b2")),
        ("1_000", json!(1000)),
        ("_1", json!("_1")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("18446744073709551616", json!(18_446_744_073_709_552_000.0)),
        ("+18446744073709551615", json!(18_446_744_073_709_552_000.0)),
        ("-9223372036854775809", json!(-9_223_372_036_854_776_000.0)),
        ("1e18", json!(1_000_000_000_000_000_000_u64)),
        ("-0", json!(0)),
        ("-0.0", json!(0)),
        ("00", json!(0)),
        ("-010", json!(-8)),
        ("09.5", json!(9.5)),
        ("0x", json!("0x")),
        ("+", json!("+")),
        ("80.0", json!(80)),
        ("1.", json!(1)),
        (".5", json!(0.5)),
        ("-.5", json!(-0.5)),
        (".e5", json!(".e5")),
        ("1e3", json!(1000)),
        ("1e-1", json!(0.1)),
        ("81e4521", json!("81e4521")),
        ("1e", json!("1e")),
        ("685_230.15", json!(685_230.15)),
        ("190:20:30", json!("190:20:30")),
        ("2020-01-01", json!("2020-01-01")),
        ("0.0.0.0", json!("0.0.0.0")),
    ] {
        check(text, expected);
    }
}

#[test]
fn mappings_are_those_of_json() {
    for (shows, text, expected) in [
        ("of equal keys the last", "{a: 1, a: 2}", json!({"a": 2})),
        (
            "keys become texts",
            "{1: x, true: x, 1.5: x, 2020-01-01: x}",
            json!({"1": "x", "true": "x", "1.5": "x", "2020-01-01": "x"}),
        ),
        ("an alias", "[&a {b: 1}, *a]", json!([{"b": 1}, {"b": 1}])),
        ("an alias as a key", "{&a b: 1, c: *a}", json!({"b": 1, "c": "b"})),
        ("merged", "{<<: {a: 1, b: 1}, a: 2}", json!({"a": 2, "b": 1})),
        ("merged later", "{a: 2, <<: {a: 1, b: 1}}", json!({"a": 1, "b": 1})),
        ("a set", "{a, b}", json!({"a": null, "b": null})),
        ("of what is merged the first", "{<<: [{a: 1}, {a: 2, b: 2}]}", json!({"a": 1, "b": 2})),
        ("no merge where it is quoted", "{'<<': 1}", json!({"<<": 1})),
        ("null as a value", "a:\nb: [~, '']", json!({"a": null, "b": [null, ""]})),
        ("the first document", "---\na\n---\n[", json!("a")),
        ("up to its end", "a\n...\n[", json!("a")),
        ("nothing", "", json!(null)),
        ("a comment", "# x\n", json!(null)),
        ("a byte order mark", "\u{feff}a: 1", json!({"a": 1})),
        ("JSON", "{\"a\": [1, \"\\u0041\", null, true]}", json!({"a": [1, "A", null, true]})),
    ] {
        assert_eq!(first(text), Ok(expected), "{shows}");
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_place_and_without_its_text() {
    for (text, expected) in [
        ("a: b: c", Fault::Syntax),
        ("a: [", Fault::Syntax),
        ("a:\n\tb: c", Fault::Syntax),
        ("[.inf]", Fault::Number),
        ("[-.INF]", Fault::Number),
        ("[.NaN]", Fault::Number),
        ("!!int a", Fault::Tag),
        ("!!bool 1", Fault::Tag),
        ("!!null a", Fault::Tag),
        ("!!int 1.5", Fault::Tag),
        ("!!binary '*'", Fault::Tag),
        ("{[a]: b}", Fault::Key),
        ("{{a: b}: c}", Fault::Key),
        ("{~: b}", Fault::Key),
        ("{<<: a}", Fault::Merge),
        ("{<<: [a]}", Fault::Merge),
        ("&a [*a]", Fault::Alias),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
    let error = first("a: 1\nb: [.inf]").unwrap_err();
    assert_eq!((error.line, error.column), (2, 5));
}

#[test]
fn what_is_small_and_means_much_is_refused() {
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 10].join(", ");
        text + &format!("a{level}: &a{level} [{aliases}]\n")
    });
    assert_eq!(fault(&bomb), Fault::Size);
    // The parser has a limit of its own.
    for deep in ["[", "{a: ", "- ", "? "] {
        assert!(matches!(fault(&deep.repeat(100_000)), Fault::Depth | Fault::Syntax | Fault::Key), "{deep}");
    }
    let nested = |depth: usize| first(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    assert!(nested(150).is_ok());
    assert_eq!(nested(201).unwrap_err().fault, Fault::Depth);
    // An honest use of aliases, a thousand times.
    let honest = format!("[&a {{{}}}{}]", "key: value, ".repeat(20), ", *a".repeat(1000));
    assert_eq!(first(&honest).unwrap().as_array().map(Vec::len), Some(1001));
}

#[test]
fn a_short_text_does_not_make_a_large_tree() {
    // Each of 150 anchors would hold a copy of what is inside.
    let many = format!("[{}]", vec!["[x, x, x, x, x, x, x, x]"; 4000].join(", "));
    let text = (0..150).fold(many, |inside, level| format!("&a{level} [{inside}]"));
    assert_eq!(fault(&text), Fault::Held);
    let dense = format!("[{}]", "{a: 1}, ".repeat(200_000));
    assert_eq!(fault(&dense), Fault::Held);
    // Items that were handed over count no more.
    let mut handed = 0;
    let items = format!("{{items: {dense}}}");
    assert!(pieces(&items, &mut |_, _| handed += 1).is_ok());
    assert_eq!(handed, 200_000);
}

proptest::proptest! {
    #[test]
    fn whatever_the_text_it_is_a_tree_or_refused(text in "(\\PC{0,3}|[-?:,\\[\\]{}#&*!|>'\"%@`\n \t~<]{1,4}|[0-9a-fxob._+-]{1,5}){0,12}") {
        _ = first(&text);
    }

    #[test]
    fn what_json_says_yaml_says(items in proptest::collection::vec("\\PC{0,6}", 0..5), number: i64) {
        let value = json!({"items": items, "number": number, "deep": {"null": null, "is": [true, 0.5]}});
        proptest::prop_assert_eq!(first(&value.to_string()).ok(), Some(value));
    }
}

/// So that a document of null is not mistaken for none.
#[test]
fn null_is_a_document() {
    assert_eq!(first("--- ~\n--- a\n"), Ok(Value::Null));
}

#[test]
fn what_json_does_not_have_is_odd_where_it_stands() {
    let plain = |text: &str| pieces(text, &mut |_, _| panic!("no items: {text}"));
    for (text, expected) in [
        ("{a: .inf, b: 1}", json!({"a": odd(), "b": 1})),
        ("[.NaN, !!int x, !!bool 1, !!binary '*']", json!([odd(), odd(), odd(), odd()])),
        ("{~: x, b: 1}", json!({"b": 1})),
        ("{[a, {b: c}]: {d: e}, b: 1}", json!({"b": 1})),
        ("? {a: b}\n: [c]\nb: 1", json!({"b": 1})),
        ("{? [a], b: 1}", json!({"b": 1})),
        ("{[a]: &x 5, b: *x}", json!({"b": 5})),
        ("{<<: 5, b: 1}", json!({"b": 1})),
        ("{<<: {a: 1}, b: 1}", json!({"a": 1, "b": 1})),
        ("[{b: 1}]", json!([{"b": 1}])),
    ] {
        assert_eq!(plain(text), Ok(expected), "{text}");
    }
    assert_eq!(
        plain("a: [").unwrap_err().to_string(),
        "line 1, column 4: a syntax error: unclosed bracket '['"
    );
}

#[test]
fn items_of_a_document_are_handed_over_as_they_come() {
    for (shows, text, items, left) in [
        (
            "with what stood before them",
            "{a: 1, items: [x, {k: z}, ~], b: 2}",
            json!([{"a": 1}, "x", {"a": 1}, {"k": "z"}, {"a": 1}, null]),
            json!({"a": 1, "items": [], "b": 2}),
        ),
        ("none", "items: []", json!([]), json!({"items": []})),
        ("no list", "items: {items: [1]}", json!([]), json!({"items": {"items": [1]}})),
        ("further in", "a: {items: [1]}", json!([]), json!({"a": {"items": [1]}})),
        ("not of a mapping", "[items, [1]]", json!([]), json!(["items", [1]])),
        (
            "an item that is an alias",
            "{a: &a 5, items: [*a]}",
            json!([{"a": 5}, 5]),
            json!({"a": 5, "items": []}),
        ),
        (
            "of a list with an anchor: none",
            "{items: &a [1], b: *a}",
            json!([]),
            json!({"items": [1], "b": [1]}),
        ),
    ] {
        let mut handed = Vec::new();
        let read = pieces(text, &mut |head, item| handed.extend([Value::Object(head.clone()), item]));
        assert_eq!((Value::Array(handed), read), (items, Ok(left)), "{shows}");
    }
}
