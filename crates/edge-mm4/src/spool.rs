//! Spool directories: files that a mail server drops, taken in like mails of the SMTP receiver.
//!
//! Several instances may watch one directory, also over a network. A file is taken by renaming it into
//! a work folder of this instance, so that one instance has it; it is removed when the engine has it for
//! good, so that none is lost. What cannot be used goes to the folder `failed`, with the reason beside
//! it. The files of an instance that died are taken over by the others after a while; one that was
//! already kept when its instance died is kept twice, and the second recognised as a repetition.
//!
//! The kernel gives notice of new files; since it does so for this host's files only, the directory is
//! looked into now and then as well. What a mail means is found out later, by the gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use mmsgw_domain::{ByteSize, GroupName, IntakeKind, Span};
use mmsgw_engine::Engine;
use mmsgw_mime::Limits;
use mmsgw_net::Drain;
use serde::Deserialize;

use crate::config::check::Faults;
use crate::route::Routes;
use crate::wire;

mod envelope;
mod files;
mod notices;

use envelope::{Delivered, Misfit};
use files::{Folder, Taken};
use notices::Notices;

/// One directory to watch: an entry of the table array `[[spool]]` of the receiver's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpoolSettings {
    /// The directory; in it `failed` and the work folders are made.
    pub directory: PathBuf,
    /// Its form.
    #[serde(default)]
    pub kind: SpoolKind,
    /// The group of all its mails; without it each goes where its recipients and sender lead.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// How often it is looked into without notice, as of files that other hosts put into a shared directory.
    #[serde(default = "default_poll")]
    pub poll_interval: Span,
    /// Plain directories: a file is taken when it has not changed for so long.
    #[serde(default = "default_settle")]
    pub settle_time: Span,
    /// An instance that gave no sign of life for so long is dead, and its files are taken over.
    #[serde(default = "default_takeover")]
    pub takeover_after: Span,
    /// Most octets of a file.
    #[serde(default = "default_size")]
    pub max_size: ByteSize,
}

/// The form of a spool directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpoolKind {
    /// A Maildir: files appear whole in `new`.
    #[default]
    Maildir,
    /// A directory of mails, one in each file, which may be seen while they are written. Names that
    /// begin with a dot or end in `.tmp` are left alone.
    Plain,
}

impl SpoolSettings {
    pub(crate) fn check(&self, faults: &mut Faults) {
        faults.unless(!self.directory.as_os_str().is_empty(), "spool.directory", || "is empty".into());
        for (field, span) in [
            ("spool.poll_interval", self.poll_interval),
            ("spool.settle_time", self.settle_time),
            ("spool.takeover_after", self.takeover_after),
        ] {
            faults.unless(!span.0.is_zero(), field, || "must be longer than nothing".into());
        }
        let patient = self.takeover_after.0 > self.poll_interval.0.saturating_mul(2);
        faults.unless(patient, "spool.takeover_after", || "must be over twice the poll_interval".into());
        faults.unless(self.max_size.0 > 0, "spool.max_size", || "must be more than nothing".into());
    }
}

/// Watches a directory until `drain` begins; the files in hand are finished. `routes` may be replaced
/// at any time. A directory that cannot be used now is tried again and again, and the log says so.
pub async fn watch_spool(
    engine: Engine,
    settings: SpoolSettings,
    routes: Arc<ArcSwap<Routes>>,
    drain: Drain,
) {
    let (poll, directory) = (settings.poll_interval.0, settings.directory.clone());
    tracing::info!(directory = %directory.display(), kind = ?settings.kind, "spool directory is watched");
    let mut folder = Folder::new(&settings);
    let mut notices = Watch { notices: Notices::new(folder.source()), asked: None, comes: false };
    let spool = Spool { engine, settings, routes };
    let mut complained = false;
    while !drain.is_draining() {
        notices.renew(&directory, poll).await;
        let (more, trouble) = match spool.round(&mut folder).await {
            Ok(Round { more, waits }) => (more, waits),
            Err(error) => (false, Some(error.to_string())),
        };
        // Once, not twice a second.
        if let Some(trouble) = trouble.as_ref().filter(|_| !complained) {
            tracing::error!(directory = %directory.display(), error = trouble, "files of the spool wait");
        }
        complained = trouble.is_some();
        if !more {
            let quick = if complained || !notices.comes { Some(QUICK) } else { folder.settles_in() };
            tokio::select! {
                () = drain.draining() => break,
                () = tokio::time::sleep(quick.map_or(poll, |quick| quick.min(poll))) => {}
                () = notices.notices.heard(), if !complained => {}
            }
        }
    }
    folder.leave().await;
}

/// The notices about a directory, asked for anew with each look that nobody gave notice of.
struct Watch {
    notices: Notices,
    asked: Option<Instant>,
    /// Whether any come.
    comes: bool,
}

impl Watch {
    async fn renew(&mut self, directory: &Path, poll: Duration) {
        if self.asked.is_some_and(|asked| self.comes && asked.elapsed() < poll) {
            return;
        }
        let asked = self.notices.ask().await;
        if let Err(error) = &asked
            && (self.comes || self.asked.is_none())
        {
            tracing::info!(directory = %directory.display(), error, "no notice of new files, so it is looked into often");
        }
        (self.asked, self.comes) = (Some(Instant::now()), asked.is_ok());
    }
}

struct Spool {
    engine: Engine,
    settings: SpoolSettings,
    routes: Arc<ArcSwap<Routes>>,
}

/// What became of one file.
enum Fate {
    /// The engine has it.
    Kept,
    /// It is of no use, for this reason.
    Bad(String),
    /// Not now, for this reason: it stays in the work folder.
    Later(String),
}

/// What became of the files of one round.
struct Round {
    /// Whether there may be more at once.
    more: bool,
    /// Why a file has to wait, where one has to.
    waits: Option<String>,
}

impl Spool {
    /// Takes what is there and keeps it.
    async fn round(&self, folder: &mut Folder) -> std::io::Result<Round> {
        let taken = folder.take(MOST_AT_ONCE).await?;
        let count = taken.len();
        let folder = &*folder;
        let ends = futures_util::stream::iter(taken).map(|file| self.digest(folder, file));
        let waits: Vec<String> =
            ends.buffer_unordered(IN_PARALLEL).filter_map(std::future::ready).collect().await;
        let more = count >= MOST_AT_ONCE && waits.len() < count;
        Ok(Round { more, waits: waits.into_iter().next() })
    }

    /// Brings one file to its end; gives the reason where it has to wait.
    async fn digest(&self, folder: &Folder, file: Taken) -> Option<String> {
        let ended = match self.keep(&file).await {
            Ok(Fate::Kept) => file.remove().await,
            Ok(Fate::Bad(reason)) => {
                let directory = folder.root().display();
                tracing::warn!(%directory, file = file.name, reason, "a bad file in the spool");
                folder.fail(&file, &reason).await
            }
            Ok(Fate::Later(reason)) => return Some(reason),
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => None,
            // Another instance took it over: its affair now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("{}: {error}", file.name)),
        }
    }

    async fn keep(&self, file: &Taken) -> std::io::Result<Fate> {
        let limit = self.settings.max_size.0;
        let Some(raw) = file.read(limit).await? else {
            return Ok(Fate::Bad(format!("larger than {limit} octets")));
        };
        if !file.is_unchanged(&raw).await? {
            return Ok(Fate::Later(format!("{}: somebody still writes to it", file.name)));
        }
        let delivered = match envelope::read(raw.into(), &Limits::DEFAULT) {
            Ok(delivered) => delivered,
            Err(misfit) => return Ok(Fate::Bad(misfit.to_string())),
        };
        let groups = match self.groups(&delivered) {
            Ok(groups) => groups,
            Err(misfit) => return Ok(Fate::Bad(misfit.to_string())),
        };
        let peer = format!("spool:{}/{}", self.settings.directory.display(), file.name);
        for (group, rcpt_to) in groups {
            let tap = self.engine.tap(&group);
            tap.happened(&format!("a mail from {peer}"));
            wire::heard_mail(&tap, &delivered.mail);
            let kind = IntakeKind::Mail { mail_from: delivered.mail_from.clone(), rcpt_to };
            let kept = self.engine.intake(&group, kind, peer.clone(), delivered.mail.clone()).await;
            match kept {
                Ok(id) => {
                    tracing::debug!(peer, gateway.group = %group, job.id = %id, "a file of the spool was kept");
                }
                Err(refusal) => return Ok(Fate::Later(format!("{group}: {refusal}"))),
            }
        }
        Ok(Fate::Kept)
    }

    /// Whose mail it is, with its recipients there. Recipients that belong to nobody here are left out
    /// where there are others.
    fn groups(&self, mail: &Delivered) -> Result<Vec<(GroupName, Vec<String>)>, Misfit> {
        if let Some(group) = &self.settings.group {
            return Ok(vec![(group.clone(), mail.rcpt_to.clone())]);
        }
        let routes = self.routes.load();
        let candidates = if mail.rcpt_to.is_empty() { &mail.header_to } else { &mail.rcpt_to };
        let mut groups: Vec<(GroupName, Vec<String>)> = Vec::new();
        for address in candidates {
            let Ok(group) = routes.delivered(address, &mail.mail_from) else { continue };
            // What the header says is for the gateway to judge, it is no envelope.
            let known = mail.rcpt_to.contains(address).then(|| address.clone());
            match groups.iter_mut().find(|(name, _)| name == group) {
                Some((_, addresses)) => addresses.extend(known),
                None => groups.push((group.clone(), known.into_iter().collect())),
            }
        }
        if groups.is_empty() { Err(Misfit::Nobody(candidates.join(", "))) } else { Ok(groups) }
    }
}

fn default_poll() -> Span {
    Span::secs(5)
}

fn default_settle() -> Span {
    Span::secs(2)
}

fn default_takeover() -> Span {
    Span::secs(60)
}

fn default_size() -> ByteSize {
    ByteSize(10 << 20)
}

/// The path as a log may show it.
fn shown(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// How often a directory is looked into that gives no notice, or whose files have to wait.
const QUICK: Duration = Duration::from_millis(500);
/// Files taken in one round.
const MOST_AT_ONCE: usize = 256;
/// Files worked on at once; they share the commits of the store.
const IN_PARALLEL: usize = 32;

/// Reads a file of a spool directory and looks at its name.
#[cfg(fuzzing)]
pub fn fuzz(name: &str, octets: &[u8]) {
    files::fuzz(name);
    if let Ok(delivered) = envelope::read(bytes::Bytes::copy_from_slice(octets), &Limits::DEFAULT) {
        let addresses = delivered.rcpt_to.iter().chain([&delivered.mail_from]);
        assert!(addresses.into_iter().all(|address| !address.contains(char::is_control)));
    }
}
