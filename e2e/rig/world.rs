//! A whole world: the gateway with one group for each protocol, its carrier, its application.

use mmsgw_mmsc_sim::{Received, Script, SimConfig, Simulator, Targets};

use super::gateway::merged;
use super::{Api, Application, Files, Gateway, mm4, mm7, text, wait_until};

/// Asks for everything that a carrier can tell.
pub(crate) const CURIOUS: &str = "[features]\nrequest_submit_ack = true\nrequest_delivery_report = true\n\
                                  request_read_receipt = true\n";

/// Groups `mm7` and `mm4`, whose events go to the application's door `gateway`, whose messages from phones go to
/// `received`.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) carrier: Simulator,
    pub(crate) application: Application,
    pub(crate) api: Api,
}

impl World {
    /// Starts all; `main`, `over_mm7` and `over_mm4` are TOML laid over the files.
    pub(crate) async fn start(main: &str, over_mm7: &str, over_mm4: &str) -> Self {
        let carrier = Simulator::start(SimConfig::default()).await.unwrap();
        Self::around(carrier, main, over_mm7, over_mm4, &[])
    }

    /// The same round a carrier that runs already, with further gateway files.
    pub(crate) fn around(
        carrier: Simulator,
        main: &str,
        over_mm7: &str,
        over_mm4: &str,
        more: &[(&str, String)],
    ) -> Self {
        let application = Application::start();
        let events: toml::Table = toml::from_str(&format!(
            "gateway.events_url = '{}'\ninbound.mms_received_url = '{}'\n{CURIOUS}",
            application.url("gateway"),
            application.url("received")
        ))
        .unwrap();
        let with = |over: &str| merged(events.clone(), over);
        let mut files = vec![
            ("mm7", mm7("mm7", &format!("http://{}/mm7", carrier.mm7_addr), &with(over_mm7))),
            ("mm4", mm4("mm4", &carrier.mm4_addr.to_string(), &with(over_mm4))),
        ];
        files.extend_from_slice(more);
        let gateway = Gateway::start(Files::write(main, &files));
        carrier.set_targets(Targets {
            mm7_report_url: Some(format!(
                "http://{}/mmsgw/v1/mms/inbound/mm7",
                gateway.awaited("HTTP for carriers")
            )),
            mm4_report_addr: Some(gateway.awaited("SMTP for carriers")),
        });
        let api = gateway.api();
        Self { gateway, carrier, application, api }
    }

    /// The carrier behaves like that from now on; a TOML text.
    pub(crate) fn script(&self, script: &str) {
        self.carrier.set_script(toml::from_str::<Script>(script).unwrap());
    }

    /// The messages (not the answers to reports) that the carrier has, by subject.
    pub(crate) fn received(&self, subject: &str) -> Vec<Received> {
        let is_message = |r: &Received| r.kind == "SubmitReq" || r.kind == "MM4_forward.REQ";
        let mut all = self.carrier.received();
        all.retain(|r| is_message(r) && r.subject.as_deref() == Some(subject));
        all
    }

    /// The first message with `subject`, which has to be without fault.
    pub(crate) async fn arrives(&self, subject: &str) -> Received {
        let what = format!("`{subject}` at the carrier");
        let found = wait_until(&what, async || self.received(subject).into_iter().next()).await;
        assert!(found.problems.is_empty(), "{:?}\n{}", found.problems, String::from_utf8_lossy(&found.raw));
        found
    }

    /// The states that callbacks told of `message` at `door`, each once, in the order of their sequence numbers.
    pub(crate) fn told(&self, message: &str, door: &str) -> Vec<String> {
        let mut callbacks = self.application.callbacks(message, door);
        callbacks.sort_by_key(|callback| callback.body["sequence"].as_u64());
        callbacks.dedup_by_key(|callback| callback.webhook_id.clone());
        callbacks.iter().map(|callback| text(&callback.body, "state").to_owned()).collect()
    }
}
