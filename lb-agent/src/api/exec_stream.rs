//! What a program in a container sends through an API server: its messages, put together. Pure.

use serde::Deserialize;

/// The protocol that is spoken: each message begins with the number of its channel. Version 5 adds what a client says
/// on standard input, which has none here.
pub(super) const PROTOCOL: &str = "v4.channel.k8s.io";

const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// Bytes of standard error that are kept, and of how it ended.
const MOST_OF_A_TEXT: usize = 16 << 10;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    status: Vec<u8>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Success,
    /// Its exit code.
    Code(i32),
    /// It was not run, or its end is not known: why.
    Failed(String),
}

impl Streams {
    /// Takes in a message. `false`: more than `most` bytes came on standard output.
    pub(super) fn take(&mut self, message: &[u8], most: usize) -> bool {
        let Some((channel, data)) = message.split_first() else { return true };
        match *channel {
            STDOUT if self.stdout.len() + data.len() > most => return false,
            STDOUT => self.stdout.extend_from_slice(data),
            STDERR => append(&mut self.stderr, data),
            STATUS => append(&mut self.status, data),
            // Later versions may have more.
            _ => {}
        }
        true
    }

    /// How it ended; `None` while that has not been said.
    pub(super) fn end(&self) -> Option<End> {
        let Outcome { status, message, reason, details } = serde_json::from_slice(&self.status).ok()?;
        if status == "Success" {
            return Some(End::Success);
        }
        let code = details.causes.iter().find(|cause| cause.reason == "ExitCode");
        let code = code.filter(|_| reason == "NonZeroExitCode").and_then(|cause| cause.message.parse().ok());
        Some(code.map_or(End::Failed(message), End::Code))
    }
}

fn append(text: &mut Vec<u8>, data: &[u8]) {
    let room = MOST_OF_A_TEXT.saturating_sub(text.len());
    text.extend_from_slice(&data[..data.len().min(room)]);
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Outcome {
    status: String,
    message: String,
    reason: String,
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_put_together_by_channel_and_no_more_is_kept_than_was_asked_for() {
        let mut streams = Streams::default();
        for message in [&b"\x01one "[..], b"\x02warn", b"\x01", b"", b"\x01two", b"\x09later", b"\x02ing"] {
            assert!(streams.take(message, 7), "{message:?}");
        }
        assert_eq!((&streams.stdout[..], &streams.stderr[..]), (&b"one two"[..], &b"warning"[..]));
        assert!(!streams.take(b"\x01!", 7), "one byte too many");
        assert!(streams.take(&[&[2][..], &[b'x'; 20_000]].concat(), 7));
        assert_eq!(streams.stderr.len(), MOST_OF_A_TEXT);
    }

    #[test]
    fn the_last_message_says_how_it_ended() {
        for (said, end) in [
            ("", None),
            (r#"{"status":"Succ"#, None),
            (r#"{"metadata":{},"status":"Success"}"#, Some(End::Success)),
            (
                r#"{"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#,
                Some(End::Code(7)),
            ),
            (
                r#"{"status":"Failure","message":"no such file","reason":"InternalError","details":{"causes":[{"message":"x"}]}}"#,
                Some(End::Failed("no such file".to_owned())),
            ),
            ("{}", Some(End::Failed(String::new()))),
        ] {
            let mut streams = Streams::default();
            // It may come in parts.
            for part in said.as_bytes().chunks(9) {
                assert!(streams.take(&[&[STATUS][..], part].concat(), 0));
            }
            assert_eq!(streams.end(), end, "{said}");
        }
    }
}
