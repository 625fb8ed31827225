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

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
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
    fn an_instance_id_has_four_fields() {
        let group = "gw".parse().unwrap();
        assert_eq!(InstanceId::new(&group, "east", "host1", 42).as_str(), "gw:east:host1:42");
    }
}
