use mmsgw_domain::State;
use mmsgw_engine::Gateway;

use super::*;
use crate::send::tests::{Mmsc, Reply};
use crate::testing::{self, fault, outbound_with_everything};

/// A message that the MMSC took, by these ids.
fn amendment(ids: &[Option<&str>], change: AmendmentKind) -> Amendment {
    let mut message = mmsgw_domain::Message::clone(&outbound_with_everything().message);
    for (recipient, id) in message.recipients.iter_mut().zip(ids) {
        recipient.state = State::Acknowledged;
        recipient.peer_ref = id.map(str::to_owned);
    }
    message.recipients.truncate(ids.len());
    Amendment {
        recipients: message.recipients.clone(),
        message: message.into(),
        change,
        transaction_id: "amend-1".into(),
        now: mmsgw_domain::Timestamp::from_secs(1_700_000_100),
        tap: mmsgw_engine::Tap::default(),
    }
}

fn rsp(name: &str, code: u16) -> String {
    testing::envelope(
        "{tx}",
        &format!(
            "<{name} xmlns=\"{}\"><MM7Version>6.8.0</MM7Version><Status><StatusCode>{code}</StatusCode>\
             <StatusText>so be it</StatusText></Status></{name}>",
            testing::NAMESPACE
        ),
    )
}

async fn mmsc(name: &str, code: u16) -> Mmsc {
    Mmsc::start(Reply::Say("200 OK", "", rsp(name, code))).await
}

fn in_short(verdict: &Verdict) -> Vec<(usize, String)> {
    let short = |outcome: &Outcome| match &outcome.delivery {
        Delivery::Sent { acknowledged, .. } => format!("done {acknowledged}"),
        Delivery::Defer { heard, .. } => format!("again heard={heard}"),
        Delivery::Fail { answer } => {
            format!("never {} {}", answer.code, answer.carrier_status.as_deref().unwrap_or("-"))
        }
    };
    verdict.outcomes.iter().map(|outcome| (outcome.recipients.len(), short(outcome))).collect()
}

#[tokio::test]
async fn every_answer_to_a_cancel_has_its_verdict() {
    for (code, want) in [
        (1000, "done true"),
        (2005, "never 404 2005"),
        (3001, "never 406 3001"),
        (4003, "never 415 4003"),
        (3000, "again heard=true"),
    ] {
        let mut mmsc = mmsc("CancelRsp", code).await;
        let amendment = amendment(&[Some("m-1"), Some("m-1")], AmendmentKind::Withdraw);
        let verdict = mmsc.gateway("# with-ids\n").amend(&amendment).await;
        assert_eq!(in_short(&verdict), [(2, want.to_owned())], "{code}");
        let xml = mmsc.posted.recv().await.unwrap().envelope();
        for element in
            ["<CancelReq ", "<MessageID>m-1</MessageID>", "<VASPID>acct</VASPID>", "<ApplicID>app</ApplicID>"]
        {
            assert!(xml.contains(element), "{element} in {xml}");
        }
    }
    let faulty = Mmsc::start(Reply::Say("500 No", "", fault("{tx}", 4003))).await;
    let verdict = faulty.gateway("").amend(&amendment(&[Some("m")], AmendmentKind::Withdraw)).await;
    assert_eq!(in_short(&verdict), [(1, "never 415 4003".to_owned())]);
    let silent = Mmsc::start(Reply::Silence).await;
    let verdict =
        silent.gateway("timeout = '200ms'\n").amend(&amendment(&[Some("m")], AmendmentKind::Withdraw)).await;
    assert_eq!(in_short(&verdict), [(1, "again heard=false".to_owned())]);
}

#[tokio::test]
async fn each_submission_is_withdrawn_under_a_transaction_of_its_own() {
    let mut mmsc = mmsc("CancelRsp", 1000).await;
    let amendment = amendment(&[Some("m-1"), Some("m-2"), None], AmendmentKind::Withdraw);
    let verdict = mmsc.gateway("").amend(&amendment).await;
    let want = [(1, "never 404 -"), (1, "done true"), (1, "done true")];
    assert_eq!(in_short(&verdict), want.map(|(count, text)| (count, text.to_owned())));
    for (id, transaction) in [("m-1", ">amend-1<"), ("m-2", ">amend-1-1<")] {
        let xml = mmsc.posted.recv().await.unwrap().envelope();
        assert!(xml.contains(&format!(">{id}<")) && xml.contains(transaction), "{xml}");
    }
}

#[tokio::test]
async fn numbers_of_one_id_are_changed_together_or_not_at_all() {
    let mmsc = mmsc("CancelRsp", 1000).await;
    let mut amendment = amendment(&[Some("m-1"), Some("m-1")], AmendmentKind::Withdraw);
    amendment.recipients.pop();
    let verdict = mmsc.gateway("").amend(&amendment).await;
    assert_eq!(in_short(&verdict), [(1, "never 415 -".to_owned())]);
    let mut message = mmsgw_domain::Message::clone(&amendment.message);
    message.recipients[1].state = State::Delivered;
    amendment.message = message.into();
    assert_eq!(in_short(&mmsc.gateway("").amend(&amendment).await), [(1, "done true".to_owned())]);
}

#[tokio::test]
async fn a_replacement_carries_the_new_content() {
    let mut mmsc = mmsc("ReplaceRsp", 1000).await;
    let content = outbound_with_everything().content;
    let amendment = amendment(&[Some("m-1")], AmendmentKind::Replace(content));
    assert_eq!(in_short(&mmsc.gateway("").amend(&amendment).await), [(1, "done true".to_owned())]);
    let posted = mmsc.posted.recv().await.unwrap();
    let xml = posted.envelope();
    for element in [
        "<ReplaceReq ",
        "<MessageID>m-1</MessageID>",
        "<ReadReply>false</ReadReply>",
        "<EarliestDeliveryTime>",
        "<DistributionIndicator>false</DistributionIndicator>",
        "<ContentClass>image-rich</ContentClass>",
        "<DRMContent>true</DRMContent>",
        "href=\"cid:content\"",
    ] {
        assert!(xml.contains(element), "{element} in {xml}");
    }
    assert_eq!(posted.parts().len(), 2);
}

#[tokio::test]
async fn dialects_choose_the_extended_forms_or_none() {
    let extended = "[dialect]\ncancel = 'extended'\nreplace = 'extended'\n";
    let mut mmsc = mmsc("extendedCancelRsp", 1000).await;
    let withdrawal = amendment(&[Some("m-1")], AmendmentKind::Withdraw);
    assert_eq!(in_short(&mmsc.gateway(extended).amend(&withdrawal).await), [(1, "done true".to_owned())]);
    assert!(mmsc.posted.recv().await.unwrap().envelope().contains("<CancelID>m-1</CancelID>"));
    let replacement = amendment(&[Some("m-1")], AmendmentKind::Replace(outbound_with_everything().content));
    mmsc.gateway(extended).amend(&replacement).await;
    let xml = mmsc.posted.recv().await.unwrap().envelope();
    assert!(xml.contains("<extendedReplaceReq ") && xml.contains("<ReplaceID>m-1</ReplaceID>"), "{xml}");
    let none = "[dialect]\ncancel = 'none'\nreplace = 'none'\n";
    for amendment in [withdrawal, replacement] {
        assert_eq!(in_short(&mmsc.gateway(none).amend(&amendment).await), [(1, "never 415 -".to_owned())]);
    }
    assert!(mmsc.posted.try_recv().is_err());
}
