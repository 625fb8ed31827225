//! One shared connection that heals by itself: what fails for a reason that passes is tried again until its time is
//! over, on a new connection where the old one is no good, with sentinels asked anew and a cluster's map read anew.

use std::sync::Arc;
use std::time::Duration;

use mmsgw_store::StoreError;
use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::{Answer, Call, Programs};
use crate::servers::{Connection, Servers, too_slow};

/// A connection for many callers.
pub(crate) struct Link {
    servers: Arc<Servers>,
    programs: Arc<Programs>,
    limit: Duration,
    current: Mutex<Current>,
    /// Held by who connects.
    gate: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// Counts connections, so that a caller throws away only the one that failed it.
    number: u64,
    /// Counts tries to connect that failed.
    failures: u64,
    last_failure: Option<RedisError>,
}

/// After the calls: what they wait for, sent on the same connection. It answers with how many have the changes.
#[derive(Debug, Clone)]
pub(crate) struct Confirmation {
    /// WAIT or WAITAOF, but for the time limit, which comes last.
    pub(crate) command: Vec<String>,
    /// How many are needed.
    pub(crate) needed: i64,
    /// What it means where there are fewer.
    pub(crate) shortage: String,
}

/// What an error means for what is tried next.
enum Cure {
    /// Nothing helps.
    None,
    /// Time does.
    Patience,
    /// A new connection does.
    Reconnect,
    /// The script has to be sent whole.
    Source,
}

impl Link {
    pub(crate) fn new(servers: Arc<Servers>, programs: Arc<Programs>, limit: Duration) -> Self {
        Self { servers, programs, limit, current: Mutex::default(), gate: tokio::sync::Mutex::default() }
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> u64 {
        self.current.lock().number
    }

    /// Makes one call at the master of `key`.
    pub(crate) async fn ask(&self, key: &str, call: Call) -> Result<Answer, StoreError> {
        let mut answers = self.ask_all(key, vec![call], None, self.deadline()).await;
        answers.pop().unwrap_or_else(|| Err(unavailable("no answer")))
    }

    /// When a call that begins now is over at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Makes calls together at the master of `key`; gives back an answer for each, in order.
    pub(crate) async fn ask_all(
        &self,
        key: &str,
        calls: Vec<Call>,
        confirmation: Option<&Confirmation>,
        deadline: Instant,
    ) -> Vec<Result<Answer, StoreError>> {
        let mut round = Round::new(calls, deadline);
        let mut pause = FIRST_PAUSE;
        loop {
            if let Err(error) = self.attempt(key, &mut round, confirmation).await {
                round.trouble = Some(error.to_string());
            }
            if round.is_done() || Instant::now() + pause >= deadline {
                return round.finish();
            }
            if !round.only_source {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Sends what has no answer yet.
    async fn attempt(
        &self,
        key: &str,
        round: &mut Round,
        confirmation: Option<&Confirmation>,
    ) -> Result<(), RedisError> {
        round.attempts += 1;
        round.only_source = false;
        let deadline = round.deadline;
        let found =
            timeout_at(deadline, self.connection()).await.unwrap_or_else(|_| Err(too_slow(self.limit)));
        let (number, mut connection) = found.inspect_err(|error| round.fail(error))?;
        let commands = round.commands(&self.programs, confirmation);
        let sent = Box::pin(connection.send(&commands, key));
        match timeout_at(deadline, sent).await.unwrap_or_else(|_| Err(too_slow(self.limit))) {
            Ok(answers) => {
                if round.take(answers, confirmation) {
                    self.drop_connection(number, round.attempts);
                }
                Ok(())
            }
            Err(error) => {
                if !matches!(cure(&error), Cure::Patience) {
                    self.drop_connection(number, round.attempts);
                }
                round.unanswered();
                round.fail(&error);
                Err(error)
            }
        }
    }

    async fn connection(&self) -> Result<(u64, Connection), RedisError> {
        let failures = {
            let current = self.current.lock();
            if let Some(connection) = &current.connection {
                return Ok((current.number, connection.clone()));
            }
            current.failures
        };
        let _gate = self.gate.lock().await;
        {
            let current = self.current.lock();
            if let Some(connection) = &current.connection {
                return Ok((current.number, connection.clone()));
            }
            // Somebody else found out while we queued for the gate.
            if let (true, Some(error)) = (current.failures > failures, &current.last_failure) {
                return Err(error.clone());
            }
        }
        let made = self.servers.connect().await;
        let mut current = self.current.lock();
        match made {
            Ok(connection) => {
                current.number += 1;
                current.connection = Some(connection.clone());
                Ok((current.number, connection))
            }
            Err(error) => {
                current.failures += 1;
                current.last_failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// The connection is no good. The library mends a cluster's connections one by one, which leaves those to other
    /// nodes alone; it gets some time for it.
    fn drop_connection(&self, number: u64, attempts: u32) {
        if !self.servers.are_one() && attempts < PATIENT_ATTEMPTS {
            return;
        }
        let mut current = self.current.lock();
        if current.number == number {
            current.connection = None;
        }
    }
}

/// Calls on their way.
struct Round {
    calls: Vec<Call>,
    answers: Vec<Option<Result<Answer, StoreError>>>,
    /// Calls whose script the server did not know.
    unknown: Vec<bool>,
    /// The places of the calls that were sent last.
    sent: Vec<usize>,
    /// The last error that may pass.
    trouble: Option<String>,
    /// All that is missing is a script that the server does not know.
    only_source: bool,
    attempts: u32,
    deadline: Instant,
}

impl Round {
    fn new(calls: Vec<Call>, deadline: Instant) -> Self {
        let (answers, unknown) = (calls.iter().map(|_| None).collect(), vec![false; calls.len()]);
        let (sent, trouble) = (Vec::new(), None);
        Self { calls, answers, unknown, sent, trouble, only_source: false, attempts: 0, deadline }
    }

    fn is_done(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }

    fn commands(&mut self, programs: &Programs, confirmation: Option<&Confirmation>) -> Pipeline {
        let mut commands = Pipeline::new();
        self.sent = (0..self.calls.len()).filter(|place| self.answers[*place].is_none()).collect();
        for place in &self.sent {
            match &self.calls[*place] {
                Call::Script { program, keys, args, .. } => {
                    let command = if self.unknown[*place] {
                        commands.cmd("EVAL").arg(programs.source(*program))
                    } else {
                        commands.cmd("EVALSHA").arg(programs.digest(*program))
                    };
                    command.arg(keys.len()).arg(keys).arg(args);
                }
                Call::Plain(words) => {
                    let mut command = Cmd::new();
                    command.arg(words);
                    commands.add_command(command);
                }
            }
        }
        if let Some(confirmation) = confirmation {
            let left = self.deadline.saturating_duration_since(Instant::now());
            // Some of the time is left for the answer's way.
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX) / 10 * 9;
            let mut command = Cmd::new();
            command.arg(&confirmation.command).arg(left.max(1));
            commands.add_command(command);
        }
        commands
    }

    /// Nobody knows whether what was sent has been done.
    fn unanswered(&mut self) {
        for place in &self.sent {
            self.calls[*place].again();
        }
    }

    /// Gives up, where no time will help.
    fn fail(&mut self, error: &RedisError) {
        if matches!(cure(error), Cure::None) {
            for answer in self.answers.iter_mut().filter(|answer| answer.is_none()) {
                *answer = Some(Err(refused(error)));
            }
        }
    }

    /// Takes answers over. True where another connection is needed.
    fn take(&mut self, mut values: Vec<Value>, confirmation: Option<&Confirmation>) -> bool {
        let confirmed = confirmation.map(|confirmation| confirmation.judge(values.pop()));
        let mut reconnect = false;
        self.only_source = true;
        for (place, value) in std::mem::take(&mut self.sent).into_iter().zip(values) {
            let Value::ServerError(error) = value else {
                self.answers[place] = Some(match &confirmed {
                    Some(Err(why)) => Err(unavailable(why)),
                    _ => Ok(Answer(value)),
                });
                continue;
            };
            let error = RedisError::from(error);
            match cure(&error) {
                Cure::None => self.answers[place] = Some(Err(refused(&error))),
                Cure::Source => self.unknown[place] = true,
                Cure::Patience => self.only_source = false,
                Cure::Reconnect => {
                    self.only_source = false;
                    reconnect = true;
                }
            }
            self.trouble = Some(error.to_string());
        }
        reconnect
    }

    fn finish(self) -> Vec<Result<Answer, StoreError>> {
        let why = self.trouble.as_deref().unwrap_or("no answer");
        self.answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unavailable(why)))).collect()
    }
}

impl Confirmation {
    fn judge(&self, answer: Option<Value>) -> Result<(), String> {
        // WAIT answers a number, WAITAOF two, of which the first is the server itself.
        let first = match answer {
            Some(Value::Array(mut values)) if !values.is_empty() => Some(values.swap_remove(0)),
            other => other,
        };
        match first {
            Some(Value::Int(have)) if have >= self.needed => Ok(()),
            Some(Value::ServerError(error)) => Err(error.to_string()),
            _ => Err(self.shortage.clone()),
        }
    }
}

fn cure(error: &RedisError) -> Cure {
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::NoScript => Cure::Source,
            ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown => {
                Cure::Patience
            }
            ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask => Cure::Reconnect,
            _ => Cure::None,
        },
        // A script of somebody else runs for too long, or replicas are missing for a moment.
        ErrorKind::Extension if matches!(error.code(), Some("BUSY" | "NOREPLICAS")) => Cure::Patience,
        ErrorKind::Io
        | ErrorKind::Parse
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel => Cure::Reconnect,
        _ => Cure::None,
    }
}

fn refused(error: &RedisError) -> StoreError {
    let text = error.to_string();
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig, _)
        | (_, Some("NOAUTH" | "WRONGPASS")) => StoreError::Unusable(text),
        (_, Some("WRONGTYPE")) => StoreError::Corrupt(text),
        _ => unavailable(&text),
    }
}

pub(crate) fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// So often a cluster's connection is tried before another one is made.
const PATIENT_ATTEMPTS: u32 = 5;
