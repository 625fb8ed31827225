//! Message records: a line of JSON for each message that has come to an end, or for each change, in a file of its own.
//!
//! Written beside the messages' way: a record is taken from what is durable already, and nobody waits for the file. A
//! disk that is too slow costs records, which is told in the log, never messages.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use mmsgw_domain::{ByteSize, Direction, Event, Message, Recipient, RecipientKind, State, Timestamp};
use mmsgw_engine::{Engine, Happening};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// The settings file that says the same as no settings at all.
pub(crate) const CONFIG_DEFAULT: &str = include_str!("records.default.toml");

/// Section `[records]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RecordsSection {
    /// The file; nothing is written where it is absent. Beside the main file unless absolute.
    pub(crate) file: Option<PathBuf>,
    /// Which lines are written.
    pub(crate) lines: Lines,
    /// A file that has grown to this is put aside under a name with the time.
    pub(crate) max_size: ByteSize,
    /// A file is put aside when a new day begins (UTC).
    pub(crate) daily: bool,
    /// Show only the last four digits of numbers.
    pub(crate) mask_numbers: bool,
}

/// Which lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lines {
    /// One for each number of a message that has come to an end, or has come in.
    Ends,
    /// One for each event.
    Changes,
}

impl Default for RecordsSection {
    fn default() -> Self {
        Self {
            file: None,
            lines: Lines::Ends,
            max_size: ByteSize(256 << 20),
            daily: true,
            mask_numbers: false,
        }
    }
}

impl RecordsSection {
    /// The same with the file beside the main file.
    pub(crate) fn at(self, base: &Path) -> Self {
        Self { file: self.file.map(|file| base.join(file)), ..self }
    }
}

/// Writes records until `stop`, and then what is left.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn start(
    settings: RecordsSection,
    engine: &Engine,
    stop: CancellationToken,
) -> anyhow::Result<Option<impl Future<Output = ()> + Send + 'static>> {
    let Some(path) = settings.file.clone() else { return Ok(None) };
    let now = Timestamp::from_jiff(jiff::Timestamp::now());
    let mut book = Book::open(path, now).with_context(|| "records.file")?;
    let mut news = engine.listen();
    Ok(Some(async move {
        loop {
            let heard = tokio::select! {
                biased;
                heard = tokio::time::timeout(FLUSH, news.recv()) => heard,
                () = stop.cancelled() => break,
            };
            let written = match heard {
                Ok(Ok(happening)) => book.write(&settings, &happening),
                Ok(Err(RecvError::Lagged(missed))) => {
                    tracing::error!(missed, "records are missing: the file is too slow");
                    Ok(())
                }
                Ok(Err(RecvError::Closed)) => break,
                Err(_) => book.flush(),
            };
            if let Err(error) = written {
                tracing::error!(%error, "a record cannot be written");
            }
        }
        if let Err(error) = book.flush() {
            tracing::error!(%error, "the last records cannot be written");
        }
    }))
}

/// The file at hand.
struct Book {
    path: PathBuf,
    file: BufWriter<File>,
    size: u64,
    day: i64,
}

impl Book {
    fn open(path: PathBuf, now: Timestamp) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file: BufWriter::new(file), size, day: day(now) })
    }

    fn write(&mut self, settings: &RecordsSection, happening: &Happening) -> std::io::Result<()> {
        let now = Timestamp::from_jiff(jiff::Timestamp::now());
        for record in records(settings, happening) {
            if self.size > 0 && (self.size >= settings.max_size.0 || (settings.daily && day(now) != self.day))
            {
                self.put_aside(now)?;
            }
            let mut line = record.to_string();
            line.push('\n');
            self.file.write_all(line.as_bytes())?;
            self.size += line.len() as u64;
        }
        Ok(())
    }

    /// Goes on in a fresh file.
    fn put_aside(&mut self, now: Timestamp) -> std::io::Result<()> {
        self.file.flush()?;
        let stamp = now.to_jiff().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
        // Files that are put aside in the same moment must not replace each other.
        let aside = |count: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(if count == 0 { format!(".{stamp}") } else { format!(".{stamp}-{count}") });
            PathBuf::from(name)
        };
        let free = (0..).map(aside).find(|path| !path.exists()).unwrap_or_else(|| self.path.clone());
        fs::rename(&self.path, free)?;
        *self = Self::open(std::mem::take(&mut self.path), now)?;
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// The records that an event makes.
fn records(settings: &RecordsSection, happening: &Happening) -> Vec<Value> {
    let Happening { message, event } = happening;
    let common = |number: &str, state: &str| {
        let (sent, ended) = (message.processed, event.at);
        json!({
            "at_ms": ended.as_millis(),
            "message": message.id.to_string(),
            "direction": match message.direction {
                Direction::Outbound => "outbound",
                Direction::Inbound => "inbound",
            },
            "group": message.group.as_str(),
            "instance": event.instance.as_ref().map(ToString::to_string),
            "origin": settings.shown(message.origin.as_str()),
            "number": number,
            "state": state,
            "code": event.code.to_string(),
            "carrier_status": event.carrier_status,
            "peer_ref": message.peer_ref,
            "linked_id": message.linked_id,
            "accepted_ms": message.created.as_millis(),
            "sent_ms": sent.map(Timestamp::as_millis),
            "tries": message.rounds + 1,
            "template": message.template.to_string(),
        })
    };
    match settings.lines {
        Lines::Changes => {
            let numbers: Vec<String> =
                event.destinations.iter().map(|address| settings.shown(address.as_str())).collect();
            let numbers = if numbers.is_empty() { "*".to_owned() } else { numbers.join(",") };
            vec![common(&numbers, event.state.name())]
        }
        Lines::Ends => ended(message, event)
            .map(|recipient| {
                let mut record = common(&settings.shown(recipient.address.as_str()), event.state.name());
                record["kind"] = json!(match recipient.kind {
                    RecipientKind::To => "to",
                    RecipientKind::Cc => "cc",
                    RecipientKind::Bcc => "bcc",
                });
                record
            })
            .collect(),
    }
}

/// The numbers whose end this event is: of a message out, those that had not come to an end before; of one that came in,
/// all.
fn ended<'a>(message: &'a Message, event: &'a Event) -> impl Iterator<Item = &'a Recipient> {
    let is_end = match message.direction {
        Direction::Inbound => event.sequence == 1,
        Direction::Outbound => event.state.is_final(),
    };
    let is_about = |event: &Event, number: &Recipient| {
        event.destinations.is_empty() || event.destinations.contains(&number.address)
    };
    message.recipients.iter().filter(move |number| {
        let earlier = message.events.iter().take_while(|earlier| earlier.sequence < event.sequence);
        let before = earlier.filter(|earlier| is_about(earlier, number)).fold(None, |end, earlier| {
            match earlier.state {
                // Sent again, so that there will be another end.
                State::Scheduled => None,
                state if state.is_final() => end.or(Some(state)),
                _ => end,
            }
        });
        is_end
            && is_about(event, number)
            && before.is_none_or(|before| before.moves_to(event.state) && !is_happy(before))
    })
}

/// What follows such an end, such as that it was read, is no other end.
fn is_happy(state: State) -> bool {
    matches!(state, State::Delivered | State::Read | State::Deleted)
}

impl RecordsSection {
    fn shown(&self, number: &str) -> String {
        if self.mask_numbers { masked(number) } else { number.to_owned() }
    }
}

/// A number of which only the last four characters are left; of a mail address the domain.
pub(crate) fn masked(number: &str) -> String {
    if let Some((_, domain)) = number.rsplit_once('@') {
        return format!("***@{domain}");
    }
    let length = number.chars().count();
    let kept: String = number.chars().skip(length.saturating_sub(4)).collect();
    if length <= 4 { "***".to_owned() } else { format!("***{kept}") }
}

fn day(at: Timestamp) -> i64 {
    at.as_secs().div_euclid(86_400)
}

/// How long a record waits at most until it is in the file.
const FLUSH: Duration = Duration::from_millis(500);
