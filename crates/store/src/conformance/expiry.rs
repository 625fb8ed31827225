//! Time limits of records: seen until then, swept after.

use mmsgw_domain::{Digest, State, Timestamp};

use super::bench::{Bench, changed, digest, queue, reference};
use crate::Write;

pub(super) async fn unseen_before_the_sweep(b: Bench) {
    let (template, part, mut message) = (b.new_template(b.at(10)), b.new_part(), b.new_message());
    message.recipients[0].state = State::Sent;
    message.expires = Some(b.at(10));
    b.commit([
        Write::Template { template: template.clone(), replaces: None },
        Write::Part { part: part.clone(), expires: b.at(10) },
        Write::NewMessage(message.clone()),
        Write::Reference { reference: reference("r"), message: message.id, expires: b.at(10) },
    ])
    .await;
    b.pass(9);
    assert!(b.store.template(template.id).await.unwrap().is_some());
    assert!(b.store.revision(template.revision).await.unwrap().is_some());
    assert!(b.store.part(part.id).await.unwrap().is_some());
    assert!(b.message(message.id).await.is_some());
    assert!(b.store.find(&reference("r")).await.unwrap().is_some());
    b.pass(1);
    assert_eq!(b.store.template(template.id).await.unwrap(), None);
    assert_eq!(b.store.revision(template.revision).await.unwrap(), None);
    assert_eq!(b.store.part(part.id).await.unwrap(), None);
    assert_eq!(b.message(message.id).await, None);
    assert_eq!(b.store.find(&reference("r")).await.unwrap(), None);
    b.conflict([Write::ChangedMessage(changed(&message, "late"))]).await;
}

pub(super) async fn sweep_removes(b: Bench) {
    let mut kept = Vec::new();
    for seconds in [10, 10, 10, 10, 20] {
        let (part, mut message) = (b.new_part(), b.new_message());
        message.expires = Some(b.at(seconds));
        let template = b.new_template(b.at(seconds));
        kept = vec![(part.id, message.id, template.id)];
        b.commit([
            Write::Reference {
                reference: reference(part.name.as_str()),
                message: message.id,
                expires: b.at(seconds),
            },
            Write::Part { part, expires: b.at(seconds) },
            Write::NewMessage(message),
            Write::Template { template, replaces: None },
        ])
        .await;
    }
    assert_eq!(b.store.sweep(100).await.unwrap().records, 0, "nothing is over yet");
    b.pass(10);
    let mut rounds = 0;
    loop {
        let swept = b.store.sweep(2).await.unwrap();
        assert!(swept.records <= 2 * KINDS, "at most two of each kind");
        assert!(swept.blobs.is_empty());
        if swept.records == 0 {
            break;
        }
        rounds += 1;
        assert!(rounds < 100, "a sweep comes to an end");
    }
    for (part, message, template) in kept {
        assert!(b.store.part(part).await.unwrap().is_some());
        assert!(b.message(message).await.is_some());
        assert!(b.store.template(template).await.unwrap().is_some());
    }
}

pub(super) async fn unsent_messages_stay(b: Bench) {
    let message = b.new_message();
    b.commit([Write::NewMessage(message.clone())]).await;
    b.pass(100 * 366 * 86_400);
    assert_eq!(sweep(&b).await, []);
    assert_eq!(b.message(message.id).await.as_ref(), Some(&message));
    let mut sent = changed(&message, "sent");
    sent.expires = Some(b.at(10));
    b.commit([Write::ChangedMessage(sent.clone())]).await;
    let mut longer = changed(&sent, "report");
    longer.expires = Some(b.at(20));
    b.commit([Write::ChangedMessage(longer.clone())]).await;
    b.pass(10);
    sweep(&b).await;
    assert_eq!(b.message(message.id).await.as_ref(), Some(&longer), "only the last word counts");
    b.pass(10);
    sweep(&b).await;
    assert_eq!(b.message(message.id).await, None);
    b.commit([Write::NewMessage(message)]).await;
}

pub(super) async fn kept_revisions(b: Bench) {
    let template = b.new_template(b.at(10));
    let keep = |until: Timestamp| Write::KeepRevision { id: template.revision, until };
    b.commit([keep(b.at(99))]).await;
    assert_eq!(b.store.revision(template.revision).await.unwrap(), None);
    b.commit([Write::Template { template: template.clone(), replaces: None }, keep(b.at(30))]).await;
    b.commit([keep(b.at(20))]).await;
    b.commit([Write::Revision(template.clone())]).await;
    b.pass(29);
    assert_eq!(b.store.template(template.id).await.unwrap(), None, "gone for applications");
    sweep(&b).await;
    assert_eq!(b.store.revision(template.revision).await.unwrap().as_ref(), Some(&template));
    b.pass(1);
    assert_eq!(b.store.revision(template.revision).await.unwrap(), None);
    sweep(&b).await;
    assert_eq!(b.store.revision(template.revision).await.unwrap(), None);
}

pub(super) async fn blobs(b: Bench) {
    let keep = |first: u8, until: Timestamp| Write::KeepBlob { digest: digest(first), until };
    b.commit([keep(1, b.at(10)), keep(2, b.at(10)), keep(3, b.at(30))]).await;
    b.commit([keep(2, b.at(20)), keep(3, b.at(5))]).await;
    b.commit([Write::Enqueue(b.job(&queue("q")))]).await;
    assert_eq!(sweep(&b).await, []);
    b.pass(10);
    assert_eq!(sweep(&b).await, [digest(1)]);
    assert_eq!(sweep(&b).await, [], "a blob is named once");
    b.pass(10);
    assert_eq!(sweep(&b).await, [digest(2)]);
    b.commit([keep(1, b.at(10)), keep(2, b.at(9))]).await;
    b.pass(10);
    assert_eq!(sweep(&b).await, [digest(1), digest(2), digest(3)], "claimed anew");
    assert_eq!(b.store.queues().await.unwrap().len(), 1, "jobs have no end");
}

/// Sweeps until nothing is left; the blobs named, sorted.
pub(super) async fn sweep(b: &Bench) -> Vec<Digest> {
    let mut blobs = Vec::new();
    loop {
        let swept = b.store.sweep(3).await.unwrap();
        blobs.extend(swept.blobs);
        if swept.records == 0 {
            blobs.sort();
            return blobs;
        }
    }
}

/// Kinds of records in a store, with the entry that names a template's latest revision.
const KINDS: u64 = 7;
