//! The workloads.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::bare::Specimen;
use crate::http::{self, Connection};
use crate::load::{self, Load};
use crate::report::Row;
use crate::world::{self, Carrier, Gateway, Redis, Site, Usage};

/// A workload's name and how many messages it has unless told otherwise.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) messages: usize,
}

pub(crate) const WORKLOADS: [Workload; 13] = [
    Workload { name: "accept", messages: 50_000 },
    Workload { name: "mm7-out", messages: 20_000 },
    Workload { name: "mm4-out", messages: 20_000 },
    Workload { name: "mm7-out-100ms", messages: 20_000 },
    Workload { name: "mm4-out-100ms", messages: 20_000 },
    Workload { name: "mm7-in", messages: 20_000 },
    Workload { name: "mm4-in", messages: 20_000 },
    Workload { name: "callbacks", messages: 20_000 },
    Workload { name: "batch", messages: 100_000 },
    Workload { name: "backlog", messages: 1_000_000 },
    Workload { name: "redis", messages: 20_000 },
    Workload { name: "isolation", messages: 20_000 },
    Workload { name: "per-message-template", messages: 5_000 },
];

/// A carrier's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Mm4,
    Mm7,
}

impl Protocol {
    /// A gateway file for a connection to `carrier`.
    pub(crate) fn gateway(self, group: &str, carrier: &Carrier, window: usize) -> String {
        match self {
            Self::Mm4 => world::mm4(group, carrier.mm4, window),
            Self::Mm7 => world::mm7(group, carrier.mm7, window),
        }
    }

    fn peer(self) -> &'static str {
        match self {
            Self::Mm4 => "bare SMTP source",
            Self::Mm7 => "bare HTTP client",
        }
    }
}

/// The group that is measured.
pub(crate) const GROUP: &str = "measured";
/// The group whose carrier crawls.
const CRAWLER: &str = "crawler";
/// Messages in flight to a carrier.
pub(crate) const WINDOW: usize = 64;
/// Messages in flight to a carrier that takes its time.
const WIDE_WINDOW: usize = 256;

/// How to run workloads.
pub(crate) struct Bench {
    pub(crate) connections: usize,
    pub(crate) binary: PathBuf,
    pub(crate) log: String,
    pub(crate) tell_pid: bool,
    pub(crate) limit: Duration,
}

impl Bench {
    /// Runs a workload once.
    pub(crate) async fn run(&self, name: &str, messages: usize) -> anyhow::Result<Vec<Row>> {
        let directory = tempfile::tempdir()?;
        let site = &Site { directory: directory.path(), binary: &self.binary, log: &self.log, storage: "" };
        let slow = Duration::from_millis(100);
        let running = async {
            match name {
                "accept" => self.accept(site, messages).await,
                "mm7-out" => self.out(site, Protocol::Mm7, messages, (Duration::ZERO, WINDOW)).await,
                "mm4-out" => self.out(site, Protocol::Mm4, messages, (Duration::ZERO, WINDOW)).await,
                "mm7-out-100ms" => self.out(site, Protocol::Mm7, messages, (slow, WIDE_WINDOW)).await,
                "mm4-out-100ms" => self.out(site, Protocol::Mm4, messages, (slow, WIDE_WINDOW)).await,
                "mm7-in" => self.arrivals(site, Protocol::Mm7, messages).await,
                "mm4-in" => self.arrivals(site, Protocol::Mm4, messages).await,
                "callbacks" => self.callbacks(site, messages).await,
                "batch" => self.batch(site, messages).await,
                "backlog" => self.backlog(site, messages).await,
                "redis" => self.on_redis(site, messages).await,
                "isolation" => self.isolation(site, messages).await,
                "per-message-template" => self.own_templates(site, messages).await,
                other => bail!("there is no workload `{other}`"),
            }
        };
        let mut rows = tokio::time::timeout(self.limit * 2, running).await.context("it took too long")??;
        rows.iter_mut().for_each(|row| row.workload = format!("{name}{}", row.workload));
        Ok(rows)
    }

    /// The REST API alone: the carrier's turn never comes. First as fast as it goes, then at half that rate.
    async fn accept(&self, site: &Site<'_>, messages: usize) -> anyhow::Result<Vec<Row>> {
        let carrier = Carrier::start(site, Duration::ZERO, false)?;
        let paused = Protocol::Mm7.gateway(GROUP, &carrier, WINDOW);
        let paused = paused.replace("[outbound]", "tps_limit = 0.001\n[outbound]");
        let gateway = Gateway::start(site, &[paused]).await?;
        let path = make_template(&gateway).await?;
        let meter = self.meter(&gateway, &carrier)?;
        let load = load::closed(gateway.api, self.connections, messages, send_to(&path, GROUP)).await?;
        let full = meter.row(&load, load.took, messages)?;
        let meter = self.meter(&gateway, &carrier)?;
        let half = load.rate() / 2.0;
        let load = load::open(gateway.api, 256, messages / 2, half, send_to(&path, GROUP)).await?;
        let mut open = meter.row(&load, load.took, messages / 2)?;
        open.workload = " at half rate".into();
        Ok(vec![full, open])
    }

    /// From REST to the carrier, side by side with the bare peer to the same carrier.
    async fn out(
        &self,
        site: &Site<'_>,
        protocol: Protocol,
        messages: usize,
        (delay, window): (Duration, usize),
    ) -> anyhow::Result<Vec<Row>> {
        let specimen = Specimen::take(site, protocol, self.limit).await?;
        let carrier = Carrier::start(site, delay, false)?;
        let bare = specimen.rate(&carrier, window, messages).await?;
        let gateway = Gateway::start(site, &[protocol.gateway(GROUP, &carrier, window)]).await?;
        let path = make_template(&gateway).await?;
        let mut row = self.through(&gateway, &carrier, messages, send_to(&path, GROUP)).await?;
        row.against = Some((protocol.peer().to_owned(), bare));
        Ok(vec![row])
    }

    /// As `mm7-out` on the embedded store and then on Redis, which has a third process of its own.
    async fn on_redis(&self, site: &Site<'_>, messages: usize) -> anyhow::Result<Vec<Row>> {
        let embedded = self.stored(site, messages).await?;
        let directory = tempfile::tempdir_in(site.directory)?;
        let redis = Redis::start(directory.path()).await?;
        let storage = redis.storage();
        let site = Site { directory: directory.path(), storage: &storage, ..*site };
        let mut row = self.stored(&site, messages).await?;
        row.against = Some(("the embedded store".into(), embedded.rate));
        Ok(vec![row])
    }

    async fn stored(&self, site: &Site<'_>, messages: usize) -> anyhow::Result<Row> {
        let carrier = Carrier::start(site, Duration::ZERO, false)?;
        let gateway = Gateway::start(site, &[Protocol::Mm7.gateway(GROUP, &carrier, WINDOW)]).await?;
        let path = make_template(&gateway).await?;
        self.through(&gateway, &carrier, messages, send_to(&path, GROUP)).await
    }

    /// One gateway alone, then the same while another one's carrier takes half a second for each answer.
    async fn isolation(&self, site: &Site<'_>, messages: usize) -> anyhow::Result<Vec<Row>> {
        let carrier = Carrier::start(site, Duration::ZERO, false)?;
        let crawler = Carrier::start(site, Duration::from_millis(500), false)?;
        let gateways = [
            Protocol::Mm7.gateway(GROUP, &carrier, WINDOW),
            Protocol::Mm7.gateway(CRAWLER, &crawler, WINDOW),
        ];
        let gateway = Gateway::start(site, &gateways).await?;
        let path = make_template(&gateway).await?;
        let mut alone = self.through(&gateway, &carrier, messages, send_to(&path, GROUP)).await?;
        alone.workload = " alone".into();
        load::closed(gateway.api, self.connections, CRAWLING, send_to(&path, CRAWLER)).await?;
        let carrier = Counted { before: carrier.accepted().await?, carrier };
        let gateway_sent = messages as u64;
        let meter = self.meter(&gateway, &carrier.carrier)?;
        let begun = Instant::now();
        let load = load::closed(gateway.api, self.connections, messages, send_to(&path, GROUP)).await?;
        gateway.sent(GROUP, 2 * gateway_sent, self.limit).await?;
        let mut beside = meter.row(&load, begun.elapsed(), messages)?;
        carrier.check(messages).await?;
        if crawler.accepted().await? >= CRAWLING as u64 {
            bail!("the crawler was done before the measurement ended; ask for fewer messages");
        }
        beside.workload = " beside a crawler".into();
        beside.against = Some(("alone".into(), alone.rate));
        Ok(vec![alone, beside])
    }

    /// Each message with a template and a picture of its own, made in the same request.
    async fn own_templates(&self, site: &Site<'_>, messages: usize) -> anyhow::Result<Vec<Row>> {
        let carrier = Carrier::start(site, Duration::ZERO, false)?;
        let gateway = Gateway::start(site, &[Protocol::Mm7.gateway(GROUP, &carrier, WINDOW)]).await?;
        let request = |index: usize| {
            let mut body = template(index);
            body["send"] = json!({"destination": [number(index)], "gateway": GROUP});
            http::post("/mmsgw/v1/mms", "application/json", body.to_string().as_bytes())
        };
        Ok(vec![self.through(&gateway, &carrier, messages, request).await?])
    }

    /// Loads, waits until all is sent, and checks that the carrier has as many.
    async fn through(
        &self,
        gateway: &Gateway,
        carrier: &Carrier,
        messages: usize,
        request: impl Fn(usize) -> Vec<u8>,
    ) -> anyhow::Result<Row> {
        let before = carrier.accepted().await?;
        let meter = self.meter(gateway, carrier)?;
        let begun = Instant::now();
        let load = load::closed(gateway.api, self.connections, messages, request).await?;
        gateway.sent(GROUP, messages as u64, self.limit).await?;
        let row = meter.row(&load, begun.elapsed(), messages)?;
        check_count(carrier, before, messages).await?;
        Ok(row)
    }
}

impl Bench {
    pub(crate) fn meter<'a>(&self, gateway: &'a Gateway, carrier: &'a Carrier) -> anyhow::Result<Meter<'a>> {
        if self.tell_pid {
            eprintln!("gateway {}", gateway.id());
        }
        Ok(Meter { gateway, carrier, before: Meter::look(gateway, carrier)? })
    }
}

/// Messages for the crawling carrier: more than it can take while the other group is measured.
const CRAWLING: usize = 20_000;

struct Counted {
    carrier: Carrier,
    before: u64,
}

impl Counted {
    async fn check(&self, messages: usize) -> anyhow::Result<()> {
        check_count(&self.carrier, self.before, messages).await
    }
}

async fn check_count(carrier: &Carrier, before: u64, messages: usize) -> anyhow::Result<()> {
    let accepted = carrier.accepted().await? - before;
    if accepted != messages as u64 {
        bail!("the carrier has {accepted} of {messages} messages");
    }
    Ok(())
}

/// What the processes had used up when the measurement began.
pub(crate) struct Meter<'a> {
    gateway: &'a Gateway,
    carrier: &'a Carrier,
    before: [Usage; 3],
}

impl<'a> Meter<'a> {
    fn look(gateway: &Gateway, carrier: &Carrier) -> anyhow::Result<[Usage; 3]> {
        Ok([gateway.usage()?, carrier.usage()?, Usage::own()?])
    }

    pub(crate) fn row(&self, load: &Load, took: Duration, messages: usize) -> anyhow::Result<Row> {
        let now = Self::look(self.gateway, self.carrier)?;
        let each = |index: usize| {
            let used = now[index].cpu.saturating_sub(self.before[index].cpu);
            used.as_secs_f64() * 1e3 / f64::from(u32::try_from(messages).unwrap_or(u32::MAX))
        };
        let millis = |latency: Duration| latency.as_secs_f64() * 1e3;
        Ok(Row {
            workload: String::new(),
            messages,
            rate: load::rate(messages, took),
            accept_rate: load.rate(),
            accept_p50_ms: millis(load.percentile(0.5)),
            accept_p99_ms: millis(load.percentile(0.99)),
            gateway_cpu_ms: each(0),
            carrier_cpu_ms: each(1),
            loader_cpu_ms: each(2),
            resident_mib: f64::from(u32::try_from(now[0].resident >> 10)?) / 1024.0,
            against: None,
        })
    }
}

/// Makes the template of all messages; gives back the path at which messages are made from it.
pub(crate) async fn make_template(gateway: &Gateway) -> anyhow::Result<String> {
    let request = http::post("/mmsgw/v1/mms", "application/json", template(0).to_string().as_bytes());
    let (status, answer) = Connection::open(gateway.api).await?.exchange(&request).await?;
    let made: Value = serde_json::from_slice(&answer)?;
    let id = made["id"].as_str().with_context(|| format!("status {status}: {made}"))?;
    Ok(format!("/mmsgw/v1/mms/outbound/{id}"))
}

/// Makes requests that send the template at `path` through `group`, each to another number.
fn send_to(path: &str, group: &str) -> impl Fn(usize) -> Vec<u8> {
    move |index| {
        let body = format!("{{\"destination\":[\"{}\"],\"gateway\":\"{group}\"}}", number(index));
        http::post(path, "application/json", body.as_bytes())
    }
}

pub(crate) fn number(index: usize) -> String {
    format!("+1555{:07}", index % 10_000_000)
}

/// A presentation, a text, and octets of 30 KB in a picture's coat that are different for each `index`.
pub(crate) fn template(index: usize) -> Value {
    let picture = encodify::base64::STANDARD.encode(picture(index));
    json!({
        "origin": "12345",
        "subject": "Greetings from the benchmark",
        "parts": [
            {"name": "show.smil", "content_type": "application/smil", "content": SMIL},
            {"name": "picture.jpg", "content_type": "image/jpeg", "content": picture, "encoding": "base64"},
            {"name": "text.txt", "content_type": "text/plain", "content": "A picture and a few words to go with it."},
        ],
    })
}

/// Octets of 30 KB in a picture's coat.
pub(crate) fn picture(index: usize) -> Vec<u8> {
    let mut octets = vec![0xff, 0xd8, 0xff, 0xe0];
    let mut state = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while octets.len() < PICTURE {
        // Xorshift: octets as hard to compress as a picture's.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.extend_from_slice(&[0xff, 0xd9]);
    octets
}

const PICTURE: usize = 30_000;

pub(crate) const SMIL: &str = "<smil><head><layout><root-layout width=\"320\" height=\"480\"/>\
    <region id=\"Image\" top=\"0\" left=\"0\" height=\"320\" width=\"320\"/>\
    <region id=\"Text\" top=\"320\" left=\"0\" height=\"160\" width=\"320\"/></layout></head>\
    <body><par dur=\"8s\"><img src=\"picture.jpg\" region=\"Image\"/>\
    <text src=\"text.txt\" region=\"Text\"/></par></body></smil>";
