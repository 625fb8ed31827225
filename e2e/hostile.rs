//! Strangers at every door of the running gateway, with octets made to break out, to be believed twice, to hold it up or to
//! fill it. Whatever becomes of them, the door serves the next one.

use std::path::Path;

use encodify::base64::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::rig::{LIMIT, World, scratch, text, wait_until};

/// Every listener, by the name that the log gives it.
const DOORS: [&str; 4] = ["API", "health and metrics", "HTTP for carriers", "SMTP for carriers"];

/// A request with every text that an application can say.
fn full() -> Value {
    json!({
        "origin": "54321", "subject": "subject",
        "message_class": "personal",
        "parts": [
            {"name": "a.txt", "content_type": "text/plain", "content": "hello"},
            {"name": "b.jpg", "content_type": "image/jpeg", "content_url": "https://media.example/b.jpg"},
        ],
        "defaults": {"name": "value"},
        "send": {
            "destination": ["+15555550102"], "cc": ["+15555550103"], "bcc": ["+15555550104"], "gateway": "mm7",
            "priority": "high", "linked_id": "linked", "events_url": "https://app.example/events",
        },
    })
}

/// Pointers of all texts in a value.
fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| texts(item, &format!("{at}/{index}"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| texts(value, &format!("{at}/{key}"), found));
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_request_holds_a_second_line() {
    let world = World::start("", "", "").await;
    let mut pointers = Vec::new();
    texts(&full(), "", &mut pointers);
    // What a part says may have lines, and values are for such texts.
    pointers.retain(|pointer| !["/parts/0/content", "/defaults/name"].contains(&pointer.as_str()));
    assert!(pointers.len() >= 14, "{pointers:?}");
    for pointer in pointers {
        for evil in ["\r\nX-Evil: 1", "\nRCPT TO:<x@y.example>", "\0", "\u{1b}[2J", "\rx", "\u{85}x"] {
            let mut letter = full();
            let place = letter.pointer_mut(&pointer).unwrap();
            *place = json!(format!("{}{evil}", place.as_str().unwrap()));
            let reply = world.api.post("mms", &letter).await;
            let told = reply.body["errors"][0]["pointer"].as_str().unwrap_or_default();
            let named = pointer.starts_with(told) && !told.is_empty();
            assert!(reply.status == 422 && named, "{pointer} {evil:?}: {} {}", reply.status, reply.body);
        }
    }
    assert!(world.carrier.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_said_stays_where_it_is_said() {
    let world = World::start("", "", "").await;
    for group in ["mm7", "mm4"] {
        for (number, evil) in [
            "\"; name=\"evil",
            "</LinkedID><Evil/>",
            "]]><Evil/>",
            "&lt;&#13;&#10;X-Evil: 1",
            "=?utf-8?q?=0D=0AX-Evil:_1?=",
            "%0d%0aX-Evil: 1",
            "a;boundary=evil",
            "{{ 7 * 7",
            "\u{202e}gnp",
        ]
        .into_iter()
        .enumerate()
        {
            let subject = format!("{group}-{number} {evil}");
            let letter = json!({
                "origin": "54321", "subject": subject,
                "parts": [{"name": format!("a{number}.txt"), "content_type": "text/plain", "content": evil}],
                "send": {"destination": "+15555550102", "gateway": group, "linked_id": evil},
            });
            let reply = world.api.post("mms", &letter).await;
            if reply.status == 422 {
                continue;
            }
            assert_eq!(reply.status, 202, "{}", reply.body);
            let received = world.arrives(&subject).await;
            let told = received.headers.iter().map(|(name, _)| name).chain(received.fields.keys());
            let evils: Vec<&String> = told.filter(|name| name.to_lowercase().contains("evil")).collect();
            assert!(evils.is_empty(), "{evils:?}\n{}", String::from_utf8_lossy(&received.raw));
            assert_eq!(received.parts.len(), 1, "{evil}");
            assert_eq!(received.parts[0].octets, evil.as_bytes());
        }
    }
}

/// A mail from a carrier whose only part has this parameter for its name.
fn mail(number: usize, name: &str) -> String {
    format!(
        "EHLO mms.sim.example\r\nMAIL FROM:<+15555550150/TYPE=PLMN@mms.sim.example>\r\n\
         RCPT TO:<+15555550161/TYPE=PLMN@mms.gw.example>\r\nDATA\r\n\
         From: +15555550150/TYPE=PLMN\r\nTo: +15555550161/TYPE=PLMN\r\n\
         Subject: =?utf-8?q?name-{number}?=\r\nX-Mms-3GPP-MMS-Version: 6.10.0\r\n\
         X-Mms-Message-Type: MM4_forward.REQ\r\nX-Mms-Transaction-ID: \"t{number}\x1b[31m\"\r\n\
         X-Mms-Message-ID: \"m{number}\"\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/gif; {name}\r\n\r\nGIF89a\r\n--b--\r\n\
         .\r\nQUIT\r\n"
    )
}

async fn say(address: &str, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A peer that has been refused may be gone before it has said all.
    let _ = stream.write_all(octets).await;
    let mut said = Vec::new();
    let _ = timeout(LIMIT, stream.read_to_end(&mut said)).await.expect("an end");
    String::from_utf8_lossy(&said).into_owned()
}

fn files_below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_parts_lead_nowhere_and_lines_of_the_log_stay_lines() {
    let directory = scratch();
    let repo = directory.path().join("deep/repo");
    std::fs::create_dir_all(&repo).unwrap();
    let main = format!(
        "[log]\nlevel = 'debug'\n[mm4rx]\nauth_in_clear = true\n[media_storage]\ndirectory = '{}'\n",
        repo.display()
    );
    let over = "[inbound]\nmedia_url_prefix = 'https://media.example/'\n";
    let world = World::start(&main, "", over).await;
    let smtp = world.gateway.awaited("SMTP for carriers");
    let names = [
        "name=\"../../escaped.gif\"",
        "name=\"/tmp/escaped.gif\"",
        "name*=utf-8''..%2F..%2Fescaped.gif",
        "name*0*=utf-8''%2e%2e%2f; name*1*=%2e%2e%2fescaped.gif",
        "name=\"=?utf-8?b?Li4vLi4vZXNjYXBlZC5naWY=?=\"",
        "name*=utf-8''a%00%0d%0a2026-11-25T00:00:00Z%20ERROR%20forged.gif",
    ];
    for (number, name) in names.iter().enumerate() {
        let said = say(&smtp, mail(number, name).as_bytes()).await;
        assert!(said.contains("\r\n250 ") && said.contains("\r\n221"), "{name}: {said}");
        let told = world.application.gets(&format!("name-{number}"), "received").await.body;
        let part = &told["template"]["parts"][0];
        let name = text(part, "name");
        assert!(!name.contains(['/', '\\', '\0', '\r', '\n']) && !name.starts_with('.'), "{part}");
        let url = text(part, "content_url");
        assert!(url.is_empty() || !url.contains(".."), "{part}");
    }
    let outside = files_below(directory.path());
    assert!(outside.iter().all(|file| Path::new(file).starts_with(&repo)), "{outside:?}");

    // What strangers call themselves, and what nobody can read.
    let forged = STANDARD.encode("\0a\n2026-11-25T00:00:00Z ERROR forged\x1b[2J\0b");
    say(
        &smtp,
        format!(
            "EHLO a\r\nAUTH PLAIN {forged}\r\nEHLO \u{1b}[2Jforged\r\nMAIL FROM:<\u{1b}@forged>\r\nQUIT\r\n"
        )
        .as_bytes(),
    )
    .await;
    let carrier = world.gateway.awaited("HTTP for carriers");
    let body = "<a>\n2026-11-25T00:00:00Z ERROR forged \x1b[2J\r\n";
    let post = format!(
        "POST /mmsgw/v1/mms/inbound/mm7 HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(say(&carrier, post.as_bytes()).await.contains("2007"));
    let api = world.gateway.awaited("API");
    say(&api, b"GET /mmsgw/v1/%0a%1b[2Jforged HTTP/1.1\r\nhost: a\r\nx-request-id: a\x1b[2J\r\nconnection: close\r\n\r\n").await;
    let log = wait_until("the unreadable request in the log", async || {
        Some(world.gateway.log()).filter(|log| log.contains("not readable"))
    })
    .await;
    for line in log.lines() {
        assert!(line.starts_with("2026-") || line.starts_with("20"), "a line of its own: {line}");
        assert!(!line.contains('\u{1b}') && !line.starts_with("2026-11-25T00:00:00Z ERROR"), "{line:?}");
    }
}

/// A client at another address of this host.
async fn from_elsewhere(address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.7:0".parse().unwrap()).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

async fn is_served(door: &str, address: &str) {
    let mut stream = from_elsewhere(address).await;
    let smtp = door.starts_with("SMTP");
    let asking: &[u8] =
        if smtp { b"" } else { b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n" };
    stream.write_all(asking).await.unwrap();
    let mut said = [0; 4];
    timeout(LIMIT, stream.read_exact(&mut said))
        .await
        .unwrap_or_else(|_| panic!("{door} is held up"))
        .unwrap();
    assert_eq!(&said, if smtp { b"220 " } else { b"HTTP" }, "{door}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_that_dawdles_keeps_nobody_out() {
    let main =
        "[api]\nmax_connections = 200\n[mm7rx]\nmax_connections = 200\n[mm4rx]\nmax_connections = 200\n";
    let world = World::start(main, "", "").await;
    let mut held = Vec::new();
    for door in DOORS {
        let address = world.gateway.awaited(door);
        let begun: &[u8] = if door.starts_with("SMTP") {
            b"EHL"
        } else {
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx"
        };
        for _ in 0..250 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            // What is more than a peer may have is closed at once.
            let _ = stream.write_all(begun).await;
            held.push(stream);
        }
    }
    for door in DOORS {
        for _ in 0..5 {
            is_served(door, &world.gateway.awaited(door)).await;
        }
    }
    drop(held);
    world.api.send_text("mm7", "still here", &["+15555550102"]).await;
    world.arrives("still here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_at_every_door() {
    let world = World::start("[api]\nmax_body = '1MB'\n", "[inbound]\nmax_body = '1MB'\n", "").await;
    let flood = "x".repeat(3 << 20);
    for door in DOORS.into_iter().filter(|door| !door.starts_with("SMTP")) {
        let address = world.gateway.awaited(door);
        let path = match door {
            "API" => "/mmsgw/v1/mms",
            "health and metrics" => "/admin/v1/session",
            _ => "/mmsgw/v1/mms/inbound/mm7",
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nconnection: close\r\n"
        );
        for (name, request) in [
            ("a long head", format!("{head}a: {flood}\r\n\r\n")),
            ("a long target", format!("GET /{flood} HTTP/1.1\r\nhost: a\r\n\r\n")),
            ("a long body", format!("{head}content-length: {}\r\n\r\n{flood}", flood.len())),
            (
                "a long body in chunks",
                format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{flood}\r\n0\r\n\r\n", flood.len()),
            ),
        ] {
            let said = say(&address, request.as_bytes()).await;
            // The answer may be lost where we were still talking when the connection was closed.
            let status = said.get(9..12).unwrap_or("");
            assert!(
                ["", "400", "413", "414", "415", "422", "431"].contains(&status),
                "{door}, {name}: {said}"
            );
        }
        is_served(door, &address).await;
    }
    let smtp = world.gateway.awaited("SMTP for carriers");
    let said = say(&smtp, format!("EHLO {flood}\r\nQUIT\r\n").as_bytes()).await;
    assert!(said.contains("\r\n500 ") || said.contains("\r\n421 ") || said.starts_with("220 "), "{said}");
    is_served("SMTP for carriers", &smtp).await;
}
