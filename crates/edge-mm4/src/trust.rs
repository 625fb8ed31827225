//! Where answers and reports may be mailed to: only to addresses within the domains that the settings
//! give this carrier. Whoever sends us a mail names the address of its answer; without this rule the
//! gateway could be made to mail third parties.

use mmsgw_mm4::address::addr_spec;
use mmsgw_smtp::text::check_address;

use crate::config::Mm4Settings;

/// The domains of one carrier, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// Where a mailbox without a domain is.
    home: String,
    others: Vec<String>,
}

impl Trust {
    pub(crate) fn new(settings: &Mm4Settings) -> Self {
        let others = settings.inbound.trusted_domains.iter().map(|domain| domain.to_ascii_lowercase());
        Self { home: settings.remote_domain().to_ascii_lowercase(), others: others.collect() }
    }

    /// Whether `domain` is one of the carrier's.
    pub(crate) fn covers(&self, domain: &str) -> bool {
        std::iter::once(&self.home).chain(&self.others).any(|known| known.eq_ignore_ascii_case(domain))
    }

    /// The mailbox in `text`, with its domain, where mails may go to it.
    pub(crate) fn mailbox(&self, text: &str) -> Option<String> {
        let spec = addr_spec(text)?;
        let mailbox = if spec.contains('@') { spec } else { format!("{spec}@{}", self.home) };
        let (local, domain) = mailbox.rsplit_once('@')?;
        let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~.".contains(&b);
        let good = !local.is_empty()
            && local.bytes().all(atom)
            && self.covers(domain)
            && check_address(&mailbox, false).is_ok();
        good.then_some(mailbox)
    }

    /// The first of `offers` that mails may go to. Where there are offers and none will do, the log says so.
    pub(crate) fn first<'a>(&self, offers: impl IntoIterator<Item = Option<&'a str>>) -> Option<String> {
        let mut strangers = Vec::new();
        for offer in offers.into_iter().flatten().filter(|offer| !offer.trim().is_empty()) {
            match self.mailbox(offer) {
                Some(mailbox) => return Some(mailbox),
                None => strangers.push(offer.chars().take(MAX_SHOWN).collect::<String>()),
            }
        }
        if !strangers.is_empty() {
            tracing::warn!(
                offered = ?strangers,
                "no answer goes there: not within outbound.remote_domain or inbound.trusted_domains"
            );
        }
        None
    }
}

/// Most characters of a stranger's address in the log.
const MAX_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::settings;

    fn trust() -> Trust {
        let mut settings = settings();
        settings.outbound.remote_domain = Some("mms.Peer.example".into());
        settings.inbound.trusted_domains = vec!["other.example".into()];
        Trust::new(&settings)
    }

    #[test]
    fn only_domains_of_the_carrier() {
        let trust = trust();
        for (offer, mailbox) in [
            ("system-user@mms.peer.example", "system-user@mms.peer.example"),
            ("Post Master <PM@MMS.peer.EXAMPLE>", "PM@MMS.peer.EXAMPLE"),
            ("+15555550101/TYPE=PLMN@other.example", "+15555550101/TYPE=PLMN@other.example"),
            ("PostMaster", "PostMaster@mms.peer.example"),
        ] {
            assert_eq!(trust.mailbox(offer).as_deref(), Some(mailbox), "{offer}");
        }
        for stranger in [
            "victim@mail.example",
            "victim@sub.mms.peer.example",
            "victim%mail.example@evil.example",
            "a@mms.peer.example@mail.example",
            "victim@mail.example@mms.peer.example",
            "victim%mail.example@mms.peer.example",
            "MAIL FROM:",
            "@mail.example:victim@mms.peer.example",
            "@mms.peer.example",
            "",
            "a b@mms.peer.example",
            "a@mms.peer.example\r\nRCPT TO:<victim@mail.example>",
        ] {
            assert_eq!(trust.mailbox(stranger), None, "{stranger}");
        }
        assert_eq!(trust.mailbox(&format!("{}@other.example", "a".repeat(300))), None);
    }

    #[test]
    fn the_first_that_will_do() {
        let offers =
            [Some("victim@mail.example"), None, Some(""), Some("a@other.example"), Some("b@other.example")];
        assert_eq!(trust().first(offers).as_deref(), Some("a@other.example"));
        assert_eq!(trust().first([Some("victim@mail.example"), None]), None);
        assert_eq!(trust().first([None]), None);
    }
}
