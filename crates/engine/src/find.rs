//! Finds messages by what is known of them, newest first.

use std::sync::Arc;
use std::time::Duration;

use mmsgw_domain::{Message, MessageFilter, MessageId, Timestamp};
use mmsgw_store::{Scan, Wanted};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::refusal::Refusal;

/// Which messages, and which piece of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Find {
    /// What they have to be like.
    pub filter: MessageFilter,
    /// Go on behind this message; absent: from the newest on.
    pub after: Option<MessageId>,
    /// How many at most; at least 1.
    pub max: usize,
}

/// A page of what was found. It may be short or empty and have a next one all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The messages, newest first.
    pub messages: Vec<Message>,
    /// What [`Find::after`] has to be to go on; absent where everything was looked at.
    pub next: Option<MessageId>,
}

impl Engine {
    /// Finds messages that `sees` lets through. A message has its place by its id, which was made when it was accepted;
    /// one whose request broke off and was repeated under its idempotency key has it where it was first tried.
    pub async fn find(
        &self,
        find: Find,
        sees: impl Fn(&Message) -> bool + Send + Sync + 'static,
    ) -> Result<Found, Refusal> {
        let Find { filter, after, max } = find;
        let until = filter.until.map(MessageId::first_at);
        let (mut before, max) = (after.into_iter().chain(until).min(), max.max(1));
        let (since, group) = (filter.since.unwrap_or(Timestamp::from_millis(0)), filter.group.clone());
        let wanted: Wanted = Arc::new(move |message| filter.fits(message) && sees(message));
        let (mut messages, mut left, began) = (Vec::new(), EFFORT, Instant::now());
        loop {
            let (group, wanted) = (group.clone(), Arc::clone(&wanted));
            let scan = Scan { before, since, group, effort: left, max: max - messages.len(), wanted };
            let turn = self.looks.acquire().await;
            let scanned = self.store.messages(scan).await?;
            drop(turn);
            messages.extend(scanned.messages);
            left = left.saturating_sub(scanned.looked_at);
            before = scanned.next;
            if before.is_none() || messages.len() >= max || left == 0 || began.elapsed() >= PATIENCE {
                return Ok(Found { messages, next: before });
            }
        }
    }
}

/// Messages looked at for one page: a fraction of a second of a store on a local disk. Who asks for what is rare goes on
/// by himself, and can give up.
const EFFORT: usize = 20_000;
/// Looks into the store at once, however many ask: messages on their way come first.
pub(crate) const AT_ONCE: usize = 2;
/// A page ends after that, however little was looked at: slow stores, and many who look at once.
const PATIENCE: Duration = Duration::from_secs(1);
