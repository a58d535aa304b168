//! What is a label key.

/// As Kubernetes has it: an optional DNS name and `/`, then a name of up to 63 characters.
pub(super) fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_dns_name = |prefix: &str| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| is_word(part, |byte| byte == b'-'))
            && !prefix.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    prefix.is_none_or(is_dns_name)
        && name.len() <= 63
        && is_word(name, |byte| matches!(byte, b'-' | b'_' | b'.'))
}

/// Letters and digits, and in between what `also` admits.
fn is_word(text: &str, also: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || also(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_key_is_what_kubernetes_takes_for_one() {
        let (longest, too_long) = ("n".repeat(63), "n".repeat(64));
        let (longest_prefix, long_prefix) =
            (format!("{}/n", "p".repeat(253)), format!("{}/n", "p".repeat(254)));
        for key in
            ["rack", "R.a_c-k", "1", "example.com/rack", "my-org.example/Rack", &longest, &longest_prefix]
        {
            assert!(is_label_key(key), "{key}");
        }
        for key in [
            "",
            "/",
            "rack/",
            "/rack",
            "a/b/c",
            "*",
            "-rack",
            "rack-",
            "_rack",
            "ra ck",
            "räck",
            "Example.com/rack",
            "example..com/rack",
            "-example.com/rack",
            "exam_ple.com/rack",
            &too_long,
            &long_prefix,
        ] {
            assert!(!is_label_key(key), "{key}");
        }
    }
}
