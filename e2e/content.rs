//! Content fits the carrier, or is refused with the reason.

use std::sync::OnceLock;

use image::{DynamicImage, load_from_memory};
use mmsgw_mmsc_sim::{Received, ReceivedPart};
use serde_json::{Value, json};

use crate::rig::scene::{SECRET, photo, scene, similarity};
use crate::rig::{MediaServer, World, text};

/// Limits of the carriers, in octets on the wire.
const SMALL: usize = 300_000;
const LARGE: usize = 1_000_000;

async fn world() -> World {
    let large = "[content]\nmax_message_octets = '1MB'\n";
    let small = "[content]\nmax_message_octets = '300KB'\nsmil = 'if_missing'\n\
                 accepted_types = ['image/jpeg', 'image/gif', 'text/plain', 'application/smil']\n";
    World::start("media.allow_networks = ['127.0.0.0/8']\n", large, small).await
}

/// A photo of twelve megapixels in six megabytes that says where it was taken, and what it shows.
fn large_photo() -> &'static (Vec<u8>, DynamicImage) {
    static PHOTO: OnceLock<(Vec<u8>, DynamicImage)> = OnceLock::new();
    PHOTO.get_or_init(|| {
        let shown = scene(4000, 3000);
        let octets = photo(&shown, 96, 1);
        assert!((5_500_000..7_000_000).contains(&octets.len()), "{}", octets.len());
        (octets, shown.into())
    })
}

fn inline(name: &str, content_type: &str, octets: &[u8]) -> Value {
    let content = encodify::base64::STANDARD.encode(octets);
    json!({"name": name, "content_type": content_type, "encoding": "base64", "content": content})
}

fn jpeg(received: &Received) -> &ReceivedPart {
    let is_jpeg = |part: &&ReceivedPart| part.content_type.starts_with("image/jpeg");
    received.parts.iter().find(is_jpeg).expect("a JPEG")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_template_goes_to_a_small_carrier_and_to_a_large_one() {
    let world = world().await;
    let (octets, shown) = large_photo();
    let template = json!({
        "origin": "54321", "subject": "from one template", "content_adaptation": true,
        "parts": [inline("photo.jpg", "image/jpeg", octets),
                  {"name": "words.txt", "content_type": "text/plain", "content": "Look at that!"}],
    });
    let template = world.api.post("mms", &template).await;
    assert_eq!(template.status, 201, "{}", template.body);
    let path = format!("mms/outbound/{}", text(&template.body, "id"));
    for gateway in ["mm4", "mm7", "mm4", "mm7"] {
        let sent = world.api.post(&path, &json!({"destination": "+15555550102", "gateway": gateway})).await;
        assert_eq!(sent.status, 202, "{}", sent.body);
        world.api.reaches(text(&sent.body, "id"), &["READ"]).await;
    }
    let all = world.received("from one template");
    assert_eq!(all.len(), 4);
    let mut seen: Vec<(&Received, usize, u32)> = Vec::new();
    for received in &all {
        assert!(received.problems.is_empty(), "{:?}", received.problems);
        let small = received.kind == "MM4_forward.REQ";
        let (limit, least_pixels) = if small { (SMALL, 1_000_000) } else { (LARGE, 4_000_000) };
        assert!((limit * 8 / 10..=limit).contains(&received.raw.len()), "{} octets", received.raw.len());
        let part = jpeg(received);
        assert_eq!(part.content_location.as_deref(), Some("photo.jpg"));
        assert!(
            !part.octets.windows(SECRET.len()).any(|window| window == SECRET),
            "the place is still in it"
        );
        if let Some((first, ..)) = seen.iter().find(|(_, theirs, _)| *theirs == limit) {
            assert!(jpeg(first).octets == part.octets, "the same picture for all messages of a template");
            continue;
        }
        let picture = load_from_memory(&part.octets).unwrap();
        let pixels = picture.width() * picture.height();
        assert!(pixels > least_pixels, "{} by {}", picture.width(), picture.height());
        let figure = similarity(shown, &picture);
        assert!(figure > 0.9, "similarity {figure}");
        seen.push((received, limit, pixels));
    }
    let small = seen.iter().find(|(_, limit, _)| *limit == SMALL).unwrap().0;
    assert!(small.parts[0].content_type.starts_with("application/smil"), "{}", small.parts[0].content_type);
    let smil = String::from_utf8_lossy(&small.parts[0].octets);
    assert!(smil.contains("src=\"photo.jpg\"") && smil.contains("src=\"words.txt\""), "{smil}");
    assert_eq!(small.field("x-mms-content-class"), Some("megapixel"));
    let large = seen.iter().find(|(_, limit, _)| *limit == LARGE).unwrap().0;
    assert_eq!(large.parts.len(), 2, "nobody asked for a presentation");
    assert_eq!(large.field("ContentClass"), None, "too large for any class");
}

/// A PNG that says it has 50,000 by 50,000 pixels.
fn bomb() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\x02\0\0\0".to_vec();
    for (chunk, from) in
        [(&b""[..], 12), (b"\0\0\0\x08IDAT\x78\x9c\x03\0\0\0\0\x01", 37), (b"\0\0\0\0IEND", 53)]
    {
        png.extend_from_slice(chunk);
        let sum = crc(&png[from..]).to_be_bytes();
        png.extend_from_slice(&sum);
    }
    png
}

/// The check sum of PNG chunks (PNG annex D).
fn crc(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0, |sum, octet| {
        (0..8).fold(sum ^ u32::from(*octet), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_at_submission_with_the_reason() {
    let world = world().await;
    let photo = photo(&scene(1600, 1200), 90, 1);
    assert!(photo.len() > SMALL && photo.len() < LARGE / 4 * 3, "{}", photo.len());
    let words = json!({"name": "words.txt", "content_type": "text/plain", "content": "Look at that!"});
    let film =
        json!({"name": "film.3gp", "content_type": "video/3gpp", "content": "AAAA", "encoding": "base64"});
    let smil = json!({"name": "show.smil", "content_type": "application/smil",
                      "content": "<smil><body><par><img src='lost.jpg'/></par></body></smil>"});
    for (parts, adaptation, (pointer, code), reason) in [
        (
            vec![inline("p.jpg", "image/jpeg", &photo)],
            None,
            ("/parts", "content_too_large"),
            "at most 300000",
        ),
        (
            vec![inline("p.jpg", "image/jpeg", &photo)],
            Some(false),
            ("/parts", "content_too_large"),
            "octets on the wire",
        ),
        (
            vec![words.clone(), inline("p.png", "image/png", &bomb())],
            Some(false),
            ("/parts/1", "type_not_taken"),
            "image/png",
        ),
        (
            vec![words.clone(), inline("p.jpg", "image/jpeg", &bomb())],
            Some(true),
            ("/parts/1", "bad_picture"),
            "50000 by 50000 pixels has 2500000000, at most 25000000",
        ),
        (vec![words.clone(), film], Some(true), ("/parts/1", "type_not_taken"), "image/jpeg, image/gif"),
        (vec![words.clone(), smil], None, ("/parts/1", "no_such_part"), "`lost.jpg`"),
    ] {
        let request = json!({
            "origin": "54321", "subject": "never", "content_adaptation": adaptation, "parts": parts,
            "send": {"destination": "+15555550102", "gateway": "mm4"},
        });
        let refused = world.api.post("mms", &request).await;
        assert_eq!((refused.status, refused.fault()), (422, (pointer, code)), "{}", refused.body);
        let detail = text(&refused.body["errors"][0], "detail");
        assert!(detail.contains(reason), "{detail}");
    }
    // The template alone is good, and good for the larger carrier.
    let template = json!({"origin": "54321", "subject": "for one only", "parts": [inline("p.jpg", "image/jpeg", &photo)]});
    let template = world.api.post("mms", &template).await;
    let path = format!("mms/outbound/{}", text(&template.body, "id"));
    let refused = world.api.post(&path, &json!({"destination": "+15555550102", "gateway": "mm4"})).await;
    assert_eq!(
        (refused.status, refused.fault()),
        (422, ("/gateway", "content_too_large")),
        "{}",
        refused.body
    );
    let sent = world.api.post(&path, &json!({"destination": "+15555550102", "gateway": "mm7"})).await;
    world.api.reaches(text(&sent.body, "id"), &["READ"]).await;
    assert!(jpeg(&world.received("for one only")[0]).octets == photo, "what fits is left alone");
    assert_eq!(world.received("never").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn media_by_url_are_looked_at_when_they_are_fetched() {
    let world = world().await;
    let photo = photo(&scene(1600, 1200), 90, 6);
    let server = MediaServer::start("image/jpeg", photo.into());
    let send = |subject: &str, adaptation: bool| {
        let part = json!({"name": "p.jpg", "content_type": "image/jpeg", "content_url": server.url});
        json!({"origin": "54321", "subject": subject, "content_adaptation": adaptation, "parts": [part],
               "send": {"destination": "+15555550102", "gateway": "mm4"}})
    };
    let refused = world.api.send(&send("too large", false)).await;
    let message = world.api.reaches(&refused, &["FAILED"]).await;
    let last = message["events"].as_array().unwrap().last().unwrap();
    let told = text(last, "description");
    assert!(told.contains("octets on the wire, the gateway takes at most 300000"), "{told}");
    assert_eq!(text(last, "code"), "415");
    let changed = world.api.send(&send("made to fit", true)).await;
    world.api.reaches(&changed, &["READ"]).await;
    let received = world.arrives("made to fit").await;
    assert!(received.raw.len() <= SMALL);
    let picture = load_from_memory(&jpeg(&received).octets).unwrap();
    assert!(picture.width() < picture.height(), "it was taken upright");
    assert_eq!(world.received("too large").len(), 0);
}
