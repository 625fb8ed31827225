//! The sender against a scripted server, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{Code, InstanceId, Span};
use mmsgw_engine::{Answer, Delivery, Gateway, Scales, Verdict};
use mmsgw_mime::Limits;
use mmsgw_mm4::Pdu;
use mmsgw_net::{Alpn, ClientTlsSettings, ServerTls, ServerTlsSettings};

use super::fake::{Act, Fake, LONG, Manner, wait_for};
use super::{message, outbound, part, sample, settings};
use crate::config::{Mm4Settings, SecureConnection};
use crate::translate::Translator;
use crate::{Mm4Gateway, Mm4Scales, StartError};

const ONE: &[&str] = &["+15555550102"];

fn settings_for(fake: &Fake) -> Mm4Settings {
    let mut settings = settings();
    settings.outbound.remote_host = fake.address.to_string();
    settings.outbound.remote_domain = Some("mms.peer.example".into());
    settings
}

fn instance() -> InstanceId {
    InstanceId::new(&"carrier".parse().unwrap(), "gw1", "host", 1)
}

fn gateway(fake: &Fake, change: impl FnOnce(&mut Mm4Settings)) -> Mm4Gateway {
    let mut settings = settings_for(fake);
    change(&mut settings);
    Mm4Gateway::new(&settings, instance()).unwrap()
}

/// What became of a message to one number.
async fn send(gateway: &Mm4Gateway) -> Delivery {
    only(gateway.send(&sample(ONE)).await)
}

fn only(verdict: Verdict) -> Delivery {
    let [outcome] = <[_; 1]>::try_from(verdict.outcomes).unwrap();
    assert!(outcome.recipients.is_empty());
    outcome.delivery
}

fn is_sent(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Sent { acknowledged: false, .. })
}

#[tokio::test]
async fn a_preview_is_what_goes_out_octet_for_octet() {
    let fake = Fake::usual().await;
    let gateway = gateway(&fake, |s| s.dialect.one_recipient_per_mail = true);
    let message = sample(&["+15555550102", "15555550103", "54322"]);
    gateway.send(&message).await;
    let previews = gateway.preview(&message).await.unwrap();
    let mut shown: Vec<_> = previews.into_iter().map(|preview| preview.mail).collect();
    let mut mails = fake.mails.lock().clone();
    mails.sort();
    shown.sort();
    assert_eq!((mails.len(), mails), (3, shown));
}

#[tokio::test]
async fn a_mail_reads_back_as_the_request_that_was_sent() {
    for extensions in [&["PIPELINING"][..], &[], &["PIPELINING", "CHUNKING", "SIZE 1000000"]] {
        let fake = Fake::with(Manner { extensions, ..Manner::default() }, |_, _| None).await;
        let settings = {
            let mut settings = settings_for(&fake);
            settings.outbound.chunking = true;
            settings
        };
        let gateway = Mm4Gateway::new(&settings, instance()).unwrap();
        let outbound = sample(&["+15555550102", "15555550103"]);
        let Delivery::Sent { peer_ref, answer, acknowledged } = only(gateway.send(&outbound).await) else {
            panic!("not sent");
        };
        let id = format!("{}@mms.own.example", outbound.message.id);
        assert_eq!((peer_ref, acknowledged), (Some(id), false));
        assert_eq!(
            answer,
            Answer {
                code: Code::OK,
                carrier_status: Some("250".into()),
                details: None,
                description: "handed to the carrier: taken".into()
            }
        );
        let mail = Bytes::from(fake.mails.lock()[0].clone());
        let received = mmsgw_mm4::read(mail, &Limits::DEFAULT).unwrap();
        let translator = Translator::new(&settings);
        let mut request = translator.request(&outbound, &translator.batches(&outbound)[0]);
        request.head.version = settings.version();
        assert_eq!(received.pdu, Pdu::ForwardReq(Box::new(request)));
        let content = received.content.unwrap();
        assert_eq!(content.parts()[0].text().as_deref(), Some(".dot\r\nhé"));
        assert_eq!(content.parts()[1].body().unwrap()[..], [7; 5_000]);
        let heard = fake.heard.lock();
        let line = |verb: &str| heard.iter().find(|(_, line)| line.starts_with(verb)).unwrap().1.clone();
        assert!(line("MAIL").starts_with("MAIL FROM:<54321/TYPE=PLMN@mms.own.example>"), "{heard:?}");
        assert_eq!(line("RCPT"), "RCPT TO:<+15555550102/TYPE=PLMN@mms.peer.example>");
        assert_eq!(extensions.len() > 1, heard.iter().any(|(_, line)| line.starts_with("BDAT")));
    }
}

#[tokio::test]
async fn one_connection_carries_many_mails() {
    let fake = Fake::usual().await;
    let gateway = gateway(&fake, |s| s.outbound.max_mails_per_connection = 3);
    for _ in 0..3 {
        assert!(is_sent(&send(&gateway).await));
    }
    assert_eq!(fake.connections(), 1);
    fake.until("QUIT after the third mail", |fake| fake.count("QUIT") == 1).await;
    assert!(is_sent(&send(&gateway).await));
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn many_in_flight_share_a_bounded_number_of_connections() {
    let fake = Fake::start(|_, line| {
        (line == "<body>").then_some(Act::Later(Duration::from_millis(20), "250 taken"))
    })
    .await;
    let gateway = Arc::new(gateway(&fake, |s| s.outbound.connections = Some(4)));
    let all = (0..40).map(|_| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move { send(&gateway).await })
    });
    for sent in futures_util::future::join_all(all).await {
        assert!(is_sent(&sent.unwrap()));
    }
    assert_eq!((fake.connections(), fake.most.load(Ordering::SeqCst)), (4, 4));
    assert_eq!(fake.mails.lock().len(), 40);
    assert_eq!(gateway.idle_connections(), 4);
}

#[tokio::test]
async fn one_encoding_serves_all_messages_of_a_revision() {
    let fake = Fake::usual().await;
    let gateway = gateway(&fake, |_| ());
    let first = sample(ONE);
    let mut second = first.clone();
    second.message = Arc::new(message(ONE));
    second.transaction_id = second.message.transaction_id();
    assert!(is_sent(&only(gateway.send(&first).await)) && is_sent(&only(gateway.send(&second).await)));
    let mails = fake.mails.lock();
    let (head, body): (Vec<_>, Vec<_>) = mails
        .iter()
        .map(|mail| {
            let end = mail.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            (mail[..end].to_vec(), mail[end..].to_vec())
        })
        .unzip();
    assert_eq!(body[0], body[1]);
    assert_ne!(head[0], head[1]);
}

#[tokio::test]
async fn each_number_has_its_own_answer() {
    let fake = Fake::start(|_, line| match line {
        _ if line.contains("0103") => Some(Act::Say("550 5.1.1 nobody")),
        _ if line.contains("0104") => Some(Act::Say("452 4.2.2 full")),
        _ => None,
    })
    .await;
    let outbound = sample(&["+15555550102", "+15555550103", "+15555550104"]);
    let verdict = gateway(&fake, |_| ()).send(&outbound).await;
    let told: Vec<(&str, &Delivery)> =
        verdict.outcomes.iter().map(|o| (o.recipients[0].as_str(), &o.delivery)).collect();
    assert!(matches!(told[0], ("+15555550102", Delivery::Sent { .. })));
    assert!(matches!(told[1], ("+15555550103", Delivery::Fail { answer }) if answer.code == Code::UNKNOWN));
    assert!(matches!(told[2], ("+15555550104", Delivery::Defer { later: true, heard: true, .. })));
    assert_eq!(fake.mails.lock().len(), 1);
}

#[tokio::test]
async fn refusals_at_each_stage() {
    for pipelining in [true, false] {
        for stage in ["MAIL", "RCPT", "DATA", "<body>"] {
            for (reply, final_code) in
                [("451 4.3.0 later", None), ("454 not now", None), ("554 5.7.1 never", Some(Code::REFUSED))]
            {
                let fake =
                    Fake::start(move |_, line| line.starts_with(stage).then_some(Act::Say(reply))).await;
                let gateway = gateway(&fake, |s| s.outbound.pipelining = pipelining);
                let delivery = send(&gateway).await;
                match final_code {
                    Some(code) => {
                        assert!(
                            matches!(&delivery, Delivery::Fail { answer } if answer.code == code),
                            "{stage}"
                        );
                    }
                    None => {
                        let patience = reply.starts_with("451");
                        let Delivery::Defer { later, heard, .. } = delivery else {
                            panic!("{stage}: {delivery:?}")
                        };
                        assert_eq!((later, heard), (patience, true), "{stage} {reply}");
                    }
                }
                assert_eq!(gateway.idle_connections(), 1, "a refusal costs no connection: {stage} {reply}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_lost_at_any_stage_is_unheard() {
    for stage in ["<connect>", "EHLO", "MAIL", "RCPT", "DATA", "<body>"] {
        let fake = Fake::start(move |_, line| line.starts_with(stage).then_some(Act::Close)).await;
        let gateway = gateway(&fake, |_| ());
        let delivery = send(&gateway).await;
        assert!(
            matches!(delivery, Delivery::Defer { heard: false, later: false, .. }),
            "{stage}: {delivery:?}"
        );
        assert_eq!((fake.connections(), gateway.idle_connections()), (1, 0), "{stage}");
    }
}

#[tokio::test]
async fn a_server_that_keeps_silent_is_given_up() {
    for stage in ["<connect>", "EHLO", "MAIL", "DATA", "<body>"] {
        let fake = Fake::start(move |_, line| line.starts_with(stage).then_some(Act::Silence)).await;
        let gateway = gateway(&fake, |s| {
            s.outbound.timeout.command = Span(Duration::from_millis(150));
            s.outbound.timeout.data = Span(Duration::from_millis(150));
        });
        let delivery = tokio::time::timeout(LONG, send(&gateway)).await.unwrap();
        let Delivery::Defer { answer, heard: false, .. } = delivery else { panic!("{stage}: {delivery:?}") };
        assert!(answer.description.contains("no answer in time"), "{}", answer.description);
    }
}

#[tokio::test]
async fn garbage_and_refused_sessions_are_put_off_unheard() {
    for (stage, said, later) in [
        ("<connect>", "HTTP/1.1 400 Bad Request", false),
        ("EHLO", "what?", false),
        ("MAIL", "\u{fffd}\u{fffd}\u{fffd}", false),
        ("<body>", "999 odd", false),
        ("<connect>", "421 4.3.2 busy", true),
        ("<connect>", "554 5.7.1 not you", true),
    ] {
        let fake = Fake::start(move |_, line| line.starts_with(stage).then_some(Act::Say(said))).await;
        let delivery = send(&gateway(&fake, |_| ())).await;
        let Delivery::Defer { later: asked, heard: false, .. } = delivery else {
            panic!("{said}: {delivery:?}")
        };
        assert_eq!(asked, later, "{said}");
    }
}

#[tokio::test]
async fn a_dead_idle_connection_is_replaced_once_and_silently() {
    for act in ["close", "421"] {
        // The first connection takes one mail and is gone when the second one begins.
        let seen = AtomicUsize::new(0);
        let fake = Fake::start(move |connection, line| {
            let first = connection == 0 && line.starts_with("MAIL");
            let again = first && seen.fetch_add(1, Ordering::SeqCst) == 1;
            again.then(|| if act == "close" { Act::Close } else { Act::Say("421 4.4.2 idle for too long") })
        })
        .await;
        let gateway = gateway(&fake, |_| ());
        assert!(is_sent(&send(&gateway).await) && is_sent(&send(&gateway).await), "{act}");
        assert_eq!((fake.connections(), fake.mails.lock().len()), (2, 2), "{act}");
    }
}

#[tokio::test]
async fn a_reused_connection_lost_after_the_mail_was_written_is_in_doubt() {
    let seen = AtomicUsize::new(0);
    let fake = Fake::start(move |_, line| {
        (line == "<body>" && seen.fetch_add(1, Ordering::SeqCst) == 1).then_some(Act::Close)
    })
    .await;
    let gateway = gateway(&fake, |_| ());
    assert!(is_sent(&send(&gateway).await));
    assert!(matches!(send(&gateway).await, Delivery::Defer { heard: false, later: false, .. }));
    assert_eq!(fake.connections(), 1, "a mail in doubt was sent again at once");
}

#[tokio::test]
async fn a_server_that_closes_an_idle_connection_is_noticed() {
    let closing = Fake::start(|_, line| (line == "NOOP").then_some(Act::Close)).await;
    let beating = gateway(&closing, |s| s.outbound.keepalive = Span(Duration::from_millis(50)));
    assert!(is_sent(&send(&beating).await));
    closing.until("a NOOP", |fake| fake.count("NOOP") == 1).await;
    wait_for("the connection to be dropped", || beating.idle_connections() == 0).await;
    assert!(is_sent(&send(&beating).await));
    assert_eq!(closing.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_is_ended_politely() {
    let fake = Fake::usual().await;
    let gateway = gateway(&fake, |s| s.outbound.idle_timeout = Span(Duration::from_millis(100)));
    assert!(is_sent(&send(&gateway).await));
    assert_eq!(gateway.idle_connections(), 1);
    fake.until("QUIT", |fake| fake.count("QUIT") == 1).await;
    assert_eq!(gateway.idle_connections(), 0);
}

#[tokio::test]
async fn nobody_there() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut settings = settings();
    settings.outbound.remote_host = address.to_string();
    let gateway = Mm4Gateway::new(&settings, instance()).unwrap();
    let Delivery::Defer { answer, later: false, heard: false, .. } = send(&gateway).await else {
        panic!("not put off");
    };
    assert!(answer.description.contains(&address.to_string()), "{}", answer.description);
}

#[tokio::test]
async fn one_mail_for_each_number_with_marks_of_their_own() {
    let fake = Fake::start(|_, line| line.contains("0103").then_some(Act::Say("550 nobody"))).await;
    let gateway = gateway(&fake, |s| s.dialect.one_recipient_per_mail = true);
    let outbound = sample(&["+15555550102", "+15555550103"]);
    let verdict = gateway.send(&outbound).await;
    assert_eq!(verdict.outcomes.len(), 2);
    let mail = String::from_utf8(fake.mails.lock()[0].clone()).unwrap();
    let transaction = format!("X-Mms-Transaction-ID: \"{}.15555550102\"", outbound.transaction_id);
    assert!(mail.contains(&transaction), "{mail}");
    assert!(mail.contains("To: +15555550102/TYPE=PLMN, +15555550103/TYPE=PLMN"), "{mail}");
    assert_eq!((fake.mails.lock().len(), fake.count("RCPT")), (1, 2));
}

#[tokio::test]
async fn fixed_recipients_stand_in_for_the_numbers() {
    let fake = Fake::start(|_, line| line.contains("spare").then_some(Act::Say("550 nobody"))).await;
    let gateway = gateway(&fake, |s| {
        s.outbound.recipient_address = vec!["hub@mms.peer.example".into(), "spare@mms.peer.example".into()];
    });
    assert!(is_sent(&only(gateway.send(&sample(&["+15555550102", "+15555550103"])).await)));
    let heard = fake.heard.lock();
    let rcpt: Vec<_> = heard.iter().filter(|(_, line)| line.starts_with("RCPT")).collect();
    assert_eq!(
        rcpt,
        [
            &(0, "RCPT TO:<hub@mms.peer.example>".to_owned()),
            &(0, "RCPT TO:<spare@mms.peer.example>".to_owned())
        ]
    );
}

#[tokio::test]
async fn what_is_too_large_fails_without_being_sent() {
    let limited = Fake::with(Manner { extensions: &["SIZE 1000"], ..Manner::default() }, |_, _| None).await;
    let ours = Fake::usual().await;
    let gateways = [
        gateway(&limited, |_| ()),
        gateway(&ours, |s| s.content.max_message_octets = Some(mmsgw_domain::ByteSize(5000))),
    ];
    for gateway in gateways {
        let delivery = send(&gateway).await;
        assert!(matches!(delivery, Delivery::Fail { answer } if answer.code == Code::UNSUPPORTED));
    }
    assert_eq!(limited.count("MAIL") + ours.count("MAIL"), 0);
}

#[tokio::test]
async fn the_size_on_the_wire_is_known_beforehand() {
    let many: Vec<String> = (100..350).map(|n| format!("+15555550{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let smil = "<smil><body><par><img src='a b.jpg'/></par></body></smil>";
    let with_smil = vec![
        part("a b.jpg", "image/jpeg", vec![0xff; 100_001]),
        part("s.smil", "application/smil", smil),
        part("\u{e9}.txt", "text/plain", "a line that is longer than any line may be, ".repeat(9) + "\u{e9}"),
    ];
    for (to, parts) in [
        (&many[..1], with_smil),
        (&many[..], vec![part("t.txt", "text/plain", "x"), part("a.gif", "image/gif", vec![7; 56])]),
        (&many[..2], vec![part("a.gif", "image/gif", vec![7; 57])]),
        (&many[..1], vec![]),
    ] {
        let fake = Fake::usual().await;
        let gateway = gateway(&fake, |_| ());
        let outbound = outbound(message(to), super::content(parts));
        let told = Mm4Scales::new(&settings_for(&fake)).wire_octets(&outbound);
        gateway.send(&outbound).await;
        let largest = fake.mails.lock().iter().map(Vec::len).max().unwrap();
        assert_eq!(told, largest as u64, "{} numbers", to.len());
    }
}

#[test]
fn media_have_the_room_that_their_coding_leaves() {
    let scales = Mm4Scales::new(&settings());
    let sized = |octets: u64| {
        let octets = vec![7; usize::try_from(octets).unwrap()];
        scales.wire_octets(&outbound(message(ONE), super::content(vec![part("a.gif", "image/gif", octets)])))
    };
    let rest = sized(0);
    for wire in [0, 77, 78, 1_000, 300_000] {
        assert!(sized(scales.media_octets(wire)) <= rest + wire, "{wire}");
        assert!(sized(scales.media_octets(wire) + 116) > rest + wire, "{wire}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_fails() {
    let fake = Fake::usual().await;
    let mut content = super::content(vec![part("t.txt", "text/plain", "x")]);
    content.template.content.subject = Some("a\r\nX-Mms-Priority: High".into());
    let delivery = only(gateway(&fake, |_| ()).send(&outbound(message(ONE), content)).await);
    assert!(matches!(delivery, Delivery::Fail { answer } if answer.code == Code::MALFORMED));
    assert_eq!(fake.connections(), 0);
}

#[tokio::test]
async fn auth_and_what_becomes_of_a_wrong_password() {
    let manner = || Manner { extensions: &["AUTH PLAIN LOGIN"], ..Manner::default() };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "hush\n").unwrap();
    let with_password = |s: &mut Mm4Settings| {
        s.outbound.username = Some("u".into());
        s.outbound.password_file = Some(file.clone());
        s.outbound.auth_in_clear = true;
    };
    let fake = Fake::with(manner(), |_, _| None).await;
    assert!(is_sent(&send(&gateway(&fake, with_password)).await));
    assert_eq!(fake.count("AUTH PLAIN AHUAaHVzaA=="), 1);
    let strict =
        Fake::with(manner(), |_, line| line.starts_with("AUTH").then_some(Act::Say("535 5.7.8 wrong"))).await;
    let Delivery::Defer { answer, later: true, heard: false, .. } =
        send(&gateway(&strict, with_password)).await
    else {
        panic!("not put off");
    };
    assert!(answer.description.contains("user name or password"), "{}", answer.description);
    std::fs::remove_file(&file).unwrap();
    let mut settings = settings_for(&fake);
    with_password(&mut settings);
    assert!(matches!(Mm4Gateway::new(&settings, instance()), Err(StartError::Password { .. })));
}

/// A certificate for `localhost`, and the authority that signed it, as files.
pub(super) fn pki(dir: &std::path::Path) -> (ServerTlsSettings, ClientTlsSettings) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    };
    let server = ServerTlsSettings {
        cert_file: write("server.pem", server.pem()),
        key_file: write("server.key", key.serialize_pem()),
        client_ca_file: None,
        client_certificate: None,
    };
    let client = ClientTlsSettings {
        ca_file: Some(write("ca.pem", authority.pem())),
        server_name: Some("localhost".into()),
        ..ClientTlsSettings::default()
    };
    (server, client)
}

#[tokio::test]
async fn encryption_of_each_kind() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, trusting) = pki(ours.path());
    let (_, strange) = pki(theirs.path());
    let tls = Some(Arc::new(ServerTls::load(&server, Alpn::None).unwrap()));
    let offering =
        |tls_at_once| Manner { extensions: &["STARTTLS", "PIPELINING"], tls: tls.clone(), tls_at_once };
    for (manner, secure) in [
        (offering(false), SecureConnection::StartTls),
        (offering(false), SecureConnection::StartTlsRequired),
        (offering(true), SecureConnection::Tls),
    ] {
        let fake = Fake::with(manner, |_, _| None).await;
        let with = |trust: &ClientTlsSettings| {
            gateway(&fake, |s| {
                s.outbound.secure_connection = secure;
                s.outbound.tls = trust.clone();
            })
        };
        let trusted = with(&trusting);
        assert!(is_sent(&send(&trusted).await) && is_sent(&send(&trusted).await), "{secure:?}");
        assert_eq!(fake.connections(), 1);
        let delivery = send(&with(&strange)).await;
        let Delivery::Defer { answer, later: true, heard: false, .. } = delivery else {
            panic!("{delivery:?}")
        };
        assert!(answer.description.contains("see the settings"), "{}", answer.description);
        assert_eq!(fake.mails.lock().len(), 2);
    }
    let plain = Fake::usual().await;
    let strict = gateway(&plain, |s| s.outbound.secure_connection = SecureConnection::StartTlsRequired);
    assert!(matches!(send(&strict).await, Delivery::Defer { later: true, heard: false, .. }));
    assert_eq!(plain.count("MAIL"), 0);
    let easy = gateway(&plain, |s| s.outbound.secure_connection = SecureConnection::StartTls);
    assert!(is_sent(&send(&easy).await));
}
