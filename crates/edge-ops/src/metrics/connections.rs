//! Connections, both ways.

use std::sync::Arc;

use mmsgw_net::ListenerCounts;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labelled, Labels, Told, of_group};

/// A listener by the name that it has in metrics, and its connections.
pub type NamedListener = (String, Arc<ListenerCounts>);

/// Those that peers opened.
pub(super) fn write_listeners(registry: &mut Registry, listeners: &[NamedListener]) {
    let open = Family::<Labels, Gauge>::default();
    for (name, counts) in listeners {
        open.get_or_create(&of_listener(name)).set(i64::try_from(counts.open()).unwrap_or(i64::MAX));
    }
    registry.register("listener_connections", "Connections open on a listener", open);
    for (name, help, count) in LISTENERS {
        let family = Labelled::default();
        for (listener, counts) in listeners {
            family.get_or_create(&of_listener(listener)).inc_by(count(counts));
        }
        registry.register(name, help, family);
    }
}

/// Those to carriers.
pub(super) fn write_carriers(registry: &mut Registry, groups: &[Told]) {
    let now = Family::<Labels, Gauge>::default();
    let (opened, failed) = <(Labelled, Labelled)>::default();
    for Told { name, connections, .. } in groups {
        let states = [("busy", Some(connections.busy)), ("idle", connections.idle)];
        for (state, count) in states.into_iter().filter_map(|(state, count)| Some((state, count?))) {
            let mut labels = of_group(name);
            labels.push(("state", state.to_owned()));
            now.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let counters: [(&Family<Labels, Counter>, u64); 2] =
            [(&opened, connections.opened), (&failed, connections.failed)];
        for (family, count) in counters {
            family.get_or_create(&of_group(name)).inc_by(count);
        }
    }
    registry.register("carrier_connections", "Connections to the carrier, at work or idle", now);
    registry.register("carrier_connections_opened", "Connections to the carrier that came about", opened);
    registry.register(
        "carrier_connections_failed",
        "Attempts to connect to the carrier that came to nothing",
        failed,
    );
}

fn of_listener(name: &str) -> Labels {
    vec![("listener", name.to_owned())]
}

type Row = (&'static str, &'static str, fn(&ListenerCounts) -> u64);

const LISTENERS: [Row; 3] = [
    ("listener_connections_accepted", "Connections accepted", ListenerCounts::accepted),
    (
        "listener_connections_refused",
        "Connections accepted and not served: peer not allowed, or no TLS",
        ListenerCounts::refused,
    ),
    (
        "listener_full",
        "How often a listener had as many connections as it may, so that newcomers waited",
        ListenerCounts::full,
    ),
];
