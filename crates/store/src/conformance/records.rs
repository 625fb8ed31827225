//! Records and tallies.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::bench::{Bench, group};
use crate::{Record, RecordKey, RecordKind, TallyKey, Write};

pub(super) async fn versions(b: Bench) {
    let first = record(&b, "one", 1);
    b.conflict([Write::Record(Record { version: 2, ..first.clone() })]).await;
    b.commit([Write::Record(first.clone())]).await;
    assert_eq!(b.store.record(&first.key).await.unwrap(), Some(first.clone()));
    b.conflict([Write::Record(first.clone())]).await;
    let second = Record { version: 2, value: Bytes::from_static(b"\0\xFF"), ..first.clone() };
    let third = Record { version: 3, ..first.clone() };
    b.conflict([Write::Record(third.clone())]).await;
    b.commit([Write::Record(second.clone()), Write::Record(third.clone())]).await;
    assert_eq!(b.store.record(&first.key).await.unwrap(), Some(third));
    b.commit([Write::DropRecord(first.key.clone()), Write::Record(first.clone())]).await;
    assert_eq!(b.store.record(&first.key).await.unwrap(), Some(first.clone()));
    b.commit([Write::DropRecord(first.key.clone()), Write::DropRecord(first.key.clone())]).await;
    assert_eq!(b.store.record(&first.key).await.unwrap(), None);
}

pub(super) async fn one_claim_wins(b: Bench) {
    let wanted = record(&b, "claim", 1);
    let claims: Vec<_> = (0..16)
        .map(|_| {
            let (b, write) = (b.clone(), Write::Record(wanted.clone()));
            tokio::spawn(async move { b.try_commit([write]).await.is_ok() })
        })
        .collect();
    let mut winners = 0;
    for claim in claims {
        winners += usize::from(claim.await.unwrap());
    }
    assert_eq!(winners, 1);
}

pub(super) async fn expiry(b: Bench) {
    let first = record(&b, "one", 1);
    b.commit([Write::Record(first.clone())]).await;
    b.pass(60);
    assert_eq!(b.store.record(&first.key).await.unwrap(), None, "its time is over");
    let again = Record { until: b.at(60), ..first.clone() };
    b.commit([Write::Record(again.clone())]).await;
    assert_eq!(b.store.record(&first.key).await.unwrap(), Some(again.clone()));
    while b.store.sweep(10).await.unwrap().records > 0 {}
    assert_eq!(b.store.record(&first.key).await.unwrap(), Some(again));
    b.pass(60);
    while b.store.sweep(10).await.unwrap().records > 0 {}
    assert_eq!(b.store.records(&key("", None), 10).await.unwrap(), []);
}

pub(super) async fn pages(b: Bench) {
    let ids = ["000", "007", "01", "1", "a", "b"];
    for (index, id) in ids.iter().rev().enumerate() {
        let until = b.at(if index == 0 { 10 } else { 60 });
        b.commit([Write::Record(Record { until, ..record(&b, id, 1) })]).await;
    }
    for other in [
        RecordKey { owner: "another".to_owned(), ..key("5", None) },
        RecordKey { kind: RecordKind::Bulk, ..key("5", None) },
        key("5", Some("main")),
    ] {
        b.commit([Write::Record(Record { key: other, ..record(&b, "5", 1) })]).await;
    }
    b.pass(10);
    let (mut seen, mut after) = (Vec::new(), key("", None));
    loop {
        let page = b.store.records(&after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = last.key.clone();
        seen.extend(page.into_iter().map(|record| record.key.id));
    }
    assert_eq!(seen, ids[..5], "the last one's time is over");
    let of_group = b.store.records(&key("", Some("main")), 9).await.unwrap();
    assert_eq!(of_group.len(), 1);
}

pub(super) async fn tallies(b: Bench) {
    let of = |owner: &str, group_name: Option<&str>| TallyKey {
        group: group_name.map(group),
        owner: owner.to_owned(),
    };
    let (mine, other) = (of("mine", Some("main")), of("mine", None));
    assert_eq!(b.store.tally(&mine).await.unwrap(), BTreeMap::new());
    let add = |list: &[(&str, i64)], seconds: u64| Write::Tally {
        key: mine.clone(),
        add: list.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect(),
        until: b.at(seconds),
    };
    b.commit([add(&[("SENT", 2), ("FAILED", 1)], 10), add(&[("SENT", 3), ("FAILED", -1)], 60)]).await;
    b.conflict([add(&[("SENT", 100)], 600), Write::Record(record(&b, "no", 7))]).await;
    let counted = b.store.tally(&mine).await.unwrap();
    assert_eq!((counted.get("SENT"), counted.get("FAILED").copied().unwrap_or(0)), (Some(&5), 0));
    assert_eq!(b.store.tally(&other).await.unwrap(), BTreeMap::new());
    let adders: Vec<_> = (0..10)
        .map(|_| {
            let (b, write) = (b.clone(), add(&[("SENT", 1)], 60));
            tokio::spawn(async move { b.commit([write]).await })
        })
        .collect();
    for adder in adders {
        adder.await.unwrap();
    }
    assert_eq!(b.store.tally(&mine).await.unwrap()["SENT"], 15);
    b.clock.advance(Duration::from_secs(59));
    assert_eq!(b.store.tally(&mine).await.unwrap()["SENT"], 15);
    b.pass(1);
    assert_eq!(b.store.tally(&mine).await.unwrap(), BTreeMap::new(), "its time is over");
    b.commit([add(&[("SENT", 1)], 60)]).await;
    assert_eq!(b.store.tally(&mine).await.unwrap()["SENT"], 1, "it begins anew");
    b.pass(60);
    while b.store.sweep(10).await.unwrap().records > 0 {}
    assert_eq!(b.store.tally(&mine).await.unwrap(), BTreeMap::new());
}

fn record(b: &Bench, id: &str, version: u64) -> Record {
    Record { key: key(id, None), version, value: Bytes::from_static(b"what it says"), until: b.at(60) }
}

fn key(id: &str, of_group: Option<&str>) -> RecordKey {
    let (kind, owner) = (RecordKind::Idempotency, "the app: 1".to_owned());
    RecordKey { group: of_group.map(group), kind, owner, id: id.to_owned() }
}
