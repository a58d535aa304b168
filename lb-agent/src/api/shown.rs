//! Texts of others as they are shown in logs, status and errors. Pure.

/// No text of others is shown longer, in bytes.
const MOST: usize = 256;

/// A text of others: what is no letter, digit or sign is escaped, and its length is limited.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for one in text.chars() {
        let is_plain = !one.is_control() && !is_invisible(one);
        let part = if is_plain { one.to_string() } else { one.escape_default().to_string() };
        if shown.len() + part.len() > MOST {
            return format!("{shown}… ({} bytes)", text.len());
        }
        shown += &part;
    }
    shown
}

/// Marks that change how what stands around them is shown.
const fn is_invisible(one: char) -> bool {
    matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
