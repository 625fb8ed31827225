//! Content that fits the carrier, is made to fit, or is refused.

use bytes::Bytes;
use futures_util::future::join_all;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use mmsgw_domain::{Code, Compose, ContentClass, ContentSettings, State};
use mmsgw_engine::{DraftContent, Outbound, PartDraft, Refusal, Submission, TemplateDraft, Unfit};

use crate::rig::{Carrier, Rig, numbers, text_template};

/// A JPEG of that size full of detail.
fn jpeg(width: u32, height: u32) -> Bytes {
    let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 13;
    let image = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, (noise(x, y) % 128) as u8])
    });
    let mut out = std::io::Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut out, ImageFormat::Jpeg).unwrap();
    out.into_inner().into()
}

fn part(name: &str, content_type: &str, content: DraftContent) -> PartDraft {
    PartDraft::New { name: name.into(), content_type: content_type.into(), content }
}

fn picture(name: &str, octets: &Bytes) -> PartDraft {
    part(name, "image/jpeg", DraftContent::Octets(octets.clone()))
}

fn template(adaptation: Option<bool>, parts: Vec<PartDraft>) -> TemplateDraft {
    let mut draft = text_template();
    draft.content.content_adaptation = adaptation;
    draft.parts.extend(parts);
    draft
}

fn to_one(group: &str) -> Submission {
    let group = Some(group.parse().unwrap());
    Submission { to: numbers(&["+15555550101"]), group, ..Submission::default() }
}

fn at_most(octets: usize) -> ContentSettings {
    ContentSettings { max_message_octets: Some(octets as u64), ..ContentSettings::default() }
}

fn seen(carrier: &Carrier) -> Vec<Outbound> {
    carrier.seen.lock().clone()
}

fn unfit(refusal: Result<impl Sized, Refusal>) -> (Option<usize>, Unfit) {
    match refusal.err().expect("it is refused") {
        Refusal::Unfit { part, unfit } => (part, unfit),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sends_at_once_change_a_picture_once_for_each_limit() {
    let rig = Rig::new();
    let octets = jpeg(640, 480);
    let limits = [("gw", octets.len()), ("small", octets.len() / 4), ("same", octets.len() / 4)];
    let carriers = limits.map(|(name, most)| rig.gateway(name, |s| s.content = at_most(most)));
    let template =
        rig.engine.create_template(template(Some(true), vec![picture("a.jpg", &octets)])).await.unwrap();
    let sends = (0..1000).map(|n| rig.engine.submit(template.id, to_one(limits[n % 3].0)));
    assert!(join_all(sends).await.iter().all(Result::is_ok));
    rig.until_idle().await;
    let mut bodies = Vec::new();
    for (carrier, (_, most)) in carriers.iter().zip(limits) {
        let seen = seen(carrier);
        assert!(seen.len() > 300);
        let first = seen[0].content.bodies[1].clone();
        assert!(first.len() + 500 <= most && first.len() > most / 2, "{} of {most}", first.len());
        assert!(seen.iter().all(|o| o.content.bodies[1].as_ptr() == first.as_ptr()), "made more than once");
        bodies.push(first);
    }
    assert_ne!(bodies[0], bodies[1]);
    assert_eq!(bodies[1], bodies[2]);
    // The given one, and one for each limit.
    assert_eq!(rig.blobs(), 3);
}

#[tokio::test]
async fn only_where_the_application_allows_it_and_only_what_is_too_large() {
    let rig = Rig::new();
    let (small, large) = (jpeg(80, 60), jpeg(640, 480));
    let most = large.len() / 2;
    let carrier = rig.gateway("gw", |s| s.content = at_most(most));
    let parts = || vec![picture("large.jpg", &large), picture("small.jpg", &small)];
    for adaptation in [None, Some(false)] {
        let refused = rig.engine.submit_new(template(adaptation, parts()), to_one("gw")).await;
        let octets = (500 + 5 + small.len() + large.len()) as u64;
        assert_eq!(unfit(refused), (None, Unfit::TooLarge { octets, limit: most as u64 }));
    }
    let id = rig.submit(template(Some(true), parts()), "gw", &["+15555550101"]).await;
    rig.until_state(id, State::Acknowledged).await;
    let seen = seen(&carrier);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].content.bodies[2], small, "what has room is left alone");
    assert!(seen[0].content.bodies[1].len() < most - small.len());
    assert_eq!(seen[0].content.template.content.parts[1].name, "large.jpg");
}

#[tokio::test]
async fn refusals_name_the_part_in_the_order_of_the_request() {
    let rig = Rig::new();
    rig.gateway("gw", |s| {
        s.content = ContentSettings {
            max_image_width: Some(100),
            accepted_types: vec!["image/jpeg".into(), "text/*".into(), "application/smil".into()],
            ..ContentSettings::default()
        };
    });
    let smil = |src: &str| {
        let text = format!("<smil><body><par><img src='{src}'/></par></body></smil>");
        part("s.smil", "application/smil", DraftContent::Text(text))
    };
    let submit = async |adaptation, parts| {
        unfit(rig.engine.submit_new(template(adaptation, parts), to_one("gw")).await)
    };
    let (wide, good) = (jpeg(200, 50), jpeg(100, 50));
    let (index, too_wide) = submit(None, vec![picture("a.jpg", &wide), smil("a.jpg")]).await;
    assert_eq!(index, Some(1));
    assert_eq!(
        too_wide.to_string(),
        "part `a.jpg` has 200 by 50 pixels, the gateway takes at most 100 by any"
    );
    let film = part("f.mp4", "video/mp4", DraftContent::Octets(Bytes::from_static(b"film")));
    let (index, wrong) = submit(Some(true), vec![smil("a.jpg"), picture("a.jpg", &good), film]).await;
    assert_eq!((index, wrong.part()), (Some(3), Some("f.mp4")));
    let (index, lost) = submit(Some(true), vec![picture("a.jpg", &good), smil("b.jpg")]).await;
    assert_eq!(index, Some(2));
    assert_eq!(lost.to_string(), "the presentation `s.smil` refers to `b.jpg`, and no part has that name");
    let (index, none) = submit(Some(true), vec![picture("a.jpg", &Bytes::from_static(b"no picture"))]).await;
    assert_eq!((index, none.part()), (Some(1), Some("a.jpg")));
    assert_eq!(rig.store.queues().await.unwrap().iter().map(|q| q.waiting + q.leased).sum::<u64>(), 0);
}

#[tokio::test]
async fn where_nothing_helps_the_size_and_the_limit_are_told() {
    let rig = Rig::new();
    rig.gateway("gw", |s| s.content = at_most(1_500));
    let film = part("f.mp4", "video/mp4", DraftContent::Octets(Bytes::from(vec![7; 2_000])));
    let octets = jpeg(640, 480);
    for (parts, size) in [
        (vec![film.clone()], 2_000),
        (vec![picture("a.jpg", &octets)], octets.len()),
        (vec![film, picture("a.jpg", &octets)], 2_000 + octets.len()),
    ] {
        let refused = rig.engine.submit_new(template(Some(true), parts), to_one("gw")).await;
        assert_eq!(unfit(refused), (None, Unfit::TooLarge { octets: (505 + size) as u64, limit: 1_500 }));
    }
}

#[tokio::test]
async fn other_types_become_ones_that_are_taken() {
    let rig = Rig::new();
    let types =
        ContentSettings { accepted_types: vec!["image/jpeg".into(), "text/plain".into()], ..at_most(20_000) };
    let carrier = rig.gateway("gw", |s| s.content = types);
    let mut webp = std::io::Cursor::new(Vec::new());
    image::load_from_memory(&jpeg(300, 200)).unwrap().write_to(&mut webp, ImageFormat::WebP).unwrap();
    let webp = part("a.webp", "image/webp", DraftContent::Octets(webp.into_inner().into()));
    let id = rig.submit(template(Some(true), vec![webp]), "gw", &["+15555550101"]).await;
    rig.until_state(id, State::Acknowledged).await;
    let seen = seen(&carrier);
    let part = &seen[0].content.template.content.parts[1];
    assert_eq!((part.name.as_str(), part.content_type.as_str()), ("a.webp", "image/jpeg"));
    assert!(seen[0].content.bodies[1].starts_with(b"\xff\xd8"));
}

#[tokio::test]
async fn media_by_url_that_do_not_fit_fail_with_the_same_words() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |s| s.content = at_most(505));
    let fetched = part("a.jpg", "image/jpeg", DraftContent::Url("http://media.example/a".into()));
    let id = rig.submit(template(Some(true), vec![fetched]), "gw", &["+15555550101"]).await;
    let failed = rig.until_state(id, State::Failed).await;
    let last = failed.events.last().unwrap();
    assert_eq!(last.description, "the message has 514 octets on the wire, the gateway takes at most 505");
    assert_eq!(last.code, Code::UNSUPPORTED);
    assert_eq!(carrier.takes(), 0);
}

#[tokio::test]
async fn presentations_are_composed_as_the_group_says() {
    let rig = Rig::new();
    let octets = jpeg(80, 60);
    let own = "<smil><body><par><img src='a.jpg'/></par></body></smil>";
    let smil = || part("presentation.smil", "application/smil", DraftContent::Text(own.into()));
    for (compose, without, with) in [
        (Compose::Never, None, Some(own)),
        (Compose::IfMissing, Some("a.txt"), Some(own)),
        (Compose::Always, Some("a.txt"), Some("a.txt")),
    ] {
        let name = format!("{compose:?}");
        let carrier = rig.gateway(&name, |s| s.content.smil = compose);
        for (parts, expected) in
            [(vec![picture("a.jpg", &octets)], without), (vec![picture("a.jpg", &octets), smil()], with)]
        {
            let before = carrier.takes();
            let id = rig.submit(template(None, parts), &name, &["+15555550101"]).await;
            rig.until_state(id, State::Acknowledged).await;
            let content = seen(&carrier)[before].content.clone();
            let presentations = content.parts().filter(|(part, _)| part.content_type == "application/smil");
            let found: Vec<String> =
                presentations.map(|(_, body)| String::from_utf8_lossy(body).into()).collect();
            assert_eq!(found.len(), usize::from(expected.is_some()), "{name}");
            assert!(expected.is_none_or(|text| found[0].contains(text)), "{name}: {found:?}");
            let first = &content.template.content.parts[0];
            assert_eq!(first.content_type == "application/smil", expected.is_some(), "it stands first");
        }
    }
}

#[tokio::test]
async fn the_content_class_is_stated_where_the_application_gave_none() {
    let rig = Rig::new();
    let [usual, silent] = [("gw", false), ("old", true)]
        .map(|(name, hide)| rig.gateway(name, |s| s.content.hide_content_class = hide));
    for (given, stated, where_hidden) in [
        (None, Some(ContentClass::ImageBasic), None),
        (Some(ContentClass::Megapixel), Some(ContentClass::Megapixel), Some(ContentClass::Megapixel)),
    ] {
        let mut draft = template(None, vec![picture("a.jpg", &jpeg(80, 60))]);
        draft.content.content_class = given;
        let template = rig.engine.create_template(draft).await.unwrap();
        for (carrier, group, expected) in [(&usual, "gw", stated), (&silent, "old", where_hidden)] {
            let before = carrier.takes();
            let id = rig.engine.submit(template.id, to_one(group)).await.unwrap().0.id;
            rig.until_state(id, State::Acknowledged).await;
            let class = seen(carrier)[before].content.template.content.content_class;
            assert_eq!(class, expected, "{group}, {given:?}");
        }
        assert_eq!(rig.engine.template(template.id).await.unwrap().content.content_class, given);
    }
}
