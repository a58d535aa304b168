//! A duration as a flag has it: `90s`, `15m`, `12h`, `7d`.

use std::time::Duration;

/// The shortest `--max-stale`: the agent says once a second that its source is in sync, and a pass over a large cluster takes a
/// few.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// `--max-stale`.
///
/// # Errors
/// When it is no duration, or too short or long a one.
pub fn max_stale(text: &str) -> Result<Duration, String> {
    from(SHORTEST, text)
}

/// A time to wait: from a second on.
///
/// # Errors
/// As [`max_stale`].
pub fn time(text: &str) -> Result<Duration, String> {
    from(Duration::from_secs(1), text)
}

fn from(shortest: Duration, text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!("write it as a number of s, m, h or d, such as 12h; from {}s to 3650d", shortest.as_secs())
    };
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        Some(_) | None => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits.parse().ok().filter(|_| is_number);
    let duration = number.and_then(|number| number.checked_mul(unit)).map(Duration::from_secs);
    duration.filter(|duration| (shortest..=LONGEST).contains(duration)).ok_or_else(wrong)
}

/// As [`max_stale`] reads it, in the largest unit that fits.
#[must_use]
pub fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    let fits = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, letter) = fits.unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in [
            ("5s", Some(5)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("4s", None),
            ("0d", None),
            ("3651d", None),
            ("18446744073709551615d", None),
            ("12", None),
            ("", None),
            ("h", None),
            ("-1h", None),
            ("+1h", None),
            ("1.5h", None),
            ("1 h", None),
            ("1ü", None),
        ] {
            assert_eq!(max_stale(text).ok(), seconds.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!((time("1s"), time("0s").is_ok()), (Ok(Duration::from_secs(1)), false));
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["7d", "12h", "15m", "90s", "36h"] {
            assert_eq!(written(max_stale(text).unwrap()), text);
        }
    }
}
