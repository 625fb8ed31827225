//! The commands for operators, which talk to the operations listener of a running gateway.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use mmsgw_domain::{Address, BatchId, GroupName, JobId, Queue, Span, State, Timestamp};
use secrecy::SecretString;
use url::Url;

/// How to reach the operations listener of a running gateway.
#[derive(Debug, Args)]
pub(crate) struct OpsArgs {
    /// Where the gateway's operations listener is: a URL, or an address with a port.
    #[arg(
        long, default_value = "http://127.0.0.1:8081", env = "MMSGW_OPS", value_name = "URL", value_parser = listener
    )]
    pub(crate) ops: Url,
    /// A key with the scope `admin`, where the gateway wants one.
    #[arg(long, env = "MMSGW_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) key: Option<SecretString>,
    /// A PEM file with the authorities that the gateway's certificate may come from, instead of the platform's.
    #[arg(long, env = "MMSGW_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// An order to look.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// As JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) ops: OpsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Time between the two looks that rates are made of.
    #[arg(long, default_value = "1s", value_name = "TIME")]
    pub(crate) over: Span,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Time between two looks.
    #[arg(long, default_value = "1s", value_name = "TIME")]
    pub(crate) every: Span,
    /// End after so many looks.
    #[arg(long, value_name = "COUNT")]
    pub(crate) looks: Option<u64>,
    /// Print the tables of `mmsgw status` again and again, as is done where there is no terminal, instead of a screen
    /// with keys.
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GatewaysCommand {
    /// List groups with their settings in short, and their instances.
    List(LookArgs),
    /// Hand nothing more of a group to its carrier, in any process; messages and reports are accepted as ever. What is
    /// in hand goes on; this does not wait for it.
    Pause(GatewayOrder),
    /// Pause a group, and wait until nothing of it is in hand any more, in any process: the carrier's side can then be
    /// worked on with nothing left unsaid. What waits stays in the queue, until `resume`.
    Drain(DrainOrder),
    /// Go on handing over, after `pause` or `drain`.
    Resume(GatewayOrder),
    /// Have the process read its configuration anew and take over what changed: as `mmsgw reload`.
    Reload(ReloadOrder),
}

#[derive(Debug, Args)]
pub(crate) struct DrainOrder {
    /// How long to wait. The group stays paused where the time is over before.
    #[arg(long, default_value = "120s", value_name = "TIME")]
    pub(crate) timeout: Span,
    #[command(flatten)]
    pub(crate) order: GatewayOrder,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadOrder {
    /// Why; it stands in the gateway's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key, which all processes on the same store know within 5 seconds. Its secret is shown only now.
    Add(AddKey),
    /// List the keys that the process knows: those of its configuration, and those in the store.
    List(LookArgs),
    /// Revoke a key that is in the store. Those of the configuration are taken out there.
    Revoke(RevokeKey),
}

#[derive(Debug, Args)]
pub(crate) struct AddKey {
    /// Its name, for the log: letters, digits, dots, dashes and underscores.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What the key may be used for; repeat for more.
    #[arg(long = "scope", default_values = ["send", "read"], value_parser = ["send", "read", "admin"], value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// A gateway group that it may use and see; repeat for more, all without it.
    #[arg(long = "gateway", value_name = "GROUP")]
    pub(crate) gateways: Vec<GroupName>,
    /// An origin that it may use and see; repeat for more, all without it.
    #[arg(long = "origin", value_name = "NUMBER")]
    pub(crate) origins: Vec<Address>,
    /// Not good any more after that time from now; without it, good until it is revoked.
    #[arg(long, value_name = "TIME")]
    pub(crate) expires_in: Option<Span>,
    /// Why; it stands in the gateway's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeKey {
    /// The key.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Why; it stands in the gateway's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) ops: OpsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayOrder {
    /// The group.
    #[arg(value_name = "GROUP")]
    pub(crate) group: GroupName,
    /// Why; it stands in the gateway's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct QueuesArgs {
    #[command(subcommand)]
    pub(crate) command: Option<QueuesCommand>,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueuesCommand {
    /// List the queues, as without a command.
    List(LookArgs),
    /// List the jobs of a queue that wait or are in work, in the order in which they leave it.
    Jobs(QueueJobsArgs),
    /// Have jobs done at once that wait for a later time. Those named are, whatever they wait for; without any, those
    /// that were tried and did not work: what waits for the time that an application gave is left alone.
    Retry(QueueOrder),
    /// Have messages that wait go to another gateway group. Those that a carrier has or had, those of batches and those
    /// that do not fit the other carrier stay, and are told with the reason. They are counted only, unless --yes is given.
    Move(QueueMove),
    /// Forget jobs that wait. Messages that were to be sent end as CANCELLED, and their applications are told.
    Purge(QueueOrder),
}

#[derive(Debug, Args)]
pub(crate) struct QueueJobsArgs {
    /// The queue, as in `carrier/tx`: group, and tx, ev, rx or callback.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: Queue,
    /// Only those behind this place, which an earlier list told.
    #[arg(long, value_name = "PLACE")]
    pub(crate) after: Option<String>,
    /// Most jobs listed.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    pub(crate) max: usize,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct QueueOrder {
    /// The queue, as in `carrier/tx`.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: Queue,
    /// The jobs. Without any, all of the queue that fit the options below: they are counted only, unless --yes is given.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<JobId>,
    /// Only those of this message.
    #[arg(long, value_name = "ID", conflicts_with = "ids")]
    pub(crate) message: Option<String>,
    /// Only those whose peer or URL has this in it.
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    pub(crate) matching: Option<String>,
    #[command(flatten)]
    pub(crate) because: Because,
}

#[derive(Debug, Args)]
pub(crate) struct QueueMove {
    /// The queue that they leave, as in `carrier/tx`.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: Queue,
    /// The gateway group that they go to.
    #[arg(long, value_name = "GROUP")]
    pub(crate) to: GroupName,
    /// Only this message.
    #[arg(long, value_name = "ID")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) because: Because,
}

/// Whether it is done, and why.
#[derive(Debug, Args)]
pub(crate) struct Because {
    /// Do it, where otherwise they are only counted.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Why; it stands in the gateway's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MessagesCommand {
    /// Show a message: where it comes from and goes to, how far it is for each number, what happened to it.
    Show(MessageArgs),
    /// Show what is said with the carrier about a message, as `mmsgw trace` does.
    Trace(TraceArgs),
    /// Find messages: by an id, or by what is known of them, the newest first.
    Find(FindArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MessageArgs {
    /// The message.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// The carrier's id, or an id of ours as carriers show it. The messages are shown whole then.
    #[arg(value_name = "REFERENCE")]
    pub(crate) peer_ref: Option<String>,
    #[command(flatten)]
    pub(crate) like: LikeArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// What messages have to be like.
#[derive(Debug, Args)]
#[group(conflicts_with = "peer_ref")]
pub(crate) struct LikeArgs {
    /// Only those with this state for one of their numbers, as in `FAILED`; several with commas.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub(crate) state: Vec<State>,
    /// Only those of this group.
    #[arg(long, value_name = "GROUP")]
    pub(crate) gateway: Option<GroupName>,
    /// Only those that this instance worked on.
    #[arg(long, value_name = "INSTANCE")]
    pub(crate) instance: Option<String>,
    /// Only those to this number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to: Option<Address>,
    /// Only those from this number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) from: Option<Address>,
    /// Only those that answer this message.
    #[arg(long, value_name = "ID")]
    pub(crate) linked_id: Option<String>,
    /// Only those of this batch.
    #[arg(long, value_name = "ID")]
    pub(crate) batch: Option<BatchId>,
    /// Only those that go this way.
    #[arg(long, value_parser = ["outbound", "inbound"])]
    pub(crate) direction: Option<String>,
    /// Only those accepted since then: a time such as 2030-01-31T12:00:00Z, or a span before now such as 2h.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,
    /// Only those accepted before then.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,
    /// How many at most.
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List them, those that were queued first before the others: why, when, after how many tries, from whom.
    List(DeadListArgs),
    /// Show one whole. What a carrier sent and nobody could read is shown as it came.
    Show(DeadShowArgs),
    /// Put them back into their queue, due at once. A message that failed is sent again to the numbers that failed.
    Retry(DeadOrder),
    /// Forget them.
    Purge(DeadOrder),
}

#[derive(Debug, Args)]
pub(crate) struct DeadListArgs {
    /// Only of this queue, as in `carrier/rx`: group, and tx, ev, rx or callback.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: Option<Queue>,
    /// Only those behind this one.
    #[arg(long, requires = "queue", value_name = "ID")]
    pub(crate) after: Option<JobId>,
    /// Most jobs listed.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    pub(crate) max: usize,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeadShowArgs {
    /// The job.
    #[arg(value_name = "ID")]
    pub(crate) id: JobId,
    /// Only what came from the carrier, octet for octet.
    #[arg(long, conflicts_with = "json")]
    pub(crate) octets: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeadOrder {
    /// The jobs.
    #[arg(value_name = "ID", required_unless_present = "queue", conflicts_with = "queue")]
    pub(crate) ids: Vec<JobId>,
    /// All of this queue that fit the options below, as in `carrier/rx`. They are counted only, unless --yes is given.
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<Queue>,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CallbacksCommand {
    /// List those that were given up.
    List(CallbackListArgs),
    /// Post them once more; an endpoint that was disabled is enabled by that.
    Replay(CallbackOrder),
    /// List endpoints of applications that fail, or that are disabled because they answered 410.
    Endpoints(LookArgs),
    /// Post to an endpoint again that was disabled or left alone.
    Enable(EndpointOrder),
}

#[derive(Debug, Args)]
pub(crate) struct EndpointOrder {
    /// The gateway group, as in the list.
    #[arg(value_name = "GROUP")]
    pub(crate) group: GroupName,
    /// The endpoint's id, as in the list.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Why; it stands in the gateway's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) ops: OpsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CallbackListArgs {
    /// Only for messages of this group.
    #[arg(value_name = "GROUP")]
    pub(crate) group: Option<GroupName>,
    /// Most callbacks listed.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    pub(crate) max: usize,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CallbackOrder {
    /// The callbacks.
    #[arg(value_name = "ID", required_unless_present = "group", conflicts_with = "group")]
    pub(crate) ids: Vec<JobId>,
    /// All for messages of this group that fit the options below. They are counted only, unless --yes is given.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<GroupName>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Which of many, and why.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only those given up since then: a time such as 2030-01-31T12:00:00Z, or a span before now such as 2h.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,
    /// Only those given up before then.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,
    /// Only those of this message.
    #[arg(long, value_name = "ID")]
    pub(crate) message: Option<String>,
    /// Only those whose reason, peer or URL has this in it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) matching: Option<String>,
    #[command(flatten)]
    pub(crate) because: Because,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Only messages of this group.
    #[arg(long, value_name = "GROUP")]
    pub(crate) gateway: Option<GroupName>,
    /// Only this message.
    #[arg(long, value_name = "ID")]
    pub(crate) message: Option<String>,
    /// Only events with this state, as in `DELIVERED`.
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// End after so many events.
    #[arg(long, value_name = "COUNT")]
    pub(crate) events: Option<u64>,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// What is said about this message.
    #[arg(value_name = "MESSAGE", required_unless_present = "gateway", conflicts_with = "gateway")]
    pub(crate) message: Option<String>,
    /// Everything that is said with the carrier of this group.
    #[arg(long, value_name = "GROUP")]
    pub(crate) gateway: Option<GroupName>,
    /// For how long, at most an hour; Ctrl-C ends it before.
    #[arg(long = "for", default_value = "60s", value_name = "TIME")]
    pub(crate) span: Span,
    /// End after so many exchanges have been seen and nothing more is said about them.
    #[arg(long, value_name = "COUNT")]
    pub(crate) exchanges: Option<u64>,
    /// Why; it stands in the gateway's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// What is to be logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter by room such as
    /// `info,mmsgw_edge_mm4=debug`. Lasts until the process ends.
    #[arg(value_name = "LEVEL", requires = "reason")]
    pub(crate) level: Option<String>,
    /// Why; it stands in the gateway's log.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// A state, in letters of whatever case.
fn state(text: &str) -> Result<State, String> {
    let found = State::ALL.into_iter().find(|state| state.name().eq_ignore_ascii_case(text.trim()));
    found.ok_or_else(|| {
        let names = State::ALL.map(State::name).join(", ");
        format!("`{text}` is none of {names}")
    })
}

/// A URL, or an address with a port.
fn listener(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    whole.parse().map_err(|error: url::ParseError| error.to_string())
}

/// A point in time, or a span before the present.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_jiff(stamp));
    }
    let span: Span = text.parse().map_err(|_| {
        format!("`{text}` is neither a time such as 2030-01-31T12:00:00Z nor a span before now such as 2h")
    })?;
    let now = Timestamp::from_jiff(jiff::Timestamp::now()).as_millis();
    let back = i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_millis(now.saturating_sub(back)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_listeners_are_read_as_people_write_them() {
        assert_eq!(time("1970-01-01T00:01:00Z"), Ok(Timestamp::from_secs(60)));
        assert!(time("2h").unwrap() < time("1h").unwrap());
        assert!(time("yesterday").unwrap_err().contains("2h"));
        assert_eq!(state("failed"), Ok(State::Failed));
        assert!(state("lost").unwrap_err().contains("FAILED"));
        assert_eq!(listener("127.0.0.1:8081").unwrap().as_str(), "http://127.0.0.1:8081/");
        assert_eq!(listener("https://h/").unwrap().as_str(), "https://h/");
    }
}
