//! `mmsgw demo`: the whole gateway at work, without any configuration.
//!
//! Everything is the real thing but the carrier, which is the simulator, and the application, which is
//! a listener here that prints what the callbacks say.

mod app;
mod inbound;
mod outbound;
mod world;

use std::time::Instant;

use serde_json::{Value, json};

use crate::cli::DemoArgs;
use crate::exit::Ended;
use crate::telemetry::{self, LogSection};
use app::{Application, Callback, text};
use inbound::Arrivals;
use outbound::Travellers;
use world::World;

/// A picture of our own making.
const PICTURE: &[u8] = include_bytes!("../../../assets/postcard.jpg");
const SMIL: &str = include_str!("../../../assets/postcard.smil");
const TEXT: &str = "Greetings from the edge of the network — ¡y hasta pronto!";

/// The two protocols, with the group that speaks each.
const WAYS: [(&str, &str); 2] = [("MM7", world::MM7_GROUP), ("MM4", world::MM4_GROUP)];

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let log = telemetry::start(&if args.verbose { LogSection::default() } else { LogSection::quiet() })?;
    let mut application = Application::start()?;
    let world = World::start(&application.events_url(), &application.received_url(), log).await?;
    introduce(&world);
    let mut story =
        Story { start: Instant::now(), travellers: Travellers::default(), arrivals: Arrivals::default() };
    let told = tokio::time::timeout(args.timeout.0, story.unfold(&world, &mut application)).await;
    let verdict = match told {
        Ok(Err(error)) => Err(error),
        told => story.judge(&world, told.is_ok()),
    };
    if args.once {
        world.stop().await;
        return verdict;
    }
    if let Err(error) = verdict {
        println!("\n{error}");
    }
    invite(&world, &story.travellers);
    story.go_on(&mut application).await?;
    world.stop().await;
    Ok(())
}

fn introduce(world: &World) {
    println!("A gateway with an embedded store in {}, and a pretend carrier.", world.directory().display());
    for (what, address) in world.addresses() {
        println!("  {what:<24} {address}");
    }
}

/// What is to be seen, and when it began.
struct Story {
    start: Instant,
    travellers: Travellers,
    arrivals: Arrivals,
}

impl Story {
    async fn unfold(&mut self, world: &World, application: &mut Application) -> anyhow::Result<()> {
        println!("\nOut: a picture ({} octets), a text and SMIL go over MM7 and over MM4.\n", PICTURE.len());
        self.travellers.send(world).await?;
        while !self.travellers.have_arrived() {
            let Some(callback) = application.next().await else { return Ok(()) };
            self.tell(&callback);
        }
        println!("\nIn: the carrier sends us the same picture over MM7 and over MM4.\n");
        self.arrivals.have_sent(world).await?;
        while !self.arrivals.are_complete() {
            let Some(callback) = application.next().await else { return Ok(()) };
            self.tell(&callback);
            if let Callback::Message(message) = &callback {
                self.arrivals.take(world, message).await?;
            }
        }
        self.arrivals.wait_for_reports(world).await;
        Ok(())
    }

    fn tell(&mut self, callback: &Callback) {
        let seconds = self.start.elapsed().as_secs_f64();
        match callback {
            Callback::Event(event) => {
                let protocol = self.travellers.note(event);
                println!("{seconds:>7.3} s  {protocol}  {:<13} {event}", text(event, "state"));
            }
            Callback::Message(message) => {
                let protocol = inbound::protocol_of(message);
                println!("{seconds:>7.3} s  {protocol}  {:<13} {message}", "RECEIVED");
            }
        }
    }

    /// Success only where every octet and every state and report came through.
    fn judge(&self, world: &World, in_time: bool) -> anyhow::Result<()> {
        println!();
        let out = self.travellers.judge(world);
        let back = self.arrivals.judge(world);
        if in_time && out && back {
            Ok(())
        } else {
            Err(Ended::Failed("not everything arrived as it should").into())
        }
    }

    /// Prints callbacks until the signal to stop.
    async fn go_on(&mut self, application: &mut Application) -> anyhow::Result<()> {
        let ended = super::stop_signal();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                callback = application.next() => match callback {
                    Some(callback) => self.tell(&callback),
                    None => return Ok(()),
                },
                signal = &mut ended => return signal.map(drop),
            }
        }
    }
}

fn invite(world: &World, travellers: &Travellers) {
    let (api, control) = (world.api_url(), world.control_url());
    println!("\nThe gateway goes on until Ctrl-C; callbacks are printed as they come. Try:\n");
    if let Some(id) = travellers.ids().next() {
        println!("  curl {api}mmsgw/v1/mms/outbound/{id}");
    }
    println!("  curl {api}mmsgw/v1/openapi.json");
    println!("  curl {}metrics", world.ops_url());
    let send = json!({
        "origin": "54321",
        "parts": [{"name": "a.txt", "content_type": "text/plain", "content": "hello"}],
        "send": {"destination": "+15555550199", "gateway": world::MM7_GROUP},
    });
    println!("  curl {api}mmsgw/v1/mms -H 'content-type: application/json' -d '{send}'");
    let receive: Value = json!({
        "protocol": "mm4",
        "message": {"from": "+15555550199", "to": ["+15555550101"], "subject": "Hi", "text": "hello", "ack": true},
    });
    println!("  curl {control}mo -H 'content-type: application/json' -d '{receive}'");
    println!("  curl {control}received\n");
}
