//! What keeps templates, messages, queues and media: sections `[message_storage]`, `[queue_storage]` and
//! `[media_storage]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mmsgw_domain::{Clock, SystemClock};
use mmsgw_store::{BlobStore, DirectoryBlobs, LocalRegistry, Registry, Store, StoreError};
use mmsgw_store_embedded::{EmbeddedOptions, EmbeddedStore};
use mmsgw_store_redis::{RedisClock, RedisSettings, RedisStore};
use mmsgw_store_s3::{S3Blobs, S3Settings};
use serde::Deserialize;

/// Sections `[message_storage]` and `[queue_storage]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSection {
    /// What keeps the data.
    pub(crate) kind: StorageKind,
    /// Where the embedded store keeps them.
    pub(crate) directory: PathBuf,
    /// The servers, where `kind` is `redis`.
    pub(crate) redis: RedisSettings,
}

/// What keeps the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StorageKind {
    /// A file on this host, owned by this process.
    Embedded,
    /// Redis or Valkey, shared by processes on many hosts.
    Redis,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self { kind: StorageKind::Embedded, directory: "mmsgw-data".into(), redis: RedisSettings::default() }
    }
}

impl StorageSection {
    /// The same with directories taken from `base`, where they are relative.
    pub(crate) fn at(self, base: &Path) -> Self {
        Self { directory: base.join(self.directory), ..self }
    }

    /// Whether several processes can work on it.
    pub(crate) fn is_shared(&self) -> bool {
        match self.kind {
            StorageKind::Embedded => false,
            StorageKind::Redis => true,
        }
    }

    /// Whether two sections name the same data.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        let place = |section: &Self| match section.kind {
            StorageKind::Embedded => (section.kind, vec![section.directory.display().to_string()], 0),
            StorageKind::Redis => {
                let redis = &section.redis;
                let mut names = redis.servers.clone();
                names.extend([redis.master.clone(), redis.key_prefix.clone()]);
                (section.kind, names, redis.database)
            }
        };
        place(self) == place(other)
    }

    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            StorageKind::Embedded => format!("data in {}", self.directory.display()),
            StorageKind::Redis => format!("data at {}", self.redis.servers.join(", ")),
        }
    }
}

/// Section `[media_storage]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MediaSection {
    /// What keeps media.
    pub(crate) kind: MediaKind,
    /// The directory; absent: `media` below that of `[message_storage]`.
    pub(crate) directory: Option<PathBuf>,
    /// The store, where `kind` is `s3`.
    pub(crate) s3: S3Settings,
}

/// What keeps media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MediaKind {
    /// A directory, which hosts may share.
    #[default]
    Directory,
    /// An S3-compatible store.
    S3,
}

impl MediaSection {
    /// The same with the directory taken from `base`, or below that of the messages.
    pub(crate) fn at(self, base: &Path, messages: &StorageSection) -> Self {
        let directory = self.directory.map(|directory| base.join(directory));
        Self { directory: directory.or_else(|| Some(messages.directory.join("media"))), ..self }
    }

    /// The directory, where media are in one.
    pub(crate) fn in_directory(&self) -> Option<&Path> {
        self.directory.as_deref().filter(|_| self.kind == MediaKind::Directory)
    }

    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        match self.in_directory() {
            Some(directory) => format!("media in {}", directory.display()),
            None => format!("media in bucket {} of an S3 store", self.s3.bucket),
        }
    }

    async fn open(&self) -> Result<Arc<dyn BlobStore>, StoreError> {
        match self.in_directory() {
            Some(directory) => Ok(Arc::new(DirectoryBlobs::open(directory)?)),
            // Requests are signed with the time of this host.
            None => Ok(Arc::new(S3Blobs::open(&self.s3, Arc::new(SystemClock)).await?)),
        }
    }
}

/// What keeps what.
pub(crate) struct Sections<'a> {
    pub(crate) messages: &'a StorageSection,
    /// Where that is another server.
    pub(crate) queues: Option<&'a StorageSection>,
    pub(crate) media: &'a MediaSection,
}

/// An open storage.
pub(crate) struct Storage {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    /// The time that all processes on this storage share.
    pub(crate) clock: Arc<dyn Clock>,
    keeper: Keeper,
}

/// Who has to be told when it ends.
enum Keeper {
    Embedded(Arc<EmbeddedStore>),
    Redis,
}

impl Storage {
    /// Opens what the sections name.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where another process has it, or it cannot be used as it is;
    /// [`StoreError::Unavailable`] where no server answers.
    pub(crate) async fn open(sections: &Sections<'_>) -> Result<Self, StoreError> {
        let Sections { messages, queues, media } = sections;
        let blobs = media.open().await?;
        match messages.kind {
            StorageKind::Embedded => {
                let (options, clock) = (EmbeddedOptions::default(), Arc::new(SystemClock));
                let store = Arc::new(EmbeddedStore::open(&messages.directory, clock.clone(), options)?);
                let registry = Arc::new(LocalRegistry::new(clock.clone()));
                let keeper = Keeper::Embedded(Arc::clone(&store));
                Ok(Self { store, registry, blobs, clock, keeper })
            }
            StorageKind::Redis => {
                let (messages, clock) = (&messages.redis, RedisClock::Server);
                let store = Arc::new(match queues {
                    None => RedisStore::connect(messages, clock).await?,
                    Some(queues) => RedisStore::connect_two(messages, &queues.redis, clock).await?,
                });
                let (registry, clock) = (Arc::clone(&store), store.clock());
                Ok(Self { store, registry, blobs, clock, keeper: Keeper::Redis })
            }
        }
    }

    /// Ends it in good order.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        match &self.keeper {
            Keeper::Embedded(store) => store.close().await,
            Keeper::Redis => Ok(()),
        }
    }
}
