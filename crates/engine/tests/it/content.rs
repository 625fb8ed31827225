//! Content: fetched once, kept, and unchanged for messages that have it.

use bytes::Bytes;
use mmsgw_domain::{PartContent, State};
use mmsgw_engine::{DraftContent, FetchError, PartDraft, Refusal, Submission, TemplateChange};

use crate::rig::{Rig, numbers, template_with, text_template};

fn to_one() -> Submission {
    Submission { to: numbers(&["+15555550101"]), ..Submission::default() }
}

#[tokio::test]
async fn media_behind_a_url_are_fetched_once_for_many_messages() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let draft = template_with(DraftContent::Url("http://media.example/a".into()));
    let template = rig.engine.create_template(draft).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(rig.engine.submit(template.id, to_one()).await.unwrap().0.id);
    }
    for id in ids {
        rig.until_state(id, State::Acknowledged).await;
    }
    assert_eq!(*rig.media.fetched.lock(), 1);
    assert!(carrier.seen.lock().iter().all(|o| o.content.bodies[0].as_ref() == b"\xff\xd8fetched"));
    let kept = rig.store.revision(template.revision).await.unwrap().unwrap();
    let PartContent::Blob(blob) = &kept.content.parts[0].content else { panic!("{kept:?}") };
    assert_eq!(blob.source.as_deref(), Some("http://media.example/a"));
}

#[tokio::test]
async fn media_that_may_come_later_are_waited_for_and_missing_ones_fail_the_message() {
    let rig = Rig::new();
    rig.gateway("gw", |_| {});
    *rig.media.trouble.lock() = Some(FetchError::Later("nobody answers".into()));
    let url = || template_with(DraftContent::Url("http://media.example/a".into()));
    let patient = rig.submit(url(), "gw", &["+15555550101"]).await;
    let failed = rig.until_state(patient, State::Failed).await;
    assert!(failed.events.last().unwrap().description.contains("part `a.txt`: nobody answers"));
    *rig.media.trouble.lock() = Some(FetchError::Missing("404 at media.example".into()));
    let gone = rig.submit(url(), "gw", &["+15555550101"]).await;
    let failed = rig.until_state(gone, State::Failed).await;
    assert_eq!(failed.events.last().unwrap().code, mmsgw_domain::Code::UNKNOWN);
    *rig.media.trouble.lock() = None;
    let fine = rig.submit(url(), "gw", &["+15555550101"]).await;
    rig.until_state(fine, State::Acknowledged).await;
    let forbidden = template_with(DraftContent::Url("http://forbidden.example/".into()));
    assert!(matches!(rig.engine.create_template(forbidden).await, Err(Refusal::Invalid { .. })));
}

#[tokio::test]
async fn a_changed_or_forgotten_template_leaves_its_messages_alone() {
    let rig = Rig::new();
    rig.engine.know_group(crate::rig::group_settings("gw"));
    let octets = Bytes::from_static(b"\x89PNG old");
    let template = rig.engine.create_template(template_with(DraftContent::Octets(octets))).await.unwrap();
    let (old, _) = rig.engine.submit(template.id, to_one()).await.unwrap();
    let change = TemplateChange {
        set: Box::new(|content| content.subject = Some("new".into())),
        clear_parts: true,
        parts: vec![PartDraft::New {
            name: "b.txt".into(),
            content_type: "text/plain".into(),
            content: DraftContent::Text("new".into()),
        }],
    };
    let changed = rig.engine.change_template(template.id, change).await.unwrap();
    assert_eq!(changed.content.parts.len(), 1);
    let (new, _) = rig.engine.submit(template.id, to_one()).await.unwrap();
    rig.engine.forget_template(template.id).await.unwrap();
    assert!(matches!(rig.engine.template(template.id).await, Err(Refusal::Unknown(_))));
    let carrier = rig.gateway("gw", |_| {});
    rig.until_state(old.id, State::Acknowledged).await;
    rig.until_state(new.id, State::Acknowledged).await;
    let seen = carrier.seen.lock();
    let body = |id| seen.iter().find(|o| o.message.id == id).unwrap().content.bodies[0].clone();
    assert_eq!(body(old.id).as_ref(), b"\x89PNG old");
    assert_eq!(body(new.id).as_ref(), b"new");
}

#[tokio::test]
async fn smil_moves_first_and_names_are_told_apart() {
    let rig = Rig::new();
    let part = |name: &str, kind: &str| PartDraft::New {
        name: name.into(),
        content_type: kind.into(),
        content: DraftContent::Text("x".into()),
    };
    let mut draft = text_template();
    draft.parts = vec![part("a.txt", "text/plain"), part("s.smil", "application/smil; charset=utf-8")];
    let template = rig.engine.create_template(draft.clone()).await.unwrap();
    assert_eq!(template.content.parts[0].name, "s.smil");
    draft.parts.push(part("a.txt", "text/plain"));
    let refused = rig.engine.create_template(draft).await.unwrap_err();
    assert_eq!(refused.to_string(), "two parts are named `a.txt`");
}

#[tokio::test]
async fn two_changes_at_once_do_not_swallow_one_another() {
    let rig = Rig::new();
    let template = rig.engine.create_template(text_template()).await.unwrap();
    let append = |name: &str| TemplateChange {
        set: Box::new(|_| {}),
        clear_parts: false,
        parts: vec![PartDraft::New {
            name: name.into(),
            content_type: "text/plain".into(),
            content: DraftContent::Text("x".into()),
        }],
    };
    let changes = (0..8).map(|n| rig.engine.change_template(template.id, append(&format!("{n}.txt"))));
    let results = futures_util::future::join_all(changes).await;
    let taken = results.iter().filter(|r| r.is_ok()).count();
    let now = rig.engine.template(template.id).await.unwrap();
    assert_eq!(now.content.parts.len(), 1 + taken, "every change that was taken is there");
    assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(Refusal::Conflict))));
}

#[tokio::test]
async fn a_message_is_not_taken_before_its_media_are_kept() {
    let rig = Rig::new();
    rig.engine.know_group(crate::rig::group_settings("gw"));
    rig.lose_media_directory();
    let picture = template_with(DraftContent::Octets(Bytes::from_static(b"\xff\xd8new")));
    let refused = rig.engine.submit_new(picture, to_one()).await.unwrap_err();
    assert!(matches!(refused, Refusal::Store(_)), "{refused:?}");
    assert!(
        rig.store.queues().await.unwrap().iter().all(|queue| queue.waiting == 0),
        "an envelope without content"
    );
}
