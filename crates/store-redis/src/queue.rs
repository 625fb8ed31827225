//! Queues as the store reads them: leases, counts and dead jobs.

use std::time::Duration;

use bytes::Bytes;
use mmsgw_domain::{GroupName, Job, JobId, MessageId, Queue, QueueKind, Timestamp};
use mmsgw_store::{
    DeadJob, Lane, Lease, LeaseRequest, Leased, LeasedJob, Pause, Place, QueueStatus, QueuedJob, StoreError,
};

use crate::RedisStore;
use crate::call::{Answer, Call, Program};
use crate::mark;
use crate::record::{self, corrupt, millis};

impl RedisStore {
    /// Takes due jobs in one call.
    pub(crate) async fn lease_now(&self, request: &LeaseRequest) -> Result<Leased, StoreError> {
        let queue = &request.queue;
        // A job is handed out once in a call, so that one token serves them all.
        let token = mark::token();
        let key = self.queues.layout.group(&queue.group);
        let words = [
            queue.kind.name().to_owned(),
            request.max.to_string(),
            hold_millis(request.hold),
            token.to_string(),
            request.owner.to_string(),
            MOST_OCTETS.to_string(),
            "0".to_owned(),
        ];
        let mut args = vec![self.now_argument()];
        args.extend(words.map(String::into_bytes));
        let repeated = Some(args.len() - 1);
        let call = Call::Script { program: Program::Lease, keys: vec![key.clone()], args, repeated };
        let mut answers = self.queues.link.ask(&key, call).await?.list()?.into_iter();
        let now = next(&mut answers)?.time()?;
        if let (Some(clock), Some(now)) = (&self.server_clock, now) {
            clock.set(now);
        }
        let next_due = next(&mut answers)?.time()?;
        let mut jobs = Vec::with_capacity(answers.len() / 3);
        while answers.len() > 0 {
            let (job, failed) = (next(&mut answers)?.id()?, next(&mut answers)?.number()?);
            let octets = next(&mut answers)?.octets()?.unwrap_or_default();
            let lease = Lease { job, queue: queue.clone(), token };
            let tries = u32::try_from(failed).unwrap_or(u32::MAX).saturating_add(1);
            match record::parse_job(&octets.into()) {
                Ok(job) => jobs.push(LeasedJob { lease, tries, job }),
                Err(error) => tracing::error!(%error, %job, %queue, "a job cannot be read"),
            }
        }
        let messages = jobs.iter().filter_map(|job| message_of(&job.job));
        self.note_homes(messages.map(|id| (id, queue.group.clone())));
        Ok(Leased { jobs, next_due })
    }

    /// The places among `leases` of those that had lapsed.
    pub(crate) async fn extend_in(
        &self,
        group: &GroupName,
        leases: &[Lease],
        places: Vec<usize>,
        hold: Duration,
    ) -> Result<Vec<usize>, StoreError> {
        let mut lost = Vec::new();
        for some in places.chunks(MOST_EXTENDED) {
            let mut words = vec![hold_millis(hold).into_bytes()];
            for lease in some.iter().filter_map(|place| leases.get(*place)) {
                words.push(lease.queue.kind.name().as_bytes().to_vec());
                words.push(lease.job.as_bytes().to_vec());
                words.push(lease.token.to_string().into_bytes());
            }
            for index in self.run(Program::Extend, self.queues.layout.group(group), words).await?.list()? {
                let index = usize::try_from(index.count()?).unwrap_or(usize::MAX);
                lost.extend(some.get(index));
            }
        }
        Ok(lost)
    }

    /// What the queues of a group hold, in the order of their kinds.
    pub(crate) async fn status_of(&self, group: &GroupName) -> Result<Vec<QueueStatus>, StoreError> {
        let answers = self.run(Program::Status, self.queues.layout.group(group), Vec::new()).await?.list()?;
        let mut answers = answers.into_iter();
        let mut all = Vec::with_capacity(QueueKind::ALL.len());
        for kind in QueueKind::ALL {
            all.push(QueueStatus {
                queue: Queue { group: group.clone(), kind },
                waiting: next(&mut answers)?.count()?,
                leased: next(&mut answers)?.count()?,
                dead: next(&mut answers)?.count()?,
                oldest: next(&mut answers)?.time()?,
                paused: read_pause(next(&mut answers)?)?,
                held_until: next(&mut answers)?.time()?,
            });
        }
        Ok(all)
    }

    pub(crate) async fn dead_of(
        &self,
        queue: &Queue,
        after: Option<JobId>,
        max: usize,
    ) -> Result<Vec<DeadJob>, StoreError> {
        let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        let words = vec![queue.kind.name().as_bytes().to_vec(), after, max.to_string().into_bytes()];
        let answers = self.run(Program::Dead, self.queues.layout.group(&queue.group), words).await?.list()?;
        let mut answers = answers.into_iter();
        let mut dead = Vec::with_capacity(answers.len() / 2);
        while answers.len() > 0 {
            let (id, octets) = (next(&mut answers)?.id()?, next(&mut answers)?.octets()?.unwrap_or_default());
            dead.push(read_dead(id, queue, &octets)?);
        }
        Ok(dead)
    }
}

impl RedisStore {
    /// Jobs behind a place.
    pub(crate) async fn queued_behind(
        &self,
        queue: &Queue,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<QueuedJob>, StoreError> {
        // No time is before this one, and no id before an empty text.
        let first = (0, millis(Timestamp::from_millis(i64::MIN)), Vec::new());
        let (lane, due, id) = after
            .map_or(first, |place| (place.lane.index(), millis(place.due), place.id.as_bytes().to_vec()));
        self.queued_at(queue, max, [lane.to_string().into_bytes(), due.to_string().into_bytes(), id]).await
    }

    /// One job.
    pub(crate) async fn queued_one(&self, queue: &Queue, id: JobId) -> Result<Option<QueuedJob>, StoreError> {
        let place = [Vec::new(), Vec::new(), id.as_bytes().to_vec()];
        Ok(self.queued_at(queue, 1, place).await?.pop())
    }

    async fn queued_at(
        &self,
        queue: &Queue,
        max: usize,
        place: [Vec<u8>; 3],
    ) -> Result<Vec<QueuedJob>, StoreError> {
        let words = [queue.kind.name().as_bytes().to_vec(), max.to_string().into_bytes()];
        let words = words.into_iter().chain(place).collect();
        let answers =
            self.run(Program::Queued, self.queues.layout.group(&queue.group), words).await?.list()?;
        let mut answers = answers.into_iter();
        let mut jobs = Vec::with_capacity(answers.len() / 6);
        while answers.len() > 0 {
            let (id, lane) = (next(&mut answers)?.id()?, next(&mut answers)?.count()?);
            let lane = usize::try_from(lane).ok().and_then(|lane| Lane::ALL.get(lane).copied());
            let lane = lane.ok_or_else(|| corrupt("a job is in no lane"))?;
            let due = Timestamp::from_millis(next(&mut answers)?.number()?);
            let failed = u32::try_from(next(&mut answers)?.number()?).unwrap_or(u32::MAX);
            let (holder, octets) = (next(&mut answers)?.text()?, next(&mut answers)?.octets()?);
            let holder = (!holder.is_empty()).then(|| serde_json::from_value(holder.into())).transpose();
            let holder = holder.map_err(|_| corrupt("the name of who holds a job"))?;
            match record::parse_job(&octets.unwrap_or_default().into()) {
                Ok(job) => {
                    let place = Place { lane, due, id };
                    jobs.push(QueuedJob { place, queue: queue.clone(), failed, holder, job });
                }
                Err(error) => tracing::error!(%error, job = %id, %queue, "a job cannot be read"),
            }
        }
        let messages = jobs.iter().filter_map(|job| message_of(&job.job));
        self.note_homes(messages.map(|id| (id, queue.group.clone())));
        Ok(jobs)
    }
}

/// Reads `until tries died length`, a reason of that length and the job.
fn read_dead(id: JobId, queue: &Queue, octets: &[u8]) -> Result<DeadJob, StoreError> {
    let mut words = octets.splitn(5, |octet| *octet == b' ');
    let mut number = || {
        let word = words.next().and_then(|word| std::str::from_utf8(word).ok());
        word.and_then(|word| word.parse::<i64>().ok()).ok_or_else(|| corrupt("a dead job has no head"))
    };
    let (_, tries, died, length) = (number()?, number()?, number()?, number()?);
    let rest = words.next().unwrap_or_default();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (reason, job) = rest.split_at_checked(length).ok_or_else(|| corrupt("a dead job is cut off"))?;
    Ok(DeadJob {
        id,
        queue: queue.clone(),
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
        reason: String::from_utf8_lossy(reason).into_owned(),
        died: Timestamp::from_millis(died),
        job: record::parse_job(&Bytes::copy_from_slice(job))?,
    })
}

fn read_pause(answer: Answer) -> Result<Option<Pause>, StoreError> {
    let octets = answer.octets()?.unwrap_or_default();
    if octets.is_empty() { Ok(None) } else { record::parse(&octets).map(Some) }
}

pub(crate) fn next(answers: &mut impl Iterator<Item = Answer>) -> Result<Answer, StoreError> {
    answers.next().ok_or_else(|| corrupt("an answer is cut off"))
}

fn hold_millis(hold: Duration) -> String {
    millis(Timestamp::from_millis(0).after(hold)).to_string()
}

/// The message that a job is about, which is in the job's group.
fn message_of(job: &Job) -> Option<MessageId> {
    match job {
        Job::TransmitV1(transmit) => Some(transmit.message),
        Job::CallbackV1(callback) => Some(callback.message),
        Job::ReportV1(report) => Some(report.message),
        Job::AmendV1(amend) => Some(amend.message),
        Job::IntakeV1(_) | Job::AnswerV1(_) => None,
    }
}

/// Octets of jobs in one answer, but for a single larger one.
const MOST_OCTETS: usize = 16 << 20;
/// Leases in one call.
const MOST_EXTENDED: usize = 1000;
