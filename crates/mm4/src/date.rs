//! Dates of mails and expiry times, in the forms peers write them.

use jiff::{Timestamp, civil, fmt::rfc2822, tz::TimeZone};
use std::time::Duration;

/// `X-Mms-Expiry` (TS 23.140 clause 8.4.4.1): an instant, or a time from receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// An absolute instant, whole seconds.
    At(Timestamp),
    /// Seconds from when the mail was received; Play sends this form.
    In(Duration),
}

impl Expiry {
    /// Reads either form. An instant may lie in the past or be local time labelled GMT (seen at
    /// CallUp): clamping is the caller's.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim().trim_matches('"');
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let seconds = text.parse().unwrap_or(u64::from(u32::MAX));
            return Some(Self::In(Duration::from_secs(seconds.min(u64::from(u32::MAX)))));
        }
        read(text).map(Self::At)
    }

    /// The header value: an HTTP date (RFC 9110 clause 5.6.7) or decimal seconds.
    pub fn written(&self) -> String {
        match self {
            Self::At(at) => write_http(*at),
            Self::In(span) => span.as_secs().to_string(),
        }
    }
}

/// Reads a date: RFC 5322 with any number of spaces, a comment or a wrong weekday; HTTP dates; C
/// `ctime`; what JavaScript prints; ISO 8601. A date without zone is UTC. `None` if it is none of
/// these.
pub fn read(text: &str) -> Option<Timestamp> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let text = text.split('(').next().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let mail = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    mail.parse_timestamp(&text)
        .ok()
        .or_else(|| read_zoned(&text))
        .or_else(|| read_civil(&text))
        .or_else(|| read_ctime(&words))
        .filter(|at| (0..=LAST_SECOND).contains(&at.as_second()))
        .and_then(|at| Timestamp::from_second(at.as_second()).ok())
}

/// An RFC 5322 date in UTC: `Thu, 13 Jan 2022 01:18:18 +0000`.
pub fn write_mail(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// An HTTP date (RFC 9110 clause 5.6.7): `Thu, 20 Jan 2022 01:18:18 GMT`.
pub fn write_http(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

const MAX_TEXT: usize = 120;
/// The end of the year 9999, the last one the mail form has digits for.
const LAST_SECOND: i64 = 253_402_207_200;

/// ISO 8601 with an offset, and JavaScript's `Date.prototype.toString`.
fn read_zoned(text: &str) -> Option<Timestamp> {
    let iso = text.parse().ok();
    iso.or_else(|| Timestamp::strptime("%a %b %d %Y %H:%M:%S GMT%z", text).ok())
}

/// ISO 8601 without an offset, and the second form of HTTP dates.
fn read_civil(text: &str) -> Option<Timestamp> {
    let iso = text.parse::<civil::DateTime>().ok();
    let civil = iso.or_else(|| {
        let after_weekday = text.split_once(", ").map_or(text, |(_, rest)| rest);
        civil::DateTime::strptime("%d-%b-%y %H:%M:%S GMT", after_weekday).ok()
    });
    utc(civil?)
}

/// `Wed Dec 2 15:53:40 2009`, also with a zone name before the year, which is not looked at.
fn read_ctime(words: &[&str]) -> Option<Timestamp> {
    let ([_, month, day, time, year] | [_, month, day, time, _, year]) = words else {
        return None;
    };
    utc(civil::DateTime::strptime("%b %d %H:%M:%S %Y", format!("{month} {day} {time} {year}")).ok()?)
}

fn utc(civil: civil::DateTime) -> Option<Timestamp> {
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_of_the_field() {
        let expected: Timestamp = "2009-12-02T14:53:40Z".parse().unwrap();
        for text in [
            "Wed, 02 Dec 2009 14:53:40 +0000",
            "Wed,  2 Dec 2009 15:53:40 +0100",
            "Wed, 2 Dec 2009 16:53:40 +0200 (IST)",
            "Thu, 2 Dec 2009 14:53:40 GMT",
            "2 Dec 2009 14:53:40 -0000",
            "Wednesday, 02-Dec-09 14:53:40 GMT",
            "Wed Dec  2 14:53:40 2009",
            "Wed Dec  2 14:53:40 UTC 2009",
            "Wed Dec 02 2009 15:53:40 GMT+0100 (CET)",
            "2009-12-02T14:53:40Z",
            "2009-12-02T16:53:40.250+02:00",
            "2009-12-02T14:53:40",
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "Wed, 99 Dec 2009 14:53:40 +0000", "12"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn both_kinds_of_expiry() {
        assert_eq!(Expiry::read("600 "), Some(Expiry::In(Duration::from_secs(600))));
        assert_eq!(
            Expiry::read("99999999999999999999999"),
            Some(Expiry::In(Duration::from_secs(u64::from(u32::MAX))))
        );
        let at = Expiry::read("Thu, 20 Jan 2022 00:28:02 GMT").unwrap();
        assert_eq!(at.written(), "Thu, 20 Jan 2022 00:28:02 GMT");
        assert_eq!(Expiry::read("soon"), None);
    }

    proptest! {
        #[test]
        fn written_then_read(second in 0..LAST_SECOND) {
            let at = Timestamp::from_second(second).unwrap();
            prop_assert_eq!(read(&write_mail(at)), Some(at));
            prop_assert_eq!(Expiry::read(&Expiry::At(at).written()), Some(Expiry::At(at)));
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let _ = Expiry::read(&text);
        }
    }
}
