//! Keeps endpoints apart: one that is dead or slow must not hold up callbacks to the others.
//!
//! An endpoint is a scheme, host and port. Three rules, all in memory and per process:
//!
//! * **A cap**: so many calls in flight, and the others wait in line, but only while the line moves: who would have
//!   to wait longer than the limit is sent away at once.
//! * **A circuit**: after some failures in a row the endpoint is closed for a growing time, in which everybody is
//!   sent away, those in the line included. Then one probe at a time may try; the first success opens it again.
//! * **A bound**: so many endpoints are remembered; those not called for longest go first.
//!
//! What counts as a failure is decided in [`verdict`](crate::verdict).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::config::CallbackSettings;

/// What a call told about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers.
    Alive,
    /// It does not, or says that it is overloaded.
    Ailing {
        /// The pause that it asked for.
        pause: Option<Duration>,
    },
}

/// A call must not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotNow {
    /// Why, for people.
    pub(crate) reason: &'static str,
    /// When it may be possible.
    pub(crate) pause: Duration,
}

/// See [`CallbackSettings`] for the fields.
#[derive(Debug, Clone, Copy)]
struct Limits {
    in_flight: usize,
    max_wait: Duration,
    trip_after: u32,
    closed_min: Duration,
    closed_max: Duration,
    remembered: usize,
}

/// All endpoints that were called lately.
pub(crate) struct Endpoints {
    limits: Limits,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    known: HashMap<String, (Arc<Endpoint>, u64)>,
    clock: u64,
}

impl Endpoints {
    pub(crate) fn new(settings: &CallbackSettings) -> Self {
        let limits = Limits {
            in_flight: settings.in_flight.clamp(1, Semaphore::MAX_PERMITS),
            max_wait: settings.max_wait.0,
            trip_after: settings.trip_after.max(1),
            closed_min: settings.closed_min.0,
            closed_max: settings.closed_max.0.max(settings.closed_min.0),
            remembered: settings.endpoints.max(1),
        };
        Self { limits, shelf: Mutex::default() }
    }

    /// A turn to call the endpoint of that name, perhaps after a short wait in line.
    pub(crate) async fn enter(&self, name: &str) -> Result<Turn, NotNow> {
        let endpoint = self.endpoint(name);
        let tripped = endpoint.tripped.notified();
        tokio::pin!(tripped);
        tripped.as_mut().enable();
        if endpoint.gate()? {
            return Ok(Turn::new(endpoint.clone(), None, true));
        }
        if let Ok(permit) = Arc::clone(&endpoint.permits).try_acquire_owned() {
            return Ok(Turn::new(endpoint.clone(), Some(permit), false));
        }
        let _place = endpoint.queue_up()?;
        let permit = tokio::select! {
            permit = timeout(self.limits.max_wait, Arc::clone(&endpoint.permits).acquire_owned()) => permit,
            () = tripped => return endpoint.probe_only(),
        };
        let Ok(Ok(permit)) = permit else { return Err(endpoint.busy()) };
        // The permit may come from the very call that closed the circuit.
        let probe = endpoint.gate()?;
        Ok(Turn::new(endpoint.clone(), Some(permit), probe))
    }

    /// Closed no longer, where it was.
    pub(crate) fn reopen(&self, name: &str) {
        if let Some((endpoint, _)) = self.shelf.lock().known.get(name) {
            let mut state = endpoint.state.lock();
            (state.failures, state.closed) = (0, None);
        }
    }

    fn endpoint(&self, name: &str) -> Arc<Endpoint> {
        let mut shelf = self.shelf.lock();
        shelf.clock += 1;
        let clock = shelf.clock;
        if let Some((endpoint, used)) = shelf.known.get_mut(name) {
            *used = clock;
            return Arc::clone(endpoint);
        }
        if shelf.known.len() >= self.limits.remembered {
            shelf.make_room();
        }
        let endpoint = Arc::new(Endpoint::new(self.limits));
        shelf.known.insert(name.to_owned(), (Arc::clone(&endpoint), clock));
        endpoint
    }
}

impl Shelf {
    /// Forgets an eighth, so that a stream of new names costs little each. An endpoint in use lives on with its users.
    fn make_room(&mut self) {
        let mut used: Vec<u64> = self.known.values().map(|(_, used)| *used).collect();
        let index = used.len() / 8;
        let (_, oldest, _) = used.select_nth_unstable(index);
        let oldest = *oldest;
        self.known.retain(|_, (_, used)| *used > oldest);
    }
}

#[derive(Debug)]
struct Endpoint {
    limits: Limits,
    permits: Arc<Semaphore>,
    tripped: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Failures in a row.
    failures: u32,
    closed: Option<Closed>,
    /// A moving average of how long an exchange takes.
    usual: Duration,
    /// When a call last began or ended.
    moved: Instant,
    /// Calls in line.
    waiting: u32,
}

#[derive(Debug)]
struct Closed {
    until: Instant,
    span: Duration,
    probing: bool,
}

impl Endpoint {
    fn new(limits: Limits) -> Self {
        let state =
            State { failures: 0, closed: None, usual: Duration::ZERO, moved: Instant::now(), waiting: 0 };
        Self {
            limits,
            permits: Arc::new(Semaphore::new(limits.in_flight)),
            tripped: Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// Whether the circuit lets a call through: as one of many (false) or as the probe (true).
    fn gate(&self) -> Result<bool, NotNow> {
        let mut state = self.state.lock();
        let Some(closed) = &mut state.closed else { return Ok(false) };
        let pause = closed.until.saturating_duration_since(Instant::now());
        let away = |pause| Err(NotNow { reason: "the endpoint failed several times in a row", pause });
        match (pause.is_zero(), closed.probing) {
            (false, _) => away(pause),
            (true, true) => away(closed.span),
            (true, false) => {
                closed.probing = true;
                Ok(true)
            }
        }
    }

    /// For those in line when the circuit closes: away, or the probe should that be due already.
    fn probe_only(self: &Arc<Self>) -> Result<Turn, NotNow> {
        if self.gate()? { Ok(Turn::new(Arc::clone(self), None, true)) } else { Err(self.busy()) }
    }

    /// A place in the line, if it moves fast enough.
    fn queue_up(&self) -> Result<Place<'_>, NotNow> {
        let mut state = self.state.lock();
        let lanes = u32::try_from(self.limits.in_flight).unwrap_or(u32::MAX);
        let expected = state.usual.saturating_mul(state.waiting.saturating_add(1)) / lanes;
        if expected.max(state.moved.elapsed()) > self.limits.max_wait {
            return Err(self.busy());
        }
        state.waiting += 1;
        Ok(Place(self))
    }

    fn busy(&self) -> NotNow {
        NotNow { reason: "too many calls to the endpoint are in flight", pause: self.limits.max_wait }
    }

    fn settle(&self, probe: bool, took: Duration, health: Health) {
        let mut state = self.state.lock();
        state.usual = if state.usual.is_zero() { took } else { (state.usual * 7 + took) / 8 };
        state.moved = Instant::now();
        let Health::Ailing { pause } = health else {
            state.failures = 0;
            state.closed = None;
            return;
        };
        state.failures = state.failures.saturating_add(1);
        let span = match &state.closed {
            Some(closed) if probe => closed.span.saturating_mul(2).min(self.limits.closed_max),
            // A call that began before the circuit closed tells nothing new.
            Some(_) => return,
            None if state.failures >= self.limits.trip_after => self.limits.closed_min,
            None => return,
        };
        let asked = pause.unwrap_or_default().min(self.limits.closed_max);
        state.closed = Some(Closed { until: state.moved + span.max(asked), span, probing: false });
        drop(state);
        self.tripped.notify_waiters();
    }
}

/// A place in an endpoint's line.
struct Place<'a>(&'a Endpoint);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waiting -= 1;
    }
}

/// The right to make one call.
#[derive(Debug)]
pub(crate) struct Turn {
    endpoint: Arc<Endpoint>,
    began: Instant,
    probe: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    fn new(endpoint: Arc<Endpoint>, permit: Option<OwnedSemaphorePermit>, probe: bool) -> Self {
        let began = Instant::now();
        endpoint.state.lock().moved = began;
        Self { endpoint, began, probe, _permit: permit }
    }

    /// Says what the call told.
    pub(crate) fn done(self, health: Health) {
        self.endpoint.settle(self.probe, self.began.elapsed(), health);
    }
}

impl Drop for Turn {
    /// A probe that was dropped without a word makes place for another.
    fn drop(&mut self) {
        if self.probe
            && let Some(closed) = &mut self.endpoint.state.lock().closed
        {
            closed.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SICK: Health = Health::Ailing { pause: None };

    fn endpoints(change: impl FnOnce(&mut CallbackSettings)) -> Endpoints {
        let mut settings = CallbackSettings::default();
        change(&mut settings);
        Endpoints::new(&settings)
    }

    async fn fail(endpoints: &Endpoints, times: u32) {
        for _ in 0..times {
            endpoints.enter("a").await.expect("the gate is open").done(SICK);
        }
    }

    async fn pause(endpoints: &Endpoints) -> Option<u64> {
        endpoints.enter("a").await.err().map(|away| away.pause.as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_close_the_circuit_and_a_success_between_does_not() {
        let endpoints = endpoints(|_| ());
        fail(&endpoints, 4).await;
        endpoints.enter("a").await.unwrap().done(Health::Alive);
        fail(&endpoints, 4).await;
        assert_eq!(pause(&endpoints).await, None);
        fail(&endpoints, 1).await;
        assert_eq!(pause(&endpoints).await, Some(1));
        assert!(endpoints.enter("b").await.is_ok(), "another endpoint is not concerned");
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_closed_times_double_up_to_the_limit() {
        let endpoints = endpoints(|_| ());
        fail(&endpoints, 5).await;
        for closed in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(pause(&endpoints).await, Some(closed));
            tokio::time::advance(Duration::from_secs(closed)).await;
            let probe = endpoints.enter("a").await.expect("a probe");
            assert_eq!(pause(&endpoints).await, Some(closed), "a second probe");
            drop(probe);
            let probe = endpoints.enter("a").await.expect("a probe after one that was dropped");
            probe.done(SICK);
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        endpoints.enter("a").await.unwrap().done(Health::Alive);
        let open = [endpoints.enter("a").await, endpoints.enter("a").await];
        assert!(open.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn a_circuit_is_opened_on_order() {
        let endpoints = endpoints(|_| ());
        fail(&endpoints, 5).await;
        endpoints.reopen("b");
        assert!(pause(&endpoints).await.is_some());
        endpoints.reopen("a");
        fail(&endpoints, 4).await;
        assert_eq!(pause(&endpoints).await, None, "failures count anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_was_asked_for_is_kept_within_the_limit() {
        for (asked, kept) in [(20, 20), (9999, 60)] {
            let endpoints = endpoints(|settings| settings.trip_after = 1);
            let sick = Health::Ailing { pause: Some(Duration::from_secs(asked)) };
            endpoints.enter("a").await.unwrap().done(sick);
            assert_eq!(pause(&endpoints).await, Some(kept));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_line_at_a_quick_endpoint_moves_and_nobody_is_sent_away() {
        let endpoints = Arc::new(endpoints(|settings| settings.in_flight = 4));
        let calls = (0..200).map(|_| {
            let endpoints = Arc::clone(&endpoints);
            tokio::spawn(async move {
                let turn = endpoints.enter("a").await.ok()?;
                tokio::time::sleep(Duration::from_millis(10)).await;
                turn.done(Health::Alive);
                Some(())
            })
        });
        for call in calls.collect::<Vec<_>>() {
            assert!(call.await.unwrap().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_stuck_endpoint_the_first_wait_a_little_and_the_next_not_at_all() {
        let endpoints = endpoints(|settings| settings.in_flight = 2);
        let stuck = [endpoints.enter("a").await, endpoints.enter("a").await];
        let start = Instant::now();
        assert_eq!(pause(&endpoints).await, Some(1));
        assert_eq!(start.elapsed().as_secs(), 1);
        tokio::time::advance(Duration::from_millis(10)).await;
        let start = Instant::now();
        assert_eq!(pause(&endpoints).await, Some(1));
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(stuck);
        assert_eq!(pause(&endpoints).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_line_at_a_slow_endpoint_stays_short() {
        let endpoints = Arc::new(endpoints(|settings| settings.in_flight = 2));
        let slow = endpoints.enter("a").await.unwrap();
        tokio::time::advance(Duration::from_secs(4)).await;
        slow.done(Health::Alive);
        let _busy = [endpoints.enter("a").await, endpoints.enter("a").await];
        let start = Instant::now();
        assert_eq!(pause(&endpoints).await, Some(1), "two seconds are to be expected");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn those_in_line_are_sent_away_when_the_circuit_closes() {
        let endpoints = Arc::new(endpoints(|settings| {
            (settings.in_flight, settings.trip_after) = (1, 1);
            settings.closed_min = mmsgw_domain::Span::secs(9);
        }));
        let failing = endpoints.enter("a").await.unwrap();
        let inner = Arc::clone(&endpoints);
        let waiting = tokio::spawn(async move { inner.enter("a").await.err() });
        tokio::time::sleep(Duration::from_millis(10)).await;
        failing.done(SICK);
        let away = waiting.await.unwrap().expect("sent away");
        assert_eq!(away.pause, Duration::from_secs(9));
    }

    #[tokio::test]
    async fn the_least_lately_called_endpoints_are_forgotten() {
        let endpoints = endpoints(|settings| (settings.endpoints, settings.trip_after) = (16, 1));
        fail(&endpoints, 1).await;
        for name in 0..1000 {
            drop(endpoints.enter(&name.to_string()).await);
            assert!(endpoints.shelf.lock().known.len() <= 16);
            assert!(pause(&endpoints).await.is_some(), "called all the time, so remembered");
        }
        for name in 0..20 {
            drop(endpoints.enter(&name.to_string()).await);
        }
        assert_eq!(pause(&endpoints).await, None, "forgotten, with its failures");
    }
}
