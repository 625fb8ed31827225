//! More is offered than the gateway can do, by loaders that do not wait for answers: it goes on doing about as much as it
//! can, tells the rest to come again, holds no more memory than before, and is well right after.
//!
//! `MMSGW_OVERLOAD_SECONDS` makes it last longer. How near goodput stays to its peak is for a quiet machine to say: here
//! the figure is only printed, and that goods go through at all is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::rig::vitals::Vitals;
use crate::rig::{World, wait_until};

/// Whoever offers one thing at a time, and as many of them as keep the gateway busy.
const WORKERS: usize = 16;
/// Offers of the open loop that have no answer yet; beyond, this test would measure itself.
const UNANSWERED: usize = 2_000;
/// How much memory may grow under load.
const ROOM: u64 = 256 << 20;

fn span() -> Duration {
    let seconds = std::env::var("MMSGW_OVERLOAD_SECONDS").map_or(4, |text| text.parse().expect("a number"));
    Duration::from_secs(seconds)
}

/// What was said to offers: `true` for yes, with the answer where it is no.
type Said = Result<(), String>;

/// What came of offers in one phase.
#[derive(Debug, Default)]
struct Tally {
    yes: u64,
    no: BTreeMap<String, u64>,
}

impl Tally {
    fn count(&mut self, said: Said) {
        match said {
            Ok(()) => self.yes += 1,
            Err(no) => *self.no.entry(no).or_default() += 1,
        }
    }
}

/// Something to be offered again and again, each time under another number.
trait Offer: Send + Sync + 'static {
    fn offer(&self, number: u64) -> impl Future<Output = Said> + Send;
}

/// What `WORKERS` who wait for each answer get done in a while, each second.
async fn peak<O: Offer>(offer: &Arc<O>, next: &Arc<AtomicU64>) -> f64 {
    let until = Instant::now() + span();
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (offer, next) = (Arc::clone(offer), Arc::clone(next));
            tokio::spawn(async move {
                let mut yes = 0_u32;
                while Instant::now() < until {
                    match offer.offer(next.fetch_add(1, Ordering::Relaxed)).await {
                        Ok(()) => yes += 1,
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
                yes
            })
        })
        .collect();
    let mut yes = 0;
    for worker in workers {
        yes += worker.await.unwrap();
    }
    f64::from(yes) / span().as_secs_f64()
}

/// Offers so many a second for a while, whatever becomes of them.
async fn flood<O: Offer>(offer: &Arc<O>, next: &Arc<AtomicU64>, rate: f64) -> Tally {
    let (start, tally) = (Instant::now(), Arc::new(Mutex::new(Tally::default())));
    let mut offered = 0_u32;
    let mut unanswered = tokio::task::JoinSet::new();
    while start.elapsed() < span() {
        while f64::from(offered) < start.elapsed().as_secs_f64() * rate && unanswered.len() < UNANSWERED {
            let (offer, next, tally) = (Arc::clone(offer), Arc::clone(next), Arc::clone(&tally));
            offered += 1;
            unanswered.spawn(async move {
                let said = offer.offer(next.fetch_add(1, Ordering::Relaxed)).await;
                tally.lock().await.count(said);
            });
        }
        while unanswered.try_join_next().is_some() {}
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // What is answered later is no goodput of this span.
    let yes = std::mem::take(&mut *tally.lock().await);
    unanswered.join_all().await;
    let mut later = std::mem::take(&mut *tally.lock().await);
    later.yes = yes.yes;
    for (no, count) in yes.no {
        *later.no.entry(no).or_default() += count;
    }
    println!("  offered {:.0} a second, {:?}", f64::from(offered) / span().as_secs_f64(), later.no);
    later
}

/// Floods the gateway through one door; `may_say` are the beginnings of all that may be said but yes.
async fn overload<O: Offer>(name: &str, world: &World, offer: O, may_say: &[&str]) {
    let (offer, next) = (Arc::new(offer), Arc::new(AtomicU64::new(1)));
    let peak = peak(&offer, &next).await;
    let before = Vitals::of(world.gateway.pid());
    let mut tally = flood(&offer, &next, 2.0 * peak).await;
    // A peak that was measured while others had the machine is none; then twice that is no overload.
    let mut factor = 2.0;
    while tally.no.is_empty() && factor < 32.0 {
        factor *= 2.0;
        tally = flood(&offer, &next, factor * peak).await;
    }
    let after = Vitals::of(world.gateway.pid());
    let goodput = f64::from(u32::try_from(tally.yes).unwrap()) / span().as_secs_f64();
    println!(
        "{name}: {peak:.0} a second at its peak, {goodput:.0} when {factor:.0} times that is offered: {:.0} %; {} MiB before, {} after",
        100.0 * goodput / peak,
        before.resident >> 20,
        after.resident >> 20
    );
    let strange: Vec<_> =
        tally.no.keys().filter(|said| !may_say.iter().any(|may| said.starts_with(may))).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert!(!tally.no.is_empty(), "nothing was put off: this was no overload");
    assert!(tally.yes > 0, "nothing was taken while too much was offered");
    assert!(after.resident <= before.resident + ROOM, "{before:?} became {after:?}");
    // It is well right after.
    for gateway in ["mm7", "mm4"] {
        let id = wait_until("a message to be taken", async || {
            let body = json!({"origin": "54321", "subject": "after",
                "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}],
                "send": {"destination": "+15555550102", "gateway": gateway, "priority": "high"}});
            let reply = world.api.post("mms", &body).await;
            (reply.status == 202).then(|| reply.body["id"].as_str().unwrap().to_owned())
        })
        .await;
        world.api.reaches(&id, &["READ"]).await;
    }
}

/// A message from an application.
struct Posting {
    http: reqwest::Client,
    url: String,
}

impl Offer for Posting {
    async fn offer(&self, number: u64) -> Said {
        let body = json!({"origin": "54321", "subject": "flood",
            "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "x".repeat(2_000)}],
            "send": {"destination": format!("+1555{:07}", number % 10_000_000), "gateway": "mm7"}});
        let request =
            self.http.post(&self.url).header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let comes_again = answer.headers().contains_key("retry-after");
        match answer.status().as_u16() {
            202 => Ok(()),
            status if comes_again => Err(format!("{status} with Retry-After")),
            status => Err(status.to_string()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_that_offer_too_much_are_told_so() {
    let main = "[api]\nmax_requests = 16\n[general]\nmax_waiting = 1000\n";
    let quiet = "[features]\nrequest_submit_ack = false\n";
    let world = World::start(main, quiet, "").await;
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(256).build().unwrap();
    let offer = Posting { http, url: world.api.url("mms") };
    let may_say = ["503 with Retry-After", "429 with Retry-After"];
    overload("overload over REST", &world, offer, &may_say).await;
}

/// A mail from a carrier, on a connection of its own.
struct Mailing {
    address: String,
}

impl Mailing {
    async fn converse(&self, number: u64) -> std::io::Result<String> {
        let mut stream = BufReader::new(TcpStream::connect(&self.address).await?);
        let mail = format!(
            "From: +15555550150/TYPE=PLMN\r\nTo: +15555550161/TYPE=PLMN\r\nSubject: flood {number}\r\n\
             X-Mms-3GPP-MMS-Version: 6.10.0\r\nX-Mms-Message-Type: MM4_forward.REQ\r\n\
             X-Mms-Transaction-ID: \"t-{number}\"\r\nX-Mms-Message-ID: \"m-{number}\"\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain\r\n\r\n{}\r\n.\r\n",
            "x".repeat(900)
        );
        let says = [
            "",
            "EHLO mms.sim.example\r\n",
            "MAIL FROM:<+15555550150/TYPE=PLMN@mms.sim.example>\r\n",
            "RCPT TO:<+15555550161/TYPE=PLMN@mms.gw.example>\r\n",
            "DATA\r\n",
            &mail,
        ];
        let mut line = String::new();
        for say in says {
            stream.get_mut().write_all(say.as_bytes()).await?;
            loop {
                line.clear();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok("closed".to_owned());
                }
                if line.as_bytes().get(3) != Some(&b'-') {
                    break;
                }
            }
            if !line.starts_with(['2', '3']) {
                break;
            }
        }
        let _ = stream.get_mut().write_all(b"QUIT\r\n").await;
        Ok(line.get(..3).unwrap_or_default().to_owned())
    }
}

impl Offer for Mailing {
    async fn offer(&self, number: u64) -> Said {
        match self.converse(number).await {
            Ok(code) if code == "250" => Ok(()),
            Ok(code) => Err(code),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carriers_that_offer_too_many_mails_are_told_so() {
    let main =
        "[mm4rx]\nmax_connections = 16\nmax_connections_per_peer = 16\n[general]\nmax_received = 500\n";
    let world = World::start(main, "", "").await;
    let offer = Mailing { address: world.gateway.awaited("SMTP for carriers") };
    overload("overload over SMTP", &world, offer, &["421", "451", "452"]).await;
}

/// A DeliverReq from a carrier.
struct Delivering {
    http: reqwest::Client,
    url: String,
}

impl Offer for Delivering {
    async fn offer(&self, number: u64) -> Said {
        let schema = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4";
        let body = format!(
            "<?xml version=\"1.0\"?><env:Envelope xmlns:env=\"http://schemas.xmlsoap.org/soap/envelope/\"><env:Header>\
             <TransactionID xmlns=\"{schema}\" env:mustUnderstand=\"1\">t-{number}</TransactionID></env:Header><env:Body>\
             <DeliverReq xmlns=\"{schema}\"><MM7Version>6.8.0</MM7Version><LinkedID>l-{number}</LinkedID>\
             <Sender><Number>+15555550150</Number></Sender><Recipients><To><Number>+15555550161</Number></To></Recipients>\
             <Subject>flood {number}</Subject></DeliverReq></env:Body></env:Envelope>"
        );
        let request = self.http.post(&self.url).header("content-type", "text/xml; charset=utf-8").body(body);
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let (status, comes_again) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
        let said = answer.text().await.map_err(|error| format!("{error:?}"))?;
        match status {
            200 if said.contains("<StatusCode>1000<") || said.contains(":StatusCode>1000<") => Ok(()),
            // Beyond the connections there may be nobody reads SOAP.
            503 if comes_again && said.contains(">4006<") => Err("4006 with Retry-After".to_owned()),
            503 if comes_again => Err("503 with Retry-After".to_owned()),
            _ => Err(format!("{status} {said}")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carriers_that_offer_too_many_requests_are_told_so() {
    let main = "[mm7rx]\nmax_requests = 16\n[general]\nmax_received = 500\n";
    let world = World::start(main, "", "").await;
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(256).build().unwrap();
    let url = format!("http://{}/mmsgw/v1/mms/inbound/mm7", world.gateway.awaited("HTTP for carriers"));
    let may_say = ["4006 with Retry-After", "503 with Retry-After"];
    overload("overload over MM7", &world, Delivering { http, url }, &may_say).await;
}
