//! What comes from carriers, and what applications are told.

use std::time::{Duration, Instant};

use crate::application::Application;
use crate::bare::Specimen;
use crate::load::{self, Load};
use crate::report::Row;
use crate::workload::{Bench, GROUP, Meter, Protocol, WINDOW, make_template, number};
use crate::world::{Carrier, Gateway, Site};
use crate::{http, world};

impl Bench {
    /// Messages from phones until they are read and stored, their callbacks queued; then those callbacks.
    pub(crate) async fn arrivals(
        &self,
        site: &Site<'_>,
        protocol: Protocol,
        messages: usize,
    ) -> anyhow::Result<Vec<Row>> {
        let (carrier, application) =
            (Carrier::start(site, Duration::ZERO, false)?, Application::start().await?);
        let received = format!("[inbound]\nmms_received_url = '{}'\n", application.url());
        let group = protocol.gateway(GROUP, &carrier, WINDOW) + &received;
        let gateway = Gateway::start(site, &[group]).await?;
        let specimen = Specimen::arriving(protocol, world::OWN_DOMAIN);
        let (meter, begun) = (self.meter(&gateway, &carrier)?, Instant::now());
        let load = specimen.hand_over(gateway.inbound, &Specimen::path(), self.connections, messages).await?;
        gateway.received(GROUP, messages as u64, self.limit).await?;
        let stored = meter.row(&load, begun.elapsed(), messages)?;
        let told = self.tell(&gateway, &carrier, &application, messages).await?;
        Ok(vec![stored, told])
    }

    /// Callbacks of events. They are queued with their messages first, and the application answers then.
    pub(crate) async fn callbacks(&self, site: &Site<'_>, messages: usize) -> anyhow::Result<Vec<Row>> {
        let (carrier, application) =
            (Carrier::start(site, Duration::ZERO, false)?, Application::start().await?);
        let gateway = Gateway::start(site, &[Protocol::Mm7.gateway(GROUP, &carrier, WINDOW)]).await?;
        gateway.steer(GROUP, "pause").await?;
        let (path, url) = (make_template(&gateway).await?, application.url());
        let request = |index: usize| {
            let number = number(index);
            let body = format!(
                "{{\"destination\":[\"{number}\"],\"gateway\":\"{GROUP}\",\"events_url\":\"{url}\"}}"
            );
            http::post(&path, "application/json", body.as_bytes())
        };
        let meter = self.meter(&gateway, &carrier)?;
        let load = load::closed(gateway.api, self.connections, messages, request).await?;
        let mut accepted = meter.row(&load, load.took, messages)?;
        accepted.workload = " accepted".into();
        Ok(vec![accepted, self.tell(&gateway, &carrier, &application, messages).await?])
    }

    /// Has the application answer all callbacks that wait.
    async fn tell(
        &self,
        gateway: &Gateway,
        carrier: &Carrier,
        application: &Application,
        count: usize,
    ) -> anyhow::Result<Row> {
        let (meter, begun): (Meter<'_>, _) = (self.meter(gateway, carrier)?, Instant::now());
        application.open();
        application.took(count as u64, self.limit).await?;
        gateway.until(GROUP, self.limit, |metrics| metrics.jobs("callback") == 0).await?;
        let mut told = meter.row(&Load::default(), begun.elapsed(), count)?;
        told.workload = " told".into();
        Ok(told)
    }
}
