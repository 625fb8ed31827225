//! Another time of day for processes that the test starts, by libfaketime; the program under test knows nothing of it.

use std::path::PathBuf;

/// Variables that let a process live so far from now, as `+12d` or `-1h`.
///
/// # Panics
/// Where libfaketime is not installed.
pub(crate) fn living_at(shift: &str) -> Vec<(String, String)> {
    let library = library().expect("libfaketime is installed by scripts/test").display().to_string();
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME", shift),
        // Intervals are measured by another clock, which does not jump.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// The same where the shift may change while the process lives: it stands in a file, which is
/// read anew every second.
pub(crate) fn living_by(file: &std::path::Path) -> Vec<(String, String)> {
    let mut variables = living_at("");
    variables.retain(|(name, _)| name != "FAKETIME");
    variables.push(("FAKETIME_TIMESTAMP_FILE".to_owned(), file.display().to_string()));
    variables.push(("FAKETIME_CACHE_DURATION".to_owned(), "1".to_owned()));
    variables
}

fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file())
}
