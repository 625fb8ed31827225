//! The demo's messages in: sent by the carrier, told to the application, their picture fetched, and what
//! went back to the carrier.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use mmsgw_mmsc_sim::Mo;
use serde_json::Value;

use super::app::text;
use super::world::World;
use super::{PICTURE, TEXT, WAYS};

/// What the carrier is to get back over MM4. Over MM7 the answer to its request is all there is.
const BACK: [&str; 2] = ["MM4_forward.RES", "MM4_delivery_report.REQ"];

/// Messages that came in, by protocol: whether their picture is the one that was sent.
#[derive(Default)]
pub(super) struct Arrivals(BTreeMap<&'static str, bool>);

/// The protocol that a message came by.
pub(super) fn protocol_of(message: &Value) -> &'static str {
    let group = text(message, "gateway");
    WAYS.into_iter().find(|(_, gateway)| *gateway == group).map_or("   ", |(protocol, _)| protocol)
}

impl Arrivals {
    /// Has the carrier send one message over each protocol.
    pub(super) async fn have_sent(&self, world: &World) -> anyhow::Result<()> {
        let mo = Mo {
            from: "+15555550102".into(),
            to: vec!["+15555550101".into()],
            subject: "Thank you!".into(),
            text: TEXT.into(),
            picture: Some(PICTURE.to_vec()),
            ack: true,
            dr: true,
            ..Mo::default()
        };
        for (protocol, _) in WAYS {
            let answer = world.carrier_sends(protocol, &mo).await;
            let said = answer.status.map_or(answer.text.clone(), |status| format!("StatusCode {status}"));
            println!("{protocol} from the carrier  →  {} {said}", answer.code);
            ensure!(answer.is_ok(), "the gateway refused a message over {protocol}");
        }
        println!();
        Ok(())
    }

    /// Fetches the picture of a message from where its callback says.
    pub(super) async fn take(&mut self, world: &World, message: &Value) -> anyhow::Result<()> {
        let parts = message
            .pointer("/template/parts")
            .and_then(Value::as_array)
            .context("a message without parts")?;
        let picture = parts.iter().find(|part| text(part, "content_type").starts_with("image/jpeg"));
        let url = text(picture.context("a message without a picture")?, "content_url");
        let octets = world.api().octets(url).await?;
        println!("           GET {url}  →  {} octets", octets.len());
        self.0.insert(protocol_of(message), octets == PICTURE);
        Ok(())
    }

    pub(super) fn are_complete(&self) -> bool {
        WAYS.iter().all(|(protocol, _)| self.0.contains_key(protocol))
    }

    /// Waits until the carrier has what is to go back.
    pub(super) async fn wait_for_reports(&self, world: &World) {
        while BACK.iter().any(|kind| !world.carrier_got(kind)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Prints a line for each; true where all is as it should be.
    pub(super) fn judge(&self, world: &World) -> bool {
        let mut fine = self.are_complete();
        for (protocol, same) in &self.0 {
            let verdict = if *same { "fetched octet for octet" } else { "is another than the one sent" };
            println!("{protocol} in: the picture {verdict}");
            fine &= same;
        }
        for kind in BACK {
            let got = world.carrier_got(kind);
            println!(
                "MM4 in: {kind} {}",
                if got { "went back to the carrier" } else { "did not reach the carrier" }
            );
            fine &= got;
        }
        fine
    }
}
