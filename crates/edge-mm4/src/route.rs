//! Whose mail is whose: names the group for each recipient of a mail, or says that there is none.
//!
//! A mail is taken only for addresses and domains of our own; whatever the tables say, nothing is
//! ever relayed. The first match counts: address of the receiver, then peer, then sender, then, for a
//! number of our users, the group that alone has its domain.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use mmsgw_domain::{Address, AddressKind, GroupName};

use crate::config::{Mm4Settings, SettingsFault};
use crate::names::Allowed;
use crate::receiver::{EHLO, ReceiverSettings};

/// The tables of the receiver and what follows from the gateway files.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    receivers: HashMap<String, GroupName>,
    /// The longest prefix first.
    networks: Vec<(IpNet, GroupName)>,
    /// Host names, to be looked up.
    hosts: BTreeMap<String, GroupName>,
    /// Names as peers say them.
    said: HashMap<String, GroupName>,
    senders: HashMap<String, GroupName>,
    domains: HashSet<String>,
    /// Domains of users, and the group that has it; `None` where several have.
    users: HashMap<String, Option<GroupName>>,
}

/// Who hands over a mail.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Address of the peer.
    pub address: IpAddr,
    /// Those of [`Routes::hosts`] that have this address, in lower case.
    pub names: &'a [String],
    /// The name it gave in EHLO.
    pub host: &'a str,
    /// MAIL FROM; empty for the null sender.
    pub mail_from: &'a str,
}

/// Why a recipient is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// The address is of one of our domains, but of no group.
    #[error("no such recipient here")]
    UnknownRecipient,
    /// The address is of somebody else's domain.
    #[error("mails are not relayed")]
    Relay,
}

impl Routes {
    /// The routes by these settings.
    ///
    /// # Errors
    /// All addresses that two groups claim, and groups that no gateway file names.
    pub fn new<'a>(
        receiver: &ReceiverSettings,
        gateways: impl IntoIterator<Item = &'a Mm4Settings>,
    ) -> Result<Self, Vec<SettingsFault>> {
        let (mut routes, mut faults, mut groups) = (Self::default(), Vec::new(), HashSet::new());
        for gateway in gateways {
            groups.insert(gateway.gateway.group.clone());
            routes.know_gateway(gateway, &mut faults);
        }
        for (address, group) in &receiver.receivers {
            // The receiver's own table has the last word.
            routes.receivers.insert(address.to_ascii_lowercase(), group.clone());
            routes.domains.extend(domain_of(address));
        }
        for (peer, group) in &receiver.peers {
            if let Some(said) = peer.strip_prefix(EHLO) {
                routes.said.insert(said.to_ascii_lowercase(), group.clone());
                continue;
            }
            match Allowed::try_from(peer.clone()) {
                Ok(Allowed::Network(network)) => routes.networks.push((network.trunc(), group.clone())),
                Ok(Allowed::Host(host)) => drop(routes.hosts.insert(host, group.clone())),
                Err(why) => faults.push(SettingsFault { field: "peers", why }),
            }
        }
        routes.networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        let senders = receiver.senders.iter();
        routes.senders = senders.map(|(a, group)| (a.to_ascii_lowercase(), group.clone())).collect();
        let tables =
            [("receivers", &receiver.receivers), ("peers", &receiver.peers), ("senders", &receiver.senders)];
        for (field, table) in tables {
            let strangers = table.values().filter(|group| !groups.contains(group));
            faults.extend(strangers.map(|group| {
                let why = format!("there is no MM4 gateway of group `{group}`");
                SettingsFault { field, why }
            }));
        }
        if faults.is_empty() { Ok(routes) } else { Err(faults) }
    }

    /// The group that a mail from `origin` to `rcpt_to` is for.
    ///
    /// # Errors
    /// [`NoRoute`]: it is refused.
    pub fn group(&self, rcpt_to: &str, origin: &Origin<'_>) -> Result<&GroupName, NoRoute> {
        self.find(rcpt_to, origin.mail_from, || self.by_peer(origin))
    }

    /// The group whose carrier that is, as far as the tables of peers and senders tell before there is a recipient.
    pub(crate) fn carrier(&self, origin: &Origin<'_>) -> Option<&GroupName> {
        let by_sender = || by_address(&self.senders, &origin.mail_from.to_ascii_lowercase());
        self.by_peer(origin).or_else(by_sender)
    }

    /// The group of a mail that a mail server of ours has delivered; who handed it over is not known.
    ///
    /// # Errors
    /// See [`group`](Self::group).
    pub(crate) fn delivered(&self, rcpt_to: &str, mail_from: &str) -> Result<&GroupName, NoRoute> {
        self.find(rcpt_to, mail_from, || None)
    }

    fn find<'a>(
        &'a self,
        rcpt_to: &str,
        mail_from: &str,
        by_peer: impl FnOnce() -> Option<&'a GroupName>,
    ) -> Result<&'a GroupName, NoRoute> {
        let rcpt_to = rcpt_to.to_ascii_lowercase();
        if let Some(group) = by_address(&self.receivers, &rcpt_to) {
            return Ok(group);
        }
        if !domain_of(&rcpt_to).is_some_and(|domain| self.domains.contains(&domain)) {
            return Err(NoRoute::Relay);
        }
        let found = by_peer()
            .or_else(|| by_address(&self.senders, &mail_from.to_ascii_lowercase()))
            .or_else(|| self.by_user(&rcpt_to));
        found.ok_or(NoRoute::UnknownRecipient)
    }

    /// The group whose user that number is.
    fn by_user(&self, rcpt_to: &str) -> Option<&GroupName> {
        let (user, domain) = rcpt_to.rsplit_once('@')?;
        let number = user.split("/type=").next().unwrap_or(user).parse::<Address>().ok()?;
        let is_number = matches!(number.kind(), AddressKind::Number | AddressKind::ShortCode);
        self.users.get(domain).filter(|_| is_number)?.as_ref()
    }

    fn know_gateway(&mut self, settings: &Mm4Settings, faults: &mut Vec<SettingsFault>) {
        let group = &settings.gateway.group;
        let own = [settings.system_mailbox()];
        for address in own.iter().chain(&settings.inbound.addresses) {
            let address = address.to_ascii_lowercase();
            self.domains.extend(domain_of(&address));
            match self.receivers.insert(address.clone(), group.clone()) {
                Some(other) if other != *group => faults.push(SettingsFault {
                    field: "inbound.addresses",
                    why: format!("`{address}` is claimed by the groups `{other}` and `{group}`"),
                }),
                _ => {}
            }
        }
        for domain in settings.own_domains() {
            self.domains.insert(domain.clone());
            match self.users.entry(domain) {
                Entry::Vacant(free) => drop(free.insert(Some(group.clone()))),
                Entry::Occupied(mut known) if known.get().as_ref() != Some(group) => drop(known.insert(None)),
                Entry::Occupied(_) => {}
            }
        }
    }

    /// The host names among the peers, for who looks them up.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// By address or host name, which is as good, then by network, then by what the peer says.
    fn by_peer(&self, origin: &Origin<'_>) -> Option<&GroupName> {
        let address = origin.address.to_canonical();
        let in_network = |exact: bool| {
            let fits = |network: &IpNet| (network.prefix_len() == network.max_prefix_len()) == exact;
            let mut found =
                self.networks.iter().filter(|(network, _)| fits(network) && network.contains(&address));
            found.next().map(|(_, group)| group)
        };
        let named = || origin.names.iter().find_map(|name| self.hosts.get(name));
        let said = || self.said.get(&origin.host.to_ascii_lowercase());
        in_network(true).or_else(named).or_else(|| in_network(false)).or_else(said)
    }
}

/// The whole address, else all of its domain. Both in lower case already.
fn by_address<'a>(table: &'a HashMap<String, GroupName>, address: &str) -> Option<&'a GroupName> {
    let of_domain = || address.rfind('@').and_then(|at| table.get(&address[at..]));
    table.get(address).or_else(of_domain)
}

fn domain_of(address: &str) -> Option<String> {
    address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::settings;

    const FROM: Origin<'static> = Origin {
        address: IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3)),
        names: &[],
        host: "mmsc.x",
        mail_from: "",
    };

    fn gateway(group: &str, system: &str) -> Mm4Settings {
        let mut settings = settings();
        settings.gateway.group = group.parse().unwrap();
        settings.dialect.originator_system = system.into();
        settings
    }

    fn routes(tables: &str) -> Result<Routes, Vec<SettingsFault>> {
        let gateways = [gateway("east", "east"), gateway("west", "west")];
        Routes::new(&toml::from_str(tables).unwrap(), &gateways)
    }

    fn group(routes: &Routes, rcpt_to: &str, origin: Origin<'_>) -> Result<String, NoRoute> {
        routes.group(rcpt_to, &origin).map(ToString::to_string)
    }

    #[test]
    fn the_system_mailboxes_are_receivers() {
        let routes = routes("").unwrap();
        assert_eq!(group(&routes, "East@MMS.own.example", FROM).as_deref(), Ok("east"));
        assert_eq!(group(&routes, "west@mms.own.example", FROM).as_deref(), Ok("west"));
        assert_eq!(group(&routes, "north@mms.own.example", FROM), Err(NoRoute::UnknownRecipient));
    }

    #[test]
    fn receiver_comes_before_peer_before_sender() {
        let routes = routes(
            "[receivers]\n\"@r.own.example\" = \"west\"\n\
             [peers]\n\"10.0.0.0/8\" = \"west\"\n\"10.1.2.0/24\" = \"east\"\n\"ehlo:mmsc.y\" = \"west\"\n\
             [senders]\n\"@carrier.example\" = \"west\"\n\"a@carrier.example\" = \"east\"",
        )
        .unwrap();
        assert_eq!(group(&routes, "+1/TYPE=PLMN@r.own.example", FROM).as_deref(), Ok("west"));
        let number = "+15555550101/TYPE=PLMN@mms.own.example";
        assert_eq!(group(&routes, number, FROM).as_deref(), Ok("east"), "the longest prefix");
        let elsewhere = Origin { address: "192.0.2.1".parse().unwrap(), ..FROM };
        assert_eq!(group(&routes, number, elsewhere), Err(NoRoute::UnknownRecipient));
        assert_eq!(group(&routes, number, Origin { host: "MMSC.Y", ..elsewhere }).as_deref(), Ok("west"));
        let sender = |mail_from| Origin { mail_from, ..elsewhere };
        assert_eq!(group(&routes, number, sender("A@carrier.example")).as_deref(), Ok("east"));
        assert_eq!(group(&routes, number, sender("b@carrier.example")).as_deref(), Ok("west"));
    }

    #[test]
    fn a_host_name_is_as_good_as_an_address() {
        let routes = routes(
            "[peers]\n\"10.0.0.0/8\" = \"west\"\n\"MMSC.y\" = \"east\"\n\"10.9.9.9\" = \"west\"\n\
             \"ehlo:mmsc.z\" = \"west\"",
        )
        .unwrap();
        assert_eq!(routes.hosts().collect::<Vec<_>>(), ["mmsc.y"]);
        let number = "+15555550101/TYPE=PLMN@mms.own.example";
        let names = ["mmsc.y".to_owned()];
        let named = Origin { names: &names, ..FROM };
        assert_eq!(group(&routes, number, FROM).as_deref(), Ok("west"));
        assert_eq!(group(&routes, number, named).as_deref(), Ok("east"), "before the network");
        let exact = Origin { address: "10.9.9.9".parse().unwrap(), ..named };
        assert_eq!(group(&routes, number, exact).as_deref(), Ok("west"), "the address itself");
        let elsewhere = Origin { address: "192.0.2.1".parse().unwrap(), ..FROM };
        let says = |host| group(&routes, number, Origin { host, ..elsewhere });
        assert_eq!(says("mmsc.y"), Err(NoRoute::UnknownRecipient), "who only says so is not believed");
        assert_eq!(says("MMSC.z").as_deref(), Ok("west"));
    }

    #[test]
    fn no_table_makes_a_relay() {
        let routes =
            routes("[peers]\n\"0.0.0.0/0\" = \"east\"\n[senders]\n\"@x.example\" = \"east\"").unwrap();
        let origin = Origin { mail_from: "a@x.example", ..FROM };
        for foreign in ["victim@mail.example", "victim@mms.own.example@mail.example", "victim", "a@"] {
            assert_eq!(group(&routes, foreign, origin), Err(NoRoute::Relay), "{foreign}");
        }
    }

    #[test]
    fn numbers_at_a_domain_of_one_group_are_its_users() {
        let (mut east, mut south) = (gateway("east", "east"), gateway("south", "south"));
        east.inbound.host = Some("rx.own.example".into());
        south.outbound.local_domain = "south.own.example".into();
        let routes =
            Routes::new(&ReceiverSettings::default(), &[east.clone(), east, gateway("west", "west"), south])
                .unwrap();
        for (rcpt_to, meant) in [
            ("+15555550101/TYPE=PLMN@South.own.example", Ok("south")),
            ("15555550101@south.own.example", Ok("south")),
            ("54321/type=plmn@rx.own.example", Ok("east")),
            ("someone@south.own.example", Err(NoRoute::UnknownRecipient)),
            ("+15555550101/TYPE=PLMN@mms.own.example", Err(NoRoute::UnknownRecipient)),
            ("+15555550101/TYPE=PLMN@mail.example", Err(NoRoute::Relay)),
            ("+15555550101@mail.example/TYPE=PLMN@south.own.example", Err(NoRoute::UnknownRecipient)),
        ] {
            assert_eq!(group(&routes, rcpt_to, FROM).as_deref(), meant.as_deref(), "{rcpt_to}");
        }
        assert!(routes.delivered("+15555550101@south.own.example", "").is_ok());
    }

    #[test]
    fn contradictions_are_faults() {
        let same = [gateway("east", "system"), gateway("west", "system")];
        assert_eq!(
            Routes::new(&ReceiverSettings::default(), &same).unwrap_err()[0].field,
            "inbound.addresses"
        );
        assert_eq!(routes("[peers]\n\"10.0.0.1\" = \"north\"").unwrap_err()[0].field, "peers");
    }
}
