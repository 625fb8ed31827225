//! Commits: batches that wait at the same time for the same place go to the server together, and are confirmed
//! together. While one round is under way the next one gathers, so there is no timer to tune.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mmsgw_store::{Rounds, RoundsMeasured, StoreError};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::call::{Answer, Call, Program};
use crate::debt::Debt;
use crate::link::{Confirmation, Link, unavailable};
use crate::plan::Part;

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
    rounds: Arc<Rounds>,
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
        let (confirmation, lanes, rounds) = (confirmation.map(Arc::new), Mutex::default(), Arc::default());
        Self { asks, changes, confirmation, lanes, max_round, rings, look_first, rounds }
    }

    /// How calls went together, and how long they took.
    pub(crate) fn rounds(&self) -> RoundsMeasured {
        self.rounds.read()
    }

    /// The first check of a part that fails, by its place in the whole batch.
    pub(crate) async fn check(
        &self,
        part: &Part,
        now: &[u8],
    ) -> Result<Option<(usize, StoreError)>, StoreError> {
        if part.checks.is_empty() {
            return Ok(None);
        }
        let args = self.args(part.mark, now, b"0", [&part.checks[..], &[]]);
        let call = Call::Script { program: Program::Commit, keys: part.keys.clone(), args, repeated: None };
        failed(part, self.asks.ask(&part.keys[0], call).await?)
    }

    /// Does a part, whole or not at all.
    pub(crate) async fn change(&self, part: &Part, now: &[u8]) -> Result<(), StoreError> {
        let repeated: &[u8] = if self.look_first { b"1" } else { b"0" };
        let args = self.args(part.mark, now, repeated, [&part.checks, &part.changes]);
        let call =
            Call::Script { program: Program::Commit, keys: part.keys.clone(), args, repeated: Some(2) };
        let answer = self.send(&part.place, call).await?;
        failed(part, answer)?.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Does what may have been done before, as far as it still makes sense.
    pub(crate) async fn make_up(&self, debt: Debt, now: &[u8]) -> Result<(), StoreError> {
        let args = self.args(debt.mark, now, b"2", [&debt.changes, &[]]);
        let call = Call::Script { program: Program::Commit, keys: debt.keys, args, repeated: None };
        self.send(&debt.place, call).await.map(|_| ())
    }

    fn args(&self, mark: [u8; 16], now: &[u8], repeated: &[u8], operations: [&[Vec<u8>]; 2]) -> Vec<Vec<u8>> {
        let head = [now.to_vec(), mark.to_vec(), repeated.to_vec(), self.rings.clone().into_bytes()];
        head.into_iter().chain(operations.concat()).collect()
    }

    /// Sends a call by the lane of its place.
    async fn send(&self, place: &str, call: Call) -> Result<Answer, StoreError> {
        let deadline = self.changes.deadline();
        let (reply, answer) = oneshot::channel();
        let pending = Pending { call, deadline, reply };
        let lane = self.lane(place);
        // The round ends by itself; this is for one that came late into a full lane.
        let in_time = timeout_at(deadline + LATE, async {
            lane.send(pending).await.map_err(|_| unavailable("the store is closed"))?;
            answer.await.map_err(|_| unavailable("the store is closed"))?
        });
        in_time.await.unwrap_or_else(|_| Err(unavailable("the server did not answer in time")))
    }

    /// The lane to a place. It ends with the store.
    fn lane(&self, place: &str) -> mpsc::Sender<Pending> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(place) {
            return lane.clone();
        }
        let (lane, pending) = mpsc::channel(self.max_round);
        let route = Route {
            link: Arc::clone(&self.changes),
            confirmation: self.confirmation.clone(),
            key: format!("{place}:done"),
            rounds: Arc::clone(&self.rounds),
        };
        tokio::spawn(route.serve(pending, self.max_round));
        lanes.insert(place.to_owned(), lane.clone());
        lane
    }
}

/// The way to one place.
struct Route {
    link: Arc<Link>,
    confirmation: Option<Arc<Confirmation>>,
    key: String,
    rounds: Arc<Rounds>,
}

impl Route {
    /// Sends what waits, round by round.
    async fn serve(self, mut pending: mpsc::Receiver<Pending>, max_round: usize) {
        let mut waiting = Vec::with_capacity(max_round);
        while pending.recv_many(&mut waiting, max_round).await > 0 {
            let now = Instant::now();
            // Who waited until its time was over has been told so.
            waiting.retain(|pending| pending.deadline > now);
            let Some(deadline) = waiting.iter().map(|pending| pending.deadline).max() else { continue };
            let (calls, replies): (Vec<_>, Vec<_>) = waiting.drain(..).map(|p| (p.call, p.reply)).unzip();
            let answers = self.link.ask_all(&self.key, calls, self.confirmation.as_deref(), deadline).await;
            self.rounds.count(replies.len(), now.elapsed());
            for (reply, answer) in replies.into_iter().zip(answers) {
                // Nobody waits for it any more where this fails.
                let _ = reply.send(answer);
            }
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
