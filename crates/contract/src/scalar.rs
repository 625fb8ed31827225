//! Single values: truth, lines of text, times, words, addresses, URLs.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use mmsgw_domain::{Address, BatchId, GroupName, MessageId, PartId, TemplateId, Timestamp};

use crate::FaultCode;
use crate::json::Json;
use crate::reader::{At, Context, quoted};

/// The last second of the year 9999, beyond which no protocol can write a date.
const LAST_SECOND: i64 = 253_402_300_799;

/// Longest span taken, in seconds: a hundred years.
const LONGEST_SPAN: i64 = 100 * 366 * 86_400;

/// Longest text that can be a point in time.
const LONGEST_TIME: usize = 64;

pub(crate) fn boolean(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<bool> {
    match json {
        Json::Bool(value) => Some(value),
        other => context.wrong_type(at, &other, "true or false"),
    }
}

/// A line of at most `most` characters that can go into XML, mail headers and boundaries as it is.
pub(crate) fn line(json: Json<'_>, at: &At<'_>, context: &Context<'_>, most: usize) -> Option<String> {
    let Json::Text(text) = json else { return context.wrong_type(at, &json, "a string") };
    if text.len() > most && text.chars().nth(most).is_some() {
        let detail = format!("at most {most} characters are taken here");
        return context.fault(at, FaultCode::TooLong, detail);
    }
    if let Some(bad) = text.chars().find(|c| breaks_a_line(*c)) {
        let detail = format!("the character U+{:04X} may not stand here; remove it", u32::from(bad));
        return context.fault(at, FaultCode::BadCharacter, detail);
    }
    Some(text.into_owned())
}

/// A line of text that has no limit of its own and is not empty.
pub(crate) fn text_line(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<String> {
    let text = line(json, at, context, context.rules.limits.text)?;
    if text.is_empty() {
        return context.fault(at, FaultCode::Empty, "it may not be empty; leave the field out instead");
    }
    Some(text)
}

/// Control characters, line separators, and what XML 1.0 cannot hold (clause 2.2).
pub(crate) fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

/// What may not stand in text of several lines.
pub(crate) fn breaks_a_text(c: char) -> bool {
    (c.is_ascii_control() && !matches!(c, '\t' | '\r' | '\n')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// A point in time that is still to come: seconds since 1970, or RFC 3339.
pub(crate) fn future(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Timestamp> {
    const EXPECTED: &str = "whole seconds since 1970-01-01T00:00:00Z, or a text as RFC 3339 has it";
    let time = match json {
        Json::Integer(seconds) => Some(seconds),
        Json::Text(text) => {
            let stamp = (text.len() <= LONGEST_TIME).then(|| text.parse::<jiff::Timestamp>().ok());
            let Some(stamp) = stamp.flatten() else {
                let detail = format!("`{}` is no time; give {EXPECTED}", quoted(&text));
                return context.fault(at, FaultCode::BadTime, detail);
            };
            Some(stamp.as_second())
        }
        Json::Fraction => None,
        other => return context.wrong_type(at, &other, EXPECTED),
    };
    let Some(seconds) = time.filter(|seconds| *seconds <= LAST_SECOND) else {
        let detail = format!("the time is no whole number before the year 10000; give {EXPECTED}");
        return context.fault(at, FaultCode::BadTime, detail);
    };
    let stamp = Timestamp::from_secs(seconds);
    if stamp <= context.now {
        let detail = format!("{stamp} is not in the future; now is {}", context.now);
        return context.fault(at, FaultCode::NotInFuture, detail);
    }
    Some(stamp)
}

/// A point in time in a query: the text of what [`future`] takes, whenever it is, to the millisecond.
pub(crate) fn moment(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Timestamp> {
    let Json::Text(text) = json else { return context.wrong_type(at, &json, "a time") };
    let seconds = text.parse().ok().filter(|seconds| (0..=LAST_SECOND).contains(seconds));
    let stamp = || (text.len() <= LONGEST_TIME).then(|| text.parse::<jiff::Timestamp>().ok())?;
    let time = seconds.map(Timestamp::from_secs).or_else(|| stamp().map(Timestamp::from_jiff));
    time.or_else(|| {
        let detail = format!(
            "`{}` is no time; give whole seconds since 1970-01-01T00:00:00Z, or a text as RFC 3339 has it",
            quoted(&text)
        );
        context.fault(at, FaultCode::BadTime, detail)
    })
}

/// A whole number in a query.
pub(crate) fn number_in_text(
    json: Json<'_>,
    at: &At<'_>,
    context: &Context<'_>,
    range: RangeInclusive<usize>,
) -> Option<usize> {
    let Json::Text(text) = json else { return context.wrong_type(at, &json, "a whole number") };
    text.parse().ok().filter(|number| range.contains(number)).or_else(|| {
        let detail = format!("give a whole number from {} to {}", range.start(), range.end());
        context.fault(at, FaultCode::OutOfRange, detail)
    })
}

/// A span of whole seconds, at least one.
pub(crate) fn span(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Duration> {
    let seconds = match json {
        Json::Integer(seconds) => seconds,
        Json::Fraction => 0,
        other => return context.wrong_type(at, &other, "a whole number of seconds"),
    };
    match u64::try_from(seconds) {
        Ok(whole @ 1..) if seconds <= LONGEST_SPAN => Some(Duration::from_secs(whole)),
        _ => {
            let detail = format!("give a whole number of seconds from 1 to {LONGEST_SPAN}");
            context.fault(at, FaultCode::OutOfRange, detail)
        }
    }
}

/// A whole number from 1 that 32 bits hold.
pub(crate) fn count(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<u32> {
    let number = match json {
        Json::Integer(number) => u32::try_from(number).unwrap_or(0),
        Json::Fraction => 0,
        other => return context.wrong_type(at, &other, "a whole number"),
    };
    if number == 0 {
        return context.fault(
            at,
            FaultCode::OutOfRange,
            format!("give a whole number from 1 to {}", u32::MAX),
        );
    }
    Some(number)
}

/// One of some words.
pub(crate) fn word<T: Copy>(
    json: Json<'_>,
    at: &At<'_>,
    context: &Context<'_>,
    words: &[(&str, T)],
) -> Option<T> {
    let Json::Text(text) = json else { return context.wrong_type(at, &json, "a string") };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let detail = format!("`{}` is none of {}", quoted(&text), known.join(", "));
    context.fault(at, FaultCode::UnknownWord, detail)
}

/// A number, short code or mail address.
pub(crate) fn address(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Address> {
    match json {
        Json::Text(text) => parse_address(&text, at, context),
        other => context.wrong_type(at, &other, "the number as a string"),
    }
}

/// As [`address`], from its text.
pub(crate) fn parse_address(text: &str, at: &At<'_>, context: &Context<'_>) -> Option<Address> {
    text.parse::<Address>()
        .map_or_else(|error| context.fault(at, FaultCode::BadNumber, error.to_string()), Some)
}

pub(crate) fn group(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<GroupName> {
    parsed(json, at, context, "the group's name as a string")
}

/// A group's name, or the id of an instance of it: messages and events name the instance.
pub(crate) fn group_of_instance(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<GroupName> {
    let json = match json {
        Json::Text(text) => Json::Text(text.split(':').next().unwrap_or_default().to_owned().into()),
        other => other,
    };
    group(json, at, context)
}

pub(crate) fn message_id(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<MessageId> {
    parsed(json, at, context, "the message's id as a string")
}

pub(crate) fn template_id(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<TemplateId> {
    parsed(json, at, context, "the template's id as a string")
}

pub(crate) fn batch_id(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<BatchId> {
    parsed(json, at, context, "the batch's id as a string")
}

pub(crate) fn part_id(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<PartId> {
    parsed(json, at, context, "the part's id as a string")
}

fn parsed<T: FromStr<Err: ToString>>(
    json: Json<'_>,
    at: &At<'_>,
    context: &Context<'_>,
    expected: &str,
) -> Option<T> {
    let Json::Text(text) = json else { return context.wrong_type(at, &json, expected) };
    text.parse().map_or_else(
        |error: T::Err| {
            let detail = format!("`{}` is {}", quoted(&text), error.to_string());
            context.fault(at, FaultCode::BadId, detail)
        },
        Some,
    )
}

/// A URL with one of `schemes`, in ASCII as RFC 3986 has it.
pub(crate) fn url(text: &str, at: &At<'_>, context: &Context<'_>, schemes: &[&str]) -> Option<String> {
    let most = context.rules.limits.url;
    if text.len() > most {
        return context.fault(at, FaultCode::TooLong, format!("a URL has at most {most} octets here"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'`')) {
        let detail = format!("`{}` holds a character that a URL must percent-encode", quoted(text));
        return context.fault(at, FaultCode::BadUrl, detail);
    }
    let after = |scheme: &str| {
        let begin = text.get(..scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then(|| text[scheme.len()..].strip_prefix("://"))?
    };
    let rest = schemes.iter().find_map(|scheme| after(scheme));
    if rest.is_none_or(str::is_empty) {
        let schemes = schemes.join(", ");
        let detail = format!("`{}` is no URL with one of the schemes {schemes}", quoted(text));
        return context.fault(at, FaultCode::BadUrl, detail);
    }
    Some(text.to_owned())
}
