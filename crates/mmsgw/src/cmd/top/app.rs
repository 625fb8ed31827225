//! What the screen shows: the last look, how rates went, what happened, and what the person at the keys is about.
//! Knows no terminal and no network.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::look::{Look, Rates, count};
use super::sheet::Sheet;
use crate::table::text;

/// The pages of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Overview,
    Instances,
    Queues,
    Events,
}

impl Page {
    pub(super) const ALL: [Self; 4] = [Self::Overview, Self::Instances, Self::Queues, Self::Events];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => "1 Overview",
            Self::Instances => "2 Instances",
            Self::Queues => "3 Queues",
            Self::Events => "4 Events",
        }
    }

    pub(super) fn number(self) -> usize {
        Self::ALL.iter().position(|page| *page == self).unwrap_or(0)
    }

    /// The one so many pages further, round and round.
    pub(super) fn step(self, by: usize) -> Self {
        Self::ALL[(self.number() + by) % Self::ALL.len()]
    }
}

/// What is between the person and the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Looking,
    Help,
    /// Asks why, before an order leaves.
    Asking {
        deed: Deed,
        group: String,
        reason: String,
    },
}

/// What can be done to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Pause,
    Resume,
}

impl Deed {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// How the order of a page's rows was chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sorting {
    pub(super) column: usize,
    pub(super) is_reversed: bool,
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct App {
    /// Where the gateway is, as it was given.
    pub(super) at: String,
    pub(super) page: Page,
    pub(super) mode: Mode,
    pub(super) look: Option<Look>,
    /// The looks of the last seconds, the oldest first, from which rates are taken.
    recent: VecDeque<Look>,
    /// Why there is no newer look, and since when.
    pub(super) lost: Option<(Instant, String)>,
    pub(super) rates: HashMap<String, Rates>,
    /// Messages sent by each instance in a second.
    sent: HashMap<String, f64>,
    pub(super) history: History,
    pub(super) events: VecDeque<Value>,
    /// Events that this listener was too slow for.
    pub(super) missed: u64,
    /// Whether live events are heard at the moment.
    pub(super) is_listening: bool,
    /// No new event is shown, so that the old ones can be read.
    pub(super) is_frozen: bool,
    /// What became of the last order.
    pub(super) notice: Option<String>,
    selected: [usize; 4],
    sorting: [Sorting; 4],
}

/// The rates of all groups together at each look, the newest last.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) accepted: VecDeque<f64>,
    pub(super) sent: VecDeque<f64>,
    pub(super) failed: VecDeque<f64>,
}

impl App {
    pub(super) fn new(at: String) -> Self {
        Self {
            at,
            page: Page::Overview,
            mode: Mode::Looking,
            look: None,
            recent: VecDeque::new(),
            lost: None,
            rates: HashMap::new(),
            sent: HashMap::new(),
            history: History::default(),
            events: VecDeque::new(),
            missed: 0,
            is_listening: false,
            is_frozen: false,
            notice: None,
            selected: [0; 4],
            sorting: [Sorting::default(); 4],
        }
    }

    /// A look that came.
    pub(super) fn looked(&mut self, look: Look) {
        // Rates over a gap in which nobody looked would flatten what happened in it.
        if self.lost.is_some() {
            self.recent.clear();
        }
        if let Some(before) = self.recent.front() {
            self.rates = look.rates_since(before);
            self.sent = look.sent_since(before);
            let mut all = Rates::default();
            self.rates.values().for_each(|rates| all += *rates);
            self.history.push(all);
        }
        while self.recent.front().is_some_and(|old| look.at.duration_since(old.at) >= OVER) {
            self.recent.pop_front();
        }
        self.recent.push_back(look.clone());
        self.lost = None;
        self.look = Some(look);
        self.keep_selection();
    }

    /// The gateway did not answer.
    pub(super) fn lost(&mut self, at: Instant, why: String) {
        let since = self.lost.as_ref().map_or(at, |(since, _)| *since);
        self.lost = Some((since, why));
        self.is_listening = false;
    }

    /// Something happened to a message.
    pub(super) fn happened(&mut self, event: Value) {
        if self.is_frozen {
            return;
        }
        self.events.push_front(event);
        self.events.truncate(MOST_EVENTS);
        // The rows move down; who reads one goes on reading it.
        let selected = &mut self.selected[Page::Events.number()];
        if *selected > 0 {
            *selected = (*selected + 1).min(self.events.len() - 1);
        }
    }

    /// The rows of the page.
    pub(super) fn sheet(&self) -> Sheet {
        let Some(look) = &self.look else { return Sheet::default() };
        let mut sheet = match self.page {
            Page::Overview => Sheet::groups(look, &self.rates),
            Page::Instances => Sheet::instances(look, &self.sent),
            Page::Queues => Sheet::queues(look),
            // In the order in which they happened.
            Page::Events => return Sheet::events(self.events.iter()),
        };
        sheet.sort(self.sorting());
        sheet
    }

    pub(super) fn sorting(&self) -> Sorting {
        self.sorting[self.page.number()]
    }

    pub(super) fn selected(&self) -> usize {
        self.selected[self.page.number()]
    }

    /// The group that the selected row is about.
    pub(super) fn group(&self) -> Option<String> {
        self.sheet().rows.get(self.selected()).and_then(|row| row.group.clone())
    }

    /// The health of a group.
    pub(super) fn health(&self, group: &str) -> &str {
        let gateways = self.look.iter().flat_map(|look| &look.gateways);
        let mut found = gateways.filter(|gateway| text(gateway, "group") == group);
        found.next().map(|gateway| text(gateway, "health")).unwrap_or_default()
    }

    pub(super) fn turn_to(&mut self, page: Page) {
        self.page = page;
        self.notice = None;
        self.keep_selection();
    }

    /// Moves the selection by so many rows.
    pub(super) fn move_by(&mut self, rows: isize) {
        let last = self.sheet().rows.len().saturating_sub(1);
        let selected = &mut self.selected[self.page.number()];
        *selected = selected.saturating_add_signed(rows).min(last);
    }

    /// Sorts by the next column.
    pub(super) fn sort_next(&mut self) {
        let columns = self.sheet().head.len();
        let sorting = &mut self.sorting[self.page.number()];
        *sorting = Sorting { column: (sorting.column + 1) % columns.max(1), is_reversed: false };
    }

    pub(super) fn sort_reversed(&mut self) {
        let sorting = &mut self.sorting[self.page.number()];
        sorting.is_reversed = !sorting.is_reversed;
    }

    fn keep_selection(&mut self) {
        self.move_by(0);
    }
}

impl History {
    fn push(&mut self, rates: Rates) {
        let Rates { accepted, sent, failed } = rates;
        for (series, value) in
            [(&mut self.accepted, accepted), (&mut self.sent, sent), (&mut self.failed, failed)]
        {
            series.push_back(value);
            if series.len() > MOST_POINTS {
                series.pop_front();
            }
        }
    }
}

/// How long a gateway has not been heard of.
pub(super) fn silent_for(since: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(since)
}

/// What waits in all groups, what is in flight, what was given up: queue member by kind.
pub(super) fn total(look: &Look, of: impl Fn(&Value) -> u64) -> f64 {
    count(look.gateways.iter().map(of).sum())
}

/// Rates are taken over so much time: processes tell of themselves every few seconds, not with each look.
const OVER: Duration = Duration::from_secs(5);
/// Points of a curve: more than a wide terminal has columns.
const MOST_POINTS: usize = 400;
/// Events that can be scrolled through.
const MOST_EVENTS: usize = 1_000;
