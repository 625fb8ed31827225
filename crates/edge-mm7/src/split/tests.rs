use std::collections::HashSet;

use mmsgw_engine::Gateway;

use super::*;
use crate::send::tests::{Mmsc, Reply};
use crate::testing::{outbound, outbound_with_everything, submit_rsp};

/// What each number came to, and the transactions and numbers of the requests.
async fn sent(
    outbound: &Outbound,
    dialect: &str,
    reply: Reply,
) -> (Vec<(usize, bool)>, Vec<(String, usize)>) {
    let mut mmsc = Mmsc::start(reply).await;
    let verdict = mmsc.gateway(dialect).send(outbound).await;
    let is_sent = |outcome: &Outcome| matches!(outcome.delivery, Delivery::Sent { .. });
    let outcomes =
        verdict.outcomes.iter().map(|outcome| (outcome.recipients.len(), is_sent(outcome))).collect();
    let mut requests = Vec::new();
    while let Ok(posted) = mmsc.posted.try_recv() {
        let xml = posted.envelope();
        let transaction = xml.split("TransactionID").nth(1).unwrap().split(['>', '<']).nth(1).unwrap();
        let suffix = transaction.strip_prefix(outbound.transaction_id.as_str()).unwrap().to_owned();
        requests.push((suffix, xml.matches("<Number>").count()));
    }
    requests.sort();
    (outcomes, requests)
}

const FIVE: [&str; 5] = ["+15555550101", "+15555550102", "+15555550103", "+15555550104", "+15555550105"];

fn success() -> Reply {
    Reply::Say("200 OK", "", submit_rsp("{tx}", 1000, "m-{tx}", ""))
}

fn requests(list: &[(&str, usize)]) -> Vec<(String, usize)> {
    list.iter().map(|(suffix, count)| ((*suffix).to_owned(), *count)).collect()
}

#[tokio::test]
async fn a_limit_of_numbers_makes_several_requests() {
    let (outcomes, made) = sent(&outbound(&FIVE), "[dialect]\nmax_recipients = 2\n", success()).await;
    assert_eq!(outcomes, [(2, true), (2, true), (1, true)]);
    assert_eq!(made, requests(&[(".b1", 2), (".b2", 2), (".b3", 1)]));
    let (outcomes, made) = sent(&outbound(&FIVE), "[dialect]\nmax_recipients = 5\n", success()).await;
    assert_eq!((outcomes, made), (vec![(0, true)], requests(&[("", 5)])));
    let (_, made) = sent(&outbound(&FIVE[..1]), "", success()).await;
    assert_eq!(made, requests(&[("", 1)]));
}

#[tokio::test]
async fn a_retransmission_repeats_the_transaction_of_each_number() {
    let mut again = outbound(&FIVE);
    again.recipients.drain(..3);
    let (outcomes, made) = sent(&again, "[dialect]\nmax_recipients = 2\n", success()).await;
    assert_eq!(outcomes, [(1, true), (1, true)]);
    assert_eq!(made, requests(&[(".b2", 1), (".b3", 1)]));
    let (_, made) = sent(&again, "[dialect]\nmax_recipients = 1\n", success()).await;
    assert_eq!(made, requests(&[(".4", 1), (".5", 1)]));
}

#[tokio::test]
async fn an_mmsc_that_takes_one_number_only_is_asked_number_by_number_from_then_on() {
    let mut mmsc = Mmsc::start(Reply::Say("200 OK", "", submit_rsp("{tx}", 3003, "", ""))).await;
    let gateway = mmsc.gateway("");
    let message = outbound(&FIVE);
    for round in [6, 5] {
        let verdict = gateway.send(&message).await;
        assert_eq!(verdict.outcomes.len(), 5, "each number has an outcome of its own");
        let named: HashSet<_> = verdict.outcomes.iter().flat_map(|outcome| &outcome.recipients).collect();
        assert_eq!(named.len(), 5);
        let mut made = 0;
        while mmsc.posted.try_recv().is_ok() {
            made += 1;
        }
        assert_eq!(made, round, "the whole is asked once, and never again");
    }
    let one = gateway.send(&outbound(&FIVE[..1])).await;
    assert!(matches!(one.outcomes[0].delivery, Delivery::Fail { .. }), "a lone number is not split");
}

#[tokio::test]
async fn a_preview_is_what_goes_out_octet_for_octet() {
    for dialect in [
        "username = 'u'\npassword = 'p'\n[dialect]\nextra_headers = { X-Mblox-Carrier-Id = '7' }\n",
        "[dialect]\nmax_recipients = 2\ncontent_layout = 'flat'\ncharset = 'euc-kr'\nsoap_action = '{namespace}'\n",
    ] {
        let mut mmsc = Mmsc::start(success()).await;
        let gateway = mmsc.gateway(dialect);
        let message = outbound_with_everything();
        let previews = gateway.preview(&message).await.unwrap();
        gateway.send(&message).await;
        let mut posted = Vec::new();
        while let Ok(post) = mmsc.posted.try_recv() {
            let shown = |line: &str| match line.starts_with("Authorization: ") {
                true => "Authorization: (hidden)".to_owned(),
                false => line.to_owned(),
            };
            let head: Vec<String> = post.head.split("\r\n").map(shown).collect();
            posted.push((head.join("\r\n"), post.body));
        }
        posted.sort();
        let mut shown: Vec<_> = previews.into_iter().map(|preview| (preview.head, preview.body)).collect();
        shown.sort();
        assert!(!shown.is_empty());
        for ((head, body), (shown_head, shown_body)) in posted.iter().zip(&shown) {
            assert_eq!((head, body == shown_body), (shown_head, true));
        }
        assert_eq!(posted.len(), shown.len());
    }
}
