//! `POST /mmsgw/v1/mms/outbound/<template_id>/batch`: queues a message for each line of a stream.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use mmsgw_contract::{BatchView, FaultCode, Problem, ProblemCode, ProblemView, SendForm, SendRequest};
use mmsgw_domain::{Digest, TemplateId};
use mmsgw_engine::{Bulk, BulkDraft, BulkStatus, Line, LineFault, Refusal, Submission};

use super::lines::{Cutter, Form, RawLine};
use crate::api::Api;
use crate::auth::{Caller, Sender};
use crate::body::pour_away;
use crate::error::{Places, Refused};
use crate::idempotency::{REPLAYED, Repetition};
use crate::messages::send::submission;
use crate::templates::{answer, id_in_path};

/// Queues a message for each line. The body is a stream of any length, one JSON object a line, or a JSON list of them:
/// the fields are those of sending, save `gateway`. What a query says holds for all lines that do not say otherwise.
#[utoipa::path(
    post, path = "/mmsgw/v1/mms/outbound/{id}/batch", tag = "batches",
    request_body(content((SendForm = "application/x-ndjson"), (Vec<SendForm> = "application/json"))),
    params(
        ("id" = String, Path, description = "The template's id"),
        ("gateway" = Option<String>, Query, description = "The gateway group to carry all; the configured default if absent"),
        ("priority" = Option<String>, Query, description = "As in sending"),
        ("origin" = Option<String>, Query, description = "As in sending"),
        ("linked_id" = Option<String>, Query, description = "As in sending"),
        ("events_url" = Option<String>, Query, description = "As in sending, with commas"),
        ("Idempotency-Key" = Option<String>, Header, description = "A stream that broke off is sent again from its beginning with the same key: lines that were done are skipped"),
    ),
    responses(
        (status = 202, description = "The batch: every line is durably queued or refused", body = BatchView,
         headers(("Location" = String, description = "Where the batch is"))),
        (status = "4XX", description = "Refused, or broken off after some lines", body = ProblemView, content_type = "application/problem+json"),
    ),
    security(("key" = ["send"]))
)]
pub(crate) async fn send_batch(
    State(api): State<Api>,
    Sender(caller): Sender,
    Path(id): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    repetition: Repetition,
    request: Request,
) -> Result<Response, Refused> {
    let (head, mut body) = request.into_parts();
    let begun = begin(&api, &caller, &id, &pairs, (repetition, &head.headers)).await;
    let taken = match begun {
        Ok(intake) => {
            let replayed = intake.bulk.is_resumed() && intake.bulk.is_complete();
            intake.run(&mut body).await.map(|status| (status, replayed))
        }
        Err(refused) => Err(refused),
    };
    match taken {
        Ok((status, replayed)) => Ok(accepted(&api, &status, replayed)),
        Err(refused) => {
            pour_away(body);
            Err(refused)
        }
    }
}

fn accepted(api: &Api, status: &BulkStatus, replayed: bool) -> Response {
    let location = format!("{}/mmsgw/v1/batches/{}", api.base, status.id);
    let mut response = answer(StatusCode::ACCEPTED, Some(location), &BatchView::of(status));
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Opens the batch, once the caller may.
async fn begin<'a>(
    api: &'a Api,
    caller: &'a Caller,
    id: &str,
    pairs: &[(String, String)],
    (repetition, headers): (Repetition, &HeaderMap),
) -> Result<Intake<'a>, Refused> {
    let id: TemplateId = id_in_path(id, "template")?;
    let form = form_of(headers)?;
    let common = SendRequest::read_query(pairs, &api.rules, api.now())?;
    submission(api, caller, common.clone(), "")?;
    caller.may_see_template(&api.engine.template(id).await?)?;
    let draft = BulkDraft { template: id, group: common.gateway.clone() };
    let bulk = api.engine.open_bulk(&draft, repetition.of_stream(caller).as_ref()).await;
    let bulk = bulk.map_err(|refusal| Places::default().refused(refusal))?;
    Ok(Intake {
        api,
        caller,
        common,
        end: 1,
        checked: false,
        chunk: Vec::new(),
        octets: 0,
        digest: Context::new(&SHA256),
        cutter: Cutter::new(form, api.max_line),
        bulk,
    })
}

/// NDJSON under any of its names, or a JSON list.
fn form_of(headers: &HeaderMap) -> Result<Form, Problem> {
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Ok(Form::Ndjson)
        }
        "application/json" => Ok(Form::List),
        other => {
            let detail =
                format!("`{other}` is not taken; a batch is application/x-ndjson or application/json");
            Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
        }
    }
}

/// A batch whose lines are coming.
struct Intake<'a> {
    api: &'a Api,
    caller: &'a Caller,
    /// What holds for all lines.
    common: SendRequest,
    bulk: Bulk,
    cutter: Cutter,
    /// Of all lines so far.
    digest: Context,
    /// The number after that of the last line.
    end: u64,
    /// Whether the lines skipped are those that were done.
    checked: bool,
    chunk: Vec<Line>,
    /// Octets of the chunk's lines.
    octets: usize,
}

impl Intake<'_> {
    /// Takes the whole body.
    async fn run(mut self, body: &mut Body) -> Result<BulkStatus, Refused> {
        match self.take_all(body).await {
            Ok(()) => Ok(self.bulk.complete().await?),
            Err(refused) => {
                // So that who sends it again at once finds nothing under way.
                let _ = self.bulk.settle().await;
                Err(refused)
            }
        }
    }

    async fn take_all(&mut self, body: &mut Body) -> Result<(), Refused> {
        let mut lines = Vec::new();
        let mut silence = Duration::ZERO;
        loop {
            match tokio::time::timeout(LINGER, body.frame()).await {
                // Lines do not wait for others that may never come.
                Err(_) => {
                    silence += LINGER;
                    self.flush().await?;
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    self.flush().await?;
                    let detail = format!("the body broke off: {error}");
                    return Err(Problem::new(ProblemCode::BadRequest, detail).into());
                }
                Ok(Some(Ok(frame))) => {
                    silence = Duration::ZERO;
                    let piece: Bytes = frame.into_data().unwrap_or_default();
                    self.cutter.feed(&piece, &mut lines)?;
                    self.take(&mut lines).await?;
                }
            }
            if silence > self.api.request_timeout {
                let detail = format!("nothing came after line {}", self.cutter.number());
                return Err(Problem::new(ProblemCode::RequestTimeout, detail).into());
            }
        }
        self.cutter.finish(&mut lines)?;
        self.take(&mut lines).await?;
        self.flush().await?;
        if !self.checked {
            self.check_skipped(false)?;
            if self.end != self.bulk.next_line() {
                return Err(Refusal::KeyReused.into());
            }
        }
        Ok(())
    }

    async fn take(&mut self, lines: &mut Vec<RawLine>) -> Result<(), Refused> {
        for line in lines.drain(..) {
            self.add(line)?;
            if self.chunk.len() >= CHUNK_LINES || self.octets >= CHUNK_OCTETS {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn add(&mut self, line: RawLine) -> Result<(), Refused> {
        let is_new = line.number >= self.bulk.next_line();
        if is_new && !self.checked {
            self.check_skipped(true)?;
            self.checked = true;
        }
        self.digest.update(&line.octets);
        self.digest.update(b"\n");
        self.end = line.number + 1;
        if is_new {
            self.octets += line.octets.len();
            let submission = self.read(&line).map_err(Refused::line_fault);
            self.chunk.push(Line { number: line.number, submission });
        }
        Ok(())
    }

    fn check_skipped(&self, more: bool) -> Result<(), Refused> {
        Ok(self.bulk.check_skipped(&self.digest_so_far(), more)?)
    }

    fn digest_so_far(&self) -> Digest {
        let digest = self.digest.clone().finish();
        Digest::new(digest.as_ref().try_into().expect("SHA-256 has 32 octets"))
    }

    fn read(&self, line: &RawLine) -> Result<Submission, Refused> {
        if line.too_long {
            let detail = format!("a line has at most {} octets", self.api.max_line);
            return Err(Problem::field("", FaultCode::TooLong, detail).into());
        }
        let request = SendRequest::read(&line.octets, &self.api.rules, self.api.now())?;
        if request.gateway.as_ref().is_some_and(|gateway| gateway != self.bulk.group()) {
            let detail = format!("all lines of this batch go through `{}`", self.bulk.group());
            return Err(Problem::field("/gateway", FaultCode::Disagrees, detail).into());
        }
        let mut submission = submission(self.api, self.caller, request.over(&self.common), "")?;
        // A trace of a million messages would help nobody: each line has one of its own.
        submission.trace = None;
        if self.caller.has_origins() {
            submission.origin.get_or_insert_with(|| self.bulk.template().content.origin.clone());
        }
        Ok(submission)
    }

    /// Hands the chunk over; it is being made durable while the next one is read.
    async fn flush(&mut self) -> Result<(), Refused> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let (lines, digest) = (std::mem::take(&mut self.chunk), self.digest_so_far());
        self.octets = 0;
        Ok(self.bulk.take(lines, self.end, digest, &explain).await?)
    }
}

/// Why the engine refuses a line, in the words of the contract.
fn explain(refusal: Refusal) -> LineFault {
    Refused::from(refusal).line_fault()
}

/// Most lines made durable at once: enough that the disk is no matter, few enough that a single message never waits
/// long behind them.
const CHUNK_LINES: usize = 500;
/// Most octets of lines made durable at once.
const CHUNK_OCTETS: usize = 1 << 20;
/// Lines that wait for others of their chunk wait that long at most.
const LINGER: Duration = Duration::from_millis(500);
