//! What keeps templates, messages, queues and media: sections `[message_storage]` and `[queue_storage]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mmsgw_domain::Clock;
use mmsgw_store::{BlobStore, DirectoryBlobs, LocalRegistry, Registry, Store, StoreError};
use mmsgw_store_embedded::{EmbeddedOptions, EmbeddedStore};
use serde::Deserialize;

/// Section `[message_storage]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSection {
    /// What keeps the data.
    pub(crate) kind: StorageKind,
    /// Where the embedded store keeps them.
    pub(crate) directory: PathBuf,
    /// Where media are; `media` below `directory` unless said otherwise.
    pub(crate) media_directory: Option<PathBuf>,
}

/// What keeps the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StorageKind {
    /// A file on this host, owned by this process.
    Embedded,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self { kind: StorageKind::Embedded, directory: "mmsgw-data".into(), media_directory: None }
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
        }
    }

    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            StorageKind::Embedded => format!("data in {}", self.directory.display()),
        }
    }
}

/// An open storage.
pub(crate) struct Storage {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    keeper: Keeper,
}

/// Who has to be told when it ends.
enum Keeper {
    Embedded(Arc<EmbeddedStore>),
}

impl Storage {
    /// Opens what the section names.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] where another process has it, or a directory cannot be used.
    pub(crate) fn open(section: &StorageSection, clock: &Arc<dyn Clock>) -> Result<Self, StoreError> {
        let StorageKind::Embedded = section.kind;
        let store = EmbeddedStore::open(&section.directory, Arc::clone(clock), EmbeddedOptions::default())?;
        let store = Arc::new(store);
        Ok(Self {
            store: Arc::clone(&store) as Arc<dyn Store>,
            registry: Arc::new(LocalRegistry::new(Arc::clone(clock))),
            blobs: Arc::new(DirectoryBlobs::open(section.media())?),
            keeper: Keeper::Embedded(store),
        })
    }

    /// Ends it in good order.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        match &self.keeper {
            Keeper::Embedded(store) => store.close().await,
        }
    }
}
