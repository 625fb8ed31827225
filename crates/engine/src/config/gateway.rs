//! What a gateway file says of its group: sections `[gateway]`, `[features]` and `[content]`.

use mmsgw_domain::{
    ByteSize, Compose, ContentSettings, Features, GroupName, GroupSettings, Release, RetryPolicy, Span,
};
use serde::{Deserialize, Serialize};

/// Section `[gateway]`: which group this is and how hard it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySection {
    /// The carrier's protocol: `MM4` or `MM7`.
    pub protocol: Protocol,
    /// Name of the dialect of this carrier; absent: the standard one of the protocol.
    #[serde(default)]
    pub dialect: Option<String>,
    /// The release of 3GPP TS 23.140 that is stated on the wire, such as `6.8.0`; absent: that of the dialect.
    #[serde(default)]
    pub version: Option<String>,
    /// Name of this instance; part of its id.
    pub name: String,
    /// Name of the group, by which applications choose it. Instances of one group share its queues.
    pub group: GroupName,
    /// The carrier's name, for people.
    #[serde(default)]
    pub carrier: String,
    /// MM7: the VASP id that the carrier gave to us.
    #[serde(default)]
    pub vaspid: Option<String>,
    /// MM7: the VAS id that the carrier gave to us.
    #[serde(default)]
    pub vasid: Option<String>,
    /// Most messages handed to the carrier in a second; 0 for no limit.
    #[serde(default)]
    pub tps_limit: f64,
    /// Messages in flight to the carrier at once.
    #[serde(default = "default_window")]
    pub window: usize,
    /// Events of messages sent through this group are posted to these URLs.
    #[serde(default)]
    pub events_url: Urls,
    /// Delay before the second try, the third and so on.
    #[serde(default = "default_delays")]
    pub retry_delays: Vec<Span>,
    /// Tries before a message has failed.
    #[serde(default = "default_tries")]
    pub max_tries: u32,
    /// An unsent message without a time limit of its own expires after that.
    #[serde(default = "default_max_age")]
    pub max_age: Span,
    /// Whether messages of high priority leave the queue first.
    #[serde(default)]
    pub queue_by_priority: bool,
    /// How often the carrier is asked for a sign of life, where `outbound.heartbeat` says how.
    #[serde(default = "default_heartbeat_interval")]
    pub heartbeat_interval: Span,
}

/// A protocol that a gateway can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TS 23.140 clause 8.4: mails over SMTP.
    Mm4,
    /// TS 23.140 clause 8.7: SOAP over HTTP.
    Mm7,
}

impl Protocol {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mm4 => "MM4",
            Self::Mm7 => "MM7",
        }
    }
}

/// One URL or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Urls(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Urls {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(url) if url.is_empty() => Self::default(),
            OneOrMany::One(url) => Self(vec![url]),
            OneOrMany::Many(urls) => Self(urls),
        }
    }
}

/// Section `[features]`: what is asked of the carrier, and what is answered to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeaturesSection {
    /// Ask for an acknowledgement of each message; absent leaves it unsaid.
    pub request_submit_ack: Option<bool>,
    /// Ask for delivery reports; absent leaves it unsaid.
    pub request_delivery_report: Option<bool>,
    /// Ask for read reports; absent leaves it unsaid.
    pub request_read_receipt: Option<bool>,
    /// Acknowledge inbound messages without waiting for the application.
    pub auto_ack: bool,
    /// When the delivery report of an inbound message is sent: `immediate`, `on_callback`, `no`.
    pub auto_dr: Release,
    /// When the read report of an inbound message is sent: `immediate`, `on_callback`, `no`.
    pub auto_rr: Release,
    /// Application that messages are for (Applic-ID).
    pub applic_id: Option<String>,
    /// Application that replies go to (Reply-Applic-ID).
    pub reply_applic_id: Option<String>,
    /// What the applications tell each other (Aux-Applic-Info).
    pub aux_applic_info: Option<String>,
    /// MM4: X-Mms-MMSIP-Address of outgoing messages.
    pub mmsip_address: Option<String>,
    /// MM4: X-Mms-Forward-Route of outgoing messages.
    pub forward_route: Option<String>,
    /// MM4: X-Mms-Return-Route of outgoing messages.
    pub return_route: Option<String>,
}

/// Section `[content]`: what the carrier takes of content. Where the application allows adaptation
/// (`content_adaptation`), pictures are changed to fit; else a message that does not fit is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContentSection {
    /// Most octets of a message as it goes on the wire: encoded, with all headers. Absent for no limit.
    pub max_message_octets: Option<ByteSize>,
    /// Most pixels in a row of a picture (JPEG, PNG, GIF, WebP). Absent for no limit.
    pub max_image_width: Option<u32>,
    /// Most rows of a picture (JPEG, PNG, GIF, WebP). Absent for no limit.
    pub max_image_height: Option<u32>,
    /// Media types of parts that are taken; `image/*` for all of a kind; empty for all.
    pub accepted_types: Vec<String>,
    /// Whether a presentation is composed: `always`, `never`, `if_missing`.
    pub smil: Compose,
    /// Whether the content class is computed and stated where the application gave none; absent: where the
    /// `version` in `[gateway]` is of release 6 or later, which has it.
    pub state_content_class: Option<bool>,
}

impl ContentSection {
    /// What is wrong with it: the key, and why.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.max_message_octets.is_some_and(|most| most.0 < LEAST_OCTETS) {
            let why = format!("less than {LEAST_OCTETS} octets leave no room for any message");
            faults.push(("content.max_message_octets", why));
        }
        for (key, most) in [
            ("content.max_image_width", self.max_image_width),
            ("content.max_image_height", self.max_image_height),
        ] {
            if most == Some(0) {
                faults.push((key, "must not be 0; leave it out for no limit".to_owned()));
            }
        }
        for given in self.accepted_types.iter().filter(|given| !is_type_or_kind(given)) {
            let why = format!("`{}` is neither `image/jpeg` nor `image/*` in form", given.escape_debug());
            faults.push(("content.accepted_types", why));
        }
        if self.smil != Compose::Never && !self.settings("").accepts("application/smil") {
            let why = "presentations are composed only where accepted_types has application/smil".to_owned();
            faults.push(("content.smil", why));
        }
        faults
    }

    fn settings(&self, version: &str) -> ContentSettings {
        let release = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
        ContentSettings {
            max_message_octets: self.max_message_octets.map(|size| size.0),
            max_image_width: self.max_image_width,
            max_image_height: self.max_image_height,
            accepted_types: self.accepted_types.iter().map(|text| text.to_ascii_lowercase()).collect(),
            smil: self.smil,
            hide_content_class: !self.state_content_class.unwrap_or(release.is_none_or(|number| number >= 6)),
        }
    }
}

fn is_type_or_kind(text: &str) -> bool {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && (subtype == "*" || token(subtype)))
}

/// What a head alone may have.
const LEAST_OCTETS: u64 = 4096;

fn default_window() -> usize {
    64
}

fn default_delays() -> Vec<Span> {
    RetryPolicy::default().delays.into_iter().map(Span).collect()
}

fn default_tries() -> u32 {
    RetryPolicy::default().max_tries
}

fn default_max_age() -> Span {
    Span::secs(3 * 86_400)
}

fn default_heartbeat_interval() -> Span {
    Span::secs(30)
}

/// The settings of a group, from the sections that hold them.
pub fn group_settings(
    gateway: &GatewaySection,
    features: &FeaturesSection,
    content: &ContentSection,
    mms_received_url: Option<&str>,
) -> GroupSettings {
    let absent_if_empty = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    GroupSettings {
        name: gateway.group.clone(),
        window: gateway.window.max(1),
        tps_limit: Some(gateway.tps_limit).filter(|tps| *tps > 0.0),
        retry: RetryPolicy {
            delays: gateway.retry_delays.iter().map(|span| span.0).collect(),
            max_tries: gateway.max_tries.max(1),
        },
        events_url: gateway.events_url.0.clone(),
        mms_received_url: mms_received_url.filter(|url| !url.is_empty()).map(str::to_owned),
        features: Features {
            request_submit_ack: features.request_submit_ack,
            request_delivery_report: features.request_delivery_report,
            request_read_receipt: features.request_read_receipt,
            auto_ack: features.auto_ack,
            auto_dr: features.auto_dr,
            auto_rr: features.auto_rr,
            applic_id: absent_if_empty(&features.applic_id),
            reply_applic_id: absent_if_empty(&features.reply_applic_id),
            aux_applic_info: absent_if_empty(&features.aux_applic_info),
        },
        amends: gateway.protocol == Protocol::Mm7,
        queue_by_priority: gateway.queue_by_priority,
        max_age: gateway.max_age.0,
        heartbeat_interval: Some(gateway.heartbeat_interval.0).filter(|every| !every.is_zero()),
        content: content.settings(gateway.version.as_deref().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> ContentSection {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn without_a_section_everything_is_taken_as_it_is() {
        assert_eq!(ContentSection::default().settings("6.8.0"), ContentSettings::default());
        assert!(ContentSection::default().settings("5.3.0").hide_content_class);
        assert!(!section("state_content_class = true").settings("5.3.0").hide_content_class);
        assert!(section("state_content_class = false").settings("6.8.0").hide_content_class);
        assert_eq!(
            section("max_message_octets = '300KB'").settings("6.8.0").max_message_octets,
            Some(300_000)
        );
    }

    #[test]
    fn faults_are_told_by_key() {
        for (text, key) in [
            ("max_message_octets = 100", "content.max_message_octets"),
            ("max_image_width = 0", "content.max_image_width"),
            ("max_image_height = 0", "content.max_image_height"),
            ("accepted_types = ['jpeg']", "content.accepted_types"),
            ("accepted_types = ['*/*']", "content.accepted_types"),
            ("accepted_types = ['image/*']\nsmil = 'always'", "content.smil"),
        ] {
            let faults = section(text).check();
            assert_eq!(faults.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key], "{text}");
        }
        let good = "accepted_types = ['image/*', 'application/smil', 'text/plain']\nsmil = 'if_missing'";
        assert_eq!(section(good).check(), []);
    }
}
