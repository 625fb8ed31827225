//! What the kernel tells of this process, by the names that every Prometheus client uses.

/// Numbers of this process; those that the kernel does not tell are not there.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Process {
    /// Processor time, user and system, in seconds.
    pub(crate) cpu_seconds: Option<f64>,
    /// Octets of memory that are in use and not swapped out.
    pub(crate) resident_octets: Option<u64>,
    /// Octets of address space.
    pub(crate) virtual_octets: Option<u64>,
    /// Open file descriptors.
    pub(crate) open_fds: Option<u64>,
    /// Most of them.
    pub(crate) max_fds: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
}

impl Process {
    /// Reads them anew (Linux, proc(5)).
    pub(crate) fn read() -> Self {
        let text = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let open_fds = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
        Self { open_fds, ..Self::of(&text("stat"), &text("status"), &text("limits")) }
    }

    fn of(stat: &str, status: &str, limits: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        // The name of the program may hold spaces, and ends with the last parenthesis.
        let times = stat.rsplit_once(')').and_then(|(_, rest)| {
            let mut fields = rest.split_whitespace().skip(11).map(|field| field.parse::<u32>().ok());
            Some(fields.next()?? + fields.next()??)
        });
        let most = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            cpu_seconds: times.map(|ticks| f64::from(ticks) / TICKS),
            resident_octets: field("VmRSS:").map(|kilo| kilo * 1024),
            virtual_octets: field("VmSize:").map(|kilo| kilo * 1024),
            open_fds: None,
            max_fds: most.and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
            threads: field("Threads:"),
        }
    }
}

/// Ticks in a second of what /proc tells: USER_HZ, which is 100 wherever Rust runs on Linux.
const TICKS: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 100 1 2";
        let status = "Name:\ta\nVmSize:\t  2048 kB\nVmRSS:\t  1024 kB\nThreads:\t9\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096  files\n";
        let read = Process::of(stat, status, limits);
        let expected = Process {
            cpu_seconds: Some(3.0),
            resident_octets: Some(1 << 20),
            virtual_octets: Some(2 << 20),
            open_fds: None,
            max_fds: Some(1024),
            threads: Some(9),
        };
        assert_eq!(read, expected);
        assert_eq!(Process::of("", "", ""), Process::default());
        assert!(Process::read().open_fds.is_some_and(|fds| fds > 2));
    }
}
