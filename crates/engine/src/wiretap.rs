//! What is said between us and carriers, kept for a person who looks for a fault.
//!
//! Off, it costs one look at a flag per exchange. On, for one message or one group and a bounded time, whoever speaks
//! to a carrier notes what went over the wire in a [`Tap`]; each watch keeps the last octets of it in this process.
//! The edges leave secrets out before they note anything, and media are shortened here.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mmsgw_domain::{Clock, GroupName, MessageId, Timestamp};
use parking_lot::Mutex;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// Everything that is said with the carrier of a group.
    Group(GroupName),
    /// What is said about one message with the carrier of its group.
    Message(GroupName, MessageId),
}

/// A watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Its number, in this process.
    pub id: u64,
    /// What is watched.
    pub what: Watched,
    /// When it began.
    pub since: Timestamp,
    /// When it ends, or ended.
    pub until: Timestamp,
    /// Entries that were dropped, the oldest first, because there were too many.
    pub dropped: u64,
}

/// Something that was said, or happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Counts the entries of a watch from 1.
    pub sequence: u64,
    /// Tells apart what was said at the same time: the same for one request and its answer, or one mail.
    pub exchange: u64,
    /// When.
    pub at: Timestamp,
    /// The group.
    pub group: GroupName,
    /// The message, where it is about one that is known.
    pub message: Option<MessageId>,
    /// Who said it.
    pub by: Speaker,
    /// What, as text; long media are cut.
    pub text: String,
}

/// Something that was said before it was known whose carrier it is; see [`Tap::recall`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// When.
    pub at: Timestamp,
    /// Who said it.
    pub by: Speaker,
    /// What, as text.
    pub text: String,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// mmsgw, to the carrier.
    Us,
    /// The carrier.
    Carrier,
    /// Nobody: something happened, such as a connection that broke.
    Nobody,
}

/// Why a watch does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {MOST_WATCHES} watches already")]
pub struct TooManyWatches;

/// All watches of a process.
pub struct Wiretap {
    clock: Arc<dyn Clock>,
    armed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_watch: u64,
    last_exchange: u64,
    kept: Vec<Kept>,
}

struct Kept {
    watch: Watch,
    entries: VecDeque<Said>,
    octets: usize,
    last: u64,
}

/// Notes what is said in one exchange with a carrier; does nothing where nobody watches.
#[derive(Clone, Default)]
pub struct Tap(Option<Arc<Exchange>>);

struct Exchange {
    wiretap: Arc<Wiretap>,
    number: u64,
    group: GroupName,
    message: Option<MessageId>,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Tap(on)" } else { "Tap(off)" })
    }
}

impl Tap {
    /// Whether anybody watches; what is to be noted need not be made otherwise.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What we said.
    pub fn said(&self, octets: &[u8]) {
        self.note(Speaker::Us, octets, MOST_TEXT);
    }

    /// What the carrier said.
    pub fn heard(&self, octets: &[u8]) {
        self.note(Speaker::Carrier, octets, MOST_TEXT);
    }

    /// Content that we said, of which the beginning is enough.
    pub fn said_content(&self, octets: &[u8]) {
        self.note(Speaker::Us, octets, MOST_CONTENT);
    }

    /// Content that the carrier said.
    pub fn heard_content(&self, octets: &[u8]) {
        self.note(Speaker::Carrier, octets, MOST_CONTENT);
    }

    /// What happened.
    pub fn happened(&self, what: &str) {
        self.note(Speaker::Nobody, what.as_bytes(), MOST_TEXT);
    }

    /// What was said a while ago.
    pub fn recall(&self, earlier: &Earlier) {
        if let Some(exchange) = &self.0 {
            let Earlier { at, by, text } = earlier;
            exchange.wiretap.note(exchange, *at, *by, shortened(text.as_bytes(), MOST_TEXT));
        }
    }

    fn note(&self, by: Speaker, octets: &[u8], most: usize) {
        if let Some(exchange) = &self.0
            && !octets.is_empty()
        {
            exchange.wiretap.note(exchange, exchange.wiretap.clock.now(), by, shortened(octets, most));
        }
    }
}

impl Wiretap {
    /// Nobody watches yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, armed: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Begins a watch that lasts for `span`, at most [`LONGEST_WATCH`].
    ///
    /// # Errors
    /// [`TooManyWatches`].
    pub fn begin(&self, what: Watched, span: Duration) -> Result<Watch, TooManyWatches> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.forget_old(now);
        if state.kept.len() >= MOST_WATCHES {
            // One that has ended makes room for one that begins.
            let over = state.kept.iter().position(|kept| kept.watch.until <= now).ok_or(TooManyWatches)?;
            state.kept.remove(over);
        }
        state.last_watch += 1;
        let until = now.after(span.min(LONGEST_WATCH));
        let watch = Watch { id: state.last_watch, what, since: now, until, dropped: 0 };
        state.kept.push(Kept { watch: watch.clone(), entries: VecDeque::new(), octets: 0, last: 0 });
        self.armed.store(true, Ordering::Relaxed);
        Ok(watch)
    }

    /// Ends a watch; what it has is kept for a while. `None` where there is none.
    pub fn end(&self, id: u64) -> Option<Watch> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let kept = state.kept.iter_mut().find(|kept| kept.watch.id == id)?;
        kept.watch.until = kept.watch.until.min(now);
        Some(kept.watch.clone())
    }

    /// The watches, also those that ended not long ago.
    pub fn watches(&self) -> Vec<Watch> {
        let mut state = self.state.lock();
        state.forget_old(self.clock.now());
        state.kept.iter().map(|kept| kept.watch.clone()).collect()
    }

    /// A watch, and what it noted after the entry `after`, at most `max` entries.
    pub fn read(&self, id: u64, after: u64, max: usize) -> Option<(Watch, Vec<Said>)> {
        let state = self.state.lock();
        let kept = state.kept.iter().find(|kept| kept.watch.id == id)?;
        let entries = kept.entries.iter().filter(|said| said.sequence > after).take(max).cloned().collect();
        Some((kept.watch.clone(), entries))
    }

    /// Whether anybody watches anything: for those who have to listen before they know whose carrier speaks.
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// What is said now, to be kept until it is known whose it is.
    pub fn earlier(&self, by: Speaker, text: String) -> Earlier {
        Earlier { at: self.clock.now(), by, text }
    }

    /// For an exchange that begins now with the carrier of `group`, about `message` where that is known.
    pub fn tap(self: &Arc<Self>, group: &GroupName, message: Option<MessageId>) -> Tap {
        if !self.is_armed() {
            return Tap::default();
        }
        let now = self.clock.now();
        let mut state = self.state.lock();
        if state.kept.iter().all(|kept| kept.watch.until <= now) {
            self.armed.store(false, Ordering::Relaxed);
        }
        if !state.kept.iter().any(|kept| kept.watch.wants(now, group, message)) {
            return Tap::default();
        }
        state.last_exchange += 1;
        let number = state.last_exchange;
        Tap(Some(Arc::new(Exchange { wiretap: Arc::clone(self), number, group: group.clone(), message })))
    }

    fn note(&self, exchange: &Exchange, at: Timestamp, by: Speaker, text: String) {
        let now = self.clock.now();
        let Exchange { number, group, message, .. } = exchange;
        let mut state = self.state.lock();
        for kept in state.kept.iter_mut().filter(|kept| kept.watch.wants(now, group, *message)) {
            kept.last += 1;
            kept.push(Said {
                sequence: kept.last,
                exchange: *number,
                at,
                group: group.clone(),
                message: *message,
                by,
                text: text.clone(),
            });
        }
    }
}

impl Watch {
    fn wants(&self, now: Timestamp, group: &GroupName, message: Option<MessageId>) -> bool {
        let is_meant = match &self.what {
            Watched::Group(watched) => watched == group,
            Watched::Message(_, watched) => Some(*watched) == message,
        };
        is_meant && now < self.until
    }
}

impl State {
    fn forget_old(&mut self, now: Timestamp) {
        self.kept.retain(|kept| now < kept.watch.until.after(KEPT_AFTER));
    }
}

impl Kept {
    fn push(&mut self, said: Said) {
        self.octets += said.text.len();
        self.entries.push_back(said);
        while self.octets > MOST_OCTETS || self.entries.len() > MOST_ENTRIES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.octets -= oldest.text.len();
            self.watch.dropped += 1;
        }
    }
}

/// Octets as text of at most about `most` octets; from where they are no text on, their number.
fn shortened(octets: &[u8], most: usize) -> String {
    let start = &octets[..octets.len().min(most)];
    let readable = if is_text(start) { start } else { text_before(start) };
    let mut text = String::from_utf8_lossy(readable).into_owned();
    let rest = octets.len() - readable.len();
    if rest > 0 {
        let between = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let what = match (readable.len() == start.len(), text.is_empty()) {
            (true, _) => "more octets",
            (false, true) => "octets that are no text",
            (false, false) => "more octets that are no text",
        };
        text.push_str(&format!("{between}[{rest} {what}]"));
    }
    text
}

/// Has hardly an octet that no text has.
fn is_text(octets: &[u8]) -> bool {
    octets.iter().filter(|octet| steers(**octet)).count() * 20 <= octets.len()
}

/// The lines before the first that is no text.
fn text_before(octets: &[u8]) -> &[u8] {
    let bad = octets.iter().position(|octet| steers(*octet)).unwrap_or(octets.len());
    let line = octets[..bad].iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    &octets[..line]
}

/// Is a control character that no line of text has.
fn steers(octet: u8) -> bool {
    octet == 0x7f || (octet < 0x20 && !b"\t\r\n".contains(&octet))
}

/// A watch lasts at most that long.
pub const LONGEST_WATCH: Duration = Duration::from_secs(3_600);
/// What a watch has is kept for so long after its end.
const KEPT_AFTER: Duration = Duration::from_secs(900);
/// Watches at the same time.
const MOST_WATCHES: usize = 16;
/// Octets that a watch keeps.
const MOST_OCTETS: usize = 2 << 20;
/// Entries that a watch keeps.
const MOST_ENTRIES: usize = 10_000;
/// Octets of one entry.
const MOST_TEXT: usize = 16 << 10;
/// Octets of content.
const MOST_CONTENT: usize = 512;

#[cfg(test)]
mod tests {
    use mmsgw_store::ManualClock;

    use super::*;

    fn rig() -> (Arc<ManualClock>, Arc<Wiretap>, GroupName) {
        let clock = Arc::new(ManualClock::default());
        let wiretap = Arc::new(Wiretap::new(clock.clone()));
        (clock, wiretap, "east".parse().unwrap())
    }

    fn texts(wiretap: &Wiretap, watch: &Watch) -> Vec<String> {
        let (_, said) = wiretap.read(watch.id, 0, usize::MAX).unwrap();
        said.into_iter().map(|said| said.text).collect()
    }

    #[test]
    fn nothing_is_noted_unless_somebody_watches_and_only_while_they_do() {
        let (clock, wiretap, east) = rig();
        assert!(!wiretap.tap(&east, None).is_on());
        let watch = wiretap.begin(Watched::Group(east.clone()), Duration::from_secs(10)).unwrap();
        let west: GroupName = "west".parse().unwrap();
        assert!(!wiretap.tap(&west, None).is_on());
        let tap = wiretap.tap(&east, None);
        tap.said(b"EHLO us");
        tap.heard(b"250 them");
        clock.advance(Duration::from_secs(11));
        tap.said(b"QUIT");
        assert!(!wiretap.tap(&east, None).is_on());
        assert!(!wiretap.armed.load(Ordering::Relaxed), "a watch that is over costs nothing more");
        assert_eq!(texts(&wiretap, &watch), ["EHLO us", "250 them"]);
        clock.advance(KEPT_AFTER);
        assert_eq!(wiretap.watches(), []);
    }

    #[test]
    fn what_was_said_before_it_was_known_whose_it_is_keeps_its_time() {
        let (clock, wiretap, east) = rig();
        let watch = wiretap.begin(Watched::Group(east.clone()), Duration::from_secs(10)).unwrap();
        let (began, early) = (clock.now(), wiretap.earlier(Speaker::Carrier, "EHLO them".to_owned()));
        clock.advance(Duration::from_secs(1));
        wiretap.tap(&east, None).recall(&early);
        let (_, said) = wiretap.read(watch.id, 0, 10).unwrap();
        assert_eq!((said[0].at, said[0].by, said[0].text.as_str()), (began, Speaker::Carrier, "EHLO them"));
        assert!(wiretap.is_armed());
    }

    #[test]
    fn a_message_is_watched_alone() {
        let (clock, wiretap, east) = rig();
        let [ours, other] = std::array::from_fn(|_| MessageId::generate(clock.now()));
        let watch = wiretap.begin(Watched::Message(east.clone(), ours), Duration::from_secs(10)).unwrap();
        assert!(!wiretap.tap(&east, Some(other)).is_on() && !wiretap.tap(&east, None).is_on());
        let (first, second) = (wiretap.tap(&east, Some(ours)), wiretap.tap(&east, Some(ours)));
        first.said(b"a");
        second.said(b"b");
        first.heard(b"c");
        let (_, said) = wiretap.read(watch.id, 1, 10).unwrap();
        let order: Vec<_> = said.iter().map(|said| (said.sequence, said.exchange, said.by)).collect();
        assert_eq!(order, [(2, 2, Speaker::Us), (3, 1, Speaker::Carrier)]);
        wiretap.end(watch.id).unwrap();
        assert!(!wiretap.tap(&east, Some(ours)).is_on());
    }

    #[test]
    fn much_is_cut_and_too_much_dropped() {
        let (_, wiretap, east) = rig();
        let watch = wiretap.begin(Watched::Group(east.clone()), Duration::from_secs(10)).unwrap();
        let tap = wiretap.tap(&east, None);
        tap.said_content(&[b'x'; 600]);
        tap.said_content(&[0xff, 0xd8, 0, 1, 2, 3, 4]);
        let noted = texts(&wiretap, &watch);
        assert!(noted[0].ends_with("x\n[88 more octets]"), "{noted:?}");
        assert_eq!(noted[1], "[7 octets that are no text]");
        tap.heard(b"a head\n\n\xff\xd8\0\x01\x02");
        assert_eq!(texts(&wiretap, &watch)[2], "a head\n\n[5 more octets that are no text]");
        let long = vec![b'y'; MOST_TEXT];
        for _ in 0..=MOST_OCTETS / MOST_TEXT {
            tap.heard(&long);
        }
        let (watch, said) = wiretap.read(watch.id, 0, usize::MAX).unwrap();
        assert!(watch.dropped >= 3 && said.iter().map(|s| s.text.len()).sum::<usize>() <= MOST_OCTETS);
        assert_eq!(said[0].sequence, watch.dropped + 1);
    }

    #[test]
    fn there_are_only_so_many_watches() {
        let (clock, wiretap, east) = rig();
        let begin = || wiretap.begin(Watched::Group(east.clone()), Duration::from_secs(10));
        for _ in 0..MOST_WATCHES {
            begin().unwrap();
        }
        assert_eq!(begin(), Err(TooManyWatches));
        clock.advance(Duration::from_secs(10));
        begin().unwrap();
    }
}
