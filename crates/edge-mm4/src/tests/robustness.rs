//! The receiver against peers in great numbers and in bad faith, over real sockets.

use mmsgw_domain::IntakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::fake::wait_for;
use super::receiving::{EAST, SENDER, Talk, delivery_report, house};
use crate::ReceiverSettings;

#[tokio::test]
async fn two_thousand_idle_peers_are_in_nobodys_way() {
    assert!(ReceiverSettings::default().max_connections >= 4_000);
    let house = house("", &["east"]).await;
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        idle.push(house.talk().await);
    }
    for talk in &mut idle {
        talk.hears("220").await;
    }
    let mut working = house.greeted().await;
    for _ in 0..3 {
        working.asks(SENDER, "250").await;
        working.asks(EAST, "250").await;
        working.asks("DATA", "354").await;
        working.asks(&format!("{}.", delivery_report()), "250").await;
    }
    assert_eq!(house.jobs("east").await.len(), 3);
    let (first, last) = (idle.len() - 1, 0);
    for at in [first, last] {
        idle[at].asks("NOOP", "250").await;
    }
}

#[tokio::test]
async fn what_is_offered_can_be_used() {
    let house = house("max_size = 5000", &["east"]).await;
    let mut talk = house.talk().await;
    talk.hears("220").await;
    let offered = talk.asks("EHLO mmsc.peer.example", "250").await;
    for word in ["PIPELINING", "SIZE 5000", "8BITMIME", "CHUNKING", "SMTPUTF8", "ENHANCEDSTATUSCODES"] {
        assert!(offered.contains(word), "{word} in {offered}");
    }
    let mail = delivery_report();
    let (start, end) = mail.split_at(100);
    let utf8 = "MAIL FROM:<grüße@mms.peer.example> BODY=8BITMIME SMTPUTF8 SIZE=600";
    // All of it at once, the chunks too.
    let all = format!("{utf8}\r\n{EAST}\r\nBDAT 100\r\n{start}BDAT {} LAST\r\n{end}NOOP", end.len());
    talk.says(&all).await;
    for _ in 0..5 {
        talk.hears("250").await;
    }
    let jobs = house.jobs("east").await;
    assert_eq!((jobs.len(), &jobs[0].raw[..]), (1, mail.as_bytes()));
}

#[tokio::test]
async fn a_mail_that_is_too_large_is_refused_in_every_way_it_may_come() {
    let house = house("max_size = 2000", &["east"]).await;
    let mut talk = house.greeted().await;
    talk.asks(&format!("{SENDER} SIZE=2001"), "552").await;
    talk.asks(SENDER, "250").await;
    talk.asks(EAST, "250").await;
    talk.asks("DATA", "354").await;
    talk.says(&"filler\r\n".repeat(300)).await;
    talk.asks(".", "552").await;
    talk.asks(SENDER, "250").await;
    talk.asks(EAST, "250").await;
    let chunk = "x".repeat(1_500);
    talk.says(&format!("BDAT 1500\r\n{chunk}BDAT 1500 LAST\r\n{chunk}NOOP")).await;
    talk.hears("250").await;
    talk.hears("552").await;
    talk.hears("250").await;
    talk.asks(SENDER, "250").await;
    assert!(house.jobs("east").await.is_empty());
}

#[tokio::test]
async fn more_mail_than_there_is_memory_for_is_to_come_again() {
    let house = house("mail_memory = '64KiB'", &["east"]).await;
    let begin = async || {
        let mut talk = house.greeted().await;
        talk.asks(SENDER, "250").await;
        talk.asks(EAST, "250").await;
        talk.asks("DATA", "354").await;
        talk
    };
    let mut first = begin().await;
    first.says(&"filler filler filler\r\n".repeat(2_500)).await;
    let mut second = begin().await;
    // Octets on their way are not counted yet; by then the others are.
    let refused = async {
        loop {
            second.stream.write_all(&b"filler filler filler\r\n".repeat(50)).await.unwrap();
            if second.hears_soon().await.is_some_and(|reply| reply.starts_with("421")) {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), refused).await.expect("it is put off");
    first.asks(&format!("{}.", delivery_report()), "250").await;
    let mut third = begin().await;
    third.asks(&format!("{}.", delivery_report()), "250").await;
}

/// An end of a mail that only some servers take for one, and behind it what would be a second mail.
#[tokio::test]
async fn nothing_is_smuggled_behind_a_false_end() {
    for end in [
        &b"\n.\n"[..],
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r\n\0.\r\n",
        b"\n.\r",
        b"\r\r\n.\r\r\n",
    ] {
        let house = house("", &["east"]).await;
        let mut talk = house.greeted().await;
        talk.asks(SENDER, "250").await;
        talk.asks(EAST, "250").await;
        talk.asks("DATA", "354").await;
        let mut octets = delivery_report().into_bytes();
        octets.extend_from_slice(b"first");
        octets.extend_from_slice(end);
        octets.extend_from_slice(
            format!("{SENDER}\r\n{EAST}\r\nDATA\r\n{}smuggled\r\n.\r\n", delivery_report()).as_bytes(),
        );
        talk.stream.write_all(&octets).await.unwrap();
        let reply = talk.hears("").await;
        let jobs = house.jobs("east").await;
        assert!(jobs.len() <= 1, "{end:?} makes two mails");
        for job in &jobs {
            let text = String::from_utf8_lossy(&job.raw);
            assert!(text.contains("first") && text.contains("smuggled"), "{end:?} cuts the mail: {text}");
        }
        assert_eq!(jobs.is_empty(), !reply.starts_with("250"), "{end:?}: {reply}");
    }
}

#[tokio::test]
async fn commands_behind_a_lone_line_feed_are_not_obeyed() {
    let house = house("", &["east"]).await;
    let mut talk = house.greeted().await;
    talk.says(&format!("NOOP\n{SENDER}\n{EAST}\nDATA")).await;
    talk.hears("5").await;
    talk.asks("DATA", "503").await;
}

#[tokio::test]
async fn peers_that_go_away_in_the_middle_leave_nothing_behind() {
    let house = house("max_connections = 3", &["east"]).await;
    for cut in [
        "",
        "EHLO x",
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<",
        "DATA\r\nX-Mms-Message-Type: MM4_forward.RES\r\n",
    ] {
        // One after another, and more of them than may be connected at once.
        for _ in 0..3 {
            let mut talk = house.greeted().await;
            talk.asks(SENDER, "250").await;
            talk.asks(EAST, "250").await;
            talk.stream.write_all(cut.as_bytes()).await.unwrap();
            drop(talk);
        }
    }
    // Half open: we may still speak, the peer will not.
    let stream = TcpStream::connect(house.address).await.unwrap();
    let mut half = Talk::over(stream);
    half.hears("220").await;
    half.stream.shutdown().await.unwrap();
    assert!(half.is_closed().await);
    let mut talk = house.greeted().await;
    talk.asks("NOOP", "250").await;
    assert!(house.jobs("east").await.is_empty());
    wait_for("connections that end", || house.drain.tasks() <= 2).await;
}

#[tokio::test]
async fn recipients_change_nothing_about_the_sender() {
    let house = house("", &["east", "west"]).await;
    for sender in ["", "nobody", "+15555550101/TYPE=PLMN@mms.peer.example"] {
        let mut talk = house.greeted().await;
        let reply = talk.asks(&format!("MAIL FROM:<{sender}>"), "").await;
        if reply.starts_with('5') {
            assert_eq!(sender, "nobody", "{reply}");
            continue;
        }
        talk.asks("RCPT TO:<+15555550102/TYPE=PLMN@elsewhere.example>", "5").await;
        talk.asks(EAST, "250").await;
        talk.asks("DATA", "354").await;
        talk.asks(&format!("{}.", delivery_report()), "250").await;
        let jobs = house.jobs("east").await;
        let IntakeKind::Mail { mail_from, rcpt_to } = &jobs.last().unwrap().kind else {
            panic!("{:?}", jobs.last())
        };
        assert_eq!((mail_from.as_str(), rcpt_to.len()), (sender, 1));
    }
}

#[tokio::test]
async fn a_peer_has_its_connections_and_its_mails_in_a_second() {
    let house =
        house("max_connections = 10\nmax_connections_per_peer = 2\nmails_per_second = 0.01", &["east"]).await;
    let mut first = house.greeted().await;
    let mut second = house.talk().await;
    second.hears("220").await;
    for _ in 0..20 {
        let mut third = house.talk().await;
        third.hears("421").await;
        assert!(third.is_closed().await);
    }
    first.asks(SENDER, "250").await;
    first.asks(EAST, "250").await;
    first.asks("DATA", "354").await;
    first.asks(&format!("{}.", delivery_report()), "250").await;
    // Both are one peer; the session goes on.
    second.asks("EHLO mmsc.peer.example", "250").await;
    for talk in [&mut first, &mut second] {
        talk.asks(SENDER, "450").await;
        talk.asks(EAST, "503").await;
        talk.asks("NOOP", "250").await;
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut other = Talk::over(socket.connect(house.address).await.unwrap());
    other.hears("220").await;
    other.asks("EHLO mmsc.peer.example", "250").await;
    other.asks(SENDER, "250").await;
    assert_eq!(house.jobs("east").await.len(), 1);
}
