//! The files of a spool directory: taking, handing back, failing, taking over.
//!
//! Names in the work folder and in `failed` are made so that no file ever takes the place of another.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use mmsgw_domain::{Clock, JobId, SystemClock};
use tokio::fs;
use tokio::io::AsyncReadExt;

use super::{SpoolKind, SpoolSettings, shown};

/// The directory as one instance sees it.
pub(super) struct Folder {
    root: PathBuf,
    /// Where files appear.
    source: PathBuf,
    /// Work folder of this instance.
    work: PathBuf,
    kind: SpoolKind,
    settle: Duration,
    takeover: Duration,
    /// Plain directories: what a file looked like when it was first seen so.
    seen: HashMap<PathBuf, (Look, Instant)>,
    /// Makes names distinct.
    count: u64,
}

/// What changes when a file is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    size: u64,
    modified: Option<SystemTime>,
}

/// A file in the work folder: ours until it is removed, or this instance is taken for dead.
#[derive(Debug)]
pub(super) struct Taken {
    path: PathBuf,
    /// The name it had.
    pub(super) name: String,
}

impl Folder {
    pub(super) fn new(settings: &SpoolSettings) -> Self {
        let root = settings.directory.clone();
        let source = match settings.kind {
            SpoolKind::Maildir => root.join("new"),
            SpoolKind::Plain => root.clone(),
        };
        // Distinct over all hosts and restarts.
        let work = root.join(format!("{WORK}{}", JobId::generate(SystemClock.now())));
        Self {
            root,
            source,
            work,
            kind: settings.kind,
            settle: settings.settle_time.0,
            takeover: settings.takeover_after.0,
            seen: HashMap::new(),
            count: 0,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where files appear.
    pub(super) fn source(&self) -> &Path {
        &self.source
    }

    /// When the first of the files that were still being written to may be whole.
    pub(super) fn settles_in(&self) -> Option<Duration> {
        let first = self.seen.values().map(|(_, since)| *since).min()?;
        Some(self.settle.saturating_sub(first.elapsed()).max(LEAST_PAUSE))
    }

    /// Gives a sign of life, takes over from the dead, and takes up to `most` files. Those that had to
    /// wait in the work folder come first.
    pub(super) async fn take(&mut self, most: usize) -> io::Result<Vec<Taken>> {
        fs::create_dir_all(&self.work).await?;
        let now = self.sign().await?;
        self.take_over(now).await?;
        let mut taken = Vec::new();
        for path in list(&self.work, most).await? {
            taken.push(Taken { name: original(&shown(&path)).to_owned(), path });
        }
        let ready = self.ready(most.saturating_sub(taken.len())).await?;
        for path in ready {
            if let Some(file) = self.grab(&path).await? {
                taken.push(file);
            }
        }
        Ok(taken)
    }

    /// Puts a bad file aside with the reason beside it.
    pub(super) async fn fail(&self, file: &Taken, reason: &str) -> io::Result<()> {
        let failed = self.root.join(FAILED);
        fs::create_dir_all(&failed).await?;
        for copy in 0..MOST_COPIES {
            let mark = if copy == 0 { String::new() } else { format!(".{copy}") };
            let name = format!("{}{mark}", file.name);
            let note = failed.join(format!("{name}.reason"));
            // Whoever makes the note has the name.
            match fs::OpenOptions::new().write(true).create_new(true).open(&note).await {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            fs::write(&note, format!("{reason}\n")).await?;
            let moved = fs::rename(&file.path, failed.join(name)).await;
            if moved.is_err() {
                fs::remove_file(&note).await?;
            }
            return moved;
        }
        Err(io::Error::other("too many failed files of one name"))
    }

    /// Says that this instance has ended. What is left in the work folder is for others, at once.
    pub(super) async fn leave(self) {
        // Nothing depends on it: a folder without a sign of life is one of the dead.
        let _ = fs::remove_file(self.work.join(ALIVE)).await;
        let _ = fs::remove_dir(&self.work).await;
    }

    /// Writes a sign of life and gives its time, by the clock of whoever keeps the directory.
    async fn sign(&self) -> io::Result<SystemTime> {
        let file = self.work.join(ALIVE);
        fs::write(&file, b"alive\n").await?;
        fs::metadata(&file).await?.modified()
    }

    async fn take_over(&mut self, now: SystemTime) -> io::Result<()> {
        let mut entries = fs::read_dir(&self.root).await?;
        let mut others = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(WORK) && path != self.work {
                others.push(path);
            }
        }
        for other in others {
            if is_dead(&other, now, self.takeover).await {
                self.inherit(&other).await?;
            }
        }
        Ok(())
    }

    async fn inherit(&mut self, other: &Path) -> io::Result<()> {
        loop {
            let files = match list(other, MOST_INHERITED).await {
                Ok(files) => files,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            if files.is_empty() {
                break;
            }
            tracing::warn!(from = %other.display(), files = files.len(), "files of a dead instance are taken over");
            for path in files {
                self.grab(&path).await?;
            }
        }
        // Somebody else may have done it, or its owner may have come back to life.
        let _ = fs::remove_file(other.join(ALIVE)).await;
        let _ = fs::remove_dir(other).await;
        Ok(())
    }

    /// Moves a file into the work folder; `None` where another instance was faster.
    async fn grab(&mut self, path: &Path) -> io::Result<Option<Taken>> {
        let shown = shown(path);
        let inherited = path.parent().is_some_and(|parent| parent != self.source);
        let name = shorten(if inherited { original(&shown) } else { &shown }).to_owned();
        self.count += 1;
        let target = self.work.join(format!("{:010}.{name}", self.count));
        match fs::rename(path, &target).await {
            Ok(()) => Ok(Some(Taken { path: target, name })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Files that are whole.
    async fn ready(&mut self, most: usize) -> io::Result<Vec<PathBuf>> {
        if most == 0 {
            return Ok(Vec::new());
        }
        if self.kind == SpoolKind::Maildir {
            return match list(&self.source, most).await {
                // The first delivery makes it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.root.exists() => Ok(Vec::new()),
                found => found,
            };
        }
        let (now, mut seen, mut ready) = (Instant::now(), HashMap::new(), Vec::new());
        for path in list(&self.source, MOST_SEEN).await? {
            let Some(look) = look(&path).await else { continue };
            let before = self.seen.get(&path).filter(|(known, _)| *known == look);
            let since = before.map_or(now, |(_, since)| *since);
            if now.duration_since(since) >= self.settle && ready.len() < most {
                ready.push(path);
            } else {
                seen.insert(path, (look, since));
            }
        }
        self.seen = seen;
        Ok(ready)
    }
}

impl Taken {
    /// Its octets; `None` where they are more than `limit`.
    pub(super) async fn read(&self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let mut octets = Vec::new();
        let file = fs::File::open(&self.path).await?;
        file.take(limit.saturating_add(1)).read_to_end(&mut octets).await?;
        Ok((octets.len() as u64 <= limit).then_some(octets))
    }

    /// Whether nobody has added to it since.
    pub(super) async fn is_unchanged(&self, octets: &[u8]) -> io::Result<bool> {
        Ok(fs::metadata(&self.path).await?.len() == octets.len() as u64)
    }

    pub(super) async fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path).await
    }
}

/// Regular files of a directory, in no order; at most so many. Names that begin with a dot or end in
/// `.tmp` are left alone.
async fn list(directory: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let (mut entries, mut found) = (fs::read_dir(directory).await?, Vec::new());
    while let Some(entry) = entries.next_entry().await? {
        let usable = is_wanted(&entry.file_name());
        // A link could lead anywhere; it is no regular file.
        if usable && entry.file_type().await.is_ok_and(|kind| kind.is_file()) {
            found.push(entry.path());
            if found.len() >= most {
                break;
            }
        }
    }
    Ok(found)
}

pub(super) fn is_wanted(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    !name.starts_with('.') && !name.to_ascii_lowercase().ends_with(".tmp")
}

async fn look(path: &Path) -> Option<Look> {
    let meta = fs::metadata(path).await.ok()?;
    Some(Look { size: meta.len(), modified: meta.modified().ok() })
}

/// No sign of life, or an old one.
async fn is_dead(work: &Path, now: SystemTime, after: Duration) -> bool {
    match fs::metadata(work.join(ALIVE)).await.and_then(|meta| meta.modified()) {
        Ok(sign) => now.duration_since(sign).is_ok_and(|age| age >= after),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// The name that a file had before it was taken.
fn original(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, name)| name)
}

/// Looks at the name of a file as a stranger may have chosen it.
#[cfg(fuzzing)]
pub(super) fn fuzz(name: &str) {
    let _ = is_wanted(OsStr::new(name));
    assert!(shorten(original(name)).len() <= MAX_NAME);
}

/// So much of a name that our additions still fit into the 255 octets of most file systems.
fn shorten(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// What the name of a work folder begins with.
const WORK: &str = ".taken-";
/// The sign of life in a work folder.
const ALIVE: &str = ".alive";
const FAILED: &str = "failed";
const MAX_NAME: usize = 220;
const MOST_COPIES: usize = 10_000;
const MOST_INHERITED: usize = 1_000;
/// Between two looks at files that are being written to.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// Files of a plain directory that are watched at once.
const MOST_SEEN: usize = 10_000;
