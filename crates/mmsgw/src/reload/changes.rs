//! What is different between the configuration in use and the one in the files: a pure comparison.

use std::collections::{BTreeMap, BTreeSet};

use mmsgw_domain::GroupName;

use crate::config::{GatewayFile, GatewaySettings, Settings, Source};

/// What a reload has to do, and what it cannot do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Groups that no file had before.
    pub(crate) added: Vec<GroupName>,
    /// Groups whose way to the carrier is another, and the keys that changed.
    pub(crate) changed: Vec<(GroupName, Vec<String>)>,
    /// Groups that no file has any more.
    pub(crate) removed: Vec<GroupName>,
    /// Keys that can hold at once without that.
    pub(crate) settings: Vec<String>,
    /// Keys that hold from the next start on.
    pub(crate) at_next_start: Vec<String>,
}

impl Changes {
    /// From `now` to `new`. What waits for a start is told as long as it differs from `started`, the main file as it
    /// was then.
    pub(crate) fn between(started: &Source, now: &Settings, new: &Settings) -> Self {
        let mut changes = Self::default();
        let since = |source: &Source| source.changes(&new.source);
        changes.settings = since(&now.source).into_iter().filter(|key| !waits(key, now, new)).collect();
        changes.at_next_start = since(started).into_iter().filter(|key| waits(key, now, new)).collect();
        let (before, after) = (groups(now), groups(new));
        for group in before.keys().chain(after.keys()).copied().collect::<BTreeSet<_>>() {
            match (before.get(group), after.get(group)) {
                (None, _) => changes.added.push(group.clone()),
                (_, None) => changes.removed.push(group.clone()),
                (Some(before), Some(after)) => changes.note_group(group, before, after),
            }
        }
        changes
    }

    /// Whether a key below one of these sections holds now.
    pub(crate) fn touches(&self, sections: &[&str]) -> bool {
        self.settings.iter().any(|key| sections.iter().any(|section| is_below(key, section)))
    }

    fn note_group(&mut self, group: &GroupName, before: &[&GatewayFile], after: &[&GatewayFile]) {
        let mut keys = Vec::new();
        let names = |files: &[&GatewayFile]| files.iter().map(|file| file.name().to_owned()).collect();
        let (old, new): (Vec<String>, Vec<String>) = (names(before), names(after));
        if old != new {
            keys.push("gateway.name".to_owned());
        }
        for (before, after) in before.iter().zip(after) {
            for key in before.source.changes(&after.source) {
                let told = format!("gateway {group}: {key}");
                if is_below(&key, "inbound.tls") && turns_tls(before, after) {
                    self.at_next_start.push(told);
                } else if DOORS.iter().any(|door| is_below(&key, door)) {
                    self.settings.push(told);
                } else if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        if !keys.is_empty() {
            self.changed.push((group.clone(), keys));
        }
    }
}

/// The files of each group, in their order.
pub(crate) fn groups(settings: &Settings) -> BTreeMap<&GroupName, Vec<&GatewayFile>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in &settings.gateways {
        groups.entry(file.group()).or_default().push(file);
    }
    groups
}

/// Whether a key of the main file has to wait for the next start.
fn waits(key: &str, now: &Settings, new: &Settings) -> bool {
    let turned = [
        ("api.tls", now.api.tls.is_some() != new.api.tls.is_some()),
        ("ops.tls", now.ops.tls.is_some() != new.ops.tls.is_some()),
        ("mm4rx.tls", now.mm4rx.tls.is_some() != new.mm4rx.tls.is_some()),
        ("mm7rx.tls", now.mm7rx.tls.is_some() != new.mm7rx.tls.is_some()),
    ];
    turned.iter().any(|(section, turned)| *turned && is_below(key, section))
        || FIXED.iter().any(|fixed| is_below(key, fixed))
            && !MOVING.iter().any(|moving| is_below(key, moving))
}

/// Whether a listener of a gateway's own that stays where it is would begin or cease to speak TLS.
fn turns_tls(before: &GatewayFile, after: &GatewayFile) -> bool {
    match (&before.settings, &after.settings) {
        (GatewaySettings::Mm7(before), GatewaySettings::Mm7(after)) => {
            let (before, after) = (&before.inbound, &after.inbound);
            before.host == after.host && before.tls.is_some() != after.tls.is_some()
        }
        _ => false,
    }
}

fn is_below(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What of the main file is made once, at the start.
const FIXED: [&str; 26] = [
    "general",
    "message_storage",
    "queue_storage",
    "media_storage",
    "log.format",
    "records",
    "traces",
    "api.listen",
    "api.max_connections",
    "api.max_connections_per_peer",
    "api.request_timeout",
    "api.limits.numbers",
    "api.limits.parts",
    "ops",
    "mm4rx.listen",
    "mm4rx.max_connections",
    "mm4rx.max_connections_per_peer",
    "mm4rx.mails_per_second",
    "mm4rx.mail_memory",
    "mm4rx.spool",
    "mm7rx.listen",
    "mm7rx.max_connections",
    "mm7rx.max_connections_per_peer",
    "mm7rx.max_requests",
    "mm7rx.body_memory",
    "mm7rx.idle_timeout",
];
/// What below that is not.
const MOVING: [&str; 2] = ["general.default_gateway", "ops.tls"];
/// What of a gateway file is about who may come in and where, and not about the way to the carrier.
const DOORS: [&str; 16] = [
    "inbound.username",
    "inbound.password",
    "inbound.password_file",
    "inbound.password_scheme",
    "inbound.digest_algorithms",
    "inbound.bearer_token",
    "inbound.bearer_token_file",
    "inbound.client_certificates",
    "inbound.allow",
    "inbound.check_vaspid",
    "inbound.relay_server_id",
    "inbound.host",
    "inbound.tls",
    "inbound.path",
    "inbound.requests_per_second",
    "inbound.media_url_prefix",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn gateway(group: &str, more: &str) -> (&'static str, String) {
        let text = format!(
            "gateway = {{ protocol = 'MM7', version = '6.8.0', name = 'x', group = '{group}' }}\n\
             outbound.remote_host = 'http://127.0.0.1:1/'\n{more}\n"
        );
        ("gateway", text)
    }

    fn load(main: &str, gateways: &[(&str, String)]) -> Settings {
        Settings::from_texts(main, gateways, Path::new("/")).unwrap()
    }

    fn between(now: (&str, &[(&str, String)]), new: (&str, &[(&str, String)])) -> Changes {
        let (now, new) = (load(now.0, now.1), load(new.0, new.1));
        Changes::between(&now.source, &now, &new)
    }

    #[test]
    fn the_same_is_no_change_and_order_of_files_is_none() {
        let (a, b) = (gateway("a", ""), gateway("b", ""));
        let one = [a.clone(), b.clone()];
        let other = [b, a];
        let changes = between(("log.level = 'info'", &one), ("[log]\nlevel = 'info' # as before", &other));
        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn groups_come_go_and_change() {
        let now = [gateway("a", ""), gateway("b", ""), gateway("c", "")];
        let new = [gateway("a", ""), gateway("b", "outbound.timeout = '3s'"), gateway("d", "")];
        let changes = between(("", &now), ("", &new));
        assert_eq!(changes.added, ["d".parse().unwrap()]);
        assert_eq!(changes.changed, [("b".parse().unwrap(), vec!["outbound.timeout".to_owned()])]);
        assert_eq!(changes.removed, ["c".parse().unwrap()]);
        assert!(changes.settings.is_empty() && changes.at_next_start.is_empty());
    }

    #[test]
    fn who_may_come_in_does_not_touch_the_way_out() {
        let now = [gateway("a", "inbound.allow = ['192.0.2.1/32']")];
        let new = [gateway("a", "inbound.allow = ['192.0.2.2/32']\ninbound.path = '/a'")];
        let changes = between(("", &now), ("", &new));
        assert_eq!(changes.settings, ["gateway a: inbound.allow", "gateway a: inbound.path"]);
        assert!(changes.changed.is_empty());
        let tls = "inbound.host = '127.0.0.1:9001'\n[inbound.tls]\ncert_file = 'a'\nkey_file = 'b'";
        let plain = [gateway("a", "inbound.host = '127.0.0.1:9001'")];
        let changes = between(("", &plain), ("", &[gateway("a", tls)]));
        assert_eq!(
            changes.at_next_start,
            ["gateway a: inbound.tls.cert_file", "gateway a: inbound.tls.key_file"]
        );
    }

    #[test]
    fn what_holds_at_once_and_what_waits_is_told_by_key() {
        let now = "[api.tls]\ncert_file = 'a'\nkey_file = 'b'\n[general]\nmms_ttl = '1h'\n";
        let new = "[api]\nlisten = '127.0.0.1:1'\nmax_body = 5\nkey = []\n[api.tls]\ncert_file = 'c'\nkey_file = 'b'\n\
                   [general]\nmms_ttl = '2h'\ndefault_gateway = 'a'\n[ops]\ndashboard = false\n\
                   [ops.tls]\ncert_file = 'a'\nkey_file = 'b'\n[mm4rx.peers]\n'192.0.2.1' = 'a'\n\
                   [callbacks]\ntimeout = '1s'\n[log]\nlevel = 'debug'\nformat = 'json'\n";
        let changes = between((now, &[gateway("a", "")]), (new, &[gateway("a", "")]));
        assert_eq!(
            changes.settings,
            [
                "api.key",
                "api.max_body",
                "api.tls.cert_file",
                "callbacks.timeout",
                "general.default_gateway",
                "log.level",
                "mm4rx.peers.192.0.2.1",
            ]
        );
        assert_eq!(
            changes.at_next_start,
            [
                "api.listen",
                "general.mms_ttl",
                "log.format",
                "ops.dashboard",
                "ops.tls.cert_file",
                "ops.tls.key_file",
            ]
        );
        assert!(changes.touches(&["callbacks"]) && !changes.touches(&["media", "call"]));
    }

    #[test]
    fn what_waits_is_told_again_until_the_start() {
        let [started, first, second] =
            ["", "ops.dashboard = false", "ops.dashboard = false\nlog.level = 'debug'"]
                .map(|text| load(text, &[]));
        let changes = Changes::between(&started.source, &first, &second);
        assert_eq!(
            (changes.settings, changes.at_next_start),
            (vec!["log.level".into()], vec!["ops.dashboard".into()])
        );
    }
}
