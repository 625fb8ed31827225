//! A look through the messages of a store, from the newest to older ones.

use std::fmt;
use std::sync::Arc;

use mmsgw_domain::{GroupName, Message, MessageId, Timestamp};

/// Which of the messages that are looked at are wanted.
pub type Wanted = Arc<dyn Fn(&Message) -> bool + Send + Sync>;

/// What [`Store::messages`](crate::Store::messages) is asked for.
#[derive(Clone)]
pub struct Scan {
    /// Only messages whose id comes before this one; absent: from the newest on.
    pub before: Option<MessageId>,
    /// Only messages whose id was made then or later.
    pub since: Timestamp,
    /// Only messages of this group.
    pub group: Option<GroupName>,
    /// Messages that are looked at, at most. A store may stop earlier, so that others get their turn; it looks at one at
    /// least.
    pub effort: usize,
    /// Messages that are given back, at most; at least 1.
    pub max: usize,
    /// Which of those that are looked at are given back.
    pub wanted: Wanted,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, since, group, effort, max, .. } = self;
        f.debug_struct("Scan")
            .field("before", before)
            .field("since", since)
            .field("group", group)
            .field("effort", effort)
            .field("max", max)
            .finish_non_exhaustive()
    }
}

/// A piece of the way. It may be short or empty and have a next one all the same: what is bounded is the effort, never
/// the truth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    /// What was wanted, newest first.
    pub messages: Vec<Message>,
    /// How many were looked at.
    pub looked_at: usize,
    /// What `before` has to be to go on; absent where everything down to `since` was looked at.
    pub next: Option<MessageId>,
}

impl Scanned {
    /// Notes that the message `id` was looked at, and what is there now; nothing where its time is over. Gives back
    /// whether the look has to end here.
    pub fn note(&mut self, scan: &Scan, id: MessageId, found: Option<Message>) -> bool {
        self.looked_at += 1;
        let is_wanted = |message: &Message| {
            scan.group.as_ref().is_none_or(|group| *group == message.group) && (scan.wanted)(message)
        };
        self.messages.extend(found.filter(is_wanted));
        self.next = Some(id);
        self.messages.len() >= scan.max || self.looked_at >= scan.effort
    }
}
