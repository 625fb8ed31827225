//! The way in: what an MMSC posts is let in, looked at, kept, and only then answered.
//!
//! The carrier hears 1000 when the request is durable in the group's RX queue; what it means is found out
//! later, by the gateway's reader, which also knows a repetition: that one is answered as the first was. A
//! request that cannot be read is refused, and kept for people to look at. Answers are SOAP in the
//! request's own namespace, version and TransactionID; faults follow TS 23.140 clause 8.7.3 and SOAP 1.1
//! clause 6.2.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mmsgw_domain::{ByteSize, GroupName, IntakeKind};
use mmsgw_engine::{Engine, Refusal};
use mmsgw_mm7::{
    self as mm7, Context, ErrorSide, FaultKind, Pdu, Status, WriteOptions, write_envelope, write_fault,
};
use mmsgw_net::{Admission, Admitted, Peer, RateLimit, peer_of};

use crate::auth::{Asking, Door, Turned};
use crate::config::{Mm7Settings, SecretError};
use crate::translate::message_id;
use crate::wire;

/// What one group takes from its MMSC.
pub struct Receiver {
    group: GroupName,
    door: Door,
    path: Option<String>,
    limits: mm7::Limits,
    /// Requests, by peer.
    rate: Option<RateLimit<IpAddr>>,
    vaspid: Option<String>,
    relay_server_id: Option<String>,
    faults_with_200: bool,
    accepts_submit: bool,
    service_code: Option<String>,
}

impl Receiver {
    /// The receiver that a gateway file describes; reads the files with secrets.
    ///
    /// # Errors
    /// [`SecretError`], naming the file.
    pub fn new(settings: &Mm7Settings) -> Result<Self, SecretError> {
        let inbound = &settings.inbound;
        Ok(Self {
            group: settings.gateway.group.clone(),
            door: Door::new(inbound)?,
            path: inbound.path.clone(),
            limits: limits(inbound.max_body),
            rate: RateLimit::per_second(inbound.requests_per_second),
            vaspid: settings.gateway.vaspid.clone().filter(|_| inbound.check_vaspid),
            relay_server_id: inbound.relay_server_id.clone(),
            faults_with_200: settings.dialect.faults_with_200,
            accepts_submit: inbound.accept_submit,
            service_code: inbound.service_code.clone().filter(|code| !code.is_empty()),
        })
    }

    /// Octets of the largest request taken.
    fn max_body(&self) -> usize {
        self.limits.mime.message_bytes
    }

    /// The request is from whom it should be, as far as it says.
    fn is_identified(&self, pdu: &Pdu) -> bool {
        let (relay, vaspid) = match pdu {
            Pdu::DeliverReq(request) => (&request.relay_server_id, &request.vasp_id),
            Pdu::SubmitReq(request) => (&None, &request.sender.vasp_id),
            Pdu::DeliveryReportReq(report) => (&report.relay_server_id, &None),
            Pdu::ReadReplyReq(report) => (&report.relay_server_id, &None),
            _ => return true,
        };
        let fits = |stated: &Option<String>, wanted: &Option<String>| match (stated, wanted) {
            (Some(stated), Some(wanted)) => stated == wanted,
            _ => true,
        };
        fits(relay, &self.relay_server_id) && fits(vaspid, &self.vaspid)
    }

    /// How long a peer is to wait that has posted more than it may in a second.
    fn is_too_fast(&self, peer: Option<&Peer>) -> Option<Duration> {
        let (rate, peer) = (self.rate.as_ref()?, peer?);
        rate.take(peer_of(peer.address.ip())).err()
    }

    /// The operation is offered here.
    fn serves(&self, pdu: &Pdu) -> bool {
        match pdu {
            Pdu::DeliverReq(_) | Pdu::DeliveryReportReq(_) | Pdu::ReadReplyReq(_) => true,
            Pdu::SubmitReq(_) => self.accepts_submit,
            _ => false,
        }
    }

    /// The ordinary response of success.
    fn response(&self, message: &mm7::Message) -> Option<Pdu> {
        let message_id = match &message.pdu {
            Pdu::SubmitReq(request) => Some(message_id(&self.group, &message.transaction_id, request)),
            _ => None,
        };
        let mut response = message.pdu.response(Status::of(1000), message_id)?;
        if let Pdu::DeliverRsp(delivered) = &mut response {
            delivered.service_code = self.service_code.clone();
        }
        Some(response)
    }

    fn fault(&self, kind: FaultKind, status: Option<Status>, context: &Context) -> Response {
        let http = match kind.http_status() {
            500 if self.faults_with_200 => 200,
            other => other,
        };
        soap(http, write_fault(kind, status, context, ErrorSide::Vasp))
    }
}

/// The routes that MMSCs post to: `/mmsgw/v1/mms/inbound/{group}`, and the paths of their own that
/// receivers have. Wants [`Peer`] among the request's extensions, as `mmsgw_net::serve_http` puts it there;
/// without it nobody is let in. Of several receivers for one group or path the first counts. What `admission` has no room
/// for is to come again.
pub fn router(engine: Engine, receivers: Vec<Receiver>, admission: &Admission) -> Router {
    let mut by_group: HashMap<GroupName, Arc<Reception>> = HashMap::new();
    let mut router = Router::new().without_v07_checks();
    let mut paths = HashSet::new();
    for receiver in receivers.into_iter().map(Arc::new) {
        let (engine, admission) = (engine.clone(), admission.clone());
        let reception = Arc::new(Reception { engine, admission, receiver: Arc::clone(&receiver) });
        if let Some(path) = receiver.path.as_deref().filter(|path| paths.insert((*path).to_owned())) {
            let reception = Arc::clone(&reception);
            router = router.route(path, post(async move |request: Request| reception.take(request).await));
        }
        by_group.entry(receiver.group.clone()).or_insert(reception);
    }
    let take = async move |Path(group): Path<String>, request: Request| match group
        .parse()
        .ok()
        .and_then(|group: GroupName| by_group.get(&group).cloned())
    {
        Some(reception) => reception.take(request).await,
        None => (StatusCode::NOT_FOUND, "there is no such gateway group\n").into_response(),
    };
    // The name `id` is the API's for the same place, so that the two routers can be merged.
    router.route("/mmsgw/v1/mms/inbound/{id}", post(take))
}

/// How much of a request is looked at, where the whole has at most `max_body` octets.
pub(crate) fn limits(max_body: ByteSize) -> mm7::Limits {
    let mut limits = mm7::Limits::default();
    limits.mime.message_bytes = max_body.as_usize();
    limits
}

/// A receiver at work.
struct Reception {
    engine: Engine,
    admission: Admission,
    receiver: Arc<Receiver>,
}

impl Reception {
    async fn take(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let peer = head.extensions.get::<Peer>();
        let from = peer.map_or_else(String::new, |peer| peer.address.to_string());
        let tap = self.engine.tap(&self.receiver.group);
        wire::heard_request(&tap, &format!("{} {} from {from}", head.method, head.uri.path()), &head.headers);
        if let Some(wait) = self.receiver.is_too_fast(peer) {
            tracing::debug!(gateway.group = %self.receiver.group, peer = from, "more than a peer may post in a second");
            return wire::said_response(&tap, self.later(wait, &Context::default())).await;
        }
        let asking = Asking { method: &head.method, target: &head.uri, headers: &head.headers };
        if let Err(turned) = self.receiver.door.admit(peer, asking) {
            tracing::warn!(gateway.group = %self.receiver.group, peer = from, ?turned, "not let in");
            return wire::said_response(&tap, self.turn(turned)).await;
        }
        let Some(mut place) = self.admission.admit(0) else {
            return wire::said_response(&tap, self.busy()).await;
        };
        let response = match self.read_body(&head.headers, body, &mut place).await {
            Ok(body) => {
                wire::heard_body(&tap, &body);
                self.judge(text(&head.headers), from, body).await
            }
            Err(response) => response,
        };
        wire::said_response(&tap, response).await
    }

    fn turn(&self, turned: Turned) -> Response {
        let context = Context::default();
        match turned {
            Turned::Away => {
                let fault = write_fault(FaultKind::Unidentified, None, &context, ErrorSide::Vasp);
                soap(403, fault)
            }
            Turned::Back | Turned::Stale => {
                let mut response = self.receiver.fault(FaultKind::Unauthorized, None, &context);
                let challenges = self.receiver.door.challenges(turned).into_iter();
                for challenge in challenges.filter_map(|text| HeaderValue::try_from(text).ok()) {
                    response.headers_mut().append(WWW_AUTHENTICATE, challenge);
                }
                response
            }
        }
    }

    /// The body as a whole, for which `place` has to have room.
    async fn read_body(
        &self,
        headers: &HeaderMap,
        body: Body,
        place: &mut Admitted,
    ) -> Result<Bytes, Response> {
        let max = self.receiver.max_body();
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > max) {
            return Err(self.too_large());
        }
        if !place.grow(announced.unwrap_or_default()) {
            return Err(self.busy());
        }
        match tokio::time::timeout(BODY_TIME, collect(Limited::new(body, max), place)).await {
            Ok(Ok(Some(body))) => Ok(body),
            Ok(Ok(None)) => Err(self.busy()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST.into_response()),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
        }
    }

    /// As much as may be is in hand: the MMSC is to come again.
    fn busy(&self) -> Response {
        self.later(BUSY_PAUSE, &Context::default())
    }

    fn too_large(&self) -> Response {
        let details = Some(format!("at most {} octets are taken", self.receiver.max_body()));
        let status = Status { details, ..Status::of(2004) };
        soap(413, write_fault(FaultKind::Refused, Some(status), &Context::default(), ErrorSide::Vasp))
    }

    /// Looks at a request, keeps it where it is served, and answers.
    async fn judge(&self, content_type: String, from: String, body: Bytes) -> Response {
        let group = &self.receiver.group;
        let request = match mm7::read_request(Some(&content_type), body.clone(), &self.receiver.limits) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(gateway.group = %group, peer = from, body = excerpt(&body), "not readable: {error}");
                self.keep_for_people(content_type, from, body).await;
                let kind = error.fault_kind();
                let status = Status { details: Some(error.to_string()), ..Status::of(kind.status_code()) };
                return self.receiver.fault(kind, Some(status), &error.context);
            }
        };
        let (message, context) = (&request.message, Context::from(&request.message));
        if !self.receiver.is_identified(&message.pdu) {
            tracing::warn!(gateway.group = %group, peer = from, "another VASPID or MMSRelayServerID");
            return self.receiver.fault(FaultKind::Unidentified, None, &context);
        }
        if !self.receiver.serves(&message.pdu) {
            tracing::warn!(gateway.group = %group, peer = from, operation = message.pdu.name(), "not served");
            return self.receiver.fault(FaultKind::UnknownOperation, None, &context);
        }
        if is_to_nobody(&message.pdu) {
            tracing::warn!(gateway.group = %group, peer = from, "submitted to nobody");
            return self.respond(message, message.pdu.response(Status::of(2002), None), &context);
        }
        let kind = IntakeKind::Http { content_type };
        match self.engine.intake(group, kind, from, body).await {
            Ok(job) => {
                tracing::debug!(gateway.group = %group, %job, operation = message.pdu.name(), "kept");
                self.respond(message, self.receiver.response(message), &context)
            }
            Err(refusal) => self.refuse(&refusal, &context),
        }
    }

    /// Keeps what cannot be read, though it is refused: few senders come again with something better. The engine finds
    /// it unreadable as well, and puts it among the dead.
    async fn keep_for_people(&self, content_type: String, from: String, body: Bytes) {
        if body.is_empty() {
            return;
        }
        let kind = IntakeKind::Http { content_type };
        if let Err(refusal) = self.engine.intake(&self.receiver.group, kind, from, body).await {
            tracing::error!(gateway.group = %self.receiver.group, "not kept: {refusal}");
        }
    }

    /// Answers in the request's own namespace, version and TransactionID.
    fn respond(&self, message: &mm7::Message, response: Option<Pdu>, context: &Context) -> Response {
        let answer = response.map(|pdu| message.answer(pdu));
        match answer.map(|answer| write_envelope(&answer, &WriteOptions::default())) {
            Some(Ok(envelope)) => soap(200, envelope),
            Some(Err(error)) => {
                tracing::error!(gateway.group = %self.receiver.group, %error, "an answer cannot be written");
                self.receiver.fault(FaultKind::Internal, None, context)
            }
            None => self.receiver.fault(FaultKind::UnknownOperation, None, context),
        }
    }

    /// Trouble of our own: the MMSC is to come again.
    fn refuse(&self, refusal: &Refusal, context: &Context) -> Response {
        tracing::error!(gateway.group = %self.receiver.group, "not kept: {refusal}");
        let wait = match refusal {
            Refusal::UnknownGroup(_) => {
                return (StatusCode::NOT_FOUND, "there is no such gateway group\n").into_response();
            }
            Refusal::Overloaded { retry_after } => *retry_after,
            _ => PATIENCE,
        };
        self.later(wait, context)
    }

    /// The MMSC is to come again after `wait`.
    fn later(&self, wait: Duration, context: &Context) -> Response {
        let mut response = self.receiver.fault(FaultKind::Overloaded, None, context);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        response
    }
}

/// The body as a whole; `None` where `place` has no room for what it grew to.
async fn collect(
    mut body: Limited<Body>,
    place: &mut Admitted,
) -> Result<Option<Bytes>, Box<dyn Error + Send + Sync>> {
    let mut taken = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(octets) = frame?.into_data() else { continue };
        if !place.grow(taken.len() + octets.len()) {
            return Ok(None);
        }
        taken.extend_from_slice(&octets);
    }
    Ok(Some(taken.freeze()))
}

/// A submission whose recipients are all for show only.
fn is_to_nobody(pdu: &Pdu) -> bool {
    matches!(pdu, Pdu::SubmitReq(request) if request.recipients.deliverable().next().is_none())
}

/// The start of a body, for the log.
fn excerpt(body: &Bytes) -> String {
    let start = String::from_utf8_lossy(&body[..body.len().min(MAX_EXCERPT)]);
    start.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Content-Type of a request; empty where it has none.
fn text(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE);
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

fn soap(status: u16, envelope: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, "text/xml; charset=utf-8")], envelope).into_response()
}

/// Octets of a body that cannot be read which the log shows.
const MAX_EXCERPT: usize = 300;
/// Time for a request's body.
const BODY_TIME: Duration = Duration::from_secs(60);
/// When an MMSC is to come again where too much is in hand.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// When an MMSC is to come again if the engine does not say.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
