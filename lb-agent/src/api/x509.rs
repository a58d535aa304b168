//! What webpki does not give of a certificate: when it is valid and what for. Pure.

use rustls::pki_types::UnixTime;

/// Parts of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Certificate<'a> {
    /// Seconds since 1970, both inclusive.
    not_before: i64,
    not_after: i64,
    /// The extended key usages, in DER; `None` where it does not name any.
    usages: Option<&'a [u8]>,
}

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// id-ce-extKeyUsage, id-kp-serverAuth and anyExtendedKeyUsage.
const KEY_USAGES: &[u8] = &[0x55, 0x1d, 0x25];
const SERVER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0];

impl<'a> Certificate<'a> {
    /// `None` where it is not built as certificates are.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut whole = Der(der).only(SEQUENCE)?;
        let mut body = whole.next(SEQUENCE)?;
        body.optional(VERSION)?;
        // Serial number, algorithm, issuer.
        body.any()?;
        body.next(SEQUENCE)?;
        body.next(SEQUENCE)?;
        let mut validity = body.next(SEQUENCE)?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        // Subject, public key.
        body.next(SEQUENCE)?;
        body.next(SEQUENCE)?;
        body.optional(ISSUER_ID)?;
        body.optional(SUBJECT_ID)?;
        let usages = match body.optional(EXTENSIONS)? {
            Some(extensions) => usages(extensions.only(SEQUENCE)?)?,
            None => None,
        };
        body.is_empty().then_some(Self { not_before, not_after, usages })
    }

    pub(crate) fn is_early(&self, now: UnixTime) -> bool {
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX) < self.not_before
    }

    pub(crate) fn is_late(&self, now: UnixTime) -> bool {
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX) > self.not_after
    }

    /// Whether it may be a server's: it says so, or does not say what it is for.
    pub(crate) fn is_for_servers(&self) -> bool {
        let Some(usages) = self.usages else { return true };
        let mut usages = Der(usages);
        let mut is_for_servers = false;
        while !usages.is_empty() {
            let Some(Der(usage)) = usages.next(OID) else { return false };
            is_for_servers |= usage == SERVER || usage == ANY;
        }
        is_for_servers
    }
}

/// The key usages among the extensions. The outer `None` is for what is not built as extensions are.
#[expect(clippy::option_option, reason = "malformed and absent are two things")]
fn usages(mut extensions: Der<'_>) -> Option<Option<&[u8]>> {
    let mut found = None;
    while !extensions.is_empty() {
        let mut extension = extensions.next(SEQUENCE)?;
        let Der(id) = extension.next(OID)?;
        extension.optional(BOOLEAN)?;
        let value = extension.next(OCTETS)?;
        if id == KEY_USAGES {
            let Der(usages) = value.only(SEQUENCE)?;
            if usages.is_empty() || found.replace(usages).is_some() {
                return None;
            }
        }
    }
    Some(found)
}

/// The rest of a DER encoding.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value, whatever its tag.
    fn any(&mut self) -> Option<(u8, Der<'a>)> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // A length of at most four bytes follows.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, Der(value)))
    }

    fn next(&mut self, expected: u8) -> Option<Der<'a>> {
        self.any().and_then(|(tag, value)| (tag == expected).then_some(value))
    }

    /// The one value that is left.
    fn only(mut self, expected: u8) -> Option<Der<'a>> {
        let value = self.next(expected)?;
        self.is_empty().then_some(value)
    }

    #[expect(clippy::option_option, reason = "malformed and absent are two things")]
    fn optional(&mut self, tag: u8) -> Option<Option<Der<'a>>> {
        if self.0.first() == Some(&tag) { self.next(tag).map(Some) } else { Some(None) }
    }

    /// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, in seconds since 1970.
    fn time(&mut self) -> Option<i64> {
        let (tag, Der(text)) = self.any()?;
        let text = text.strip_suffix(b"Z")?;
        let (century, rest) = match (tag, text.len()) {
            (UTC_TIME, 12) => (if digits(&text[..2])? >= 50 { 19 } else { 20 }, text),
            (TIME, 14) => (digits(&text[..2])?, &text[2..]),
            _ => return None,
        };
        let mut parts = rest.chunks(2).map(digits);
        let mut part = || parts.next().flatten();
        let (year, month, day) = (century * 100 + part()?, part()?, part()?);
        let (hour, minute, second) = (part()?, part()?, part()?);
        let is_time = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
        (is_time && second < 60).then(|| days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second)
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March here, so that
/// the leap day is its last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_certificates_write_them() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (TIME, "20000229120000Z", Some(951_825_600)),
            (TIME, "99991231235959Z", Some(253_402_300_799)),
            (TIME, "19000301000000Z", Some(-2_203_891_200)),
            (TIME, "20001301000000Z", None),
            (TIME, "2000010100000Z", None),
            (TIME, "20000101000000", None),
            (TIME, "2000010100000xZ", None),
            (UTC_TIME, "20000229120000Z", None),
            (OCTETS, "700101000000Z", None),
        ] {
            let mut der = vec![tag, u8::try_from(text.len()).unwrap()];
            der.extend_from_slice(text.as_bytes());
            assert_eq!(Der(&der).time(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_none_and_harms_nothing() {
        for der in [&[][..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x80], &[0x30, 0]] {
            assert_eq!(Certificate::read(der), None, "{der:?}");
        }
    }
}
