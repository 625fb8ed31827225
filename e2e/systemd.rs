//! Under systemd: sockets opened beforehand, readiness, signs of life, a notice of the end. The test plays systemd's part.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::rig::{Api, BINARY, Files, LIMIT, Program, mm4, program, scratch};

/// Opens a socket for each name, puts them where the protocol wants them, tells their ports and becomes the gateway.
const MANAGER: &str = r#"
import os, socket, sys

binary, main, names = sys.argv[1:]
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names.split(":")]
# First out of the way: a socket may already have a number that another one shall get.
aside = [os.dup2(one.fileno(), 100 + place, inheritable=False) for place, one in enumerate(sockets)]
ports = [one.getsockname()[1] for one in sockets]
for place, number in enumerate(aside):
    os.dup2(number, 3 + place)
print(*ports, flush=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(ports)), LISTEN_FDNAMES=names)
os.execv(binary, [binary, "serve", "--drain", "7s", "-c", main])
"#;

/// The gateway as a service, and the socket that it reports to.
struct Service {
    child: Child,
    ports: Vec<u16>,
    reports: UnixDatagram,
    _directory: TempDir,
}

impl Service {
    /// Starts it with a socket for each of `names`, joined by colons.
    async fn start(files: &Files, names: &str) -> Self {
        let directory = scratch();
        let socket: PathBuf = directory.path().join("notify");
        let reports = UnixDatagram::bind(&socket).unwrap();
        let mut child = Command::new(program(Program { name: "python3", package: "python3" }))
            .args(["-I", "-c", MANAGER, BINARY])
            .arg(files.main())
            .arg(names)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "300000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        timeout(LIMIT, told.read_line(&mut line)).await.expect("the ports are told").unwrap();
        let ports = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
        Self { child, ports, reports, _directory: directory }
    }

    /// The next report.
    async fn report(&self) -> String {
        let mut octets = [0; 4096];
        let length = timeout(LIMIT, self.reports.recv(&mut octets)).await.expect("a report").unwrap();
        String::from_utf8(octets[..length].to_vec()).unwrap()
    }

    /// Waits for its end; what it said, where that is not success.
    async fn end(mut self) -> Result<(), String> {
        let mut said = String::new();
        let status = timeout(LIMIT, async {
            self.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
            self.child.wait().await.unwrap()
        });
        let status = status.await.expect("it ends");
        if status.success() { Ok(()) } else { Err(said) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_serves_sockets_of_systemd_and_reports_its_life() {
    let files = Files::write("", &[("a", mm4("a", "127.0.0.1:9", ""))]);
    let service = Service::start(&files, "mm4rx:api").await;
    let (smtp, api) = (service.ports[0], Api::new(format!("http://127.0.0.1:{}", service.ports[1])));
    // Whoever comes before the gateway listens is served all the same.
    assert_eq!(api.get("openapi.json").await.status, 200);
    let mut greeting = [0; 3];
    let mut carrier = tokio::net::TcpStream::connect(("127.0.0.1", smtp)).await.unwrap();
    timeout(LIMIT, carrier.read_exact(&mut greeting)).await.expect("a greeting").unwrap();
    assert_eq!(&greeting, b"220");

    let mut reports = vec![service.report().await];
    while !reports.iter().any(|report| report.lines().any(|line| line == "READY=1")) {
        reports.push(service.report().await);
    }
    for _ in 0..3 {
        assert_eq!(service.report().await.trim(), "WATCHDOG=1");
    }
    // Signs of life keep time: systemd would end it after 300 ms without.
    let one = timeout(Duration::from_millis(300), service.reports.recv(&mut [0; 64])).await;
    assert!(one.is_ok(), "no sign of life in time");

    let pid = service.child.id().unwrap().to_string();
    // Not to be read anew, and yet the manager learns that it is over.
    std::fs::write(files.main(), "no settings").unwrap();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().await.unwrap().success());
    let mut told = String::new();
    while !told.ends_with("READY=1\nSTATUS=at work\n") {
        let report = service.report().await;
        told += if report.trim() == "WATCHDOG=1" { "" } else { &report };
    }
    assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");

    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let last = loop {
        let report = service.report().await;
        if report.trim() != "WATCHDOG=1" {
            break report;
        }
    };
    assert!(last.lines().any(|line| line == "STOPPING=1"), "{last}");
    // The drain, and ten seconds to close the store.
    assert!(last.lines().any(|line| line == "EXTEND_TIMEOUT_USEC=17000000"), "{last}");
    drop(carrier);
    assert_eq!(service.end().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_nobody_would_serve_is_refused() {
    let files = Files::write("", &[]);
    for (names, fault) in [
        ("http", "`http`; FileDescriptorName= has to be api, ops, mm4rx or mm7rx"),
        ("api:api", "two sockets with the name `api`"),
        ("api:mm4rx", "systemd opened `mm4rx`, but this process has no such listener"),
    ] {
        let said = Service::start(&files, names).await.end().await.unwrap_err();
        assert!(said.contains(fault), "{names}: {said}");
    }
}
