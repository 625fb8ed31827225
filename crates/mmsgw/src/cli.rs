//! The command line, as clap reads it and `--help` tells it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mmsgw_domain::{Address, GroupName, Span, Timestamp};
use secrecy::SecretString;

use crate::exit::EXIT_CODES;
use crate::roles::Role;

mod operate;

pub(crate) use operate::*;

/// A high-volume MMS gateway: JSON over REST on one side, MM4 and MM7 carriers on the other.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole gateway at work, without any configuration: a picture goes out over MM7 and over MM4
    /// to a simulated carrier, and everything that happens to it is told.
    Demo(DemoArgs),
    /// Run the gateway: API, callbacks, and every configured carrier connection, in one process.
    Serve(ServeArgs),
    /// Run only the REST API for applications. Other processes, on this host or others, do the rest over the same
    /// storage, which has to be one that they can share.
    Api(ProcessArgs),
    /// Run only the gateways of these files: hand messages and reports to their carriers and read what came from
    /// them. Any number of processes may do that for one group; they share its queues.
    Gateway(GatewayArgs),
    /// Run only the receiver of mails from carriers: SMTP and spool directories.
    Mm4rx(ProcessArgs),
    /// Run only the receiver of HTTP requests from carriers.
    Mm7rx(ProcessArgs),
    /// Run only what posts callbacks to applications.
    Callout(ProcessArgs),
    /// Check a configuration and explain every fault, without starting anything.
    Check(CheckArgs),
    /// Send a message through a running gateway and follow it.
    Send(SendArgs),
    /// Send one template to very many, from a file, and look after such batches.
    #[command(subcommand)]
    Batch(BatchCommand),
    /// Show how a running gateway is: groups, instances, rates, what waits and for how long, what went wrong last.
    ///
    /// Looks twice and tells what changed between. Rates of sent and failed messages are those of all processes, the
    /// rate of accepted ones is that of the process that was asked. OLDEST is how long the first waiting message has
    /// been due; WHY, who paused a gateway and why. Ends with 5 where a gateway is unwell or has no instance, and with
    /// 1 where the gateway cannot be reached.
    Status(StatusArgs),
    /// Show the same as it changes, on a screen with keys: curves of the rates, gateways, instances, queues, live events.
    ///
    /// Tab and the arrows change pages and rows, p and r pause and resume the gateway of the row and ask why, s sorts,
    /// ? shows all keys, q ends it. Says so where the gateway does not answer, and goes on as soon as it does. Without
    /// a terminal it prints tables; live events are those of the process whose listener --ops names.
    Top(TopArgs),
    /// Look at gateway groups of a running gateway, close and open the way to a carrier.
    Gateways {
        #[command(subcommand)]
        command: GatewaysCommand,
    },
    /// Have a running gateway read its configuration anew and take over what changed, as SIGHUP does. A configuration with
    /// faults changes nothing. Only the process whose listener --ops names.
    Reload(ReloadOrder),
    /// Make, list and revoke API keys of a running gateway, which are kept in its store.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Show the queues of a running gateway, and the jobs that wait in them; have those done at once, or forget them.
    #[command(args_conflicts_with_subcommands = true)]
    Queues(QueuesArgs),
    /// Look at messages of a running gateway.
    Messages {
        #[command(subcommand)]
        command: MessagesCommand,
    },
    /// Look at jobs of a running gateway that were given up, try them again, or forget them.
    Dead {
        #[command(subcommand)]
        command: DeadCommand,
    },
    /// Look at callbacks that no application took, and post them once more.
    Callbacks {
        #[command(subcommand)]
        command: CallbacksCommand,
    },
    /// Show what happens to messages in a running gateway, as it happens. Only in the process whose listener --ops names.
    Tail(TailArgs),
    /// Show what a running gateway says with a carrier, about one message or with one gateway, for a while: SMTP lines,
    /// HTTP heads and bodies; secrets are left out, media cut. Only of the process whose listener --ops names.
    Trace(TraceArgs),
    /// Show what a running gateway logs, or change it while it runs.
    Log(LogArgs),
    /// Run a pretend carrier for MM4 and MM7 on loopback.
    Simulate(SimulateArgs),
    /// Make an API key for the configuration, without a running gateway: prints the key for the application and the lines
    /// for the main file.
    Key(KeyArgs),
    /// Show how a capture is understood: a mail of MM4, or an HTTP body of MM7 with or without its head.
    Parse(ParseArgs),
    /// List the dialects that a gateway file may pick, or print one.
    Dialects(DialectsArgs),
    /// Print, octet for octet, what would go out to a carrier, without sending it.
    Render(RenderArgs),
    /// Print the reference configuration: every setting, its default and what it means.
    Reference(ReferenceArgs),
    /// Print what makes a shell complete this command's arguments.
    Completions {
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after both messages have arrived: with success only if the picture arrived octet for octet and
    /// every state was seen.
    #[arg(long)]
    pub(crate) once: bool,
    /// Give up after that.
    #[arg(long, default_value = "60s", value_name = "TIME")]
    pub(crate) timeout: Span,
    /// Also print what the gateway logs.
    #[arg(long)]
    pub(crate) verbose: bool,
}

/// What every process of the gateway is told.
#[derive(Debug, Args)]
pub(crate) struct ProcessArgs {
    /// The configuration. Gateway files are looked for in the directory that it names, `gateways` by default.
    #[arg(long, short, default_value = "mmsgw.toml", env = "MMSGW_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Where health and metrics are, instead of `ops.listen`; `off` for nowhere. Processes on one host need
    /// different ones.
    #[arg(long, env = "MMSGW_OPS", value_name = "ADDRESS")]
    pub(crate) ops: Option<OpsListen>,
    /// How long work in hand may take to end after the signal to stop; what is left then goes back to its queue.
    #[arg(long, default_value = "30s", value_name = "TIME")]
    pub(crate) drain: Span,
}

/// Where health and metrics are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpsListen {
    Off,
    At(SocketAddr),
}

impl std::str::FromStr for OpsListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let wrong = |_| format!("`{text}` is no address with a port, such as 127.0.0.1:8081, and not `off`");
        text.parse().map(Self::At).map_err(wrong)
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// What to run, where it is not everything.
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    pub(crate) roles: Vec<Role>,
    #[command(flatten)]
    pub(crate) process: ProcessArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// Gateway files, one for each carrier connection.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Do not take HTTP requests from these carriers: `mmsgw mm7rx` or another process does.
    #[arg(long)]
    pub(crate) no_mm7rx: bool,
    #[command(flatten)]
    pub(crate) process: ProcessArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The configuration, with its gateway files.
    #[arg(default_value = "mmsgw.toml", env = "MMSGW_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// Pictures, sounds, videos, SMIL or text files to send, in order.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A number to send to; repeat for more.
    #[arg(long, required = true, value_name = "NUMBER")]
    pub(crate) to: Vec<Address>,
    /// The number or short code that the message comes from.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) from: Address,
    /// Subject.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// A text to go with the files.
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// The gateway group to carry it; else the configured default.
    #[arg(long, value_name = "GROUP")]
    pub(crate) gateway: Option<GroupName>,
    /// Do not wait for the carrier: print the message's id and end.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to follow the message.
    #[arg(long, default_value = "60s", value_name = "TIME")]
    pub(crate) timeout: Span,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// Send a message to each line of a file, and go on by itself where the connection breaks.
    Send(BatchSendArgs),
    /// List batches, the newest first.
    List(BatchListArgs),
    /// Show a batch: how many messages are in which state, and why lines were refused.
    Show(BatchArgs),
    /// Cancel what is unsent of a batch.
    Cancel(BatchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BatchSendArgs {
    /// A CSV file whose first line names the columns, `destination` and variables; or NDJSON, one object with
    /// `destination` and `variables` a line.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The id of the template.
    #[arg(long, value_name = "ID")]
    pub(crate) template: String,
    /// What the file is; told by its name where absent.
    #[arg(long, value_parser = ["csv", "ndjson"], value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// The gateway group to carry it; else the configured default.
    #[arg(long, value_name = "GROUP")]
    pub(crate) gateway: Option<GroupName>,
    /// The batch's idempotency key. Without one it follows from file, template and group, so that the same file is not
    /// sent twice by mistake.
    #[arg(long, value_name = "KEY")]
    pub(crate) again_as: Option<String>,
    /// Give up after so many connections in a row that brought nothing on.
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    pub(crate) tries: u32,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BatchListArgs {
    /// Only those of this gateway group.
    #[arg(long, value_name = "GROUP")]
    pub(crate) gateway: Option<GroupName>,
    /// Only those that began then or later: a time such as 2030-01-31T12:00:00Z, or a span before now such as 2h.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,
    /// Most batches listed.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) max: usize,
    /// As JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// The id of the batch.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// How to reach a running gateway.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// Where the gateway's API is.
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "MMSGW_API", value_name = "URL")]
    pub(crate) api: url::Url,
    /// The API key, where the gateway wants one.
    #[arg(long, env = "MMSGW_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) key: Option<SecretString>,
    /// A PEM file with the authorities that the gateway's certificate may come from, instead of the platform's.
    #[arg(long, env = "MMSGW_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Settings and script of the simulator; the options below go before it.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where it takes MM7.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mm7: Option<SocketAddr>,
    /// Where it takes MM4.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mm4: Option<SocketAddr>,
    /// Where what it received can be looked at, and its script changed, over HTTP.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) control: Option<SocketAddr>,
    /// The gateway's URL for MM7 reports.
    #[arg(long, value_name = "URL")]
    pub(crate) report_url: Option<String>,
    /// The gateway's SMTP address for MM4 acknowledgements and reports.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) report_smtp: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ParseArgs {
    /// The capture; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What it is; told by its looks otherwise.
    #[arg(long = "as", value_name = "PROTOCOL")]
    pub(crate) kind: Option<CaptureKind>,
    /// MM7: the Content-Type, in place of what the capture states.
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A protocol of carriers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CaptureKind {
    /// Mails.
    Mm4,
    /// SOAP.
    Mm7,
}

#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    /// The gateway: its group, its name, or a gateway file.
    #[arg(long, short, value_name = "GATEWAY")]
    pub(crate) gateway: String,
    /// The template with `send`, in JSON as the API takes it. Media may stand in it, or lie beside it as `file` URLs.
    #[arg(value_name = "TEMPLATE")]
    pub(crate) template: PathBuf,
    /// Write each mail or request into a file of this directory instead of printing it.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) into: Option<PathBuf>,
    /// The configuration; need not be there where the gateway is given as a file.
    #[arg(long, short, default_value = "mmsgw.toml", env = "MMSGW_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DialectsArgs {
    /// The dialect to print; all are listed without it.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The configuration, beside which dialects of your own lie.
    #[arg(long, short, default_value = "mmsgw.toml", env = "MMSGW_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// Name of the application, for logs.
    pub(crate) name: String,
    /// What the key may be used for; repeat for more.
    #[arg(long = "scope", default_values = ["send", "read"], value_parser = ["send", "read", "admin"])]
    pub(crate) scopes: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// Which file: the main one, or a gateway file for one of the protocols.
    #[arg(default_value = "main", value_parser = ["main", "mm4", "mm7"])]
    pub(crate) file: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
