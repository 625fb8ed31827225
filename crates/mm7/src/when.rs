//! relativeOrAbsoluteDate and dateTime of the schema: texts to instants and intervals. No clock: the
//! caller says when "now" is.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time given as an instant or as an interval from the reception of the message
/// (relativeOrAbsoluteDateType).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// xs:dateTime. Without a zone it is read as UTC.
    At(Timestamp),
    /// xs:duration.
    After(Interval),
}

/// An xs:duration, field by field, without fractions of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// Whether it points to the past.
    pub negative: bool,
    /// Years of the calendar.
    pub years: u32,
    /// Months of the calendar.
    pub months: u32,
    /// Days of 24 hours.
    pub days: u32,
    /// Hours.
    pub hours: u32,
    /// Minutes.
    pub minutes: u32,
    /// Seconds.
    pub seconds: u32,
}

impl When {
    /// Reads an xs:dateTime or xs:duration; none if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        match Interval::parse(text) {
            Some(interval) => Some(Self::After(interval)),
            None => parse_date(text).map(Self::At),
        }
    }

    /// The instant meant, with `now` as the time of reception; none if it lies outside the calendar.
    pub fn resolve(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At(instant) => Some(*instant),
            Self::After(interval) => interval.after(now),
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(instant) => write!(f, "{instant}"),
            Self::After(interval) => write!(f, "{interval}"),
        }
    }
}

impl Interval {
    /// An interval of so many seconds, as days, hours, minutes and seconds.
    pub fn from_seconds(seconds: u32) -> Self {
        Self {
            days: seconds / 86_400,
            hours: seconds / 3600 % 24,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            ..Self::default()
        }
    }

    /// Reads an xs:duration (`P1DT2H`); a fraction of a second is dropped. None if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.strip_prefix('P')?;
        let (date, time) = match text.split_once('T') {
            Some((date, time)) if !time.is_empty() => (date, time),
            Some(_) => return None,
            None => (text, ""),
        };
        if date.is_empty() && time.is_empty() {
            return None;
        }
        let [years, months, days] = fields(date, ['Y', 'M', 'D'])?;
        let [hours, minutes, seconds] = fields(time, ['H', 'M', 'S'])?;
        Some(Self { negative, years, months, days, hours, minutes, seconds })
    }

    /// The instant this long after `now`; none outside the calendar.
    pub fn after(&self, now: Timestamp) -> Option<Timestamp> {
        let span = jiff::Span::new()
            .try_years(self.years)
            .ok()?
            .try_months(self.months)
            .ok()?
            .try_days(self.days)
            .ok()?
            .try_hours(self.hours)
            .ok()?
            .try_minutes(self.minutes)
            .ok()?
            .try_seconds(self.seconds)
            .ok()?;
        let now = now.to_zoned(TimeZone::UTC);
        let then = if self.negative { now.checked_sub(span) } else { now.checked_add(span) };
        then.ok().map(|then| then.timestamp())
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::from(if self.negative { "-P" } else { "P" });
        let mut put = |amount: u32, letter: char| {
            if amount > 0 {
                let _ = write!(text, "{amount}{letter}");
            }
        };
        put(self.years, 'Y');
        put(self.months, 'M');
        put(self.days, 'D');
        let has_date = self.years > 0 || self.months > 0 || self.days > 0;
        let has_time = self.hours > 0 || self.minutes > 0 || self.seconds > 0;
        if has_time || !has_date {
            text.push('T');
        }
        let mut put = |amount: u32, letter: char| {
            if amount > 0 {
                let _ = write!(text, "{amount}{letter}");
            }
        };
        put(self.hours, 'H');
        put(self.minutes, 'M');
        put(self.seconds, 'S');
        if !has_time && !has_date {
            text.push_str("0S");
        }
        f.write_str(&text)
    }
}

/// Reads an xs:dateTime; without a zone, as some peers write it, it is taken as UTC. None if it is not one.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // Longer texts are no dates, and carry annotations that are not ours to understand.
    if text.len() > 64 || text.contains('[') {
        return None;
    }
    let zoned = text.parse::<Timestamp>();
    zoned.ok().or_else(|| text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp()))
}

/// Amounts before the given letters, in their order, each at most once; none if anything else is found.
fn fields(mut text: &str, letters: [char; 3]) -> Option<[u32; 3]> {
    let mut amounts = [0; 3];
    for (amount, letter) in amounts.iter_mut().zip(letters) {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        if text[end..].starts_with(letter) {
            let (whole, fraction) = text[..end].split_once('.').unwrap_or((&text[..end], "0"));
            if fraction.contains('.') || (text[..end].contains('.') && letter != 'S') {
                return None;
            }
            *amount = whole.parse().ok()?;
            text = &text[end + 1..];
        }
    }
    text.is_empty().then_some(amounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn zones_are_minded() {
        assert_eq!(parse_date("2026-01-01T01:00:00-05:00"), Some(at("2026-01-01T06:00:00Z")));
        assert_eq!(parse_date(" 2026-01-01T01:00:00.25Z\n"), Some(at("2026-01-01T01:00:00.25Z")));
        assert_eq!(parse_date("2026-01-01T01:00:00"), Some(at("2026-01-01T01:00:00Z")));
        assert_eq!(parse_date("2026-01-01T01:00:00+0800"), Some(at("2025-12-31T17:00:00Z")));
        for bad in ["", "yesterday", "P1D", "2026-13-01T00:00:00Z", "2026-01-01T01:00:00Z[!x=y]"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_read_and_write() {
        let day = Interval { days: 1, ..Interval::default() };
        for (text, want) in [
            ("P1D", day),
            ("-P1D", Interval { negative: true, ..day }),
            ("P1DT2H", Interval { hours: 2, ..day }),
            (
                "P1Y2M3DT4H5M6S",
                Interval { negative: false, years: 1, months: 2, days: 3, hours: 4, minutes: 5, seconds: 6 },
            ),
            ("PT0S", Interval::default()),
            ("PT90M", Interval { minutes: 90, ..Interval::default() }),
        ] {
            assert_eq!(Interval::parse(text), Some(want), "{text}");
            assert_eq!(want.to_string(), text);
        }
        assert_eq!(Interval::parse("PT1.5S"), Interval::parse("PT1S"));
        for bad in [
            "",
            "P",
            "PT",
            "P1",
            "1D",
            "P1H",
            "PT1D",
            "P1.5D",
            "P1D1D",
            "PT1S2M",
            "P-1D",
            "P99999999999D",
            "PT1.2.3S",
        ] {
            assert_eq!(Interval::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_interval_counts_from_now() {
        let now = at("2026-01-31T00:00:00Z");
        assert_eq!(When::parse("P1M").unwrap().resolve(now), Some(at("2026-02-28T00:00:00Z")));
        assert_eq!(When::parse("-PT1H").unwrap().resolve(now), Some(at("2026-01-30T23:00:00Z")));
        assert_eq!(When::parse("P4000000000Y").unwrap().resolve(now), None);
        assert_eq!(Interval::from_seconds(93_784).to_string(), "P1DT2H3M4S");
        assert_eq!(
            When::parse("2026-01-01T00:00:00Z").unwrap().resolve(now),
            Some(at("2026-01-01T00:00:00Z"))
        );
    }
}
