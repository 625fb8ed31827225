//! Gateway groups and their instances, as far as the engine needs to know them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::RetryPolicy;

/// Name of a gateway group: 1 to 64 of `A-Z a-z 0-9 _ . -`, not starting with a dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(std::sync::Arc<str>);

/// A text that cannot name a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a gateway group is named by 1 to 64 of A-Z a-z 0-9 _ . - and does not start with a dot")]
pub struct GroupNameError;

impl GroupName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = GroupNameError;

    fn from_str(text: &str) -> Result<Self, GroupNameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let good = (1..=64).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('.');
        good.then(|| Self(text.into())).ok_or(GroupNameError)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for GroupName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for GroupName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Names one running instance of a group: `group:gateway-id:hostname:pid`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(std::sync::Arc<str>);

impl InstanceId {
    /// The instance `gateway` of `group` in process `pid` on `host`.
    pub fn new(group: &GroupName, gateway: &str, host: &str, pid: u32) -> Self {
        Self(format!("{group}:{gateway}:{host}:{pid}").into())
    }

    /// A process that runs no instance of a group: `*:role:hostname:pid`.
    pub fn of_process(role: &str, host: &str, pid: u32) -> Self {
        Self(format!("*:{role}:{host}:{pid}").into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host that it runs on; empty in an id that was made otherwise.
    pub fn host(&self) -> &str {
        self.0.split(':').nth(2).unwrap_or_default()
    }

    /// Its process; 0 in an id that was made otherwise.
    pub fn pid(&self) -> u32 {
        self.0.rsplit(':').next().and_then(|pid| pid.parse().ok()).unwrap_or(0)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the engine knows of a gateway group. Hosts, dialects and the like stay with the edge.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSettings {
    /// Its name.
    pub name: GroupName,
    /// Jobs in flight at once, per queue.
    pub window: usize,
    /// Messages per second handed to the carrier; `None` for no limit.
    pub tps_limit: Option<f64>,
    /// When a failed delivery is tried again.
    pub retry: RetryPolicy,
    /// Where events of its messages are posted to, besides the message's own URLs.
    pub events_url: Vec<String>,
    /// Where inbound messages are posted to.
    pub mms_received_url: Option<String>,
    /// What is asked of the carrier and answered to it.
    pub features: Features,
    /// Whether its protocol can take back or replace a message that the carrier has.
    pub amends: bool,
    /// High priority messages leave the queue first.
    pub queue_by_priority: bool,
    /// An unsent message without a time limit of its own expires after that.
    pub max_age: Duration,
    /// How often the carrier is asked for a sign of life; `None` for never.
    pub heartbeat_interval: Option<Duration>,
    /// What its carrier takes of content.
    pub content: ContentSettings,
}

/// What a carrier takes of content. The default is everything, as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentSettings {
    /// Most octets of a message as it goes on the wire, encoded, with all of its headers.
    pub max_message_octets: Option<u64>,
    /// Most pixels in a row of a picture.
    pub max_image_width: Option<u32>,
    /// Most rows of a picture.
    pub max_image_height: Option<u32>,
    /// Media types of parts, lower case, `image/*` for all of a kind; empty for all.
    pub accepted_types: Vec<String>,
    /// Whether a presentation is composed.
    pub smil: Compose,
    /// Whether the content class is left unsaid where the application did not give one.
    pub hide_content_class: bool,
}

impl ContentSettings {
    /// Whether something of a content could be too much for the carrier.
    pub fn has_limits(&self) -> bool {
        let most = [self.max_image_width, self.max_image_height];
        self.max_message_octets.is_some()
            || most.iter().any(Option::is_some)
            || !self.accepted_types.is_empty()
    }

    /// Whether parts may be of that media type, whose parameters do not count.
    pub fn accepts(&self, content_type: &str) -> bool {
        let essence = |text: &str| match text.split(';').next().unwrap_or_default().trim() {
            "image/jpg" => "image/jpeg".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        let given = essence(content_type);
        let takes = |accepted: &String| match accepted.strip_suffix("/*") {
            Some(kind) => given.split('/').next() == Some(kind),
            None => essence(accepted) == given,
        };
        self.accepted_types.is_empty() || self.accepted_types.iter().any(takes)
    }
}

/// When a presentation (SMIL) is composed for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Compose {
    /// Always; one that the application gave is replaced.
    Always,
    /// Never.
    #[default]
    Never,
    /// Where the application gave none.
    IfMissing,
}

/// What a group asks of the carrier, and what it answers by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// Ask for an acknowledgement of each message.
    pub request_submit_ack: Option<bool>,
    /// Ask for delivery reports.
    pub request_delivery_report: Option<bool>,
    /// Ask for read reports.
    pub request_read_receipt: Option<bool>,
    /// Acknowledge inbound messages without waiting for the application.
    pub auto_ack: bool,
    /// When the delivery report of an inbound message is sent.
    pub auto_dr: Release,
    /// When the read report of an inbound message is sent.
    pub auto_rr: Release,
    /// Application that messages are for (Applic-ID).
    pub applic_id: Option<String>,
    /// Application that replies go to (Reply-Applic-ID).
    pub reply_applic_id: Option<String>,
    /// What the applications tell each other (Aux-Applic-Info).
    pub aux_applic_info: Option<String>,
}

/// When a report on an inbound message goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// As soon as the message is stored.
    Immediate,
    /// When the application has answered the callback with success.
    #[default]
    OnCallback,
    /// Only when the application orders it.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_name_is_safe_in_paths_and_headers() {
        assert!("GW-01.east_2".parse::<GroupName>().is_ok());
        for bad in ["", ".", "..", "a/b", "a b", "a\r\n", "é", &"x".repeat(65)] {
            assert_eq!(bad.parse::<GroupName>(), Err(GroupNameError), "{bad:?}");
        }
    }

    #[test]
    fn types_are_accepted_by_name_or_kind() {
        let all = ContentSettings::default();
        assert!(all.accepts("video/mp4") && !all.has_limits());
        let some = ContentSettings {
            accepted_types: vec!["image/jpeg".into(), "text/*".into()],
            ..ContentSettings::default()
        };
        assert!(some.has_limits());
        for taken in ["image/jpeg", "image/jpg", "Image/JPEG; name=x", "text/plain; charset=utf-8"] {
            assert!(some.accepts(taken), "{taken}");
        }
        for refused in ["image/png", "image", "textual/plain", ""] {
            assert!(!some.accepts(refused), "{refused}");
        }
    }

    #[test]
    fn an_instance_id_has_four_fields() {
        let group = "gw".parse().unwrap();
        let id = InstanceId::new(&group, "east", "host1", 42);
        assert_eq!((id.as_str(), id.host(), id.pid()), ("gw:east:host1:42", "host1", 42));
    }
}
