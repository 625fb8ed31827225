//! A collector of traces: takes OTLP over HTTP and reads it with OpenTelemetry's own definitions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use mmsgw_net::Drain;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::application::serve;
use super::wait_until;

/// A span as it came, ids in hexadecimal.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where it has none.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// What went wrong; empty where nothing did.
    pub(crate) fault: String,
    /// `service.name` of who sent it.
    pub(crate) service: String,
}

/// A listener for traces on loopback.
pub(crate) struct Collector {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _drain: Drain,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let route = axum::routing::post(take);
        let (address, drain) =
            serve(axum::Router::new().route("/v1/traces", route).with_state(Arc::clone(&seen)));
        Self { address, seen, _drain: drain }
    }

    /// The section that leads there.
    pub(crate) fn section(&self) -> String {
        format!(
            "[traces]\nendpoint = 'http://{}/v1/traces'\nheaders = {{ authorization = 'Bearer sesame' }}\n",
            self.address
        )
    }

    /// All spans of a trace that have come.
    pub(crate) fn of(&self, trace: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// The spans of a trace, once there are some with all these names.
    pub(crate) async fn gets(&self, trace: &str, names: &[&str]) -> Vec<Seen> {
        wait_until(&format!("spans {names:?} of {trace}"), async || {
            let spans = self.of(trace);
            names.iter().all(|name| spans.iter().any(|span| span.name == *name)).then_some(spans)
        })
        .await
    }
}

async fn take(State(seen): State<Arc<Mutex<Vec<Seen>>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["authorization"], "Bearer sesame");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        let about = attributes(resource.resource.unwrap().attributes);
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            seen.lock().unwrap().push(read(span, &about["service.name"]));
        }
    }
    StatusCode::OK
}

fn read(span: Span, service: &str) -> Seen {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.flags & 1), (16, 8, 1));
    let status = span.status.unwrap_or_default();
    assert_eq!(status.code == 2, !status.message.is_empty());
    Seen {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        attributes: attributes(span.attributes),
        fault: status.message,
        service: service.to_owned(),
    }
}

fn attributes(pairs: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|pair| match pair.value.unwrap().value.unwrap() {
            Value::StringValue(text) => (pair.key, text),
            other => panic!("{}: {other:?}", pair.key),
        })
        .collect()
}
