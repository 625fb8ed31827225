//! How a fault of a TOML file is told: its place, the key and the reason, but never the value of a key that may hold a
//! secret, nor the line that it stands in.

use std::ops::Range;

use toml::de::Error;

/// The fault of `text`, in one line.
pub(super) fn told(error: &Error, text: &str) -> String {
    let span = error.span().unwrap_or(0..0);
    let place = Place::of(text, &span);
    let reason = error.message();
    let reason = if place.may_be_secret() { without_value(reason) } else { reason.to_owned() };
    // Reasons of several lines come from hints of the reader.
    let reason = reason.split('\n').map(str::trim).collect::<Vec<_>>().join("; ");
    match place.key {
        Some(key) => format!("line {}, column {}, `{key}`: {reason}", place.line, place.column),
        None => format!("line {}, column {}: {reason}", place.line, place.column),
    }
}

/// Where in a file something stands.
struct Place<'a> {
    line: usize,
    column: usize,
    /// The last table before it.
    table: &'a str,
    /// What stands before the equals sign of its line, where that is a key beyond doubt.
    key: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        let this = text[begin..].lines().next().unwrap_or_default();
        let key = this.split_once('=').map(|(key, _)| key.trim()).filter(|key| is_plain(key));
        let table = text[..begin].lines().rev().map(str::trim).find(|line| line.starts_with('['));
        let (line, column) = (before.matches('\n').count() + 1, before[begin..].chars().count() + 1);
        Self { line, column, table: table.unwrap_or_default(), key }
    }

    fn may_be_secret(&self) -> bool {
        let words = [self.table, self.key.unwrap_or("key")].join(" ").to_lowercase();
        ["password", "secret", "token", "key", "users"].iter().any(|word| words.contains(word))
    }
}

/// A bare or dotted key, perhaps with a slip in it.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c))
}

/// What serde says of a value that is not as expected, without the value.
fn without_value(reason: &str) -> String {
    if !reason.starts_with("invalid ") {
        return reason.to_owned();
    }
    let expected = reason.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
    format!("the value, which is not shown, is not what is expected here: {expected}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "lowercase")]
    #[expect(dead_code, reason = "only read")]
    struct Outbound {
        password: Option<String>,
        keys: Option<Vec<u8>>,
        users: Option<std::collections::BTreeMap<String, String>>,
        timeout: Option<u32>,
    }

    fn fault(text: &str) -> String {
        told(&toml::from_str::<Outbound>(text).unwrap_err(), text)
    }

    #[test]
    fn a_fault_tells_its_place_and_no_secret() {
        for text in [
            "timeout = 1\npasswrod = \"hunter2\"",
            "pass word = \"hunter2\"",
            "password = \"hunter2",
            "password = hunter2",
            "password = [\"hunter2\"]",
            "keys = [\"hunter2\"]",
            "keys = [\n\"hunter2\"]",
            "keys = [\n  \"hunter2=\",\n]",
            "users = \"hunter2, expected hunter3\"",
            "[users]\ncarrier = 1\nhunter = hunter2",
            "password = \"\"\"\na\nhunter2\\x\"\"\"",
        ] {
            let told = fault(text);
            assert!(told.starts_with("line ") && !told.contains("hunter2"), "{text}: {told}");
            assert!(!told.contains('\n'), "{told}");
        }
        assert_eq!(
            fault("timeout = \"three\""),
            "line 1, column 11, `timeout`: invalid type: string \"three\", expected u32"
        );
        let unknown = fault("\n\npasswrod = 1");
        assert!(unknown.starts_with("line 3, column 1, `passwrod`: unknown field `passwrod`"), "{unknown}");
        assert!(unknown.contains("`password`"), "{unknown}");
    }
}
