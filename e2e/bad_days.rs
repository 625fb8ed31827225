//! Carriers on their bad days. Whatever they do, each message reaches the documented end, and what was not heard
//! is said again under the same transaction id.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::rig::{MediaServer, World, codes, picture, text, wait_until};

/// Time-outs and hold-offs that suit a test.
const HASTY_MM7: &str = "[outbound]\ntimeout = '2s'\nconnect_timeout = '2s'\n";
const HASTY_MM4: &str = "[outbound]\ntimeout = '2s'\n";

async fn hasty() -> World {
    World::start("", HASTY_MM7, HASTY_MM4).await
}

/// How a message ends, and what the carrier saw of it.
struct Ending {
    state: &'static str,
    code: &'static str,
    /// The carrier's word in the last event.
    said: Option<&'static str>,
    /// Transactions that the carrier saw.
    transactions: usize,
    /// Tries that the carrier saw.
    tries: usize,
}

fn end(state: &'static str, code: &'static str, said: Option<&'static str>, seen: (usize, usize)) -> Ending {
    Ending { state, code, said, transactions: seen.0, tries: seen.1 }
}

async fn assert_ends(world: &World, gateway: &str, name: &str, script: &str, ending: &Ending) {
    // Each case counts its own first attempts.
    world.carrier.clear();
    world.script(script);
    let subject = format!("{gateway} {name}");
    let id = world.api.send_text(gateway, &subject, &["+15555550102"]).await;
    let message = world.api.reaches(&id, &[ending.state]).await;
    let told = codes(&message);
    assert!(
        told.contains(&(ending.state.to_owned(), ending.code.to_owned())),
        "{name}: {}",
        message["events"]
    );
    let last = message["events"].as_array().unwrap().last().unwrap();
    if ending.state == "FAILED" {
        assert_eq!(last["carrier_status"].as_str(), ending.said, "{name}: {last}");
        assert!(!text(last, "description").is_empty(), "{name}");
        world.application.hears(&id, "gateway", "FAILED").await;
    }
    let received = world.received(&subject);
    let transactions: BTreeSet<&str> = received.iter().map(|r| r.transaction_id.as_str()).collect();
    assert_eq!(transactions.len(), ending.transactions, "{name}");
    // A report may overtake the next try of a message whose answer was lost, and spare it.
    let spared = usize::from(ending.state == "READ" && ending.tries > 1);
    let tries = ending.tries - spared..=ending.tries;
    assert!(tries.contains(&received.len()), "{name}: {} tries", received.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn mm7_answers_of_every_kind() {
    let world = hasty().await;
    let first = |answer: &str, tries: u32| format!("[mm7]\nanswer = {answer}\nfail_first = {tries}\n");
    let always = |answer: &str| format!("[mm7]\nanswer = {answer}\n");
    for (name, script, ending) in [
        ("all is well", first("{ kind = 'status', code = 1000 }", 1), end("READ", "200", None, (1, 1))),
        (
            "3000 to the end",
            always("{ kind = 'status', code = 3000 }"),
            end("FAILED", "500", Some("3000"), (4, 4)),
        ),
        ("2002", always("{ kind = 'status', code = 2002 }"), end("FAILED", "404", Some("2002"), (1, 1))),
        (
            "a fault with 200",
            always("{ kind = 'fault', code = 2001, http = 200 }"),
            end("FAILED", "406", Some("2001"), (1, 1)),
        ),
        (
            "a fault with 500",
            always("{ kind = 'fault', code = 2000 }"),
            end("FAILED", "400", Some("2000"), (1, 1)),
        ),
        (
            "a fault that may pass",
            always("{ kind = 'fault', code = 4000, http = 200 }"),
            end("FAILED", "500", Some("4000"), (4, 4)),
        ),
        ("html with 200", always("{ kind = 'html', http = 200 }"), end("FAILED", "500", None, (1, 4))),
        (
            "html with 404",
            always("{ kind = 'html', http = 404 }"),
            end("FAILED", "406", Some("HTTP 404"), (1, 1)),
        ),
        (
            "html with 502",
            always("{ kind = 'html', http = 502 }"),
            end("FAILED", "500", Some("HTTP 502"), (1, 4)),
        ),
        ("nothing with 200", always("{ kind = 'empty' }"), end("FAILED", "500", None, (1, 4))),
        ("garbage, then well", first("{ kind = 'garbage' }", 2), end("READ", "200", None, (1, 3))),
        (
            "reset after reading, then well",
            first("{ kind = 'disconnect', at = 'after_reading' }", 1),
            end("READ", "200", None, (1, 2)),
        ),
        (
            "reset in the answer, then well",
            first("{ kind = 'disconnect', at = 'mid_answer' }", 1),
            end("READ", "200", None, (1, 2)),
        ),
        ("silence, then well", first("{ kind = 'hang' }", 1), end("READ", "200", None, (1, 2))),
        (
            "slow but steady",
            "[mm7]\ndrip_octets_per_second = 2000\n".into(),
            end("READ", "200", None, (1, 1)),
        ),
        (
            "so slow that time is over",
            "[mm7]\ndrip_octets_per_second = 20\n".into(),
            end("FAILED", "500", None, (1, 4)),
        ),
    ] {
        assert_ends(&world, "mm7", name, &script, &ending).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_patience_gets_it() {
    let world = hasty().await;
    for gateway in ["mm7", "mm4"] {
        world.script(
            "[mm7]\nanswer = { kind = 'status', code = 4006 }\n\
             [mm4]\nanswer = { kind = 'reply', at = 'end_of_data', code = 421 }\n",
        );
        let subject = format!("busy {gateway}");
        let id = world.api.send_text(gateway, &subject, &["+15555550102"]).await;
        // More tries than max_tries: who asks for patience is asked until the message's time is over.
        let what = format!("seven tries over {gateway}");
        let tries =
            wait_until(&what, async || Some(world.received(&subject)).filter(|received| received.len() >= 7))
                .await;
        let transactions: BTreeSet<&str> = tries.iter().map(|r| r.transaction_id.as_str()).collect();
        assert_eq!(transactions.len(), tries.len(), "what was answered is not repeated, it is asked anew");
        assert_eq!(text(&world.api.message(&id).await, "state"), "SCHEDULED");
        world.script("");
        world.api.reaches(&id, &["READ"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_time_is_over_expires() {
    let world = hasty().await;
    world.script(
        "[mm7]\nanswer = { kind = 'status', code = 4006 }\n[mm4]\n\
                  answer = { kind = 'reply', at = 'mail', code = 451 }\n",
    );
    for gateway in ["mm7", "mm4"] {
        let letter = json!({"origin": "54321", "subject": "in time", "expire_after": 2,
            "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "x"}],
            "send": {"destination": "+15555550102", "gateway": gateway}});
        let id = world.api.send(&letter).await;
        let message = world.api.reaches(&id, &["EXPIRED"]).await;
        assert_eq!(codes(&message).pop().unwrap(), ("EXPIRED".into(), "408".into()));
        world.application.hears(&id, "gateway", "EXPIRED").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_is_down_comes_back_and_nothing_is_lost() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    drop(silent);
    let down = |url: &str| {
        format!("[outbound]\nremote_host = '{url}'\n[gateway]\nmax_tries = 1000\nretry_delays = ['300ms']\n")
    };
    let world = World::start("", &down(&format!("http://{address}/mm7")), &down(&address.to_string())).await;
    let mut ids = Vec::new();
    for gateway in ["mm7", "mm4"] {
        for n in 0..10 {
            ids.push((gateway, world.api.send_text(gateway, &format!("mail {n}"), &["+15555550102"]).await));
        }
    }
    wait_until("a try", async || world.gateway.log().contains("put off").then_some(())).await;
    for (_, id) in &ids {
        assert_eq!(text(&world.api.message(id).await, "state"), "SCHEDULED");
    }
    let mut config = mmsgw_mmsc_sim::SimConfig { mm7_listen: address, ..Default::default() };
    let targets = mmsgw_mmsc_sim::Targets {
        mm7_report_url: Some(format!(
            "http://{}/mmsgw/v1/mms/inbound/mm7",
            world.gateway.awaited("HTTP for carriers")
        )),
        mm4_report_addr: Some(world.gateway.awaited("SMTP for carriers")),
    };
    config.mm7_report_url.clone_from(&targets.mm7_report_url);
    config.mm4_report_addr.clone_from(&targets.mm4_report_addr);
    let back = mmsgw_mmsc_sim::Simulator::start(config.clone()).await.unwrap();
    for (_, id) in ids.iter().filter(|(gateway, _)| *gateway == "mm7") {
        world.api.reaches(id, &["READ"]).await;
    }
    assert_eq!(back.counts().duplicates, 0);
    back.shutdown().await;
    let config =
        mmsgw_mmsc_sim::SimConfig { mm4_listen: address, mm7_listen: ([127, 0, 0, 1], 0).into(), ..config };
    let back = mmsgw_mmsc_sim::Simulator::start(config).await.unwrap();
    for (_, id) in ids.iter().filter(|(gateway, _)| *gateway == "mm4") {
        world.api.reaches(id, &["READ"]).await;
    }
    assert_eq!(back.counts().duplicates, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mm4_replies_at_every_stage() {
    let world = hasty().await;
    let reply = |at: &str, code: u16, first: &str| {
        format!("[mm4]\nanswer = {{ kind = 'reply', at = '{at}', code = {code}, text = 'no' }}\n{first}")
    };
    let odd = |kind: &str, at: &str| {
        format!("[mm4]\nanswer = {{ kind = '{kind}', at = '{at}' }}\nfail_first = 1\n")
    };
    let once = "fail_first = 1\n";
    for (name, script, ending) in [
        ("452 at mail", reply("mail", 452, once), end("READ", "200", None, (1, 1))),
        ("550 at mail", reply("mail", 550, ""), end("FAILED", "404", Some("550"), (0, 0))),
        ("554 at mail", reply("mail", 554, ""), end("FAILED", "406", Some("554"), (0, 0))),
        ("450 at rcpt", reply("rcpt", 450, once), end("READ", "200", None, (1, 1))),
        ("550 at rcpt", reply("rcpt", 550, ""), end("FAILED", "404", Some("550"), (0, 0))),
        ("451 at data", reply("data", 451, once), end("READ", "200", None, (1, 1))),
        ("552 at data", reply("data", 552, ""), end("FAILED", "415", Some("552"), (0, 0))),
        ("421 at mail", reply("mail", 421, once), end("READ", "200", None, (1, 1))),
        ("454 to the end", reply("end_of_data", 454, ""), end("FAILED", "410", Some("454"), (4, 4))),
        ("554 at the end", reply("end_of_data", 554, ""), end("FAILED", "406", Some("554"), (1, 1))),
        ("end after the dot", odd("disconnect", "end_of_data"), end("READ", "200", None, (1, 2))),
        ("end within the data", odd("disconnect", "mid_data"), end("READ", "200", None, (1, 1))),
        ("garbage after the dot", odd("garbage", "end_of_data"), end("READ", "200", None, (1, 2))),
        ("silence after the dot", odd("hang", "end_of_data"), end("READ", "200", None, (1, 2))),
        (
            "slow after the dot",
            "[mm4]\ndrip_octets_per_second = 200\n".into(),
            end("READ", "200", None, (1, 1)),
        ),
    ] {
        assert_ends(&world, "mm4", name, &script, &ending).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mm4_sessions_that_do_not_begin() {
    // With one mail for each connection every message has to begin a session.
    let alone = "[outbound]\ntimeout = '1s'\nmax_mails_per_connection = 1\n";
    for (name, answer) in [
        ("garbage as greeting", "{ kind = 'garbage', at = 'connect' }"),
        ("554 as greeting", "{ kind = 'reply', at = 'connect', code = 554, text = 'go away' }"),
        ("421 as greeting", "{ kind = 'reply', at = 'connect', code = 421, text = 'busy' }"),
        ("no greeting", "{ kind = 'hang', at = 'connect' }"),
        ("end at EHLO", "{ kind = 'disconnect', at = 'ehlo' }"),
    ] {
        let world = World::start("", "", alone).await;
        let script = format!("[mm4]\nanswer = {answer}\nfail_first = 2\n");
        assert_ends(&world, "mm4", name, &script, &end("READ", "200", None, (1, 1))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_one_message_have_their_own_fates() {
    let world = hasty().await;
    world.script(
        "[[rules]]\nrecipient = '+15555550103'\n[rules.mm4]\nanswer = { kind = 'reply', at = 'rcpt', code = 550 }\n\
         [rules.mm7]\ndelivery = { status = 'Rejected' }\nread = { send = 'never' }\n\
         [[rules]]\nrecipient = '+15555550104'\n[rules.mm4]\nanswer = { kind = 'reply', at = 'rcpt', code = 450 }\n\
         fail_first = 1\n[rules.mm7]\ndelivery = { status = 'Expired' }\nread = { send = 'never' }\n",
    );
    for (gateway, fates) in [("mm4", ["READ", "FAILED", "READ"]), ("mm7", ["READ", "REJECTED", "EXPIRED"])] {
        let numbers = ["+15555550102", "+15555550103", "+15555550104"];
        let id = world.api.send_text(gateway, "fates", &numbers).await;
        let states = |message: &Value| -> Vec<String> {
            let recipients = message["recipients"].as_array().unwrap();
            recipients.iter().map(|r| text(r, "state").to_owned()).collect()
        };
        let mut seen = Vec::new();
        wait_until(&format!("{fates:?} over {gateway}"), async || {
            let message = world.api.message(&id).await;
            let now = states(&message);
            if now != seen {
                eprintln!("{now:?} {}", message["events"]);
                seen.clone_from(&now);
            }
            (now == fates).then_some(())
        })
        .await;
    }
    for mail in world.received("fates") {
        assert!(
            mail.protocol != mmsgw_mmsc_sim::Protocol::Mm4
                || !mail.rcpt_to.iter().any(|r| r.contains("0103"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_every_kind_and_in_any_order() {
    let world = hasty().await;
    world.script("[mm7]\ndelivery = { at_once = true, copies = 3 }\nread = { at_once = true, copies = 2 }\n\
                  [mm4]\nread = { delay = { min_ms = 0 }, copies = 3 }\ndelivery = { delay = { min_ms = 400 } }\n\
                  res = { delay = { min_ms = 800 }, copies = 2 }\n");
    for gateway in ["mm7", "mm4"] {
        let id = world.api.send_text(gateway, "any order", &["+15555550102"]).await;
        let message = world.api.reaches(&id, &["READ"]).await;
        assert_eq!(text(&message["recipients"][0], "state"), "READ");
        for state in ["SENT", "ACKNOWLEDGED", "DELIVERED", "READ"] {
            world.application.hears(&id, "gateway", state).await;
        }
        let message = world.api.message(&id).await;
        assert_eq!((text(&message, "state"), codes(&message).len()), ("READ", 5), "{}", message["events"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_that_cannot_be_had_end_in_failure() {
    let gone = MediaServer::start("text/html", picture(10, 1));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let main = "[media]\nallow_networks = ['127.0.0.0/8']\nmax_size = '20KB'\ntimeout = '2s'\n";
    let world = World::start(main, "", "").await;
    let large = MediaServer::start("image/jpeg", picture(30_000, 1));
    for (url, code) in [
        (format!("{}/nowhere", gone.url), "404"),
        (gone.url.clone(), "415"),
        (large.url.clone(), "415"),
        (format!("http://{closed}/a.jpg"), "500"),
    ] {
        for gateway in ["mm7", "mm4"] {
            let id = world
                .api
                .send(&json!({"origin": "54321", "subject": "never sent",
                    "parts": [{"name": "a.jpg", "content_type": "image/jpeg", "content_url": url}],
                    "send": {"destination": "+15555550102", "gateway": gateway}}))
                .await;
            let message = world.api.reaches(&id, &["FAILED"]).await;
            assert_eq!(
                codes(&message).pop().unwrap(),
                ("FAILED".into(), code.into()),
                "{url}: {}",
                message["events"]
            );
            world.application.hears(&id, "gateway", "FAILED").await;
        }
    }
    assert!(world.carrier.received().is_empty());
}
