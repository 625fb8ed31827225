//! Sessions: what a browser is given for a key, so that it need not keep the key.
//!
//! They are kept in memory only and end with the process. A session is as good as its key, and ends with it. What a
//! session changes has to show a second token (`X-CSRF-Token`), which pages of other sites cannot read.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use axum::http::HeaderMap;
use axum::http::header::COOKIE as COOKIES;
use encodify::base64::URL_SAFE_NO_PAD;
use mmsgw_domain::{Digest, Timestamp};
use parking_lot::Mutex;

/// Name of the cookie that holds the token of a session.
pub(crate) const COOKIE: &str = "mmsgw_session";

/// The sessions of a process.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

struct Session {
    key: Digest,
    csrf: String,
    ends: Timestamp,
    idle: Timestamp,
}

/// A session that was opened.
pub(crate) struct Opened {
    /// What the cookie holds.
    pub(crate) token: String,
    /// What changes have to show besides.
    pub(crate) csrf: String,
    /// How long it lasts at most.
    pub(crate) lasts: Duration,
}

/// A session as a request shows it.
pub(crate) struct Shown {
    /// The key that it was opened with.
    pub(crate) key: Digest,
    /// What changes have to show besides.
    pub(crate) csrf: String,
}

impl Sessions {
    /// Opens a session for the holder of a key. Where there are too many, the one that is idle longest ends.
    pub(crate) fn open(&self, key: Digest, now: Timestamp) -> Opened {
        let opened = Opened { token: random(), csrf: random(), lasts: LONGEST };
        let (ends, idle) = (now.after(LONGEST), now.after(IDLE));
        let session = Session { key, csrf: opened.csrf.clone(), ends, idle };
        let mut sessions = self.0.lock();
        sessions.retain(|_, session| session.lives(now));
        if sessions.len() >= MOST {
            let idlest =
                sessions.iter().min_by_key(|(_, session)| session.idle).map(|(token, _)| token.clone());
            idlest.and_then(|token| sessions.remove(&token));
        }
        sessions.insert(opened.token.clone(), session);
        opened
    }

    /// The session that this token names, which is in use from now on.
    pub(crate) fn shown(&self, token: &str, now: Timestamp) -> Option<Shown> {
        let mut sessions = self.0.lock();
        let session = sessions.get_mut(token).filter(|session| session.lives(now))?;
        session.idle = now.after(IDLE);
        Some(Shown { key: session.key, csrf: session.csrf.clone() })
    }

    /// Ends a session.
    pub(crate) fn close(&self, token: &str) {
        self.0.lock().remove(token);
    }
}

impl Session {
    fn lives(&self, now: Timestamp) -> bool {
        now < self.ends && now < self.idle
    }
}

impl Shown {
    /// Whether this is the token that changes have to show.
    pub(crate) fn trusts(&self, csrf: &[u8]) -> bool {
        verify_slices_are_equal(self.csrf.as_bytes(), csrf).is_ok()
    }
}

/// The token in the cookie of a request.
pub(crate) fn cookie_in(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(COOKIES).iter().filter_map(|value| value.to_str().ok());
    let named = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    named.filter(|(name, _)| *name == COOKIE).map(|(_, token)| token).next()
}

fn random() -> String {
    let mut octets = [0; 32];
    rand::fill(&mut octets).expect("the system gives random numbers");
    URL_SAFE_NO_PAD.encode(octets)
}

/// Most sessions at a time.
const MOST: usize = 64;
/// A session ends after that in any case.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// A session ends when it was not used for that time.
const IDLE: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Digest = Digest::new([7; 32]);

    #[test]
    fn a_session_ends_when_it_is_idle_and_when_its_time_is_over() {
        let (sessions, start) = (Sessions::default(), Timestamp::from_secs(1_000));
        let opened = sessions.open(KEY, start);
        let at = |minutes: u64| sessions.shown(&opened.token, start.after(Duration::from_secs(60 * minutes)));
        assert!(at(29).unwrap().trusts(opened.csrf.as_bytes()) && at(58).is_some());
        assert!(!at(59).unwrap().trusts(b"") && !at(59).unwrap().trusts(opened.token.as_bytes()));
        assert!(at(59 + 30).is_none(), "idle");
        let opened = sessions.open(KEY, start);
        let used =
            |minutes: u64| sessions.shown(&opened.token, start.after(Duration::from_secs(60 * minutes)));
        assert!((1..48).all(|quarter| used(15 * quarter).is_some()));
        assert!(used(12 * 60).is_none(), "over");
        let opened = sessions.open(KEY, start);
        sessions.close(&opened.token);
        assert!(sessions.shown(&opened.token, start).is_none() && sessions.shown("", start).is_none());
    }

    #[test]
    fn there_are_never_too_many_and_the_idlest_goes_first() {
        let (sessions, start) = (Sessions::default(), Timestamp::from_secs(1_000));
        let opened: Vec<_> =
            (0..MOST as u64).map(|n| sessions.open(KEY, start.after(Duration::from_secs(n))).token).collect();
        let later = start.after(Duration::from_secs(100));
        assert!(sessions.shown(&opened[0], later).is_some());
        sessions.open(KEY, later);
        assert!(sessions.shown(&opened[0], later).is_some(), "it was just used");
        assert!(sessions.shown(&opened[1], later).is_none());
        assert_eq!(sessions.0.lock().len(), MOST);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(cookie_in(&headers), None);
        headers.append(COOKIES, "a=b; mmsgw_session=xyz; c=d".parse().unwrap());
        assert_eq!(cookie_in(&headers), Some("xyz"));
    }
}
