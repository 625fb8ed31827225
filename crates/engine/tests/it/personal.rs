//! One template, many words.

use mmsgw_domain::{PartContent, State, Variable, Variables};
use mmsgw_engine::{DraftContent, Field, PartDraft, Refusal, Submission, TemplateDraft};

use crate::rig::{Rig, numbers, template_with};

fn draft(text: &str) -> TemplateDraft {
    let mut draft = template_with(DraftContent::Text(text.into()));
    draft.content.subject = Some("For {{ name }}".into());
    draft.parts.push(PartDraft::New {
        name: "b.jpg".into(),
        content_type: "image/jpeg".into(),
        content: DraftContent::Octets(vec![7; 1000].into()),
    });
    draft
}

fn for_name(name: &str) -> Submission {
    let variables: Variables = [("name".to_owned(), Variable::Text(name.into()))].into();
    Submission { to: numbers(&["+15555550101"]), variables, ..Submission::default() }
}

#[tokio::test]
async fn each_message_has_its_words_and_all_share_the_media() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let template = rig.engine.create_template(draft("Hello {{ name }}\n")).await.unwrap();
    assert!(template.content.personal);
    let mut ids = Vec::new();
    for name in ["Ann", "Bob"] {
        ids.push(rig.engine.submit(template.id, for_name(name)).await.unwrap().0.id);
    }
    for id in &ids {
        rig.until_state(*id, State::Acknowledged).await;
    }
    let seen = carrier.seen.lock();
    for (id, name) in ids.iter().zip(["Ann", "Bob"]) {
        let outbound = seen.iter().find(|outbound| outbound.message.id == *id).unwrap();
        let content = &outbound.content;
        assert!(content.personal);
        assert_eq!(content.template.content.subject, Some(format!("For {name}")));
        let text = format!("Hello {name}\n");
        assert_eq!(content.template.content.parts[0].content, PartContent::Text(text.clone()));
        assert_eq!((&content.bodies[0][..], content.bodies[1].len()), (text.as_bytes(), 1000));
    }
    assert_eq!(
        seen[0].content.bodies[1].as_ptr(),
        seen[1].content.bodies[1].as_ptr(),
        "one copy of the media"
    );
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_at_once() {
    let rig = Rig::new();
    rig.gateway("gw", |_| {});
    let template = rig.engine.create_template(draft("Hello {{ name }} of {{ city }}")).await.unwrap();
    let refused = rig.engine.submit(template.id, for_name("Ann")).await.unwrap_err();
    assert!(matches!(refused, Refusal::MissingVariables(ref names) if *names == ["city"]), "{refused}");
    let refused = rig.engine.submit(template.id, for_name("A\nnn")).await.unwrap_err();
    assert!(matches!(refused, Refusal::Invalid { field: Field::Variables, .. }), "{refused}");
    let refused = rig.engine.create_template(draft("Hello\n{{ name")).await.unwrap_err();
    assert!(matches!(refused, Refusal::Invalid { field: Field::Part(0), .. }), "{refused}");
    assert!(refused.to_string().contains("line 2"), "{refused}");
    let mut bad_subject = draft("x");
    bad_subject.content.subject = Some("{% if %}".into());
    let refused = rig.engine.create_template(bad_subject).await.unwrap_err();
    assert!(matches!(refused, Refusal::Invalid { field: Field::Subject, .. }), "{refused}");
}

#[tokio::test]
async fn a_template_without_variables_is_shared_whole() {
    let rig = Rig::new();
    let carrier = rig.gateway("gw", |_| {});
    let mut plain = draft("Hello");
    plain.content.subject = None;
    let template = rig.engine.create_template(plain).await.unwrap();
    assert!(!template.content.personal);
    for name in ["Ann", "Bob"] {
        rig.engine.submit(template.id, for_name(name)).await.unwrap();
    }
    crate::rig::eventually("both are sent", async || (carrier.takes() == 2).then_some(())).await;
    let seen = carrier.seen.lock();
    assert!(std::sync::Arc::ptr_eq(&seen[0].content, &seen[1].content));
}
