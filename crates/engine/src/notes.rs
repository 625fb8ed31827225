//! Notes on a message: what was heard about it, and what was told, becomes events.
//!
//! A message to hundreds of numbers gets hundreds of reports within seconds, and each commit writes its whole
//! record. So whoever has the turn at a message takes along what waits for it, and many notes are one commit.

use std::collections::HashMap;
use std::sync::Arc;

use mmsgw_domain::{AnswerTo, CarrierReport, Code, Event, InstanceId, MessageId, ReportOrder, Timestamp};
use mmsgw_store::{Lease, StoreError, Write};
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::group::Group;
use crate::hear::{event_of, is_early, taken_back};
use crate::settle::{Change, MOST_CONFLICTS, repeats};

/// Something to be recorded with a message, and the job that brought it, which ends with that.
pub(crate) struct Note {
    lease: Lease,
    tries: u32,
    matter: Matter,
    end: Mutex<Option<Result<Noted, StoreError>>>,
}

/// What a note is about.
pub(crate) enum Matter {
    /// The carrier reported on a message of ours, and perhaps wants an answer.
    Heard(Box<(CarrierReport, Option<AnswerTo>)>),
    /// The carrier was told about a message of its own.
    Told {
        /// What it was told.
        order: ReportOrder,
        /// A sentence for people.
        description: String,
    },
}

/// What became of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is recorded, or put off, and its job with it.
    Done,
    /// There is no such message any more; the job is as it was.
    Gone,
}

/// Who takes notes: the same for all notes on one message within a process.
#[derive(Clone, Copy)]
pub(crate) struct Clerk<'a> {
    pub(crate) group: &'a Group,
    pub(crate) instance: &'a InstanceId,
}

/// The notes that wait, by message.
#[derive(Default)]
pub(crate) struct Notes {
    waiting: Mutex<HashMap<MessageId, Vec<Arc<Note>>>>,
}

impl Note {
    pub(crate) fn new(lease: Lease, tries: u32, matter: Matter) -> Self {
        Self { lease, tries, matter, end: Mutex::default() }
    }
}

impl Engine {
    /// Records a note on a message, together with others that wait for the same message.
    pub(crate) async fn note(
        &self,
        clerk: Clerk<'_>,
        id: MessageId,
        note: Note,
    ) -> Result<Noted, StoreError> {
        let note = Arc::new(note);
        self.notes.waiting.lock().entry(id).or_default().push(Arc::clone(&note));
        let _turn = self.turns.take(id).await;
        if let Some(end) = note.end.lock().take() {
            return end;
        }
        let mut all = self.notes.waiting.lock().remove(&id).unwrap_or_default();
        // Whoever took it along may have died of a defect.
        if !all.iter().any(|other| Arc::ptr_eq(other, &note)) {
            all.push(Arc::clone(&note));
        }
        match self.write_down(clerk, id, &all).await {
            Ok(noted) => all.iter().for_each(|note| *note.end.lock() = Some(Ok(noted))),
            // One may hinder the others, such as one whose lease has lapsed.
            Err(_) if all.len() > 1 => {
                for note in &all {
                    let end = self.write_down(clerk, id, std::slice::from_ref(note)).await;
                    *note.end.lock() = Some(end);
                }
            }
            Err(error) => return Err(error),
        }
        let end = note.end.lock().take();
        end.unwrap_or(Ok(Noted::Gone))
    }

    /// All of the notes in one commit. A message that changed meanwhile is read again.
    async fn write_down(
        &self,
        clerk: Clerk<'_>,
        id: MessageId,
        notes: &[Arc<Note>],
    ) -> Result<Noted, StoreError> {
        for _ in 0..MOST_CONFLICTS {
            let Some(message) = self.store.message(id).await? else { return Ok(Noted::Gone) };
            let mut change = Change::new(self, message);
            notes.iter().for_each(|note| change.note(clerk, note));
            match change.commit().await {
                Err(StoreError::Conflict(_)) => {}
                other => return other.map(|()| Noted::Done),
            }
        }
        Err(StoreError::Conflict(format!("message {id} changes all the time")))
    }
}

impl Change<'_> {
    fn note(&mut self, clerk: Clerk<'_>, note: &Note) {
        match &note.matter {
            Matter::Heard(heard) => {
                let (report, answer) = &**heard;
                if is_early(report, &self.message) {
                    let delay = self.engine.settings().report_retry.delay(note.tries, false, None);
                    if let Some(delay) = delay {
                        let due = self.now.after(delay);
                        return self.push(Write::Postpone { lease: note.lease.clone(), due });
                    }
                }
                self.hear(clerk, report);
                if let Some(to) = answer {
                    self.push(self.engine.answer_to_report(clerk.group, to, Code::OK));
                }
            }
            Matter::Told { order, description } => {
                let event = told(self.now, clerk.instance, order, description);
                self.record_once(event);
            }
        }
        self.push(Write::Finish(note.lease.clone()));
    }

    /// Records what a carrier reported.
    fn hear(&mut self, clerk: Clerk<'_>, report: &CarrierReport) {
        self.handed_over();
        if report.again {
            return self.send_again(clerk, report);
        }
        let event = event_of(report, &self.message, clerk.instance, self.now);
        self.record_once(event);
    }

    /// Sends the message once more to the numbers for which the carrier wants it, or gives those up.
    fn send_again(&mut self, clerk: Clerk<'_>, report: &CarrierReport) {
        let Some(back) = taken_back(report, &self.message) else {
            tracing::debug!(message.id = %self.message.id, "a carrier wants again what is under way or done");
            return;
        };
        let tries = self.message.rounds + u32::from(back.is_new_round);
        let said = report.description.as_deref().unwrap_or(&report.carrier_status);
        let mut event = event_of(report, &self.message, clerk.instance, self.now);
        event.destinations = back.numbers;
        match clerk.group.settings.retry.delay(tries, false, None) {
            Some(delay) if self.now.after(delay) < self.message.deadline => {
                event.description = format!("the carrier wants it once more: {said}");
                self.take_back(clerk.group, event, (tries, self.now.after(delay)));
            }
            _ => {
                event.description = format!("given up after {tries} tries: {said}");
                self.record(event);
            }
        }
    }

    fn record_once(&mut self, event: Event) {
        if repeats(&self.message, &event) {
            tracing::debug!(message.id = %self.message.id, state = %event.state, "a report came again");
        } else {
            self.record(event);
        }
    }
}

fn told(now: Timestamp, instance: &InstanceId, order: &ReportOrder, description: &str) -> Event {
    Event {
        sequence: 0,
        state: order.state(),
        code: order.code,
        description: description.to_owned(),
        carrier_status: order.word.clone(),
        details: None,
        at: now,
        instance: Some(instance.clone()),
        destinations: order.recipients.clone(),
    }
}
