//! Posts callbacks.
//!
//! Answers for one try of one callback: the JSON, the signature, the exchange, and the verdict that follows from it,
//! with the reports that an application orders in its answer to an inbound message.
//! It must not try again by itself, follow a redirect, or let one endpoint hold up another (`endpoint`).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, HeaderName, Method};
use mmsgw_contract::{CallbackAnswer, EventCallback, Links, MessageView, Rules};
use mmsgw_domain::{Address, Clock, Message, ReportOrder};
use mmsgw_engine::{Call, CallSubject, CallVerdict, Notifier};
use mmsgw_net::{AddressGuard, HttpClient, HttpSettings, read_limited};
use reqwest::RequestBuilder;
use url::Url;

use crate::config::CallbackSettings;
use crate::endpoint::Endpoints;
use crate::sign::Signer;
use crate::verdict::{Judgement, retry_after};
use crate::{MAX_URL, SetupError};

/// The way to applications.
pub struct Callout {
    client: HttpClient,
    endpoints: Endpoints,
    signer: Signer,
    clock: Arc<dyn Clock>,
    links: Links,
    /// What orders in answers are measured by.
    rules: Rules,
    max_answer: usize,
}

impl Callout {
    /// Makes it ready; nothing is connected to yet. The clock dates the signatures, the links lead applications to
    /// the media of inbound messages.
    ///
    /// # Errors
    /// [`SetupError`] when TLS files or signing keys cannot be used.
    pub fn new(settings: &CallbackSettings, clock: Arc<dyn Clock>, links: Links) -> Result<Self, SetupError> {
        let guard = AddressGuard::new(settings.allow_networks.clone()).https_only(settings.https_only);
        let http = HttpSettings {
            connect_timeout: settings.connect_timeout.0,
            total_timeout: settings.timeout.0,
            pool_max_idle: settings.in_flight,
            tls: settings.tls.clone(),
            guard: Some(guard),
            ..HttpSettings::default()
        };
        Ok(Self {
            client: HttpClient::new(&http)?,
            endpoints: Endpoints::new(settings),
            signer: Signer::new(&settings.keys)?,
            clock,
            links,
            rules: Rules::default(),
            max_answer: settings.max_answer.as_usize(),
        })
    }

    /// The whole request but for its time in line; a refusal is for good.
    fn prepare(&self, call: &Call<'_>) -> Result<(Url, RequestBuilder, Bytes), String> {
        if call.url.len() > MAX_URL {
            return Err(format!("a URL has at most {MAX_URL} octets"));
        }
        let url: Url = call.url.parse().map_err(|error| format!("not a URL: {error}"))?;
        let request =
            self.client.request(Method::POST, url.clone()).map_err(|refusal| refusal.to_string())?;
        let body =
            self.write(&call.subject).map_err(|error| format!("no JSON can be made of it: {error}"))?;
        Ok((url, request, body.into()))
    }

    fn write(&self, subject: &CallSubject<'_>) -> serde_json::Result<Vec<u8>> {
        match subject {
            CallSubject::Event { message, event } => serde_json::to_vec(&EventCallback::of(*message, event)),
            CallSubject::InboundMessage { message, template } => {
                serde_json::to_vec(&MessageView::of(message, template, &self.links))
            }
        }
    }

    /// Headers of the attempt, dated and signed when it is made.
    fn headers(&self, call: &Call<'_>, body: &[u8]) -> Result<HeaderMap, http::header::InvalidHeaderValue> {
        let delivery_id = call.delivery_id;
        let now = self.clock.now().as_secs();
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (WEBHOOK_ID, delivery_id.parse()?),
            (WEBHOOK_TIMESTAMP, now.into()),
        ]);
        if let Some(signature) = self.signer.sign(delivery_id, now, body) {
            headers.insert(WEBHOOK_SIGNATURE, signature.parse()?);
        }
        if let Some(trace) = call.trace {
            headers.insert(TRACEPARENT, trace.to_string().parse()?);
        }
        Ok(headers)
    }

    /// The judgement on a call, and the body of the answer, which is empty where it was not to be had.
    async fn exchange(&self, request: RequestBuilder) -> (Judgement, Bytes) {
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return (Judgement::by_error(&error), Bytes::new()),
        };
        let pause = retry_after(answer.headers(), self.clock.now());
        let judgement = Judgement::by_answer(answer.status(), pause);
        // The status has said it all save orders; the body is also taken off the connection so that that can be
        // used again.
        let body = read_limited(answer, self.max_answer).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "body of an application's answer left unread");
            Bytes::new()
        });
        (judgement, body)
    }

    /// What the answer of an application that took a message orders. A callback that was taken does not fail for
    /// its answer, so what makes no sense in it is told in the log only.
    fn orders(&self, message: &Message, body: &[u8]) -> Vec<ReportOrder> {
        let CallbackAnswer { mut orders, problem } =
            CallbackAnswer::read(body, &self.rules, self.clock.now());
        if let Some(problem) = problem {
            let place = problem.errors.first().map(|fault| fault.pointer.as_str());
            tracing::warn!(message.id = %message.id, place, "an application's answer orders no report: {problem}");
        }
        orders.retain(|order| fits(order, message));
        orders
    }
}

/// Whether an order is about numbers of the message.
fn fits(order: &ReportOrder, message: &Message) -> bool {
    let known = |address: &Address| message.recipients.iter().any(|recipient| recipient.address == *address);
    let stranger = order.recipients.iter().find(|address| !known(address));
    if let Some(stranger) = stranger {
        tracing::warn!(
            message.id = %message.id,
            kind = ?order.kind,
            "an application's answer orders no report: `{stranger}` is not among the numbers of the message"
        );
    }
    stranger.is_none()
}

#[async_trait]
impl Notifier for Callout {
    async fn notify(&self, call: &Call<'_>) -> CallVerdict {
        let (url, request, body) = match self.prepare(call) {
            Ok(ready) => ready,
            Err(reason) => return CallVerdict::Never { reason },
        };
        let turn = match self.endpoints.enter(&url.origin().ascii_serialization()).await {
            Ok(turn) => turn,
            Err(away) => return CallVerdict::Busy { reason: away.reason.into(), pause: away.pause },
        };
        let headers = match self.headers(call, &body) {
            Ok(headers) => headers,
            Err(error) => {
                return CallVerdict::Never { reason: format!("the delivery id is no header: {error}") };
            }
        };
        let (Judgement { verdict, health }, answer) =
            self.exchange(request.headers(headers).body(body)).await;
        turn.done(health);
        match (verdict, call.subject) {
            (CallVerdict::Done, CallSubject::InboundMessage { message, .. }) => {
                match self.orders(message, &answer) {
                    orders if orders.is_empty() => CallVerdict::Done,
                    orders => CallVerdict::Answered { orders },
                }
            }
            (verdict, _) => verdict,
        }
    }

    fn reopen(&self, url: &str) {
        if let Ok(url) = url.parse::<Url>() {
            self.endpoints.reopen(&url.origin().ascii_serialization());
        }
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

#[cfg(test)]
mod tests;
