//! What keeps templates, messages, queues and media: sections `[message_storage]` and `[queue_storage]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mmsgw_domain::Clock;
use mmsgw_store::{BlobStore, DirectoryBlobs, LocalRegistry, Registry, Store, StoreError};
use mmsgw_store_embedded::{EmbeddedOptions, EmbeddedStore};
use mmsgw_store_redis::{RedisClock, RedisSettings, RedisStore};
use serde::Deserialize;

/// Section `[message_storage]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSection {
    /// What keeps the data.
    pub(crate) kind: StorageKind,
    /// Where the embedded store keeps them.
    pub(crate) directory: PathBuf,
    /// Where media are; `media` below `directory` unless said otherwise.
    pub(crate) media_directory: Option<PathBuf>,
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
        Self {
            kind: StorageKind::Embedded,
            directory: "mmsgw-data".into(),
            media_directory: None,
            redis: RedisSettings::default(),
        }
    }
}

impl StorageSection {
    /// The same with directories taken from `base`, where they are relative.
    pub(crate) fn at(self, base: &Path) -> Self {
        let media_directory = self.media_directory.map(|media| base.join(media));
        Self { directory: base.join(self.directory), media_directory, ..self }
    }

    /// Where media are.
    pub(crate) fn media(&self) -> PathBuf {
        self.media_directory.clone().unwrap_or_else(|| self.directory.join("media"))
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
            StorageKind::Redis => {
                format!("data at {}, media in {}", self.redis.servers.join(", "), self.media().display())
            }
        }
    }
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
    /// Opens what the section names. The clock is for a store that has none of its own.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where another process has it, or it cannot be used as it is;
    /// [`StoreError::Unavailable`] where no server answers.
    pub(crate) async fn open(section: &StorageSection, clock: &Arc<dyn Clock>) -> Result<Self, StoreError> {
        let blobs = Arc::new(DirectoryBlobs::open(section.media())?);
        match section.kind {
            StorageKind::Embedded => {
                let options = EmbeddedOptions::default();
                let store = EmbeddedStore::open(&section.directory, Arc::clone(clock), options)?;
                let (store, clock) = (Arc::new(store), Arc::clone(clock));
                let registry = Arc::new(LocalRegistry::new(Arc::clone(&clock)));
                let keeper = Keeper::Embedded(Arc::clone(&store));
                Ok(Self { store, registry, blobs, clock, keeper })
            }
            StorageKind::Redis => {
                let store = Arc::new(RedisStore::connect(&section.redis, RedisClock::Server).await?);
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
