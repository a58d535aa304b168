//! What clients of the socket ask, and what they get: a line of JSON each way. Pure.

use serde::{Deserialize, Serialize};

use crate::telemetry::record::Kept;
use crate::view::explain::{Explanation, explain};
use crate::view::json;
use crate::view::published::Published;
use crate::view::services::{Services, services};

/// No request is longer, in bytes.
pub const LONGEST: u64 = 4096;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// The status, which also a client receives that asks for nothing: as `lb-agent` did up to version 0.1.
    Status,
    Services,
    /// `[NAMESPACE/]NAME[:PORT]`, or an address.
    Explain(String),
    /// What the agent keeps of itself: how it was started, and the end of its log.
    Record,
}

/// What a client receives, but for the status: that comes as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    Services(Services),
    Explanation(Box<Explanation>),
    Record(Box<Kept>),
    /// Why there is no other: one sentence.
    Error(String),
}

impl Request {
    /// Reads what a client sent.
    ///
    /// # Errors
    /// It is not understood; the sentence is for the client.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::Status);
        }
        serde_json::from_slice(line).map_err(|error| {
            format!(
                "this agent, of version {}, does not understand what is asked: {error}",
                env!("CARGO_PKG_VERSION")
            )
        })
    }
}

/// What a client receives who asks for something that is made for it alone. `kept` is asked for what the agent keeps.
///
/// # Errors
/// It cannot be written as JSON.
pub fn reply(
    request: Result<Request, String>,
    published: &Published,
    kept: fn() -> Kept,
) -> serde_json::Result<Vec<u8>> {
    let reply = match request {
        Ok(Request::Record) => Reply::Record(Box::new(kept())),
        Ok(Request::Services) => Reply::Services(services(published)),
        Ok(Request::Explain(asked)) => match explain(published, &asked) {
            Ok(explanation) => Reply::Explanation(Box::new(explanation)),
            Err(why) => Reply::Error(why),
        },
        Ok(Request::Status) => Reply::Error("the status comes without being asked for".to_owned()),
        Err(why) => Reply::Error(why),
    };
    json::compact(&reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_of_json_and_nothing_asks_for_the_status() {
        for (line, request) in [
            ("", Some(Request::Status)),
            (" \n", Some(Request::Status)),
            ("\"status\"", Some(Request::Status)),
            ("\"services\"\n", Some(Request::Services)),
            (r#"{"explain":"default/web:80"}"#, Some(Request::Explain("default/web:80".to_owned()))),
            (r#"{"explain":7}"#, None),
            ("\"record\"", Some(Request::Record)),
            ("\"dance\"", None),
            ("GET / HTTP/1.1", None),
            ("\u{feff}", None),
        ] {
            assert_eq!(Request::read(line.as_bytes()).ok(), request, "{line:?}");
        }
        assert!(Request::read(&[0xff, 0xfe]).is_err());
    }
}
