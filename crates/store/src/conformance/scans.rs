//! Looking through messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mmsgw_domain::{Message, MessageId, Timestamp};

use super::bench::{Bench, changed, group};
use super::expiry::sweep;
use crate::{Scan, Scanned, Write};

pub(super) async fn order(b: Bench) {
    assert_eq!(b.store.messages(everything()).await.unwrap(), Scanned::default(), "nothing is there");
    let made = make(&b, 10).await;
    let mut newest: Vec<MessageId> = made.iter().rev().map(|message| message.id).collect();
    assert_eq!(through(&b, everything()).await, newest);
    let found = b.store.messages(Scan { max: 1, ..everything() }).await.unwrap();
    assert_eq!(found.messages, made[9..], "a message is whole");
    // Others that come meanwhile neither push anything aside nor come into what is older than they are.
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = b.store.messages(Scan { before, max: 3, ..everything() }).await.unwrap();
        assert!(page.messages.len() <= 3);
        pages.extend(page.messages.iter().map(|message| message.id));
        let Some(next) = page.next else { break };
        assert!(before.is_none_or(|before| next < before), "it comes forward");
        before = Some(next);
        make(&b, 2).await;
    }
    assert_eq!(pages, newest);
    newest.drain(..4);
    assert_eq!(through(&b, Scan { before: Some(made[6].id), ..everything() }).await, newest);
}

pub(super) async fn bounds(b: Bench) {
    let made = make(&b, 8).await;
    let ids = |messages: &[Message]| messages.iter().rev().map(|m| m.id).collect::<Vec<_>>();
    let since = Scan { since: made[5].created, ..everything() };
    assert_eq!(through(&b, since.clone()).await, ids(&made[5..]), "the first moment is in it");
    let later = Timestamp::from_millis(made[5].created.as_millis() + 1);
    assert_eq!(through(&b, Scan { since: later, ..everything() }).await, ids(&made[6..]));
    let within = Scan { before: Some(made[7].id), ..since.clone() };
    assert_eq!(through(&b, within).await, ids(&made[5..7]));
    let none = Scan { before: Some(made[3].id), ..since };
    assert_eq!(through(&b, none).await, []);
    let side = Scan { group: Some(group("side")), ..everything() };
    assert_eq!(through(&b, side).await, [made[6].id, made[3].id, made[0].id]);
    let nobody = Scan { group: Some(group("nobody")), ..everything() };
    assert_eq!(through(&b, nobody).await, []);
}

pub(super) async fn effort(b: Bench) {
    let made = make(&b, 20).await;
    let (seen, wanted) = (Arc::<AtomicUsize>::default(), made[2].id);
    let counting = Arc::clone(&seen);
    let scan = Scan {
        effort: 3,
        wanted: Arc::new(move |message| {
            counting.fetch_add(1, Ordering::Relaxed);
            message.id == wanted
        }),
        ..everything()
    };
    let (mut before, mut found, mut empty) = (None, Vec::new(), 0);
    loop {
        let judged = seen.load(Ordering::Relaxed);
        let page = b.store.messages(Scan { before, ..scan.clone() }).await.unwrap();
        assert!(seen.load(Ordering::Relaxed) - judged <= 3 && page.looked_at <= 3);
        empty += usize::from(page.messages.is_empty());
        found.extend(page.messages.into_iter().map(|message| message.id));
        let Some(next) = page.next else { break };
        before = Some(next);
    }
    assert_eq!(found, [wanted]);
    assert_eq!(seen.load(Ordering::Relaxed), 20, "each was judged once");
    assert!(empty >= 5, "pages without a find go on");
}

pub(super) async fn changes(b: Bench) {
    let made = make(&b, 6).await;
    let mut ends = changed(&made[4], "sent");
    ends.expires = Some(b.at(10));
    let mut stays = changed(&made[1], "sent");
    stays.expires = Some(b.at(20));
    b.commit([ends, stays.clone()].map(Write::ChangedMessage)).await;
    let sent = Scan { wanted: Arc::new(|message| message.last_tran_id.is_some()), ..everything() };
    assert_eq!(through(&b, sent.clone()).await, [made[4].id, made[1].id], "as they are now");
    b.pass(10);
    let left = [5, 3, 2, 1, 0].map(|index: usize| made[index].id);
    assert_eq!(through(&b, sent.clone()).await, [made[1].id], "its time is over");
    assert_eq!(through(&b, everything()).await, left);
    sweep(&b).await;
    assert_eq!(through(&b, everything()).await, left);
    assert_eq!(b.store.messages(sent.clone()).await.unwrap().messages, [stays]);
    b.pass(10);
    sweep(&b).await;
    assert_eq!(through(&b, sent).await, []);
    b.commit([Write::NewMessage(made[4].clone())]).await;
    assert_eq!(through(&b, everything()).await, [5, 4, 3, 2, 0].map(|index: usize| made[index].id));
}

/// All ids that a scan leads to, which have to come in order.
pub(super) async fn through(b: &Bench, scan: Scan) -> Vec<MessageId> {
    let (mut found, mut next) = (Vec::new(), scan.before);
    for _ in 0..10_000 {
        let page = b.store.messages(Scan { before: next, ..scan.clone() }).await.unwrap();
        found.extend(page.messages.into_iter().map(|message| message.id));
        next = page.next;
        if next.is_none() {
            assert!(found.is_sorted_by(|a, b| a > b), "newest first, each once");
            return found;
        }
    }
    panic!("it comes to no end");
}

/// A scan that wants all.
pub(super) fn everything() -> Scan {
    Scan {
        before: None,
        since: Timestamp::from_secs(0),
        group: None,
        effort: 1_000,
        max: 1_000,
        wanted: Arc::new(|_| true),
    }
}

/// Messages of two groups, the oldest first, none at the same moment as another.
async fn make(b: &Bench, count: usize) -> Vec<Message> {
    let mut made = Vec::new();
    for index in 0..count {
        b.clock.advance(Duration::from_millis(5));
        let mut message = b.new_message();
        message.group = group(if index.is_multiple_of(3) { "side" } else { "main" });
        b.commit([Write::NewMessage(message.clone())]).await;
        made.push(message);
    }
    made
}
