//! Octets as files of a directory, named by their digest: `ab/cd/abcd…`. The directory may be shared
//! by hosts. It forgets nothing by itself; who sweeps the records removes the files.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use mmsgw_domain::Digest;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use crate::{BlobStore, StoreError, digest_of};

/// A [`BlobStore`] in a directory.
pub struct DirectoryBlobs {
    tree: Arc<Tree>,
    turns: Arc<Semaphore>,
}

impl DirectoryBlobs {
    /// Opens the directory, makes it where it is missing, and removes what a crash left half written.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where it cannot be made or read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let tree = Tree { root: path.into(), durable: Mutex::default(), removing: RwLock::default() };
        let incoming = tree.root.join(INCOMING);
        fs::create_dir_all(&incoming)
            .and_then(|()| remove_left_over(&incoming))
            .and_then(|()| sync_directory(&tree.root))
            .map_err(|e| StoreError::Unusable(format!("the media directory {}: {e}", tree.root.display())))?;
        Ok(Self { tree: Arc::new(tree), turns: Arc::new(Semaphore::new(MAX_AT_ONCE)) })
    }

    /// Where the octets of that name are, or would be.
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        self.tree.path_of(digest)
    }

    /// Does blocking work on a thread of its own; [`MAX_AT_ONCE`] at the same time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| StoreError::Unavailable("the media directory is closed".to_owned()))?;
        let tree = Arc::clone(&self.tree);
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&tree);
            drop(turn);
            result
        });
        done.await.map_err(|e| StoreError::Unavailable(format!("media directory: {e}")))?
    }
}

#[async_trait]
impl BlobStore for DirectoryBlobs {
    async fn put(&self, octets: Bytes) -> Result<Digest, StoreError> {
        self.blocking(move |tree| {
            let digest = digest_of(&octets);
            tree.put(&digest, &octets).map_err(|e| unavailable(&digest, &e))?;
            Ok(digest)
        })
        .await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let digest = *digest;
        self.blocking(move |tree| {
            let octets = read(&tree.path_of(&digest)).map_err(|e| unavailable(&digest, &e))?;
            match octets {
                Some(octets) if digest_of(&octets) != digest => {
                    Err(StoreError::Corrupt(format!("the octets of blob {digest} have changed")))
                }
                octets => Ok(octets.map(Bytes::from)),
            }
        })
        .await
    }

    async fn remove(&self, digest: &Digest, unless_younger: Duration) -> Result<bool, StoreError> {
        let digest = *digest;
        self.blocking(move |tree| tree.remove(&digest, unless_younger).map_err(|e| unavailable(&digest, &e)))
            .await
    }
}

/// The files.
struct Tree {
    root: PathBuf,
    /// Folders that this process knows to survive a crash.
    durable: Mutex<HashSet<PathBuf>>,
    /// Held for writing between looking at a file's age and removing it, so that no put of this
    /// process marks the file as fresh in between.
    removing: RwLock<()>,
}

impl Tree {
    fn path_of(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(&name[2..4]).join(name)
    }

    fn put(&self, digest: &Digest, octets: &[u8]) -> io::Result<()> {
        let path = self.path_of(digest);
        let folder = path.parent().unwrap_or(&self.root);
        self.make_durable(folder)?;
        let _no_removal = self.removing.read();
        if !refresh(&path, octets.len())? {
            // In the same tree, so that the file never has to cross file systems.
            let mut file = tempfile::Builder::new()
                .prefix("put-")
                .permissions(Permissions::from_mode(0o666)) // less the umask
                .tempfile_in(self.root.join(INCOMING))?;
            file.write_all(octets)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|e| e.error)?;
        }
        // Also for a file that was there: whoever put it may not have come this far yet.
        sync_directory(folder)
    }

    /// Makes `ab` and `ab/cd`, each durable in the one above.
    fn make_durable(&self, folder: &Path) -> io::Result<()> {
        if self.durable.lock().contains(folder) {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        sync_directory(folder.parent().unwrap_or(&self.root))?;
        sync_directory(&self.root)?;
        self.durable.lock().insert(folder.to_owned());
        Ok(())
    }

    fn remove(&self, digest: &Digest, unless_younger: Duration) -> io::Result<bool> {
        let path = self.path_of(digest);
        let _no_put = self.removing.write();
        let Some(about) = found(fs::metadata(&path))? else { return Ok(true) };
        if age(&about)? < unless_younger {
            return Ok(false);
        }
        found(fs::remove_file(&path)).map(|_| true)
    }
}

/// Marks octets that are there already as fresh. False where they are not there, or not whole.
fn refresh(path: &Path, length: usize) -> io::Result<bool> {
    let Some(file) = found(File::options().append(true).open(path))? else { return Ok(false) };
    if file.metadata()?.len() != u64::try_from(length).unwrap_or(u64::MAX) {
        return Ok(false);
    }
    file.set_modified(SystemTime::now())?;
    file.sync_all()?;
    // Another host may have removed it since it was opened.
    fs::exists(path)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = found(File::open(path))? else { return Ok(None) };
    let mut octets = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or(0));
    file.read_to_end(&mut octets)?;
    Ok(Some(octets))
}

/// What a put that never ended left behind.
fn remove_left_over(incoming: &Path) -> io::Result<()> {
    for entry in fs::read_dir(incoming)? {
        let entry = entry?;
        let old = found(entry.metadata())?
            .is_some_and(|about| about.is_file() && age(&about).is_ok_and(|age| age > LEFT_OVER));
        if old {
            found(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Time since the octets were last put; nothing where the clock ran backwards.
fn age(about: &fs::Metadata) -> io::Result<Duration> {
    Ok(SystemTime::now().duration_since(about.modified()?).unwrap_or_default())
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(thing) => Ok(Some(thing)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn unavailable(digest: &Digest, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("blob {digest}: {error}"))
}

/// Blocking operations at the same time: enough to keep a disk busy, few enough to leave threads to
/// others.
const MAX_AT_ONCE: usize = 16;

/// Where files are until they are whole.
const INCOMING: &str = "incoming";

/// Age from which on a file in [`INCOMING`] belongs to nobody.
const LEFT_OVER: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    fn open() -> (tempfile::TempDir, DirectoryBlobs) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DirectoryBlobs::open(folder.path().join("media")).unwrap();
        (folder, blobs)
    }

    fn grow_old(path: &Path, by: Duration) {
        let file = File::options().append(true).open(path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified - by).unwrap();
    }

    /// Changes the files behind the store's back.
    struct Hands(Arc<DirectoryBlobs>);

    impl conformance::BlobHands for Hands {
        async fn pass(&self, span: Duration) {
            let mut folders = vec![self.0.tree.root.clone()];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        grow_old(&path, span);
                    }
                }
            }
        }

        async fn spoil(&self, digest: &Digest, octets: &'static [u8]) {
            fs::write(self.0.path_of(digest), octets).unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_directory_keeps_the_contract() {
        let (folder, blobs) = open();
        let blobs = Arc::new(blobs);
        conformance::run_blobs(blobs.clone(), blobs.clone(), Hands(blobs)).await;
        let incoming = folder.path().join("media").join(INCOMING);
        assert_eq!(fs::read_dir(incoming).unwrap().count(), 0, "nothing half written is left");
    }

    #[tokio::test]
    async fn octets_are_in_folders_by_the_start_of_their_digest() {
        let (_folder, blobs) = open();
        let digest = blobs.put(Bytes::from_static(b"abc")).await.unwrap();
        assert!(blobs.path_of(&digest).ends_with(format!("ba/78/{digest}")));
        assert_eq!(fs::read(blobs.path_of(&digest)).unwrap(), b"abc");
    }

    #[test]
    fn what_a_crash_left_is_removed_unless_it_is_young() {
        let (folder, _blobs) = open();
        let incoming = folder.path().join("media").join(INCOMING);
        let (old, young) = (incoming.join("put-old"), incoming.join("put-young"));
        fs::write(&old, b"x").unwrap();
        fs::write(&young, b"x").unwrap();
        grow_old(&old, 2 * LEFT_OVER);
        DirectoryBlobs::open(folder.path().join("media")).unwrap();
        assert!(!old.exists() && young.exists());
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"").unwrap();
        let error = DirectoryBlobs::open(&path).err().unwrap().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}
