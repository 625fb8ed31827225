//! `POST /admin/v1/test-message`: a message to see whether a carrier takes one.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mmsgw_contract::{MessageView, Problem, ProblemCode};
use mmsgw_domain::{Address, GroupName, TemplateContent};
use mmsgw_engine::{DraftContent, PartDraft, Refusal, Submission, TemplateDraft};
use serde::Deserialize;
use utoipa::ToSchema;

use super::order::{Order, Reason};
use super::{Administrator, Refused, answer, in_time};
use crate::router::Ops;

/// What is to be sent, through what, to whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestMessage {
    /// The gateway group to carry it.
    gateway: String,
    /// Number or short code that it comes from.
    #[schema(example = "+12065550100")]
    origin: String,
    /// The number that it goes to.
    #[schema(example = "+12065550102")]
    destination: String,
    /// Its subject, at most 200 octets.
    #[serde(default)]
    subject: Option<String>,
    /// Its text, 1 to 2000 octets.
    text: String,
    /// Whether a picture goes with it.
    #[serde(default)]
    picture: bool,
    /// Why; it stands in the log.
    reason: Reason,
}

/// Sends a message with a text, and a picture where wanted, to one number. The application of the gateway group is told
/// of its events as of every other's.
#[utoipa::path(
    post, path = "/admin/v1/test-message", tag = "messages", request_body = TestMessage,
    responses(
        (status = 202, description = "The message, durably queued", body = MessageView),
        (status = 422, description = "Something of it cannot be sent"),
    )
)]
pub(super) async fn send(
    administrator: Administrator,
    State(ops): State<Ops>,
    Order(order): Order<TestMessage>,
) -> Result<Response, Refused> {
    let unknown = || bad(format!("gateway: there is no gateway group `{}`", order.gateway));
    let group: GroupName = order.gateway.parse().map_err(|_| unknown())?;
    if !administrator.sees(&group) {
        return Err(unknown());
    }
    let to = address("destination", &order.destination)?;
    let submission = Submission { to: vec![to], group: Some(group), ..Submission::default() };
    let draft = order.draft()?;
    let sent = in_time(&ops, async { Ok(ops.engine.submit_new(draft, submission).await) }).await?;
    let (message, template) = sent.map_err(refused)?;
    let object = format!("{} through {}", message.id, order.gateway);
    administrator.leaves("send a test message", &object, &order.reason);
    Ok((StatusCode::ACCEPTED, answer(MessageView::of(&message, &template, &ops.links.load())))
        .into_response())
}

impl TestMessage {
    fn draft(&self) -> Result<TemplateDraft, Refused> {
        let fits = |name: &str, text: &str, most: usize| match text.trim().len() {
            size if size > most => Err(bad(format!("{name}: must have at most {most} octets"))),
            0 => Err(bad(format!("{name}: must not be empty"))),
            _ => Ok(()),
        };
        fits("text", &self.text, LONGEST_TEXT)?;
        if let Some(subject) = &self.subject {
            fits("subject", subject, LONGEST_SUBJECT)?;
            if subject.chars().any(char::is_control) {
                return Err(bad("subject: must be one line"));
            }
        }
        let mut content = TemplateContent::new(address("origin", &self.origin)?);
        content.subject.clone_from(&self.subject);
        let part = |name: &str, content_type: &str, content| PartDraft::New {
            name: name.to_owned(),
            content_type: content_type.to_owned(),
            content,
        };
        let mut parts = vec![part("text.txt", "text/plain", DraftContent::Text(self.text.clone()))];
        if self.picture {
            let octets = DraftContent::Octets(Bytes::from_static(PICTURE));
            parts.insert(0, part("picture.jpg", "image/jpeg", octets));
        }
        Ok(TemplateDraft { content, parts })
    }
}

fn address(field: &str, text: &str) -> Result<Address, Refused> {
    text.trim().parse().map_err(|error| bad(format!("{field}: {error}")))
}

fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Invalid { .. }
        | Refusal::Unfit { .. }
        | Refusal::NoGroup
        | Refusal::UnknownGroup(_)
        | Refusal::NoRecipient => bad(refusal.to_string()),
        Refusal::Overloaded { retry_after } => {
            Problem::new(ProblemCode::Overloaded, refusal.to_string()).retry_after(retry_after).into()
        }
        other => other.into(),
    }
}

fn bad(why: impl Into<String>) -> Refused {
    Problem::new(ProblemCode::InvalidRequest, why).into()
}

/// The postcard of the demonstration.
const PICTURE: &[u8] = include_bytes!("../../assets/test-message.jpg");
const LONGEST_TEXT: usize = 2_000;
const LONGEST_SUBJECT: usize = 200;
