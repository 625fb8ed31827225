//! Reports on messages to many numbers: all are recorded soon, and what a carrier wants once more is sent
//! again to just those numbers.

use std::time::Instant;

use serde_json::Value;

use crate::rig::{World, text, wait_until};

fn in_state(message: &Value, state: &str) -> usize {
    let recipients = message["recipients"].as_array().unwrap();
    recipients.iter().filter(|r| text(r, "state") == state).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_reports_on_one_message_are_recorded_soon() {
    let world = World::start("", "", "").await;
    let numbers: Vec<String> = (0..250).map(|n| format!("+1555557{n:04}")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let start = Instant::now();
    let id = world.api.send_text("mm4", "to many", &numbers).await;
    let message = wait_until("every number to be READ", async || {
        let message = world.api.message(&id).await;
        (in_state(&message, "READ") == numbers.len()).then_some(message)
    })
    .await;
    println!("500 reports on 250 numbers: {:.1} s", start.elapsed().as_secs_f64());
    let told = |state: &str| {
        message["events"].as_array().unwrap().iter().filter(|e| text(e, "state") == state).count()
    };
    assert_eq!((told("DELIVERED"), told("READ")), (250, 250));
    wait_until("every event at the application", async || {
        (world.told(&id, "gateway").len() == message["events"].as_array().unwrap().len()).then_some(())
    })
    .await;
    println!("and told: {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(world.carrier.counts().reports_failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_carrier_wants_once_more_goes_out_again_to_those_numbers() {
    let world = World::start("", "", "dialect.recipients_per_mail = 2\n").await;
    let numbers = ["+15555550102", "+15555550103", "+15555550104", "+15555550105"];
    world.script(
        "[[rules]]\nrecipient = '+15555550104'\nmm4 = { res = { status = 'Error-network-problem', text = 'try later' } }\n",
    );
    let id = world.api.send_text("mm4", "once more", &numbers).await;
    let events = async || world.api.message(&id).await["events"].as_array().unwrap().clone();
    let wish = wait_until("the carrier's wish", async || {
        events().await.into_iter().find(|e| text(e, "carrier_status") == "Error-network-problem")
    })
    .await;
    assert_eq!((text(&wish, "state"), text(&wish, "code")), ("SCHEDULED", "410"), "{wish}");
    assert_eq!(text(&wish, "destinations"), "+15555550104");
    assert_eq!(text(&wish, "description"), "the carrier wants it once more: try later");
    world.script("");
    let message = world.api.reaches(&id, &["READ"]).await;
    assert_eq!(in_state(&message, "READ"), 4, "{message:#}");
    let mails = world.received("once more");
    let mut transactions: Vec<&str> = mails.iter().map(|mail| mail.transaction_id.as_str()).collect();
    transactions.sort_unstable();
    transactions.dedup();
    assert_eq!(transactions.len(), mails.len(), "a new round has a new Transaction-ID: {transactions:?}");
    let to =
        |number: &str| mails.iter().filter(|m| m.rcpt_to.iter().any(|to| to.starts_with(number))).count();
    let [once_more, others @ ..] = ["+15555550104", "+15555550102", "+15555550103", "+15555550105"];
    assert!(to(once_more) > 1, "{transactions:?}");
    assert_eq!(others.map(to), [1; 3], "{transactions:?}");
    assert!(mails.iter().all(|mail| mail.message_id == mails[0].message_id));
}
