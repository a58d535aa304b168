//! Rust text, taken apart as far as the rules need: code, comments, and words.

/// One file.
pub(crate) struct Source {
    /// From the workspace's folder.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Without comments and literals; line by line as in `text`.
    pub(crate) code: String,
    /// What stands in comments; line by line as in `text`.
    pub(crate) comments: String,
}

/// A word or a sign in code. `::` is one sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) line: usize,
    pub(crate) text: &'a str,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        Self { path: path.to_string(), text: text.to_string(), code, comments }
    }

    /// Whether the file belongs to this room: a file or a folder of that name.
    pub(crate) fn is_in(&self, room: &str) -> bool {
        let rest = self.path.strip_prefix(room);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let mut tokens = Vec::new();
        for (line, code) in (1..).zip(self.code.lines()) {
            let mut rest = code.trim_start();
            while let Some(first) = rest.chars().next() {
                let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let length = match word {
                    0 if rest.starts_with("::") => 2,
                    0 => first.len_utf8(),
                    word => word,
                };
                let (text, after) = rest.split_at(length);
                tokens.push(Token { line, text });
                rest = after.trim_start();
            }
        }
        tokens
    }
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[derive(Clone, Copy)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// Code and comments, each with blanks where the other and literals stand.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut at = 0;
    while at < chars.len() {
        let (part, length) = part(&chars, at);
        for &c in &chars[at..at + length] {
            let or_blank = |show| if show || c == '\n' { c } else { ' ' };
            code.push(or_blank(matches!(part, Part::Code)));
            comments.push(or_blank(matches!(part, Part::Comment)));
        }
        at += length;
    }
    (code, comments)
}

/// What begins at `at`, and how long it is.
fn part(chars: &[char], at: usize) -> (Part, usize) {
    let rest = &chars[at..];
    let after_word = at > 0 && is_word(chars[at - 1]);
    match rest {
        ['/', '/', ..] => (Part::Comment, rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => (Part::Comment, block_comment(rest)),
        ['"', ..] => (Part::Literal, quoted(rest, '"')),
        ['r', '"' | '#', ..] if !after_word || matches!(chars[at - 1], 'b' | 'c') => match raw_string(rest) {
            Some(length) => (Part::Literal, length),
            None => (Part::Code, 1),
        },
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => (Part::Literal, quoted(rest, '\'')),
        _ => (Part::Code, 1),
    }
}

/// They nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[char], end: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != end {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `r"…"` or `r#"…"#`; none for a raw identifier such as `r#mod`.
fn raw_string(rest: &[char]) -> Option<usize> {
    let marks = rest[1..].iter().take_while(|c| **c == '#').count();
    let start = 1 + marks;
    if rest.get(start) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', marks)).collect();
    let length = rest[start + 1..].windows(end.len()).position(|window| window == end);
    Some(length.map_or(rest.len(), |length| start + 1 + length + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        for (shows, text, code) in [
            ("line comment", "a // b\nc", "a c"),
            ("nested block comment", "a /* b /* c */ d */ e", "a e"),
            ("string with an escaped quote", r#"a "b\" c" d"#, "a d"),
            ("string that looks like a comment", r#"a "//" b"#, "a b"),
            ("raw string", r###"a r#"b " c"# d"###, "a d"),
            ("raw identifier", "r#mod", "r # mod"),
            ("character", r"a '\'' '/' b", "a b"),
            ("lifetime", "a<'x> b", "a < ' x > b"),
            ("path", "a::b", "a :: b"),
        ] {
            let source = Source::new("x.rs", text);
            let got: Vec<&str> = source.tokens().iter().map(|token| token.text).collect();
            assert_eq!(got.join(" "), code, "{shows}");
        }
    }

    #[test]
    fn lines_stay_where_they_were() {
        let source = Source::new("x.rs", "//! a\n\n\"b\nc\"\nd");
        assert_eq!(source.tokens(), [Token { line: 5, text: "d" }]);
        assert_eq!(source.comments.lines().next(), Some("//! a"));
    }
}
