//! Batches happen whole or not at all, and what they wrote reads back.

use std::sync::Arc;

use mmsgw_domain::{BlobRef, Id, PartContent};

use super::bench::{Bench, changed, digest, group, queue, reference, revised};
use crate::{Reference, ReferenceKind, StoreError, Swept, Write};

pub(super) async fn starts_empty(b: Bench) {
    let store = &b.store;
    assert_eq!(store.template(Id::generate(b.now())).await.unwrap(), None);
    assert_eq!(store.revision(Id::generate(b.now())).await.unwrap(), None);
    assert_eq!(store.part(Id::generate(b.now())).await.unwrap(), None);
    assert_eq!(store.message(Id::generate(b.now())).await.unwrap(), None);
    assert_eq!(store.find(&reference("x")).await.unwrap(), None);
    assert_eq!(store.queues().await.unwrap(), []);
    assert_eq!(store.dead(&queue("q"), None, 10).await.unwrap(), []);
    assert_eq!(store.sweep(10).await.unwrap(), Swept::default());
    let leased = b.lease(&queue("q"), 10).await;
    assert!(leased.jobs.is_empty());
    assert_eq!(leased.next_due, None);
    assert_eq!(b.store.queues().await.unwrap(), [], "to look into a queue does not make one");
    b.commit([]).await;
}

pub(super) async fn reads_back(b: Bench) {
    let (template, message, part) = (b.new_template(b.at(60)), b.new_message(), b.new_part());
    let job = b.job(&queue("q"));
    b.commit([
        Write::Template { template: template.clone(), replaces: None },
        Write::NewMessage(message.clone()),
        Write::Part { part: part.clone(), expires: b.at(60) },
        Write::Reference { reference: reference("<a@b>"), message: message.id, expires: b.at(60) },
        Write::Enqueue(job.clone()),
    ])
    .await;
    assert_eq!(b.store.template(template.id).await.unwrap().as_ref(), Some(&template));
    assert_eq!(b.store.revision(template.revision).await.unwrap().as_ref(), Some(&template));
    assert_eq!(b.message(message.id).await.as_ref(), Some(&message));
    assert_eq!(b.store.part(part.id).await.unwrap().as_ref(), Some(&part));
    assert_eq!(b.store.find(&reference("<a@b>")).await.unwrap(), Some(message.id));
    let leased = b.lease_one(&queue("q")).await;
    assert_eq!((leased.lease.job, leased.tries, leased.job), (job.id, 1, job.job));
}

pub(super) async fn conflict_leaves_nothing(b: Bench) {
    let (known, template, message, part) =
        (b.new_message(), b.new_template(b.at(60)), b.new_message(), b.new_part());
    b.commit([Write::NewMessage(known.clone()), Write::Enqueue(b.job(&queue("other")))]).await;
    let held = b.lease_one(&queue("other")).await;
    b.conflict([
        Write::Template { template: template.clone(), replaces: None },
        Write::NewMessage(message.clone()),
        Write::Part { part: part.clone(), expires: b.at(60) },
        Write::Reference { reference: reference("r"), message: message.id, expires: b.at(60) },
        Write::KeepBlob { digest: digest(1), until: b.at(1) },
        Write::Enqueue(b.job(&queue("q"))),
        Write::Finish(held.lease.clone()),
        Write::ChangedMessage(changed(&changed(&known, "a"), "b")),
    ])
    .await;
    assert_eq!(b.store.template(template.id).await.unwrap(), None);
    assert_eq!(b.store.revision(template.revision).await.unwrap(), None);
    assert_eq!(b.message(message.id).await, None);
    assert_eq!(b.store.part(part.id).await.unwrap(), None);
    assert_eq!(b.store.find(&reference("r")).await.unwrap(), None);
    assert!(b.lease(&queue("q"), 10).await.jobs.is_empty());
    assert_eq!(b.store.extend(std::slice::from_ref(&held.lease), super::bench::HOLD).await.unwrap(), []);
    b.pass(2);
    assert_eq!(b.store.sweep(10).await.unwrap(), Swept::default());
    b.commit([Write::Finish(held.lease), Write::ChangedMessage(changed(&known, "a"))]).await;
}

pub(super) async fn lost_lease_leaves_nothing(b: Bench) {
    let message = b.new_message();
    b.commit([Write::Enqueue(b.job(&queue("q"))), Write::Enqueue(b.job(&queue("q")))]).await;
    let leased = b.lease(&queue("q"), 2).await.jobs;
    let mut forged = leased[1].lease.clone();
    forged.token = forged.token.wrapping_add(1_000_000);
    let writes = |last| {
        [Write::Finish(leased[0].lease.clone()), Write::NewMessage(message.clone()), Write::Finish(last)]
    };
    b.lost(writes(forged)).await;
    assert_eq!(b.message(message.id).await, None);
    b.commit(writes(leased[1].lease.clone())).await;
    assert_eq!(b.store.queues().await.unwrap(), []);
}

pub(super) async fn ids_are_taken_once(b: Bench) {
    let (message, part, job) = (b.new_message(), b.new_part(), b.job(&queue("q")));
    let writes =
        [Write::NewMessage(message), Write::Part { part, expires: b.at(60) }, Write::Enqueue(job.clone())];
    for write in &writes {
        b.conflict([write.clone(), write.clone()]).await;
        b.commit([write.clone()]).await;
        b.conflict([write.clone()]).await;
    }
    let leased = b.lease_one(&queue("q")).await;
    b.conflict([Write::Enqueue(job.clone())]).await;
    b.commit([Write::Bury { lease: leased.lease, reason: "no".to_owned(), expires: b.at(60) }]).await;
    b.conflict([Write::Enqueue(job)]).await;
    let template = b.new_template(b.at(60));
    b.commit([Write::Template { template: template.clone(), replaces: None }]).await;
    b.conflict([Write::Template { replaces: Some(template.revision), template }]).await;
}

pub(super) async fn versions_count(b: Bench) {
    let mut message = b.new_message();
    message.version = 7;
    b.conflict([Write::ChangedMessage(message.clone())]).await;
    b.commit([Write::NewMessage(message.clone())]).await;
    let next = changed(&message, "one");
    b.commit([Write::ChangedMessage(next.clone())]).await;
    assert_eq!(b.message(message.id).await.as_ref(), Some(&next));
    b.conflict([Write::ChangedMessage(changed(&message, "two"))]).await;
    b.conflict([Write::ChangedMessage(next.clone())]).await;
    b.conflict([Write::ChangedMessage(message.clone())]).await;
    assert_eq!(b.message(message.id).await, Some(next));
}

pub(super) async fn one_writer_wins(b: Bench) {
    let message = b.new_message();
    b.commit([Write::NewMessage(message.clone())]).await;
    let mut tasks = Vec::new();
    for number in 0..32 {
        let (b, next) = (b.clone(), changed(&message, &number.to_string()));
        tasks.push(tokio::spawn(async move { b.try_commit([Write::ChangedMessage(next)]).await }));
    }
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(b.message(message.id).await.unwrap().version, message.version + 1);
}

pub(super) async fn changes_build_on_each_other(b: Bench) {
    let message = b.new_message();
    let (second, third) = (changed(&message, "2"), changed(&changed(&message, "2"), "3"));
    b.conflict([Write::NewMessage(message.clone()), Write::ChangedMessage(third.clone())]).await;
    b.commit([
        Write::NewMessage(message.clone()),
        Write::ChangedMessage(second),
        Write::ChangedMessage(third.clone()),
    ])
    .await;
    assert_eq!(b.message(message.id).await, Some(third));
    let first = b.new_template(b.at(60));
    let next = revised(&first, "next");
    b.commit([
        Write::Template { template: first.clone(), replaces: None },
        Write::Template { template: next.clone(), replaces: Some(first.revision) },
    ])
    .await;
    assert_eq!(b.store.template(first.id).await.unwrap(), Some(next));
}

pub(super) async fn templates_are_revised(b: Bench) {
    let first = b.new_template(b.at(60));
    b.conflict([Write::Template { template: first.clone(), replaces: Some(first.revision) }]).await;
    b.commit([Write::Template { template: first.clone(), replaces: None }]).await;
    b.conflict([Write::Template { template: revised(&first, "x"), replaces: None }]).await;
    let second = revised(&first, "second");
    b.commit([Write::Template { template: second.clone(), replaces: Some(first.revision) }]).await;
    b.conflict([Write::Template { template: revised(&first, "x"), replaces: Some(first.revision) }]).await;
    assert_eq!(b.store.template(first.id).await.unwrap().as_ref(), Some(&second));
    assert_eq!(b.store.revision(first.revision).await.unwrap().as_ref(), Some(&first));
    assert_eq!(b.store.revision(second.revision).await.unwrap().as_ref(), Some(&second));
}

pub(super) async fn forgotten_template(b: Bench) {
    let template = b.new_template(b.at(60));
    b.commit([Write::Template { template: template.clone(), replaces: None }]).await;
    b.commit([Write::ForgetTemplate(template.id)]).await;
    assert_eq!(b.store.template(template.id).await.unwrap(), None);
    assert_eq!(b.store.revision(template.revision).await.unwrap().as_ref(), Some(&template));
    let late = Write::Template { template: revised(&template, "late"), replaces: Some(template.revision) };
    b.conflict([late]).await;
    b.commit([Write::ForgetTemplate(template.id)]).await;
    b.pass(61);
    assert_eq!(b.store.revision(template.revision).await.unwrap(), None);
}

pub(super) async fn fetched_media(b: Bench) {
    let template = b.new_template(b.at(60));
    let mut fetched = template.clone();
    let source = Some("https://media.example.org/1".to_owned());
    fetched.content.parts[0].content = PartContent::Blob(BlobRef { digest: digest(1), size: 5, source });
    b.commit([Write::Revision(fetched.clone())]).await;
    assert_eq!(b.store.revision(template.revision).await.unwrap(), None);
    b.commit([Write::Template { template: template.clone(), replaces: None }]).await;
    b.commit([Write::Revision(fetched.clone())]).await;
    assert_eq!(b.store.revision(template.revision).await.unwrap().as_ref(), Some(&fetched));
    assert_eq!(b.store.template(template.id).await.unwrap(), Some(fetched));
}

pub(super) async fn references(b: Bench) {
    let (one, two) = (Id::generate(b.now()), Id::generate(b.now()));
    let write = |reference: Reference, message| Write::Reference { reference, message, expires: b.at(60) };
    b.commit([write(reference("same"), one)]).await;
    let inbound = Reference { kind: ReferenceKind::Inbound, ..reference("same") };
    let other = Reference { group: group("other"), ..reference("same") };
    assert_eq!(b.store.find(&inbound).await.unwrap(), None);
    assert_eq!(b.store.find(&other).await.unwrap(), None);
    assert_eq!(b.store.find(&reference("Same")).await.unwrap(), None, "letter case counts");
    b.commit([write(reference("same"), two), write(inbound.clone(), one)]).await;
    assert_eq!(b.store.find(&reference("same")).await.unwrap(), Some(two));
    assert_eq!(b.store.find(&inbound).await.unwrap(), Some(one));
    let strange = reference("' OR 1=1 -- \u{0}\u{1F600}");
    b.commit([write(strange.clone(), one)]).await;
    assert_eq!(Arc::clone(&b.store).find(&strange).await.unwrap(), Some(one));
}

pub(super) async fn new_references(b: Bench) {
    let (one, two) = (Id::generate(b.now()), Id::generate(b.now()));
    let claim = |message| Write::NewReference { reference: reference("claimed"), message, expires: b.at(60) };
    b.commit([claim(one)]).await;
    let again = b.store.commit([claim(two)].into_iter().collect()).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert_eq!(b.store.find(&reference("claimed")).await.unwrap(), Some(one));
    let twice = [reference("twice"), reference("twice")];
    let twice = twice.map(|reference| Write::NewReference { reference, message: one, expires: b.at(60) });
    assert!(matches!(b.store.commit(twice.into_iter().collect()).await, Err(StoreError::Conflict(_))));
    b.clock.advance(std::time::Duration::from_secs(61));
    b.commit([claim(two)]).await;
}
