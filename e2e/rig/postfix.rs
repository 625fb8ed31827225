//! A real Postfix with everything of its own: configuration, queue, port. It knows nothing of MMS.

use std::fmt::Write as _;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::crash::free_ports;
use super::{LIMIT, Program, program, scratch};

const POSTFIX: Program = Program { name: "postfix", package: "postfix" };

/// A Postfix that hands all mail on, to an address or into a directory. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Postfix {
    /// Where it takes mail.
    pub(crate) address: SocketAddr,
    child: Child,
    directory: TempDir,
}

impl Postfix {
    /// Starts it and waits until it greets.
    ///
    /// # Panics
    /// Where Postfix is not installed, or this is not the superuser, whom its master process wants.
    pub(crate) fn relaying_to(next: SocketAddr) -> Self {
        Self::start(&format!("relayhost = [{}]:{}\n", next.ip(), next.port()))
    }

    /// The same, but all mail for `domain` goes into the Maildir `name` in `base`, which becomes nobody's.
    pub(crate) fn delivering_to(domain: &str, base: &Path, name: &str) -> Self {
        let owned = Command::new("chown").args(["-R", "nobody"]).arg(base).status().unwrap();
        assert!(owned.success(), "only root can give files away");
        Self::start(&format!(
            "virtual_mailbox_domains = {domain}\nvirtual_mailbox_base = {}\nvirtual_mailbox_maps = static:{name}/\n\
             virtual_minimum_uid = 1\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n",
            base.display()
        ))
    }

    fn start(more: &str) -> Self {
        let postfix = program(POSTFIX);
        let directory = scratch();
        let [address] = free_ports();
        prepare(directory.path(), address, more);
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(postfix)
            .arg("-c")
            .arg(directory.path().join("conf"))
            .arg("start-fg")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self { address, child, directory };
        running.await_greeting();
        running
    }

    fn await_greeting(&mut self) {
        let start = Instant::now();
        while !greets(self.address) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "Postfix ended at once (it must be started by root):\n{}", self.log());
            assert!(start.elapsed() < LIMIT, "Postfix does not greet:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What Postfix logs.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let conf = self.directory.path().join("conf");
        let _ = Command::new(program(POSTFIX)).arg("-c").arg(conf).arg("stop").output();
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("== log of Postfix\n{}", self.log());
        }
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut greeting = [0; 3];
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.read_exact(&mut greeting).is_ok() && &greeting == b"220"
}

fn prepare(base: &Path, address: SocketAddr, more: &str) {
    std::fs::set_permissions(base, std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["conf", "queue", "data"] {
        std::fs::create_dir(base.join(name)).unwrap();
    }
    let owned = Command::new("chown").arg("postfix").arg(base.join("data")).status().unwrap();
    assert!(owned.success(), "only root can start Postfix");
    std::fs::write(base.join("conf/main.cf"), settings(base, more)).unwrap();
    std::fs::write(base.join("conf/master.cf"), services(address)).unwrap();
}

/// Strict in all that Postfix can be strict about, and a mere relay: it adds its trace and nothing else.
fn settings(base: &Path, more: &str) -> String {
    let base = base.display();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {base}/queue\n\
         data_directory = {base}/data\n\
         maillog_file = /dev/stdout\n\
         myhostname = relay.example\n\
         mydestination =\n\
         mynetworks = 127.0.0.0/8\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\n\
         smtpd_peername_lookup = no\n\
         smtp_dns_support_level = disabled\n\
         alias_maps =\n\
         # Header addresses stay as they are, as for any client that is not on this host.\n\
         local_header_rewrite_clients =\n\
         smtpd_forbid_bare_newline = reject\n\
         smtpd_forbid_unauth_pipelining = yes\n\
         strict_rfc821_envelopes = yes\n\
         strict_7bit_headers = yes\n\
         strict_8bitmime_body = yes\n\
         strict_mime_encoding_domain = yes\n\
         {more}"
    )
}

fn services(address: SocketAddr) -> String {
    let mut text = format!("{address} inet n - n - - smtpd\npostlog unix-dgram n - n - 1 postlogd\n");
    for (name, private, most, command) in [
        ("cleanup", "n", "0", "cleanup"),
        ("qmgr", "n", "1", "qmgr"),
        ("rewrite", "-", "-", "trivial-rewrite"),
        ("bounce", "-", "0", "bounce"),
        ("defer", "-", "0", "bounce"),
        ("trace", "-", "0", "bounce"),
        ("flush", "n", "0", "flush"),
        ("tlsmgr", "-", "1", "tlsmgr"),
        ("proxymap", "-", "-", "proxymap"),
        ("virtual", "-", "-", "virtual"),
        ("smtp", "-", "-", "smtp"),
        ("relay", "-", "-", "smtp"),
        ("error", "-", "-", "error"),
        ("retry", "-", "-", "error"),
        ("anvil", "-", "1", "anvil"),
        ("scache", "-", "1", "scache"),
    ] {
        let wakeup = if name == "qmgr" { "300" } else { "-" };
        // It takes on the owner of a mailbox, which only root can.
        let unprivileged = if name == "virtual" { "n" } else { "-" };
        writeln!(text, "{name} unix {private} {unprivileged} n {wakeup} {most} {command}").unwrap();
    }
    text
}
