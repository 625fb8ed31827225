//! What an answer to a callback means, for the job and for the endpoint.
//!
//! Pure: status, headers and errors in, judgement out. An endpoint is *ailing* when it looks dead or overloaded
//! (no connection, no answer in time, 429, 502, 503, 504); an answer that only this call was unwelcome, a 404 or a
//! 500 say, keeps the job but does not hold it against the other URLs of that server.

use std::error::Error;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use mmsgw_domain::Timestamp;
use mmsgw_engine::CallVerdict;
use mmsgw_net::GuardError;

use crate::endpoint::Health;

/// The outcome of one call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// For the job.
    pub(crate) verdict: CallVerdict,
    /// For the endpoint.
    pub(crate) health: Health,
}

impl Judgement {
    /// By the status of an answer and the pause that its header asks for.
    pub(crate) fn by_answer(status: StatusCode, pause: Option<Duration>) -> Self {
        if status.is_success() {
            return Self { verdict: CallVerdict::Done, health: Health::Alive };
        }
        let reason = format!("the application answered {status}");
        let verdict = |pause| CallVerdict::Later { reason: reason.clone(), pause };
        match status {
            StatusCode::GONE => Self { verdict: CallVerdict::Gone { reason }, health: Health::Alive },
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Self { verdict: verdict(pause), health: Health::Ailing { pause } }
            }
            _ => Self { verdict: verdict(None), health: Health::Alive },
        }
    }

    /// By the reason why there is no answer.
    pub(crate) fn by_error(error: &reqwest::Error) -> Self {
        if let Some(refusal) = GuardError::in_chain(error) {
            return Self::refused(refusal.to_string());
        }
        if error.is_builder() {
            return Self::refused("the URL cannot be called".into());
        }
        let verdict = CallVerdict::Later { reason: explain(error), pause: None };
        Self { verdict, health: Health::Ailing { pause: None } }
    }

    fn refused(reason: String) -> Self {
        Self { verdict: CallVerdict::Never { reason }, health: Health::Alive }
    }
}

/// Why an exchange failed, in a line that does not repeat the URL.
pub(crate) fn explain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        let what = if error.is_connect() { "no connection" } else { "no answer" };
        return format!("{what} within the time-out");
    }
    let what = if error.is_connect() { "cannot connect" } else { "the exchange broke off" };
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    // Without a source the error's own text would show the URL.
    if error.source().is_none() { what.to_owned() } else { format!("{what}: {deepest}") }
}

/// The pause that an answer asks for (RFC 9110 clause 10.2.3): seconds, or a date. What is neither is not there.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.parse().map_or(MAX_PAUSE, |seconds| Duration::from_secs(seconds).min(MAX_PAUSE)));
    }
    Some(now.until(http_date(text)?).min(MAX_PAUSE))
}

/// A date of RFC 9110 clause 5.6.7: the preferred form, that of RFC 850, or that of asctime.
fn http_date(text: &str) -> Option<Timestamp> {
    if text.len() > MAX_DATE {
        return None;
    }
    let old = |format| jiff::fmt::strtime::parse(format, text).and_then(|t| t.to_datetime()).ok();
    let utc = |time: jiff::civil::DateTime| jiff::tz::Offset::UTC.to_timestamp(time).ok();
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
        .or_else(|| old("%A, %d-%b-%y %H:%M:%S GMT").and_then(utc))
        .or_else(|| old("%a %b %e %H:%M:%S %Y").and_then(utc))
        .map(Timestamp::from_jiff)
}

/// No answer makes us wait longer than that.
const MAX_PAUSE: Duration = Duration::from_secs(86_400);
/// The longest form has 33 characters.
const MAX_DATE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16) -> Judgement {
        let pause = Some(Duration::from_secs(7));
        Judgement::by_answer(StatusCode::from_u16(status).unwrap(), pause)
    }

    #[test]
    fn every_status_has_its_verdict() {
        for status in 200..300 {
            assert_eq!(judge(status).verdict, CallVerdict::Done, "{status}");
        }
        let paused = [429, 502, 503, 504];
        for status in (300..600).filter(|status| *status != 410) {
            let Judgement { verdict: CallVerdict::Later { pause, reason }, health } = judge(status) else {
                panic!("{status} is put off");
            };
            assert_eq!(pause.is_some(), paused.contains(&status), "{status}");
            assert_eq!(health != Health::Alive, paused.contains(&status), "{status}");
            assert!(reason.contains(&status.to_string()));
        }
        assert!(matches!(judge(410).verdict, CallVerdict::Gone { .. }));
    }

    fn asked(value: &str) -> Option<u64> {
        let now = Timestamp::from_secs(784_111_777 - 30);
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        retry_after(&headers, now).map(|pause| pause.as_secs())
    }

    #[test]
    fn pauses_are_seconds_or_dates() {
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("0"), Some(0));
        assert_eq!(asked("99999999999999999999999999"), Some(86_400));
        // One moment, 784111777 s after the epoch, in the three forms of RFC 9110.
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(asked(date), Some(30), "{date}");
        }
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(asked("Sun, 06 Nov 2044 08:49:37 GMT"), Some(86_400));
        for nonsense in ["", "-5", "1.5", "soon", "12 s", &"9 ".repeat(1000)] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::from_secs(0)), None);
    }
}
