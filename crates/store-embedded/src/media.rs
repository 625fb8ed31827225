//! Media of one host: small ones are rows of a database of their own, large ones files.
//!
//! A file for each picture costs an inode, a rename and two `fsync`s, which is many times what its octets cost. Rows
//! share one `fsync` among all that are put at the same time, as records do. The database is not that of the records,
//! so that no commit of theirs waits while pictures are moved from the log into the file, and its pages are larger.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mmsgw_domain::{Clock, Digest, Timestamp};
use mmsgw_store::{BlobStore, DirectoryBlobs, StoreError, digest_of};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot};

use crate::reader::Readers;
use crate::tables::failed;
use crate::writer::{Reply, again, answer};

/// Media in the directory of an [`EmbeddedStore`](crate::EmbeddedStore), owned by the same process.
pub struct EmbeddedBlobs {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    readers: Readers,
    clock: Arc<dyn Clock>,
    large: DirectoryBlobs,
}

impl EmbeddedBlobs {
    /// Opens the media in `directory`: `media.db`, and `media` with the large ones. To be opened after the store,
    /// whose lock guards the directory.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where they cannot be made; [`StoreError::Corrupt`] where they cannot be read.
    pub fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = directory.join(NAME);
        let large = DirectoryBlobs::open(directory.join("media"))?;
        let connection = open_writer(&path).map_err(|e| failed(&e))?;
        let readers = (0..READERS).map(|_| open_reader(&path)).collect::<Result<_, _>>();
        let unusable = |e: std::io::Error| StoreError::Unusable(format!("{}: {e}", path.display()));
        // The names of new files are durable as well.
        std::fs::File::open(directory).and_then(|d| d.sync_all()).map_err(unusable)?;
        let readers = Readers::start(readers.map_err(|e| failed(&e))?).map_err(unusable)?;
        let (requests, receiver) = mpsc::channel(MAX_ROUND);
        let thread = thread::Builder::new().name("media-writer".to_owned());
        let writer = thread.spawn(move || run(&connection, receiver)).map_err(unusable)?;
        Ok(Self { requests: Some(requests), writer: Some(writer), readers, clock, large })
    }

    /// Has a change made, and says whether what it is about is gone then.
    async fn change(&self, digest: Digest, change: Change) -> Result<bool, StoreError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests.send(Request { digest, change, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for EmbeddedBlobs {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the writer of media had ended with a panic");
        }
    }
}

#[async_trait]
impl BlobStore for EmbeddedBlobs {
    async fn put(&self, octets: Bytes) -> Result<Digest, StoreError> {
        if octets.len() > SMALL {
            return self.large.put(octets).await;
        }
        let (digest, now) = (digest_of(&octets), self.clock.now());
        self.change(digest, Change::Put { octets, now }).await?;
        Ok(digest)
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let name = *digest;
        let look = move |connection: &Connection| {
            let found = connection.prepare_cached(GET).and_then(|mut statement| {
                statement.query_row([name.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()
            });
            found.map_err(|e| failed(&e))
        };
        match self.readers.ask(look).await?.map(Bytes::from) {
            None => self.large.get(digest).await,
            Some(octets) if digest_of(&octets) == *digest => Ok(Some(octets)),
            Some(_) => Err(StoreError::Corrupt(format!("the octets of blob {digest} have changed"))),
        }
    }

    async fn remove(&self, digest: &Digest, unless_younger: Duration) -> Result<bool, StoreError> {
        let span = i64::try_from(unless_younger.as_millis()).unwrap_or(i64::MAX);
        let put_by = Timestamp::from_millis(self.clock.now().as_millis().saturating_sub(span));
        let is_gone = self.change(*digest, Change::Remove { put_by }).await?;
        Ok(is_gone && self.large.remove(digest, unless_younger).await?)
    }
}

/// What the writer thread is asked.
struct Request {
    digest: Digest,
    change: Change,
    reply: Reply<bool>,
}

enum Change {
    Put {
        octets: Bytes,
        now: Timestamp,
    },
    /// Removes what was last put at that time or earlier.
    Remove {
        put_by: Timestamp,
    },
}

/// Does all requests that wait in one transaction, until nobody can ask any more.
fn run(connection: &Connection, mut requests: mpsc::Receiver<Request>) {
    let mut waiting = Vec::with_capacity(MAX_ROUND);
    while requests.blocking_recv_many(&mut waiting, MAX_ROUND) > 0 {
        match transaction(connection, &waiting) {
            Ok(gone) => waiting.drain(..).zip(gone).for_each(|(asked, gone)| answer(asked.reply, Ok(gone))),
            Err(error) => {
                let error = failed(&error);
                tracing::error!(%error, requests = waiting.len(), "media were not stored");
                waiting.drain(..).for_each(|asked| answer(asked.reply, Err(again(&error))));
            }
        }
    }
}

fn transaction(connection: &Connection, requests: &[Request]) -> rusqlite::Result<Vec<bool>> {
    let changes = connection.unchecked_transaction()?;
    let gone = requests.iter().map(|request| make(&changes, request)).collect::<Result<_, _>>()?;
    changes.commit()?;
    Ok(gone)
}

fn make(connection: &Connection, request: &Request) -> rusqlite::Result<bool> {
    let name = request.digest.as_bytes();
    match &request.change {
        Change::Put { octets, now } => {
            let values = params![name, now.as_millis(), octets.as_ref()];
            connection.prepare_cached(PUT)?.execute(values)?;
            Ok(false)
        }
        Change::Remove { put_by } => {
            connection.prepare_cached(REMOVE)?.execute(params![name, put_by.as_millis()])?;
            Ok(!connection.prepare_cached(GET)?.exists([name])?)
        }
    }
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // Counts for a new file only.
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG / PAGE)?;
    connection.pragma_update(None, "journal_size_limit", 2 * LOG)?;
    connection.execute_batch(SHAPE)?;
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store of media has stopped".to_owned())
}

const NAME: &str = "media.db";
/// Media of up to so many octets are small.
const SMALL: usize = 256 << 10;
/// Most requests in one transaction, and most that wait for the next.
const MAX_ROUND: usize = 128;
/// Threads that read.
const READERS: usize = 2;
/// Octets of a page: most pictures take a few.
const PAGE: i64 = 16 << 10;
/// Octets of the log from which on they are moved into the database.
const LOG: i64 = 32 << 20;

const SHAPE: &str = "CREATE TABLE IF NOT EXISTS medium (
    row INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, put INTEGER NOT NULL, octets BLOB NOT NULL)";

/// Octets that are there already cost no write but for the time: SQLite compares pages.
const PUT: &str = "INSERT INTO medium (digest, put, octets) VALUES (?1, ?2, ?3)
    ON CONFLICT (digest) DO UPDATE SET put = excluded.put, octets = excluded.octets";

const GET: &str = "SELECT octets FROM medium WHERE digest = ?1";

const REMOVE: &str = "DELETE FROM medium WHERE digest = ?1 AND put <= ?2";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use mmsgw_domain::SystemClock;
    use mmsgw_store::conformance;

    use super::*;

    fn open(directory: &Path) -> EmbeddedBlobs {
        EmbeddedBlobs::open(directory, Arc::new(SystemClock)).unwrap()
    }

    /// Changes what is stored behind the store's back.
    struct Hands(PathBuf);

    impl Hands {
        fn change(&self, sql: &str, values: impl rusqlite::Params) {
            let connection = Connection::open(self.0.join(NAME)).unwrap();
            connection.busy_timeout(Duration::from_secs(30)).unwrap();
            connection.execute(sql, values).unwrap();
        }
    }

    impl conformance::BlobHands for Hands {
        async fn pass(&self, span: Duration) {
            self.change("UPDATE medium SET put = put - ?1", [i64::try_from(span.as_millis()).unwrap()]);
            let mut folders = vec![self.0.join("media")];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        let file = fs::File::options().append(true).open(path).unwrap();
                        file.set_modified(SystemTime::now() - span).unwrap();
                    }
                }
            }
        }

        async fn spoil(&self, digest: &Digest, octets: &'static [u8]) {
            self.change(
                "UPDATE medium SET octets = ?2 WHERE digest = ?1",
                params![digest.as_bytes(), octets],
            );
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_and_files_keep_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(open(folder.path()));
        conformance::run_blobs(blobs.clone(), blobs, Hands(folder.path().to_owned())).await;
    }

    #[tokio::test]
    async fn media_are_there_after_a_restart_those_that_were_files_before_too() {
        let folder = tempfile::tempdir().unwrap();
        let file =
            DirectoryBlobs::open(folder.path().join("media")).unwrap().put("old".into()).await.unwrap();
        let (small, large) = (Bytes::from_static(b"small"), Bytes::from(vec![1; SMALL + 1]));
        let blobs = open(folder.path());
        let digests = [blobs.put(small.clone()).await.unwrap(), blobs.put(large.clone()).await.unwrap()];
        drop(blobs);
        let blobs = open(folder.path());
        assert_eq!(blobs.get(&digests[0]).await.unwrap(), Some(small));
        assert_eq!(blobs.get(&digests[1]).await.unwrap(), Some(large));
        assert_eq!(blobs.get(&file).await.unwrap().as_deref(), Some(&b"old"[..]));
        assert!(blobs.remove(&file, Duration::ZERO).await.unwrap());
        assert_eq!(blobs.get(&file).await.unwrap(), None);
    }
}
