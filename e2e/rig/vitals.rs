//! What the system knows of a process: memory, descriptors, sockets that nobody closes.

use std::collections::BTreeSet;
use std::path::Path;

/// Of one process, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// Resident memory in octets.
    pub(crate) resident: u64,
    /// Open file descriptors.
    pub(crate) descriptors: usize,
    /// Sockets whose peer has closed and that it has not closed itself.
    pub(crate) forgotten: usize,
}

impl Vitals {
    pub(crate) fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        let resident = resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
        let links = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives");
        let links: BTreeSet<String> = links
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .map(|link| link.display().to_string())
            .enumerate()
            .map(|(place, link)| if link.starts_with("socket:") { link } else { format!("{place} {link}") })
            .collect();
        let forgotten =
            close_wait().iter().filter(|inode| links.contains(&format!("socket:[{inode}]"))).count();
        Self { resident, descriptors: links.len(), forgotten }
    }
}

/// Inodes of TCP sockets in the state CLOSE_WAIT.
fn close_wait() -> Vec<String> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.get(3) == Some(&"08") {
                inodes.extend(fields.get(9).map(|inode| (*inode).to_owned()));
            }
        }
    }
    inodes
}

/// Names of all files below a directory.
pub(crate) fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}
