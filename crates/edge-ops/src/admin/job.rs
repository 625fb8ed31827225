//! What a job is about, as administrators see it.

use mmsgw_domain::{Job, JobId};
use serde::Serialize;
use utoipa::ToSchema;

/// What a job is about.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobView {
    /// What is to be done: `transmit`, `intake`, `callback`, `report`, `amend`, `answer`.
    job: &'static str,
    /// When it was queued, in seconds since 1970.
    created_ts: i64,
    /// Intake: who handed it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// Intake: octets that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    /// The message concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Callback: where it is posted to. Answer: where it is mailed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

impl JobView {
    pub(super) fn of(id: JobId, job: &Job) -> Self {
        let created_ts = id.created().as_secs();
        let mut view = Self { job: "", created_ts, peer: None, size: None, message: None, address: None };
        match job {
            Job::TransmitV1(job) => (view.job, view.message) = ("transmit", Some(job.message.to_string())),
            Job::ReportV1(job) => (view.job, view.message) = ("report", Some(job.message.to_string())),
            Job::AmendV1(job) => (view.job, view.message) = ("amend", Some(job.message.to_string())),
            Job::AnswerV1(job) => (view.job, view.address) = ("answer", Some(job.to.address.clone())),
            Job::CallbackV1(job) => {
                (view.job, view.message, view.address) =
                    ("callback", Some(job.message.to_string()), Some(job.url.clone()));
            }
            Job::IntakeV1(job) => {
                (view.job, view.peer, view.size) = ("intake", Some(job.peer.clone()), Some(job.raw.len()));
            }
        }
        view
    }

    /// Whether peer or address has this text in it.
    pub(super) fn has(&self, text: &str) -> bool {
        [&self.peer, &self.address].into_iter().flatten().any(|field| field.contains(text))
    }

    /// Whether it is about that message.
    pub(super) fn is_of(&self, message: &str) -> bool {
        self.message.as_deref() == Some(message)
    }
}
