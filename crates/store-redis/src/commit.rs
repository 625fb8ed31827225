//! Commits: batches that wait at the same time for the same place go to the server together, and are confirmed
//! together. While one round is under way the next one gathers, so there is no timer to tune.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use mmsgw_store::StoreError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::call::{Answer, Call, Program};
use crate::link::{Confirmation, Link, unavailable};
use crate::mark;
use crate::plan::{Part, Plan};

/// Hands batches to the server.
pub(crate) struct Committer {
    /// For checks, which change nothing.
    asks: Arc<Link>,
    /// For changes, which may have to wait for a disk or for replicas.
    changes: Arc<Link>,
    confirmation: Option<Arc<Confirmation>>,
    lanes: Mutex<HashMap<String, mpsc::Sender<Pending>>>,
    max_round: usize,
    /// The channel on which queues ring.
    rings: String,
    /// Whether the library may repeat a call by itself, so that a batch must always be looked for first.
    look_first: bool,
}

struct Pending {
    call: Call,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl Committer {
    pub(crate) fn new(
        (asks, changes): (Arc<Link>, Arc<Link>),
        confirmation: Option<Confirmation>,
        max_round: usize,
        rings: String,
        look_first: bool,
    ) -> Self {
        let (confirmation, lanes) = (confirmation.map(Arc::new), Mutex::default());
        Self { asks, changes, confirmation, lanes, max_round, rings, look_first }
    }

    /// Does what a plan says. Several parts are checked first, all of them; then they are done by turns.
    pub(crate) async fn carry_out(&self, plan: Plan, now: &[u8]) -> Result<(), StoreError> {
        let Plan { parts, refusal, .. } = plan;
        if refusal.is_some() || parts.len() > 1 {
            self.check(&parts, now).await?;
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let mut parts = parts.into_iter().peekable();
        while let Some(first) = parts.next() {
            let turn = first.turn;
            let mut together = vec![first];
            while let Some(next) = parts.next_if(|part| part.turn == turn) {
                together.push(next);
            }
            try_join_all(together.iter().map(|part| self.change(part, now))).await?;
        }
        Ok(())
    }

    async fn check(&self, parts: &[Part], now: &[u8]) -> Result<(), StoreError> {
        let checks = parts.iter().filter(|part| !part.checks.is_empty()).map(|part| async move {
            let answer = self.asks.ask(&part.keys[0], self.call(part, now, false)).await?;
            failed(part, answer)
        });
        let mut first = None;
        for found in join_all(checks).await {
            if let Some((order, error)) = found?
                && first.as_ref().is_none_or(|(before, _)| order < *before)
            {
                first = Some((order, error));
            }
        }
        first.map_or(Ok(()), |(_, error)| Err(error))
    }

    async fn change(&self, part: &Part, now: &[u8]) -> Result<(), StoreError> {
        let deadline = self.changes.deadline();
        let (reply, answer) = oneshot::channel();
        let pending = Pending { call: self.call(part, now, true), deadline, reply };
        let lane = self.lane(&part.place);
        // The round ends by itself; this is for one that came late into a full lane.
        let in_time = timeout_at(deadline + LATE, async {
            lane.send(pending).await.map_err(|_| unavailable("the store is closed"))?;
            answer.await.map_err(|_| unavailable("the store is closed"))?
        });
        let answer =
            in_time.await.unwrap_or_else(|_| Err(unavailable("the server did not answer in time")))?;
        failed(part, answer)?.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn call(&self, part: &Part, now: &[u8], with_changes: bool) -> Call {
        let mark = mark::mark().to_vec();
        let repeated = if self.look_first && with_changes { b"1".to_vec() } else { b"0".to_vec() };
        let mut args = vec![now.to_vec(), mark, repeated, self.rings.clone().into_bytes()];
        args.extend_from_slice(&part.checks);
        if with_changes {
            args.extend_from_slice(&part.changes);
        }
        Call::Script { program: Program::Commit, keys: part.keys.clone(), args, repeated: Some(2) }
    }

    /// The lane to a place. It ends with the store.
    fn lane(&self, place: &str) -> mpsc::Sender<Pending> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(place) {
            return lane.clone();
        }
        let (lane, pending) = mpsc::channel(self.max_round);
        let (link, confirmation) = (Arc::clone(&self.changes), self.confirmation.clone());
        tokio::spawn(serve(link, confirmation, format!("{place}:done"), pending, self.max_round));
        lanes.insert(place.to_owned(), lane.clone());
        lane
    }
}

/// Sends what waits, round by round.
async fn serve(
    link: Arc<Link>,
    confirmation: Option<Arc<Confirmation>>,
    key: String,
    mut pending: mpsc::Receiver<Pending>,
    max_round: usize,
) {
    let mut waiting = Vec::with_capacity(max_round);
    while pending.recv_many(&mut waiting, max_round).await > 0 {
        let now = Instant::now();
        // Who waited until its time was over has been told so.
        waiting.retain(|pending| pending.deadline > now);
        let Some(deadline) = waiting.iter().map(|pending| pending.deadline).max() else { continue };
        let (calls, replies): (Vec<_>, Vec<_>) = waiting.drain(..).map(|p| (p.call, p.reply)).unzip();
        let answers = link.ask_all(&key, calls, confirmation.as_deref(), deadline).await;
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Nobody waits for it any more where this fails.
            let _ = reply.send(answer);
        }
    }
}

/// The check that failed, by its place in the whole batch.
fn failed(part: &Part, answer: Answer) -> Result<Option<(usize, StoreError)>, StoreError> {
    let number = answer.count()?;
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    if index == 0 {
        return Ok(None);
    }
    let (order, refusal) = part
        .refusals
        .get(index - 1)
        .ok_or_else(|| StoreError::Corrupt("the server failed an unknown check".into()))?;
    Ok(Some((*order, refusal.error())))
}

/// How much longer a caller waits than its round may take.
const LATE: Duration = Duration::from_millis(100);
