//! HTTP Digest authentication (RFC 7616) with `qop=auth`: SHA-256, and MD5 where the settings say so, for
//! clients that know nothing better.
//!
//! A nonce carries its age and our seal, so that one costs no memory until somebody who knows the password
//! has used it; then its uses are counted, so that none counts twice. The seal is made at the start: after a
//! restart, or at another instance, a client is asked once more and comes again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac, rand};
use http::{Method, Uri};
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// A hash that a client may use (RFC 7616 clause 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum DigestAlgorithm {
    /// SHA-256.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// MD5, which the standard keeps for old clients only.
    #[serde(rename = "MD5")]
    Md5,
}

/// One user who may show a password this way.
pub(crate) struct DigestAuth {
    user: String,
    /// H(user:realm:password), RFC 7616 clause 3.4.2, by each hash that is offered; as good as the password
    /// here, so it is one.
    secrets: Vec<(DigestAlgorithm, SecretString)>,
    seal: hmac::Key,
    uses: Mutex<Uses>,
}

/// What is thought of what somebody showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The right password, now.
    Good,
    /// The right password with a nonce that counts no more.
    Stale,
    /// Anything else.
    Bad,
}

impl DigestAuth {
    pub(crate) fn new(user: &str, password: &SecretString, algorithms: &[DigestAlgorithm]) -> Self {
        let secret = |algorithm: &DigestAlgorithm| {
            (*algorithm, algorithm.hash(&[user, REALM, password.expose_secret()]).into())
        };
        let secrets = algorithms.iter().map(secret).collect();
        // Without chance there is no seal that nobody can make.
        let seal = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
            .expect("the system has no random numbers");
        Self { user: user.to_owned(), secrets, seal, uses: Mutex::default() }
    }

    /// Values of WWW-Authenticate, in the order of the settings, `now` since some beginning that never
    /// changes.
    pub(crate) fn challenges(&self, stale: bool, now: Duration) -> impl Iterator<Item = String> {
        let stale = if stale { ", stale=true" } else { "" };
        self.secrets.iter().map(move |(algorithm, _)| {
            let (name, nonce) = (algorithm.name(), self.nonce(now));
            format!(
                "Digest realm=\"{REALM}\", qop=\"auth\", algorithm={name}, nonce=\"{nonce}\", charset=UTF-8{stale}"
            )
        })
    }

    /// What is thought of the `credentials` behind `Digest ` in Authorization.
    pub(crate) fn look(&self, credentials: &str, method: &Method, target: &Uri, now: Duration) -> Seen {
        let Some(shown) = Shown::parse(credentials).filter(|shown| shown.fits(target)) else {
            return Seen::Bad;
        };
        let offered =
            |(algorithm, _): &&(DigestAlgorithm, _)| shown.algorithm.eq_ignore_ascii_case(algorithm.name());
        let Some((algorithm, secret)) = self.secrets.iter().find(offered) else { return Seen::Bad };
        let request = algorithm.hash(&[method.as_str(), &shown.uri]);
        let secret = secret.expose_secret();
        let want = algorithm.hash(&[secret, &shown.nonce, &shown.count, &shown.cnonce, "auth", &request]);
        // Digests are compared, so that a comparison tells nothing of the user's name.
        let is_user = same(&sha256(&shown.username), &sha256(&self.user));
        let is_response = same(&shown.response.to_ascii_lowercase(), &want);
        match is_user & is_response {
            false => Seen::Bad,
            true if self.counts(&shown, now) => Seen::Good,
            true => Seen::Stale,
        }
    }

    /// Issue time, chance, and a seal over both, in hexadecimal.
    fn nonce(&self, now: Duration) -> String {
        let mut chance = [0; 8];
        rand::fill(&mut chance).expect("the system has no random numbers");
        let plain = format!("{:016x}{:016x}", millis(now), u64::from_be_bytes(chance));
        let seal = hex(hmac::sign(&self.seal, plain.as_bytes()).as_ref());
        plain + &seal
    }

    /// The nonce is ours, young, and was not used with this count.
    fn counts(&self, shown: &Shown, now: Duration) -> bool {
        let Some((plain, seal)) = shown.nonce.split_at_checked(32) else { return false };
        if !same(seal, &hex(hmac::sign(&self.seal, plain.as_bytes()).as_ref())) {
            return false;
        }
        let number = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
        let (Some(issued), Some(chance)) = (number(plain.get(..16)), number(plain.get(16..))) else {
            return false;
        };
        let now = millis(now);
        let is_young = now.saturating_sub(issued) <= LIFETIME;
        let count = u32::from_str_radix(&shown.count, 16).unwrap_or(0);
        is_young && self.uses.lock().admit((issued, chance), count, now)
    }
}

/// How often each nonce was used, the oldest first.
#[derive(Default)]
struct Uses {
    by_nonce: BTreeMap<(u64, u64), Window>,
    /// Nonces issued before, and not counted any more, are stale.
    floor: u64,
}

impl Uses {
    fn admit(&mut self, nonce: (u64, u64), count: u32, now: u64) -> bool {
        while let Some((&oldest, _)) = self.by_nonce.first_key_value() {
            let is_over = now.saturating_sub(oldest.0) > LIFETIME;
            if !is_over && self.by_nonce.len() < MAX_NONCES {
                break;
            }
            if !is_over {
                self.floor = self.floor.max(oldest.0 + 1);
            }
            self.by_nonce.remove(&oldest);
        }
        if nonce.0 < self.floor && !self.by_nonce.contains_key(&nonce) {
            return false;
        }
        self.by_nonce.entry(nonce).or_default().admit(count)
    }
}

/// The counts used of one nonce: the highest, and which of the 64 up to it. Connections side by side make
/// counts arrive out of order.
#[derive(Default)]
struct Window {
    highest: u32,
    seen: u64,
}

impl Window {
    fn admit(&mut self, count: u32) -> bool {
        if count > self.highest {
            self.seen = self.seen.checked_shl(count - self.highest).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let bit = 1u64.checked_shl(self.highest - count).unwrap_or(0);
        let is_new = count > 0 && bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

/// What Authorization says (RFC 7616 clause 3.4).
#[derive(Default)]
struct Shown {
    username: String,
    nonce: String,
    uri: String,
    count: String,
    cnonce: String,
    response: String,
    algorithm: String,
}

impl Shown {
    /// Reads what is said for our realm and quality of protection; none for another one, and for what is no
    /// list of parameters.
    fn parse(credentials: &str) -> Option<Self> {
        let mut shown = Self::default();
        let (mut realm, mut qop) = (String::new(), String::new());
        for (name, value) in parameters(credentials)? {
            let place = match name.to_ascii_lowercase().as_str() {
                "username" => &mut shown.username,
                "nonce" => &mut shown.nonce,
                "uri" => &mut shown.uri,
                "nc" => &mut shown.count,
                "cnonce" => &mut shown.cnonce,
                "response" => &mut shown.response,
                "realm" => &mut realm,
                "algorithm" => &mut shown.algorithm,
                "qop" => &mut qop,
                _ => continue,
            };
            // Said twice, it may mean one thing to us and another to somebody on the way.
            if !std::mem::replace(place, value).is_empty() {
                return None;
            }
        }
        // Clause 3.4: who names none means this one.
        if shown.algorithm.is_empty() {
            DigestAlgorithm::Md5.name().clone_into(&mut shown.algorithm);
        }
        let is_ours = realm == REALM
            && qop.eq_ignore_ascii_case("auth")
            && shown.count.len() == 8
            && !shown.cnonce.is_empty();
        is_ours.then_some(shown)
    }

    /// It is for the place that is asked for, not for another one.
    fn fits(&self, target: &Uri) -> bool {
        let asked = |uri: &Uri| uri.path_and_query().map(ToString::to_string);
        self.uri.parse::<Uri>().is_ok_and(|uri| asked(&uri) == asked(target))
    }
}

/// `name=value, name="value" …`; none where that is not its form.
fn parameters(text: &str) -> Option<Vec<(&str, String)>> {
    if text.len() > MAX_CREDENTIALS {
        return None;
    }
    let (mut rest, mut found) = (text.trim(), Vec::new());
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = value.find(',').unwrap_or(value.len());
                (value[..end].trim_end().to_owned(), &value[end..])
            }
        };
        found.push((name.trim(), value));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(found)
}

/// The text up to the closing quote, and what stands behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

impl DigestAlgorithm {
    /// The name on the wire.
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// The hash of texts with colons between, in hexadecimal.
    pub(crate) fn hash(self, texts: &[&str]) -> String {
        let text = texts.join(":");
        match self {
            Self::Sha256 => sha256(&text),
            Self::Md5 => hex(&Md5::digest(text.as_bytes())),
        }
    }
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a String does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn same(left: &str, right: &str) -> bool {
    verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

fn millis(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

const REALM: &str = "mm7";
/// Milliseconds for which a nonce counts.
const LIFETIME: u64 = 300_000;
/// Nonces whose uses are counted; beyond, the oldest ones count no more.
const MAX_NONCES: usize = 10_000;
/// Octets of the longest credentials looked at.
const MAX_CREDENTIALS: usize = 8 << 10;

/// Looks at credentials that nobody could make.
#[cfg(fuzzing)]
pub fn fuzz(credentials: &str) {
    let algorithms = [DigestAlgorithm::Sha256, DigestAlgorithm::Md5];
    let door = DigestAuth::new("user", &SecretString::from("password"), &algorithms);
    let target = Uri::from_static("/mm7");
    let seen = door.look(credentials, &Method::POST, &target, Duration::from_secs(1));
    assert!(matches!(seen, Seen::Bad), "somebody came in");
}

#[cfg(test)]
mod tests;
