//! What keeps templates, messages, queues and media: sections `[message_storage]`, `[queue_storage]` and
//! `[media_storage]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mmsgw_domain::{Clock, SystemClock};
use mmsgw_store::{BlobStore, DirectoryBlobs, LocalRegistry, Registry, Store, StoreError};
use mmsgw_store_embedded::{EmbeddedBlobs, EmbeddedOptions, EmbeddedStore};
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
    /// The directory of `directory`; absent: `media` below that of `[message_storage]`.
    pub(crate) directory: Option<PathBuf>,
    /// The store, where `kind` is `s3`.
    pub(crate) s3: S3Settings,
}

/// What keeps media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MediaKind {
    /// The directory of the embedded store.
    #[default]
    Embedded,
    /// A directory, which hosts may share.
    Directory,
    /// An S3-compatible store.
    S3,
}

impl MediaSection {
    /// The same with the directory taken from `base`, or below that of the messages. Media that are to be in a directory
    /// of their own, or beside messages in Redis, are in a directory.
    pub(crate) fn at(self, base: &Path, messages: &StorageSection) -> Self {
        let is_apart = self.directory.is_some() || messages.is_shared();
        let kind =
            if self.kind == MediaKind::Embedded && is_apart { MediaKind::Directory } else { self.kind };
        let directory = self.directory.map(|directory| base.join(directory));
        Self { kind, directory: directory.or_else(|| Some(messages.directory.join("media"))), ..self }
    }

    /// The directory, where media are in one.
    pub(crate) fn in_directory(&self) -> Option<&Path> {
        self.directory.as_deref().filter(|_| self.kind == MediaKind::Directory)
    }

    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        match (self.kind, self.in_directory()) {
            (MediaKind::S3, _) => format!("media in bucket {} of an S3 store", self.s3.bucket),
            (_, Some(directory)) => format!("media in {}", directory.display()),
            (_, None) => "media beside the data".to_owned(),
        }
    }

    async fn open(&self, messages: &StorageSection) -> Result<Arc<dyn BlobStore>, StoreError> {
        // Requests to S3 are signed with the time of this host.
        let clock = Arc::new(SystemClock);
        match (self.kind, self.in_directory()) {
            (MediaKind::S3, _) => Ok(Arc::new(S3Blobs::open(&self.s3, clock).await?)),
            (_, Some(directory)) => Ok(Arc::new(DirectoryBlobs::open(directory)?)),
            (_, None) => Ok(Arc::new(EmbeddedBlobs::open(&messages.directory, clock)?)),
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
        match messages.kind {
            StorageKind::Embedded => {
                let (options, clock) = (EmbeddedOptions::default(), Arc::new(SystemClock));
                let store = Arc::new(EmbeddedStore::open(&messages.directory, clock.clone(), options)?);
                let blobs = media.open(messages).await?;
                let registry = Arc::new(LocalRegistry::new(clock.clone()));
                let keeper = Keeper::Embedded(Arc::clone(&store));
                Ok(Self { store, registry, blobs, clock, keeper })
            }
            StorageKind::Redis => {
                let blobs = media.open(messages).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_beside_the_data_unless_they_are_to_be_apart() {
        let kind = |media: &str, messages: &str| {
            let media: MediaSection = toml::from_str(media).unwrap();
            let messages: StorageSection = toml::from_str(messages).unwrap();
            let media = media.at(Path::new("/etc"), &messages.at(Path::new("/etc")));
            (media.kind, media.in_directory().map(Path::to_owned))
        };
        assert_eq!(kind("", ""), (MediaKind::Embedded, None));
        let below = Some("/etc/mmsgw-data/media".into());
        assert_eq!(kind("kind = 'directory'", ""), (MediaKind::Directory, below.clone()));
        assert_eq!(kind("", "kind = 'redis'"), (MediaKind::Directory, below));
        assert_eq!(kind("directory = 'x'", ""), (MediaKind::Directory, Some("/etc/x".into())));
        assert_eq!(kind("kind = 's3'", ""), (MediaKind::S3, None));
    }
}
