//! How messages live, whichever gateway carries them: section `[general]`.

use std::time::Duration;

use mmsgw_domain::{ByteSize, GroupName, RetryPolicy, Span};
use serde::Deserialize;

use crate::{EngineSettings, MissedHeartbeats};

/// The section with its defaults, each with a comment: the reference.
pub const GENERAL_DEFAULT: &str = include_str!("general.default.toml");

/// Section `[general]`; [`GENERAL_DEFAULT`] says what each field means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneralSection {
    /// The group that carries a message that names none.
    pub default_gateway: Option<GroupName>,
    /// How long a message is remembered after it left, and after each report on it.
    pub mms_ttl: Span,
    /// How long a template or part is kept after its last change.
    pub mms_template_ttl: Span,
    /// How long a job that was given up is kept.
    pub dead_ttl: Span,
    /// Largest part.
    pub max_part_size: ByteSize,
    /// A job whose worker died comes back after that.
    pub lease: Span,
    /// Loaded media kept in memory.
    pub media_cache: ByteSize,
    /// Pictures that are made to fit at once, each on a thread of its own.
    pub adapt_threads: usize,
    /// A picture of more pixels is refused where a gateway has limits on content.
    pub adapt_pixels: u64,
    /// A group with more messages waiting takes no new ones.
    pub max_waiting: u64,
    /// A group with more from carriers waiting to be read takes no more of it.
    pub max_received: u64,
    /// Callbacks in flight at once, for each group.
    pub callback_window: usize,
    /// Delays between the tries of a callback.
    pub callback_delays: Vec<Span>,
    /// Tries of a callback.
    pub callback_tries: u32,
    /// Most octets of a part that has variables in it, before and after they are put in.
    pub max_personal_size: ByteSize,
    /// Refused lines of a batch that are kept to be looked at.
    pub refused_lines: u64,
    /// How long a request is remembered by its `Idempotency-Key`.
    pub idempotency_ttl: Span,
    /// A request that was begun and not finished, because its process died, may be begun again after that.
    pub idempotency_takeover: Span,
    /// Delays between the looks at a report that fits no message yet.
    pub report_delays: Vec<Span>,
    /// Looks at such a report.
    pub report_tries: u32,
    /// An instance that has not been heard of for so long counts as dead.
    pub instance_ttl: Span,
    /// So many missed heartbeats in a row mean that the carrier is not there.
    pub gateway_max_missed_heartbeats: u32,
    /// What an instance does then.
    pub on_missed_heartbeats: MissedHeartbeats,
}

impl Default for GeneralSection {
    fn default() -> Self {
        let settings = EngineSettings::default();
        let spans = |policy: &RetryPolicy| policy.delays.iter().copied().map(Span).collect();
        Self {
            default_gateway: None,
            mms_ttl: Span(settings.message_ttl),
            mms_template_ttl: Span(settings.template_ttl),
            dead_ttl: Span(settings.dead_ttl),
            max_part_size: ByteSize(settings.max_part_octets as u64),
            lease: Span(settings.lease),
            media_cache: ByteSize(settings.cache_octets as u64),
            adapt_threads: settings.adapt_threads,
            adapt_pixels: settings.adapt_pixels,
            max_waiting: settings.max_waiting,
            max_received: settings.max_received,
            callback_window: settings.callback_window,
            callback_delays: spans(&settings.callback_retry),
            callback_tries: settings.callback_retry.max_tries,
            max_personal_size: ByteSize(settings.max_personal_octets as u64),
            refused_lines: settings.refused_lines,
            idempotency_ttl: Span(settings.idempotency_ttl),
            idempotency_takeover: Span(settings.idempotency_takeover),
            report_delays: spans(&settings.report_retry),
            report_tries: settings.report_retry.max_tries,
            instance_ttl: Span(settings.instance_ttl),
            gateway_max_missed_heartbeats: settings.max_missed_heartbeats,
            on_missed_heartbeats: settings.on_missed_heartbeats,
        }
    }
}

impl GeneralSection {
    /// What the engine makes of the section. How much a request may hold is said elsewhere, with the API.
    pub fn engine_settings(&self) -> EngineSettings {
        let policy = |delays: &[Span], tries: u32| RetryPolicy {
            delays: delays.iter().map(|span| span.0).collect(),
            max_tries: tries.max(1),
        };
        EngineSettings {
            message_ttl: self.mms_ttl.0,
            template_ttl: self.mms_template_ttl.0,
            dead_ttl: self.dead_ttl.0,
            max_part_octets: self.max_part_size.as_usize(),
            default_group: self.default_gateway.clone(),
            lease: self.lease.0.max(SHORTEST_LEASE),
            cache_octets: self.media_cache.as_usize(),
            adapt_threads: self.adapt_threads.clamp(1, 256),
            adapt_pixels: self.adapt_pixels,
            max_waiting: self.max_waiting,
            max_received: self.max_received,
            callback_window: self.callback_window.max(1),
            max_personal_octets: self.max_personal_size.as_usize(),
            refused_lines: self.refused_lines,
            idempotency_ttl: self.idempotency_ttl.0,
            idempotency_takeover: self.idempotency_takeover.0,
            callback_retry: policy(&self.callback_delays, self.callback_tries),
            report_retry: policy(&self.report_delays, self.report_tries),
            instance_ttl: self.instance_ttl.0.max(SHORTEST_LEASE),
            max_missed_heartbeats: self.gateway_max_missed_heartbeats.max(1),
            on_missed_heartbeats: self.on_missed_heartbeats,
            ..EngineSettings::default()
        }
    }
}

/// Leases, and records of instances, shorter than this would lapse between two extensions on a busy machine.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        general: toml::Table,
    }

    fn reference() -> toml::Table {
        toml::from_str::<File>(GENERAL_DEFAULT).unwrap().general
    }

    #[test]
    fn the_reference_says_the_defaults() {
        let read: GeneralSection = reference().try_into().unwrap();
        assert_eq!(read, GeneralSection::default());
        assert_eq!(read.engine_settings(), EngineSettings::default());
    }

    #[test]
    fn the_reference_names_every_field() {
        let refusal = toml::from_str::<GeneralSection>("no_such = 1").unwrap_err().to_string();
        let fields: Vec<&str> = refusal.split('`').skip(3).step_by(2).collect();
        assert!(fields.len() >= 16, "{refusal}");
        for field in fields {
            let named = GENERAL_DEFAULT.lines().any(|line| {
                line.trim_start_matches("# ").split_once(" = ").is_some_and(|(key, _)| key == field)
            });
            assert!(named, "`{field}` is missing from the reference");
        }
    }
}
