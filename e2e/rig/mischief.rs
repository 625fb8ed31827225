//! Faults by chance: what may go wrong round a [`Site`], drawn from a seed, each for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mmsgw_mmsc_sim::{
    Delay, Mm4Answer, Mm4Behaviour, Mm4Stage, Mm7Answer, Mm7Behaviour, Mm7Stage, Plan, Rule, Script,
};

use super::crash::{Chance, Mood};
use super::site::Site;
use super::wire::Flaw;

/// A word in the subject of messages that the carrier refuses for good.
pub(crate) const REFUSED: &str = "refuse me";

/// A carrier that takes all but what it is to refuse, within moments.
pub(crate) fn good_carrier() -> Script {
    let within = |max_ms| Plan { delay: Delay::range(0, max_ms), ..Plan::default() };
    let refuse_mm7 = Mm7Answer::Status { code: 2002, text: None, details: None };
    let refuse_mm4 = Mm4Answer::Reply { at: Mm4Stage::EndOfData, code: 550, text: None };
    let mm7 = Mm7Behaviour {
        delay: Delay::range(0, 20),
        delivery: within(300),
        read: within(600),
        ..Mm7Behaviour::default()
    };
    let mm4 = Mm4Behaviour {
        delay: Delay::range(0, 20),
        res: within(200),
        delivery: within(300),
        read: within(600),
        ..Mm4Behaviour::default()
    };
    let refusal = Rule {
        subject: Some(REFUSED.to_owned()),
        mm7: Some(Mm7Behaviour { answer: refuse_mm7, ..mm7.clone() }),
        mm4: Some(Mm4Behaviour { answer: refuse_mm4, ..mm4.clone() }),
        ..Rule::default()
    };
    Script { mm7, mm4, rules: vec![refusal], report_retries: 100_000, report_retry_ms: 100, keeps_word: true }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// A process is killed, and started again.
    Kill(usize),
    /// Redis is killed, and started again after a while.
    RedisDies,
    /// Redis stands still.
    RedisFreezes,
    /// The wire of that number has a flaw.
    Wire(usize),
    /// Carriers answer nonsense, or nothing.
    Carrier,
    /// The application answers 503, or nothing; for events or for messages from phones.
    Application(bool),
}

/// Draws faults and puts them right again.
pub(crate) struct Mischief {
    chance: Chance,
    /// What is wrong now, and until when.
    now: Vec<(Fault, Instant)>,
    /// How often each kind of fault was drawn.
    pub(crate) drawn: BTreeMap<String, usize>,
    /// How often a process was killed.
    pub(crate) kills: usize,
}

impl Mischief {
    pub(crate) fn new(chance: Chance) -> Self {
        Self { chance, now: Vec::new(), drawn: BTreeMap::new(), kills: 0 }
    }

    /// Lets a while pass, ends what has lasted long enough, and begins something else.
    pub(crate) async fn step(&mut self, site: &Site) {
        self.chance.pause(100, 600).await;
        self.end_due(site, Instant::now());
        let fault = self.draw(site);
        if self.now.iter().any(|(known, _)| *known == fault) || self.now.len() >= MOST_AT_ONCE {
            return;
        }
        let told = self.begin(site, fault).await;
        *self.drawn.entry(told).or_default() += 1;
        let span = Duration::from_millis(self.chance.between(100, 2_000));
        self.now.push((fault, Instant::now() + span));
    }

    /// Everything is right again.
    pub(crate) fn end(&mut self, site: &Site) {
        self.end_due(site, Instant::now() + Duration::from_secs(3600));
        site.calm(good_carrier());
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.chance.between(0, count as u64 - 1)).unwrap()
    }

    fn draw(&mut self, site: &Site) -> Fault {
        let processes = site.processes.lock().unwrap().len();
        let wires = site.wires.all().len();
        match self.chance.between(0, 9) {
            0 | 1 => Fault::Kill(self.below(processes)),
            3 if site.redis.is_some() => Fault::RedisDies,
            4 if site.redis.is_some() => Fault::RedisFreezes,
            5 | 6 => Fault::Carrier,
            7 => Fault::Application(self.chance.between(0, 1) == 0),
            _ => Fault::Wire(self.below(wires)),
        }
    }

    async fn begin(&mut self, site: &Site, fault: Fault) -> String {
        match fault {
            Fault::Kill(process) => {
                self.kills += 1;
                site.processes.lock().unwrap()[process].kill();
                "a process is killed".to_owned()
            }
            Fault::RedisDies => {
                site.redis.as_ref().unwrap().lock().unwrap().kill();
                "Redis is killed".to_owned()
            }
            Fault::RedisFreezes => {
                // Who is dead cannot be frozen.
                if !self.now.iter().any(|(known, _)| *known == Fault::RedisDies) {
                    site.redis.as_ref().unwrap().lock().unwrap().freeze();
                }
                "Redis stands still".to_owned()
            }
            Fault::Wire(wire) => {
                let flaw = match self.chance.between(0, 3) {
                    0 => Flaw::Cut,
                    1 => Flaw::Stall,
                    2 => Flaw::Drip(20),
                    _ => Flaw::HalfOpen,
                };
                let wires = site.wires.all();
                wires[wire].1.be(flaw);
                format!("{}: {}", wires[wire].0, format!("{flaw:?}").to_lowercase())
            }
            Fault::Carrier => {
                let (mm7, mm4) = (self.mm7(), self.mm4());
                let told = format!("carrier: {}", kind(&mm7.answer));
                let told = format!("{told}, {}", kind(&mm4.answer));
                site.carrier.set_script(Script { mm7, mm4, ..good_carrier() });
                told
            }
            Fault::Application(events) => {
                let mood = [Mood::Refuses, Mood::Holds, Mood::TakesMostly][self.below(3)];
                if events { &site.events } else { &site.phones }.set(mood);
                format!("application: {}", format!("{mood:?}").to_lowercase())
            }
        }
    }

    fn end_due(&mut self, site: &Site, now: Instant) {
        for (fault, _) in self.now.extract_if(.., |(_, until)| *until <= now) {
            match fault {
                Fault::Kill(process) => site.processes.lock().unwrap()[process].spawn(),
                Fault::RedisDies => site.redis.as_ref().unwrap().lock().unwrap().start_again(),
                Fault::RedisFreezes => site.redis.as_ref().unwrap().lock().unwrap().thaw(),
                Fault::Wire(wire) => site.wires.all()[wire].1.be(Flaw::None),
                Fault::Carrier => site.carrier.set_script(good_carrier()),
                Fault::Application(true) => site.events.set(Mood::Takes),
                Fault::Application(false) => site.phones.set(Mood::Takes),
            }
        }
    }

    fn mm7(&mut self) -> Mm7Behaviour {
        let answer = match self.chance.between(0, 8) {
            0 => Mm7Answer::Hang,
            1 => Mm7Answer::Garbage,
            2 => Mm7Answer::Disconnect { at: Mm7Stage::BeforeReading },
            3 => Mm7Answer::Disconnect { at: Mm7Stage::AfterReading },
            4 => Mm7Answer::Disconnect { at: Mm7Stage::MidAnswer },
            5 => Mm7Answer::Html { http: 502 },
            6 => Mm7Answer::Status { code: 3000, text: None, details: None },
            7 => Mm7Answer::Fault { code: 4006, text: None, http: Some(503) },
            _ => Mm7Answer::Ok,
        };
        let drips = answer == Mm7Answer::Ok;
        Mm7Behaviour { answer, drip_octets_per_second: drips.then_some(200), ..good_carrier().mm7 }
    }

    fn mm4(&mut self) -> Mm4Behaviour {
        let at = [
            Mm4Stage::Connect,
            Mm4Stage::Ehlo,
            Mm4Stage::Mail,
            Mm4Stage::Rcpt,
            Mm4Stage::Data,
            Mm4Stage::MidData,
            Mm4Stage::EndOfData,
        ][self.below(7)];
        let answer = match self.chance.between(0, 4) {
            0 => Mm4Answer::Hang { at },
            1 => Mm4Answer::Garbage { at },
            2 => Mm4Answer::Disconnect { at },
            // A refusal before the mail is read would not tell whether an earlier try of it was taken.
            3 => Mm4Answer::Reply { at: Mm4Stage::EndOfData, code: 421, text: None },
            _ => Mm4Answer::Reply { at: Mm4Stage::EndOfData, code: 451, text: None },
        };
        Mm4Behaviour { answer, ..good_carrier().mm4 }
    }
}

/// The first word of what a carrier does.
fn kind(answer: &impl std::fmt::Debug) -> String {
    format!("{answer:?}").split([' ', '{']).next().unwrap_or_default().to_lowercase()
}

/// Faults at the same time.
const MOST_AT_ONCE: usize = 3;
