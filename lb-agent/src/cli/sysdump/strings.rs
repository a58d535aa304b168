//! The strings in a text of JSON, one by one, without a tree of it in memory. Pure.

/// `json` with what `value` makes of each string that is no name of a field, which it gets with the name of the field that
/// it stands in.
#[must_use]
pub(super) fn each(json: &str, mut value: impl FnMut(&str, &str) -> String) -> String {
    let mut out = String::with_capacity(json.len());
    let mut field = String::new();
    let mut rest = json;
    while let Some(from) = rest.find('"') {
        out += &rest[..from];
        let literal = literal(&rest[from..]);
        rest = &rest[from + literal.len()..];
        // What does not read as a string is no JSON: it stays out.
        let text: String = serde_json::from_str(literal).unwrap_or_default();
        if rest.trim_start().starts_with(':') {
            out += literal;
            field = text;
        } else {
            let text = value(&field, &text);
            out += &serde_json::to_string(&text).unwrap_or_default();
        }
    }
    out + rest
}

/// From its first quotation mark to its last.
fn literal(text: &str) -> &str {
    let mut is_escaped = true;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped => return &text[..=at],
            b'\\' if !is_escaped => is_escaped = true,
            _ => is_escaped = false,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_change_and_names_of_fields_and_all_else_stay() {
        let json = r#"{"a": "x", "b\"": ["y", "z\\", 7, null, {"c" : "\"u\u00e4\n"}], "d":""}"#;
        let mut seen = Vec::new();
        let same = each(json, |field, text| {
            seen.push((field.to_owned(), text.to_owned()));
            text.to_owned()
        });
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parsed(&same), parsed(json));
        let expected = [("a", "x"), ("b\"", "y"), ("b\"", "z\\"), ("c", "\"uä\n"), ("d", "")];
        assert_eq!(seen, expected.map(|(field, text)| (field.to_owned(), text.to_owned())));
        let other = each(json, |_, _| "n".to_owned());
        assert_eq!(
            parsed(&other),
            serde_json::json!({"a": "n", "b\"": ["n", "n", 7, null, {"c": "n"}], "d": "n"})
        );
    }

    #[test]
    fn what_is_no_json_is_left_out_and_ends() {
        for text in ["\"", "{\"a", "\"\\", "\"\\\"", "a\"b"] {
            let out = each(text, |_, _| "n".to_owned());
            assert!(out.len() <= text.len() + 3, "{text}: {out}");
        }
    }
}
