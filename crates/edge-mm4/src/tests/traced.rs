//! What people see who watch the conversation of a carrier with the receiver.

use std::time::Duration;

use mmsgw_engine::{Speaker, Watch, Watched};

use super::receiving::{EAST, House, SENDER, delivery_report, house};

fn watched(house: &House, group: &str) -> Watch {
    let what = Watched::Group(group.parse().unwrap());
    house.engine.wiretap().begin(what, Duration::from_secs(600)).unwrap()
}

/// What was noted: who, and the first line of what.
fn noted(house: &House, watch: &Watch) -> Vec<String> {
    let (_, said) = house.engine.wiretap().read(watch.id, 0, 100).unwrap();
    let mark = |by| match by {
        Speaker::Us => '>',
        Speaker::Carrier => '<',
        Speaker::Nobody => '*',
    };
    said.iter().map(|s| format!("{} {}", mark(s.by), s.text.lines().next().unwrap_or_default())).collect()
}

fn seen(noted: &[String], expected: &[&str]) {
    let fits = noted.len() == expected.len() && noted.iter().zip(expected).all(|(n, e)| n.starts_with(e));
    assert!(fits, "{noted:#?}");
}

const RECEIVER: &str = "hostname = 'us.example'\nauth_in_clear = true\n[users]\nmmsc = 'secret'\n";

#[tokio::test]
async fn a_conversation_is_noted_line_by_line_without_the_password() {
    let house = house(RECEIVER, &["east", "west"]).await;
    let (east, west) = (watched(&house, "east"), watched(&house, "west"));
    let mut talk = house.greeted().await;
    talk.asks("AUTH PLAIN AG1tc2MAc2VjcmV0", "235").await;
    for _ in 0..2 {
        talk.asks(SENDER, "250").await;
        assert!(noted(&house, &west).is_empty());
        talk.asks(EAST, "250").await;
        talk.asks("DATA", "354").await;
        talk.asks(&format!("{}picture\r\n.", delivery_report()), "250").await;
    }
    let mail = [
        "< MAIL FROM:<system-user@",
        "< RCPT TO:<east-system@",
        "> 250",
        "< DATA",
        "> 354",
        "< X-Mms-3GPP-MMS-Version",
        "< picture",
        "> 250",
    ];
    let first = [
        "* connection from 127.0.0.1:",
        "> 220 us.example",
        "< EHLO mmsc",
        "> 250-us.example",
        "< AUTH PLAIN ***",
        "> 235",
        mail[0],
        "> 250",
    ];
    let all = [&first[..], &mail[1..], &[mail[0], "> 250"], &mail[1..]].concat();
    seen(&noted(&house, &east), &all);
    assert!(noted(&house, &west).is_empty(), "another carrier's");
    let (_, said) = house.engine.wiretap().read(east.id, 0, 100).unwrap();
    assert_ne!(said.first().unwrap().exchange, said.last().unwrap().exchange, "each mail for itself");
}

#[tokio::test]
async fn a_refusal_is_seen_where_the_peer_is_known() {
    let tables = "[peers]\n\"127.0.0.1\" = \"east\"";
    let house = house(tables, &["east", "west"]).await;
    let east = watched(&house, "east");
    let mut talk = house.greeted().await;
    talk.asks(SENDER, "250").await;
    talk.asks("RCPT TO:<victim@mail.example>", "554 5.7.1").await;
    talk.asks("QUIT", "221").await;
    let noted = noted(&house, &east);
    seen(&noted[6..], &["< RCPT TO:<victim@", "> 554 5.7.1", "< QUIT", "> 221"]);
}

#[tokio::test]
async fn a_peer_that_is_not_let_in_is_seen_too() {
    let tables = "allow = ['192.0.2.1']\n[peers]\n\"127.0.0.1\" = \"east\"";
    let house = house(tables, &["east"]).await;
    let east = watched(&house, "east");
    house.talk().await.hears("554").await;
    seen(&noted(&house, &east), &["* connection from 127.0.0.1:", "> 554 5.7.1 not for you"]);
}
