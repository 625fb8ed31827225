//! One process owns the store's directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use mmsgw_store::StoreError;

/// The right to use the directory, for as long as it lives. The system takes it back from a process
/// that dies, however it dies.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory, or says who has it.
    pub(crate) fn take(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(NAME);
        let unusable = |e: std::io::Error| StoreError::Unusable(format!("{}: {e}", path.display()));
        let mut file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, file)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

fn in_use(directory: &Path, file: File) -> StoreError {
    let mut text = String::new();
    // Who it is only helps; the answer is the same without.
    let _ = file.take(32).read_to_string(&mut text);
    let who = text.trim().parse::<u32>().map_or_else(|_| String::new(), |pid| format!(" (pid {pid})"));
    StoreError::Unusable(format!(
        "the store in {} is in use by another process{who}: stop that one, or give this one a directory of its own",
        directory.display()
    ))
}

const NAME: &str = "store.lock";
