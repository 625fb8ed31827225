//! The bare peers of comparison: clients that hand the same octets to the same carrier with no gateway around them, as
//! fast as they can. They store nothing, decide nothing and try nothing twice.

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::http::{self, Connection};
use crate::load::{self, Load};
use crate::workload::{GROUP, Protocol, template};
use crate::world::{Carrier, Gateway, Site};

/// One message as it stands on the wire.
pub(crate) struct Specimen {
    pub(crate) protocol: Protocol,
    pub(crate) content_type: String,
    pub(crate) mail_from: String,
    pub(crate) rcpt_to: String,
    pub(crate) octets: Vec<u8>,
    /// Where each copy has digits of its own in its octets: in the transaction id at least.
    pub(crate) places: Vec<Range<usize>>,
}

impl Specimen {
    /// Lets a gateway send one message to a carrier that keeps it.
    pub(crate) async fn take(site: &Site<'_>, protocol: Protocol, limit: Duration) -> anyhow::Result<Self> {
        let carrier = Carrier::start(site, Duration::ZERO, true)?;
        let home = tempfile::tempdir_in(site.directory)?;
        let gateway = Gateway::start(
            &Site { directory: home.path(), ..*site },
            &[protocol.gateway(GROUP, &carrier, 1)],
        )
        .await?;
        let mut body = template(0);
        body["send"] = serde_json::json!({"destination": ["+15550000000"], "gateway": GROUP});
        let request = http::post("/mmsgw/v1/mms", "application/json", &serde_json::to_vec(&body)?);
        let (status, answer) = Connection::open(gateway.api).await?.exchange(&request).await?;
        if status != 202 {
            bail!("status {status}: {}", String::from_utf8_lossy(&answer));
        }
        gateway.sent(GROUP, 1, limit).await?;
        Self::of(protocol, &carrier.received().await?[0])
    }

    fn of(protocol: Protocol, kept: &Value) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let octets = encodify::base64::STANDARD.decode(text(&kept["raw"]).as_bytes());
        let octets = octets.map_err(|_| anyhow::anyhow!("the carrier keeps no base64"))?;
        let headers = kept["headers"].as_array().context("no headers")?;
        let content_type = headers.iter().find(|h| text(&h[0]).eq_ignore_ascii_case("content-type"));
        let id = text(&kept["transaction_id"]);
        let at = http::find(&octets, id.as_bytes()).context("no transaction id in the message")?;
        Ok(Self {
            protocol,
            content_type: content_type.map(|h| text(&h[1])).unwrap_or_default(),
            mail_from: text(&kept["mail_from"]),
            rcpt_to: text(&kept["rcpt_to"][0]),
            octets,
            places: std::iter::once(at..at + id.len()).collect(),
        })
    }

    /// Hands `count` copies, each with a transaction id of its own, to `carrier`; gives back the rate.
    pub(crate) async fn rate(
        &self,
        carrier: &Carrier,
        connections: usize,
        count: usize,
    ) -> anyhow::Result<f64> {
        let before = carrier.accepted().await?;
        let address = match self.protocol {
            Protocol::Mm7 => carrier.mm7,
            Protocol::Mm4 => carrier.mm4,
        };
        let load = self.hand_over(address, "/mm7", connections, count).await?;
        let accepted = carrier.accepted().await? - before;
        if accepted != count as u64 {
            bail!("the carrier took {accepted} of {count} bare messages");
        }
        Ok(load.rate())
    }

    /// Hands `count` copies to a server of its protocol; `path` counts for HTTP only.
    pub(crate) async fn hand_over(
        &self,
        address: SocketAddr,
        path: &str,
        connections: usize,
        count: usize,
    ) -> anyhow::Result<Load> {
        match self.protocol {
            Protocol::Mm7 => self.post(address, path, connections, count).await,
            Protocol::Mm4 => self.mail(address, connections, count).await,
        }
    }

    async fn post(
        &self,
        address: SocketAddr,
        path: &str,
        connections: usize,
        count: usize,
    ) -> anyhow::Result<Load> {
        let request = http::post(path, &self.content_type, &self.octets);
        let from = request.len() - self.octets.len();
        let request = |index| {
            let mut octets = request.clone();
            self.number(&mut octets[from..], index);
            octets
        };
        load::closed(address, connections, count, request).await
    }

    async fn mail(&self, address: SocketAddr, connections: usize, count: usize) -> anyhow::Result<Load> {
        let opened = try_join_all((0..connections).map(|_| Session::open(address))).await?;
        let (from, to) = (&self.mail_from, &self.rcpt_to);
        let envelope = format!("MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        let (next, begun) = (Cell::new(0), Instant::now());
        let latencies = try_join_all(opened.into_iter().map(async |mut session| {
            let (mut octets, mut latencies) = (self.octets.clone(), Vec::new());
            while let Some(index) = load::turn(&next, count) {
                self.number(&mut octets, index);
                let from = Instant::now();
                session.send(&envelope, &octets).await?;
                latencies.push(from.elapsed());
            }
            anyhow::Ok(latencies)
        }))
        .await?;
        Ok(Load::new(begun.elapsed(), latencies.concat()))
    }

    /// Writes digits of the same length into a copy of the octets.
    fn number(&self, octets: &mut [u8], index: usize) {
        for place in &self.places {
            let width = place.len();
            let text = format!("{index:0width$}");
            octets[place.clone()].copy_from_slice(&text.as_bytes()[text.len() - width..]);
        }
    }
}

/// An SMTP session that sends mails one after the other, commands ahead of replies. The mails of the benchmark have
/// no line that begins with a dot: base64 and quoted-printable text make none.
struct Session {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Session {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut session = Self { stream: BufReader::new(stream), line: String::new() };
        session.expect('2').await?;
        session.stream.write_all(b"EHLO bench.example\r\n").await?;
        session.expect('2').await?;
        Ok(session)
    }

    async fn send(&mut self, envelope: &str, octets: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(envelope.as_bytes()).await?;
        for code in ['2', '2', '3'] {
            self.expect(code).await?;
        }
        self.stream.write_all(octets).await?;
        let end: &[u8] = if octets.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" };
        self.stream.write_all(end).await?;
        self.expect('2').await
    }

    /// Reads one reply, which must begin with `code`.
    async fn expect(&mut self, code: char) -> anyhow::Result<()> {
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line).await? == 0 || !self.line.starts_with(code) {
                bail!("the carrier said `{}`", self.line.trim_end());
            }
            if self.line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
