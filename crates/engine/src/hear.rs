//! What a carrier's report says of a message of ours: to which numbers it applies, and whether it came before
//! our own record of what it is about. Pure.

use mmsgw_domain::{
    Address, CarrierReport, Event, InstanceId, Message, Recipient, ReportKind, State, Timestamp,
};

/// The event that a report makes.
pub(crate) fn event_of(
    report: &CarrierReport,
    message: &Message,
    instance: &InstanceId,
    now: Timestamp,
) -> Event {
    let what = match report.kind {
        ReportKind::Acknowledgement => "the carrier's acknowledgement",
        ReportKind::Delivery => "delivery report",
        ReportKind::Read => "read report",
    };
    Event {
        sequence: 0,
        state: report.state,
        code: report.code,
        description: report
            .description
            .clone()
            .unwrap_or_else(|| format!("{what}: {}", report.carrier_status)),
        carrier_status: Some(report.carrier_status.clone()),
        details: None,
        // A carrier's clock is believed as far as it makes sense.
        at: report.at.filter(|at| *at >= message.created && *at <= now).unwrap_or(now),
        instance: Some(instance.clone()),
        destinations: concerned(report, message),
    }
}

/// The numbers that a report is about; none where it is about all of the message's.
///
/// A report that names somebody else is believed where the message has but one number. Otherwise the
/// event names the stranger, and no number of the message moves.
fn concerned(report: &CarrierReport, message: &Message) -> Vec<Address> {
    match named(report, message) {
        Some(numbers) if numbers.len() == message.recipients.len() => Vec::new(),
        Some(numbers) => numbers,
        None if message.recipients.len() == 1 => Vec::new(),
        None if is_silent_on_numbers(report) => taken(report, message),
        None => report.recipients.clone(),
    }
}

/// The numbers of the message that a report names.
fn named(report: &CarrierReport, message: &Message) -> Option<Vec<Address>> {
    let among = |named: &[Address]| -> Vec<Address> {
        message.recipients.iter().map(|r| &r.address).filter(|a| named.contains(a)).cloned().collect()
    };
    [&report.recipients, &report.other_party].map(|named| among(named)).into_iter().find(|n| !n.is_empty())
}

/// An acknowledgement of a mail as a whole.
fn is_silent_on_numbers(report: &CarrierReport) -> bool {
    report.kind == ReportKind::Acknowledgement && report.recipients.is_empty()
}

/// True where an acknowledgement was faster than our own record of which numbers the carrier took: it must
/// not move one that the carrier put off, which would never be sent again, and not be forgotten either.
pub(crate) fn is_early(report: &CarrierReport, message: &Message) -> bool {
    if !message.is_unsent() {
        return false;
    }
    let round = round(report);
    if report.again {
        let is_present = round.is_none_or(|round| round == message.rounds);
        return is_present && concerns(report, message).next().is_none();
    }
    is_silent_on_numbers(report) && message.recipients.len() > 1 && !answered(report, message).any(is_taken)
}

/// What a carrier wants to have once more.
pub(crate) struct TakenBack {
    /// The numbers; none where it is all of the message's.
    pub(crate) numbers: Vec<Address>,
    /// Whether the present round has ended with that; else another mail of that round has ended it.
    pub(crate) is_new_round: bool,
}

/// What is to be sent again; `None` where nothing is, as it is under way already, or has come further.
pub(crate) fn taken_back(report: &CarrierReport, message: &Message) -> Option<TakenBack> {
    let numbers: Vec<Address> = concerns(report, message).map(|r| r.address.clone()).collect();
    let is_new_round = round(report).is_none_or(|round| round == message.rounds);
    let all = numbers.len() == message.recipients.len();
    (!numbers.is_empty())
        .then_some(TakenBack { numbers: if all { Vec::new() } else { numbers }, is_new_round })
}

/// The numbers that the carrier has taken in the mail that a report answers, that have come no further, and
/// that it means.
fn concerns<'a>(report: &CarrierReport, message: &'a Message) -> impl Iterator<Item = &'a Recipient> {
    let named = named(report, message);
    let meant = move |r: &&Recipient| named.as_ref().is_none_or(|named| named.contains(&r.address));
    answered(report, message).filter(|r| r.state == State::Sent).filter(meant)
}

/// The numbers of the mail that a report answers, as far as it tells.
fn answered<'a>(report: &CarrierReport, message: &'a Message) -> impl Iterator<Item = &'a Recipient> {
    let (places, round) = (report.places.clone(), round(report));
    let in_mail = move |(place, recipient): &(usize, &Recipient)| {
        places.as_ref().is_none_or(|places| places.contains(place))
            && round.is_none_or(|round| recipient.round == round)
    };
    message.recipients.iter().enumerate().filter(in_mail).map(|(_, recipient)| recipient)
}

/// The round of ours that a report answers.
fn round(report: &CarrierReport) -> Option<u32> {
    report.about.transaction.as_deref().and_then(Message::round_in)
}

/// The numbers that the carrier took, for an acknowledgement of a mail as a whole; none where that is all.
fn taken(report: &CarrierReport, message: &Message) -> Vec<Address> {
    let taken: Vec<&Recipient> = answered(report, message).filter(|r| is_taken(r)).collect();
    if taken.len() == message.recipients.len() {
        return Vec::new();
    }
    taken.into_iter().map(|recipient| recipient.address.clone()).collect()
}

fn is_taken(recipient: &Recipient) -> bool {
    let given_up = [State::Failed, State::Rejected, State::Expired, State::Cancelled];
    !recipient.state.is_unsent() && !given_up.contains(&recipient.state)
}
