//! The dialect of a carrier: every way in which MM4 peers were seen to differ, as a switch.
//!
//! A dialect is a file with a name: some come with the gateway, in `dialects` beside this file, an operator adds
//! more. A gateway file picks one by `dialect` in `[gateway]` and overrides single switches in `[dialect]`.
//! What needs no switch: whom a mail is for says RCPT TO, whatever stands in its headers.

use std::collections::BTreeMap;

use mmsgw_engine::config::{Protocol, Switches};
use mmsgw_engine::switches;
use serde::Deserialize;

switches! {
    /// Everything about a dialect, settled.
    pub Dialect, DialectSwitches {
        /// X-Mms-3GPP-MMS-Version of each mail, three numbers; `version` in `[gateway]` overrides it. Seen are
        /// 5.5.0 (Play, Mbuni, Israel), 6.3.0, 6.10.0 and 6.16.0.
        version: String = "6.10.0".into(),
        /// Ids stand in double quotes (HotMobile, Play, Mbuni); CallUp, Pelephone, We4G and Golan have them bare.
        quote_ids: bool = true,
        /// Stands before the digits of a number in place of a plus sign; `dest_prefix` and `origin_prefix` override
        /// it.
        number_prefix: String = "+".into(),
        /// Follows a number; CallUp has none in To. `dest_suffix` and `origin_suffix` override it.
        number_suffix: String = "/TYPE=PLMN".into(),
        /// Addresses in `From`, `To` and `Cc` carry a domain, as at an aggregator in the United States.
        domain_in_addresses: bool = false,
        /// Each recipient gets a mail of its own, with the whole list in `To`, as HotMobile does.
        one_recipient_per_mail: bool = false,
        /// Most recipients of one mail (1 to 256); a message to more goes out as several.
        recipients_per_mail: usize = 100,
        /// `Sender` and MAIL FROM are our system's mailbox instead of the user's address.
        system_sender: bool = false,
        /// Our system's mailbox, where the carrier sends acknowledgements and reports
        /// (X-Mms-Originator-System); without a domain it is at `local_domain`. `originator_address` in
        /// `[outbound]` overrides it. Seen are `system-user`, `PostMaster` and `postmaster`.
        originator_system: String = "system-user".into(),
        /// Whether an acknowledgement is asked for (X-Mms-Ack-Request); absent leaves it unsaid.
        /// `request_submit_ack` in `[features]` overrides it.
        ack_wanted: Option<bool> = None,
        /// What X-Mms-Originator-R/S-Delivery-Report says; absent leaves it unsaid.
        originator_rs_delivery_report: Option<bool> = None,
        /// What the message leaves unsaid is stated as what it means: class Personal, priority Normal, sender shown,
        /// no reports. For carriers that miss these headers.
        state_defaults: bool = false,
        /// X-Mms-Forward-Counter of each message; absent leaves it out. CallUp states 1 on a first sending.
        forward_counter: Option<u32> = None,
        /// How the parts stand: `related` (mixed where there is no presentation), or `mixed` as at CallUp.
        content_layout: ContentLayout = ContentLayout::Related,
        /// SMTP replies (400 to 599) after which the message is tried again, though others take them
        /// for final.
        retry_statuses: Vec<u16> = Vec::new(),
        /// Headers that the carrier does not want.
        omit_headers: Vec<String> = Vec::new(),
        /// Headers that the carrier wants besides, with their values.
        extra_headers: BTreeMap<String, String> = BTreeMap::new(),
    }
}

impl Switches for DialectSwitches {
    const PROTOCOL: Protocol = Protocol::Mm4;
    const STANDARD: &'static str = "standard-6.10.0";
    const BUILT_IN: &'static [(&'static str, &'static str)] = &[
        ("standard-6.10.0", include_str!("dialects/standard-6.10.0.toml")),
        ("standard-5.5.0", include_str!("dialects/standard-5.5.0.toml")),
        ("aggregator-us", include_str!("dialects/aggregator-us.toml")),
        ("callup", include_str!("dialects/callup.toml")),
        ("golan", include_str!("dialects/golan.toml")),
        ("hotmobile", include_str!("dialects/hotmobile.toml")),
        ("mbuni", include_str!("dialects/mbuni.toml")),
        ("pelephone", include_str!("dialects/pelephone.toml")),
        ("play", include_str!("dialects/play.toml")),
        ("we4g", include_str!("dialects/we4g.toml")),
    ];
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("standard-6.8.0", "standard-6.10.0"), ("standard-5.3.0", "standard-5.5.0")];

    fn over(self, base: Self) -> Self {
        Self::over(self, base)
    }
}

/// How the parts of a message stand in its mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentLayout {
    /// multipart/related with the presentation first; multipart/mixed, or a lone part, without one.
    Related,
    /// multipart/mixed, whatever there is.
    Mixed,
}

#[cfg(test)]
mod tests;
