//! The demo's messages out, and what became of them.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::{Value, json};

use super::app::text;
use super::world::World;
use super::{PICTURE, SMIL, TEXT, WAYS};

/// Every state that a message goes through here, in order.
const LIFE: [&str; 5] = ["SCHEDULED", "SENT", "ACKNOWLEDGED", "DELIVERED", "READ"];

/// Messages on their way, by id.
#[derive(Default)]
pub(super) struct Travellers(BTreeMap<String, Traveller>);

struct Traveller {
    protocol: &'static str,
    gateway: &'static str,
    seen: Vec<String>,
}

impl Travellers {
    /// Has the gateway send one message over each protocol.
    pub(super) async fn send(&mut self, world: &World) -> anyhow::Result<()> {
        for (protocol, gateway) in WAYS {
            let message = world.api().post("/mmsgw/v1/mms", &request(protocol, gateway)).await?;
            let id = message.get("id").and_then(Value::as_str).context("the answer has no id")?.to_owned();
            println!("POST /mmsgw/v1/mms  →  202, message {id} through {gateway}");
            self.0.insert(id, Traveller { protocol, gateway, seen: Vec::new() });
        }
        println!();
        Ok(())
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Notes what an event says; gives the protocol of its message.
    pub(super) fn note(&mut self, event: &Value) -> &'static str {
        let Some(traveller) = self.0.get_mut(text(event, "message")) else { return "   " };
        let state = text(event, "state");
        if !traveller.seen.iter().any(|seen| seen == state) {
            traveller.seen.push(state.to_owned());
        }
        traveller.protocol
    }

    /// True when all went through their whole life.
    pub(super) fn have_arrived(&self) -> bool {
        self.0.values().all(|traveller| traveller.missing().is_empty())
    }

    /// Prints a line for each; true where all is as it should be.
    pub(super) fn judge(&self, world: &World) -> bool {
        let mut fine = !self.0.is_empty();
        for traveller in self.0.values() {
            let missing = traveller.missing();
            let arrived = world.carrier_has(traveller.protocol, PICTURE, TEXT);
            let verdict = match (&missing[..], &arrived) {
                ([], Ok(())) => {
                    "the carrier has the picture octet for octet, every state was told".to_owned()
                }
                (missing, Ok(())) => {
                    format!("the carrier has the picture, but states are missing: {}", missing.join(", "))
                }
                (_, Err(why)) => format!("the picture did not arrive: {why}"),
            };
            println!("{} out through {}: {verdict}", traveller.protocol, traveller.gateway);
            fine &= missing.is_empty() && arrived.is_ok();
        }
        fine
    }
}

impl Traveller {
    fn missing(&self) -> Vec<&'static str> {
        LIFE.into_iter().filter(|state| !self.seen.iter().any(|seen| seen == state)).collect()
    }
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
