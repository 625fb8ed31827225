//! The way out: one POST per message over connections that stay open.
//!
//! Answers for the exchange: what is sent, how long it may take, how much of the answer is read. What the
//! answer means is said in `verdict`, what stands in the request in `translate` and `render`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Method};
use hyper::body::{Body, Frame, SizeHint};
use mmsgw_domain::{Code, InstanceId, IntakeJob, Timestamp};
use mmsgw_engine::{
    Amendment, Answer, Connections, Content, Delivery, Gateway, Incoming, Outbound, OutboundAnswer,
    OutboundReport, Tap, Unreadable, Verdict,
};
use mmsgw_mm7::{self as mm7, Charset, Packaged, Prefixes, WriteOptions};
use mmsgw_net::{ClientError, HttpClient, HttpSettings, read_limited};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use url::Url;

use crate::config::{Credential, Dialect, Mm7Settings, PrefixStyle, SecretError, SettingFault};
use crate::heartbeat::Heartbeat;
use crate::receive::limits;
use crate::render::{RenderError, Rendered, Renderer};
use crate::split::Splitter;
use crate::translate::Translator;
use crate::verdict::{Heard, HttpAnswer, Judge};
use crate::wire;

/// One instance's way to its MMSC.
pub struct Mm7Gateway {
    instance: InstanceId,
    pub(crate) mmsc: Way,
    pub(crate) reports: Option<Way>,
    client: HttpClient,
    soap_action: HeaderValue,
    heartbeat: Option<Heartbeat>,
    extra_headers: HeaderMap,
    pub(crate) charset: Charset,
    timeout: Duration,
    connections: Semaphore,
    most_connections: usize,
    pub(crate) options: WriteOptions,
    pub(crate) translator: Translator,
    renderer: Renderer,
    pub(crate) splitter: Splitter,
    pub(crate) judge: Judge,
    limits: mm7::Limits,
}

/// Where requests go, and what is shown there.
pub(crate) struct Way {
    url: Url,
    credential: Option<Credential>,
}

impl Way {
    fn show_credential(&self, begun: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.credential {
            None => begun,
            Some(Credential::Basic { username, password }) => {
                begun.basic_auth(username, Some(password.expose_secret()))
            }
            Some(Credential::Bearer(token)) => begun.bearer_auth(token.expose_secret()),
        }
    }
}

/// Why a gateway cannot be made of its settings.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Settings are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<SettingFault>),
    /// A file with a secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The TLS settings cannot be used.
    #[error("outbound.tls: {0}")]
    Client(#[from] ClientError),
}

impl Mm7Gateway {
    /// Makes the instance; reads the files that the settings name, and connects to nobody yet.
    ///
    /// # Errors
    /// [`GatewayError`], naming the setting.
    pub fn new(settings: &Mm7Settings, instance: InstanceId) -> Result<Self, GatewayError> {
        settings.check().map_err(GatewayError::Settings)?;
        let (outbound, dialect) = (&settings.outbound, &settings.dialect);
        let connections =
            outbound.connections.unwrap_or(settings.gateway.window).clamp(1, Semaphore::MAX_PERMITS);
        let client = HttpClient::new(&HttpSettings {
            connect_timeout: outbound.connect_timeout.0,
            total_timeout: dialect.ack_timeout.0,
            pool_max_idle: connections,
            tls: outbound.tls.clone(),
            ..HttpSettings::default()
        })?;
        let translator = Translator::new(settings).stating(settings.stated_vaspid()?);
        let fault = |fault| GatewayError::Settings(vec![fault]);
        let action =
            |_| fault(SettingFault { key: "outbound.soap_action", why: "cannot stand in a header".into() });
        let mmsc =
            Way { url: outbound.url().map_err(fault)?, credential: outbound.credential(dialect.auth)? };
        Ok(Self {
            instance,
            reports: settings.report_way().map_err(fault)?.map(|(url, is_same_place)| Way {
                url,
                credential: mmsc.credential.clone().filter(|_| is_same_place),
            }),
            mmsc,
            client,
            soap_action: HeaderValue::try_from(format!("\"{}\"", dialect.soap_action())).map_err(action)?,
            heartbeat: outbound.heartbeat.clone(),
            extra_headers: extra_headers(dialect),
            charset: dialect.charset(),
            timeout: dialect.ack_timeout.0,
            connections: Semaphore::new(connections),
            most_connections: connections,
            options: options(dialect),
            renderer: Renderer::new(dialect, outbound.content_cache.as_usize()),
            splitter: Splitter::new(dialect.max_recipients),
            judge: Judge::new(dialect, translator.numbering.clone()),
            translator,
            limits: limits(settings.inbound.max_body),
        })
    }

    /// A request's body: content from the cache, the envelope written now by `request`, which is told the
    /// Content-ID of the content. None where `request` makes none.
    pub(crate) async fn package(
        &self,
        content: Option<&Content>,
        request: impl FnOnce(Option<&str>) -> Option<mm7::Message>,
    ) -> Result<Option<Packaged>, Unwritable> {
        let rendered = match content {
            Some(content) => self.renderer.content(content).await?,
            None => None,
        };
        let content_id = rendered.as_ref().map(|rendered| rendered.content_id.as_str());
        let Some(message) = request(content_id) else { return Ok(None) };
        let envelope = self.charset.encode(mm7::write_envelope(&message, &self.options)?);
        Ok(Some(match (rendered, content) {
            (Some(rendered), Some(content)) => enclose((&envelope, self.charset), &rendered, content)?,
            _ => Packaged::bare(envelope, self.charset),
        }))
    }

    /// Posts a body and waits for the answer.
    pub(crate) async fn exchange(&self, way: &Way, packaged: Packaged, now: Timestamp, tap: &Tap) -> Heard {
        let Ok(_turn) = self.connections.acquire().await else {
            return Heard::Nothing("the gateway is closed".into());
        };
        let begun = match self.begin(way, &packaged) {
            Ok(begun) => begun,
            Err(why) => return Heard::Nothing(why),
        };
        wire::said(tap, &begun, &packaged);
        match begun.body(reqwest::Body::wrap(Pieces::of(packaged))).send().await {
            Ok(response) => self.hear(response, now, tap).await,
            Err(error) => {
                let reason = self.reason(&error);
                tap.happened(&reason);
                Heard::Nothing(reason)
            }
        }
    }

    /// The POST of a body.
    pub(crate) fn request(&self, way: &Way, packaged: Packaged) -> Result<reqwest::RequestBuilder, String> {
        Ok(self.begin(way, &packaged)?.body(reqwest::Body::wrap(Pieces::of(packaged))))
    }

    /// The same without the body.
    fn begin(&self, way: &Way, packaged: &Packaged) -> Result<reqwest::RequestBuilder, String> {
        let begun =
            self.client.request(Method::POST, way.url.clone()).map_err(|refusal| refusal.to_string())?;
        Ok(way
            .show_credential(begun)
            .header(SOAP_ACTION, self.soap_action.clone())
            .headers(self.extra_headers.clone())
            .header(CONTENT_TYPE, &packaged.content_type)
            .header(CONTENT_LENGTH, packaged.content_length()))
    }

    async fn hear(&self, response: reqwest::Response, now: Timestamp, tap: &Tap) -> Heard {
        let text = |name| {
            response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let status = response.status().as_u16();
        let (content_type, pause) = (text(CONTENT_TYPE), retry_after(response.headers(), now));
        wire::heard_head(tap, &response);
        let body = read_limited(response, MAX_ANSWER).await.map_err(|error| match error {
            mmsgw_net::BodyError::Read(error) => self.reason(&error),
            other => other.to_string(),
        });
        match &body {
            Ok(octets) => tap.heard(octets),
            Err(reason) => tap.happened(reason),
        }
        Heard::Answer(HttpAnswer { status, content_type, pause, body })
    }

    /// What went wrong on the way, for people, without the URL.
    fn reason(&self, error: &reqwest::Error) -> String {
        if error.is_connect() {
            return format!("cannot connect to the MMSC: {}", innermost(error));
        }
        if error.is_timeout() {
            return format!("no answer within {}", mmsgw_domain::Span(self.timeout));
        }
        format!("the exchange broke off: {}", innermost(error))
    }
}

#[async_trait]
impl Gateway for Mm7Gateway {
    fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// The client does not tell how many are idle.
    fn connections(&self) -> Connections {
        let busy = self.most_connections.saturating_sub(self.connections.available_permits());
        let dials = self.client.dials();
        Connections { busy: busy as u64, idle: None, opened: dials.opened(), failed: dials.failed() }
    }

    async fn heartbeat(&self) -> Result<(), String> {
        let Some(beat) = &self.heartbeat else { return Ok(()) };
        let begun = self.client.request(beat.method.clone(), self.mmsc.url.clone());
        let begun = begun.map_err(|refusal| refusal.to_string())?;
        let response = self.mmsc.show_credential(begun).send().await.map_err(|e| self.reason(&e))?;
        let status = response.status();
        if beat.is_met_by(status) {
            Ok(())
        } else {
            Err(format!("{beat} was wanted, and HTTP {status} came"))
        }
    }

    async fn send(&self, outbound: &Outbound) -> Verdict {
        self.submit(outbound).await
    }

    fn read(&self, intake: &IntakeJob) -> Result<Incoming, Unreadable> {
        self.translator.read(intake, &self.limits)
    }

    async fn report(&self, report: &OutboundReport) -> Verdict {
        self.tell(report).await
    }

    /// Nothing is left to do: in MM7 the HTTP response was the answer.
    async fn answer(&self, _answer: &OutboundAnswer<'_>) -> Verdict {
        let answer = Answer::own(Code::OK, "MM7 answers in the HTTP response");
        Verdict::all(Delivery::Sent { peer_ref: None, answer, acknowledged: true })
    }

    async fn amend(&self, amendment: &Amendment) -> Verdict {
        self.change(amendment).await
    }
}

/// An envelope and its content as one body.
pub(crate) fn enclose(
    envelope: (&[u8], Charset),
    rendered: &Rendered,
    content: &Content,
) -> Result<Packaged, mm7::WriteError> {
    match &rendered.flat {
        Some(boundary) => mm7::package_flat(envelope, &rendered.entity, boundary),
        None => {
            let boundary = format!("mm7-{}", content.revision());
            mm7::package(envelope, &rendered.entity, &rendered.content_id, &boundary)
        }
    }
}

/// A message that no other try could write.
pub(crate) fn unwritable(error: &Unwritable) -> Delivery {
    let answer = Answer::own(Code::MALFORMED, format!("cannot be written as MM7: {error}"));
    Delivery::Fail { answer }
}

/// How a dialect has envelopes written.
pub(crate) fn options(dialect: &Dialect) -> WriteOptions {
    WriteOptions {
        prefixes: match dialect.prefix_style {
            PrefixStyle::Default => Prefixes::None,
            PrefixStyle::Mm7 => Prefixes::Mm7,
        },
        bare_sender: dialect.bare_sender,
    }
}

/// Why a message cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritable {
    #[error("content: {0}")]
    Content(#[from] RenderError),
    #[error("{0}")]
    Envelope(#[from] mm7::WriteError),
}

/// A body of three pieces whose length is known, so that it is not sent in chunks, which some MMSCs refuse.
struct Pieces {
    rest: std::array::IntoIter<Bytes, 3>,
}

impl Pieces {
    fn of(packaged: Packaged) -> Self {
        Self { rest: [packaged.head, packaged.body, packaged.tail].into_iter() }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.rest.find(|piece| !piece.is_empty()).map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_slice().iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.as_slice().iter().map(|piece| piece.len() as u64).sum())
    }
}

/// What the MMSC wants besides; the check has seen that they are headers.
fn extra_headers(dialect: &Dialect) -> HeaderMap {
    let header = |(name, value): (&String, &String)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    dialect.extra_headers.iter().filter_map(header).collect()
}

/// Retry-After (RFC 9110 clause 10.2.3): seconds or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(now.until(Timestamp::from_jiff(date.timestamp())))
}

/// The cause at the bottom, which says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    // A chain of causes has an end, but nobody promises that.
    for _ in 0..16 {
        let Some(next) = cause.source() else { break };
        cause = next;
    }
    cause.to_string()
}

const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");
/// Octets of the longest answer read.
const MAX_ANSWER: usize = 1 << 20;

#[cfg(test)]
pub(crate) mod tests;
