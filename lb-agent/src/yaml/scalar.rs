//! What a scalar is: go-yaml's rules (`resolve.go`). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

use super::Fault;

/// A scalar, and whether it merges mappings where it is a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    pub(super) value: Value,
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Data,
    /// A plain `<<`.
    Merge,
}

/// The tags that mean something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Core {
    Text,
    Bool,
    Int,
    Float,
    Null,
    Binary,
    Merge,
    /// A text, whatever it looks like.
    Other,
}

impl Scalar {
    pub(super) fn read(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Self, Fault> {
        let tag = tag.map(core);
        let is_plain = matches!(style, ScalarStyle::Plain);
        let role = match tag {
            None if is_plain && text == "<<" => Role::Merge,
            Some(Core::Merge) if text == "<<" => Role::Merge,
            None | Some(_) => Role::Data,
        };
        let value = match tag {
            None if is_plain => resolved(text)?,
            None | Some(Core::Text | Core::Other | Core::Merge) => Value::from(text),
            Some(Core::Binary) => Value::from(binary(text)?),
            Some(wanted) => fitting(resolved(text)?, wanted)?,
        };
        Ok(Self { value, role })
    }
}

fn core(tag: &Tag) -> Core {
    match tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() {
        Some("str") => Core::Text,
        Some("bool") => Core::Bool,
        Some("int") => Core::Int,
        Some("float") => Core::Float,
        Some("null") => Core::Null,
        Some("binary") => Core::Binary,
        Some("merge") => Core::Merge,
        Some(_) | None => Core::Other,
    }
}

fn fitting(value: Value, wanted: Core) -> Result<Value, Fault> {
    let fits = match &value {
        Value::Null => wanted == Core::Null,
        Value::Bool(_) => wanted == Core::Bool,
        Value::Number(number) => {
            wanted == Core::Float || (wanted == Core::Int && (number.is_i64() || number.is_u64()))
        }
        Value::String(_) | Value::Array(_) | Value::Object(_) => false,
    };
    if fits { Ok(value) } else { Err(Fault::Tag) }
}

fn binary(text: &str) -> Result<String, Fault> {
    let bytes = STANDARD.decode(text.replace(['\r', '\n'], "")).map_err(|_not_base64| Fault::Tag)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A plain scalar without a tag.
fn resolved(text: &str) -> Result<Value, Fault> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return Err(Fault::Number),
        text => number(text).map_or_else(|| text.into(), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    let first = *text.as_bytes().first()?;
    if first == b'.' {
        return if is_float(text) { float(text) } else { None };
    }
    if !matches!(first, b'0'..=b'9' | b'+' | b'-') {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| if is_float(&plain) { float(&plain) } else { None })
}

/// With a sign, and the prefixes of Go: a leading zero alone is octal, too.
fn integer(text: &str) -> Option<Number> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // The parsers of std take a sign, and there has been one.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    if is_negative {
        return i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Number::from);
    }
    // A sign makes it one that fits into 63 bits.
    let number = u64::from_str_radix(digits, radix).ok()?;
    (!text.starts_with('+') || i64::try_from(number).is_ok()).then(|| Number::from(number))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some(("", after)) => is_digits(after),
        Some((before, after)) => is_digits(before) && (after.is_empty() || is_digits(after)),
        None => is_digits(mantissa),
    };
    is_mantissa
        && exponent.is_none_or(|exponent| is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// What is too large for a double is no number.
fn float(text: &str) -> Option<Number> {
    of_float(text.parse().ok()?)
}

/// As Go writes it into JSON: `80.0` is 80, and fits where an integer belongs. `None` where it is infinite or
/// no number.
#[must_use]
pub fn of_float(value: f64) -> Option<Number> {
    // No integer of 64 bits is larger by much.
    const LARGEST: f64 = 9e18;
    if value.fract() == 0.0 && value.abs() < LARGEST {
        return format!("{value:.0}").parse::<i64>().ok().map(Number::from);
    }
    Number::from_f64(value)
}
