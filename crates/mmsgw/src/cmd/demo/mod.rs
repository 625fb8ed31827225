//! `mmsgw demo`: the whole gateway at work, without any configuration.
//!
//! Everything is the real thing but the carrier, which is the simulator, and the application, which is
//! a listener here that prints what the callbacks say.

mod app;
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::DemoArgs;
use crate::exit::Ended;
use crate::telemetry::{self, LogSection};
use app::{Application, Callback};
use world::World;

/// A picture of our own making.
const PICTURE: &[u8] = include_bytes!("../../../assets/postcard.jpg");
const SMIL: &str = include_str!("../../../assets/postcard.smil");
const TEXT: &str = "Greetings from the edge of the network — ¡y hasta pronto!";

/// Every state that a message goes through here, in order.
const LIFE: [&str; 5] = ["SCHEDULED", "SENT", "ACKNOWLEDGED", "DELIVERED", "READ"];

/// One message on its way.
struct Traveller {
    protocol: &'static str,
    gateway: &'static str,
    seen: Vec<String>,
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    telemetry::start(&if args.verbose { LogSection::default() } else { LogSection::quiet() })?;
    let mut application = Application::start()?;
    let world = World::start(&application.url()).await?;
    introduce(&world);
    let start = Instant::now();
    let mut travellers = send_both(&world).await?;
    let watched = watch(&mut application, &mut travellers, start);
    let in_time = tokio::time::timeout(args.timeout.0, watched).await.is_ok();
    let verdict = judge(&world, &travellers, in_time);
    if args.once {
        world.stop().await;
        return verdict;
    }
    if let Err(error) = verdict {
        println!("\n{error}");
    }
    invite(&world, &travellers);
    let ended = super::stop_signal();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            callback = application.next() => if let Some(callback) = callback { tell(&callback, &travellers, start) },
            signal = &mut ended => { signal?; break }
        }
    }
    world.stop().await;
    Ok(())
}

fn introduce(world: &World) {
    println!("A gateway with an embedded store in {}, and a pretend carrier.", world.directory().display());
    for (what, address) in world.addresses() {
        println!("  {what:<24} {address}");
    }
    println!(
        "\nA picture ({} octets), a text and SMIL go to +15555550102, over MM7 and over MM4.\n",
        PICTURE.len()
    );
}

async fn send_both(world: &World) -> anyhow::Result<BTreeMap<String, Traveller>> {
    let mut travellers = BTreeMap::new();
    for (protocol, gateway) in [("MM7", world::MM7_GROUP), ("MM4", world::MM4_GROUP)] {
        let message = world.api().post("/mmsgw/v1/mms", &request(protocol, gateway)).await?;
        let id = message.get("id").and_then(Value::as_str).context("the answer has no id")?.to_owned();
        println!("POST /mmsgw/v1/mms  →  202, message {id} through {gateway}");
        travellers.insert(id, Traveller { protocol, gateway, seen: Vec::new() });
    }
    println!();
    Ok(travellers)
}

fn request(protocol: &str, gateway: &str) -> Value {
    json!({
        "origin": "+15555550101",
        "subject": format!("A postcard over {protocol} <&>"),
        "message_class": "personal",
        "expire_after": 86_400,
        "parts": [
            {"name": "postcard.smil", "content_type": "application/smil", "content": SMIL},
            {"name": "greeting.txt", "content_type": "text/plain", "content": TEXT},
            {"name": "postcard.jpg", "content_type": "image/jpeg", "encoding": "base64",
             "content": encodify::base64::STANDARD.encode(PICTURE)},
        ],
        "send": {"destination": ["+15555550102"], "gateway": gateway},
    })
}

/// Prints callbacks until every message has gone through its whole life.
async fn watch(application: &mut Application, travellers: &mut BTreeMap<String, Traveller>, start: Instant) {
    while travellers.values().any(|t| t.seen.len() < LIFE.len()) {
        let Some(callback) = application.next().await else { return };
        tell(&callback, travellers, start);
        if let Some(traveller) = travellers.get_mut(&callback.message)
            && !traveller.seen.contains(&callback.state)
        {
            traveller.seen.push(callback.state);
        }
    }
}

fn tell(callback: &Callback, travellers: &BTreeMap<String, Traveller>, start: Instant) {
    let protocol = travellers.get(&callback.message).map_or("?", |t| t.protocol);
    println!(
        "{:>7.3} s  {protocol}  {:<13} {}",
        start.elapsed().as_secs_f64(),
        callback.state,
        callback.body
    );
}

/// Success only where the carrier has every octet and every state was told.
fn judge(world: &World, travellers: &BTreeMap<String, Traveller>, in_time: bool) -> anyhow::Result<()> {
    println!();
    let mut fine = in_time;
    for traveller in travellers.values() {
        let missing: Vec<&str> =
            LIFE.into_iter().filter(|state| !traveller.seen.iter().any(|s| s == state)).collect();
        let arrived = world.received(traveller.protocol, PICTURE, TEXT);
        let verdict = match (&missing[..], &arrived) {
            ([], Ok(())) => "the picture arrived octet for octet, every state was told".to_owned(),
            (missing, Ok(())) => {
                format!("the picture arrived, but these states are missing: {}", missing.join(", "))
            }
            (_, Err(why)) => format!("the picture did not arrive: {why}"),
        };
        println!("{} through {}: {verdict}", traveller.protocol, traveller.gateway);
        fine &= missing.is_empty() && arrived.is_ok();
    }
    if fine { Ok(()) } else { Err(Ended::Failed("not everything arrived as it should").into()) }
}

fn invite(world: &World, travellers: &BTreeMap<String, Traveller>) {
    let api = world.api_url();
    println!("\nThe gateway goes on until Ctrl-C; callbacks are printed as they come. Try:\n");
    for id in travellers.keys().take(1) {
        println!("  curl {api}mmsgw/v1/mms/outbound/{id}");
    }
    println!("  curl {api}mmsgw/v1/openapi.json");
    println!("  curl {}", world.control_url());
    println!("  curl {}", world.metrics_url());
    println!(
        "  curl {api}mmsgw/v1/mms -H 'content-type: application/json' -d '{}'",
        json!({"origin": "54321", "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}],
               "send": {"destination": "+15555550199", "gateway": world::MM7_GROUP}})
    );
    println!();
}
