//! Notices of the kernel that a file has appeared, so that nobody has to look all the time. They are a help and
//! nothing more: on a network file system they tell of this host's files only, and some systems have none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::files::is_wanted;

/// The notices about one directory.
pub(super) struct Notices {
    directory: PathBuf,
    bell: Arc<Notify>,
    /// Absent until the system gave one.
    watcher: Arc<Mutex<Option<RecommendedWatcher>>>,
}

impl Notices {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), bell: Arc::default(), watcher: Arc::default() }
    }

    /// Asks for notices, again where the directory may be another one by now.
    ///
    /// # Errors
    /// There will be none: the directory is not there yet, or the system has no more to give.
    pub(super) async fn ask(&self) -> Result<(), String> {
        let (watcher, bell, directory) =
            (Arc::clone(&self.watcher), Arc::clone(&self.bell), self.directory.clone());
        // A network file system may take its time.
        let asking = tokio::task::spawn_blocking(move || {
            let mut watcher = watcher.lock();
            let mut at_work = match watcher.take() {
                Some(at_work) => at_work,
                None => notify::recommended_watcher(move |event| ring(&bell, &event))?,
            };
            at_work.watch(&directory, RecursiveMode::NonRecursive)?;
            *watcher = Some(at_work);
            Ok::<_, notify::Error>(())
        });
        asking.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Waits for a notice; one that came since the last wait counts.
    pub(super) async fn heard(&self) {
        self.bell.notified().await;
    }
}

fn ring(bell: &Notify, event: &notify::Result<notify::Event>) {
    // Where notices were lost, anything may have happened.
    if event.as_ref().map_or(true, |event| event.need_rescan() || tells_of_a_file(event)) {
        bell.notify_one();
    }
}

/// A file has appeared or is whole. Not that one left, which is our own doing mostly, nor that one grows.
fn tells_of_a_file(event: &notify::Event) -> bool {
    let appears = matches!(
        event.kind,
        EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(
                ModifyKind::Any | ModifyKind::Name(RenameMode::To | RenameMode::Both | RenameMode::Any)
            )
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
    );
    appears && event.paths.iter().any(|path| path.file_name().is_some_and(is_wanted))
}
