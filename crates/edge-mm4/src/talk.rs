//! What a peer and we say on a connection to the receiver, noted for who watches.
//!
//! Whose carrier speaks comes out late, often with the first recipient only. What was said until then is kept aside,
//! and told to the watch of the group as soon as that is known. A mail with its replies is one exchange.

use bytes::Bytes;
use mmsgw_domain::GroupName;
use mmsgw_engine::{Earlier, Engine, Speaker, Tap};

use crate::wire;

/// Both sides of one connection.
pub(crate) struct Talk<'a> {
    engine: &'a Engine,
    /// What was said before the first group was known, up to [`MOST_ASIDE`] entries.
    aside: Vec<Earlier>,
    taps: Vec<(GroupName, Tap)>,
    /// A mail has come to its end: what follows is about another.
    is_over: bool,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(engine: &'a Engine) -> Self {
        Self { engine, aside: Vec::new(), taps: Vec::new(), is_over: false }
    }

    /// Whether anybody watches anything. Nothing else here is to be called otherwise.
    pub(crate) fn is_on(&self) -> bool {
        self.engine.wiretap().is_armed()
    }

    /// Command lines of the peer, without secrets.
    pub(crate) fn heard(&mut self, lines: Vec<String>) {
        for line in lines {
            if self.is_over && line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case("MAIL")) {
                self.is_over = false;
                self.taps.clear();
                self.aside.clear();
            }
            self.note(Speaker::Carrier, line);
        }
    }

    /// Our replies.
    pub(crate) fn said(&mut self, octets: &[u8]) {
        self.note(Speaker::Us, String::from_utf8_lossy(octets.trim_ascii_end()).into_owned());
    }

    /// What happened.
    pub(crate) fn happened(&mut self, what: String) {
        self.note(Speaker::Nobody, what);
    }

    /// What is said here is about this group: what was kept aside is, too.
    pub(crate) fn is_with(&mut self, group: &GroupName) {
        if self.taps.iter().any(|(known, _)| known == group) {
            return;
        }
        let tap = self.engine.tap(group);
        self.aside.iter().for_each(|earlier| tap.recall(earlier));
        self.taps.push((group.clone(), tap));
    }

    /// The mail of the peer, behind which our reply ends the exchange.
    pub(crate) fn mail(&mut self, octets: &Bytes) {
        self.taps.iter().for_each(|(_, tap)| wire::heard_mail(tap, octets));
        self.is_over = true;
    }

    fn note(&mut self, by: Speaker, text: String) {
        let earlier = self.engine.wiretap().earlier(by, text);
        if !self.taps.is_empty() {
            self.taps.iter().for_each(|(_, tap)| tap.recall(&earlier));
        } else if self.aside.len() < MOST_ASIDE {
            self.aside.push(earlier);
        }
    }
}

/// Entries kept before it is known whose they are: a session that gets no further than that says little.
const MOST_ASIDE: usize = 64;
