//! What goes back to the peer about a message that it handed to us.
//!
//! A message that came by DeliverReq is told about in the HTTP response and never again: TS 23.140 has no
//! report from a provider to a relay/server. One that came by SubmitReq is reported on to
//! `inbound.report_url`, number by number.

use mmsgw_domain::{Address, Code, ReportKind};
use mmsgw_engine::{Answer, Delivery, OutboundReport, Outcome, Verdict};
use mmsgw_mm7::{self as mm7, Packaged};

use crate::send::Mm7Gateway;
use crate::verdict::Asked;

impl Mm7Gateway {
    /// Tells the peer, where it is to be told, and says what became of it.
    pub(crate) async fn tell(&self, report: &OutboundReport) -> Verdict {
        if report.order.kind == ReportKind::Acknowledgement {
            return Verdict::all(told_already());
        }
        // Only the answer to a SubmitReq gives a message an id.
        let ids = report.message.carrier_ids.as_ref();
        let Some(message_id) = ids.and_then(|ids| ids.message.as_deref()) else {
            return Verdict::all(never("MM7 has no report to an MMSC about a message that it delivered"));
        };
        let recipients = recipients(report);
        if recipients.is_empty() {
            return Verdict::all(never("the report names no number of the message"));
        }
        let mut outcomes = Vec::with_capacity(recipients.len());
        for (index, recipient) in recipients.iter().enumerate() {
            let transaction_id = match index {
                0 => report.transaction_id.clone(),
                _ => format!("{}-{index}", report.transaction_id),
            };
            let delivery = self.tell_one(report, (message_id, transaction_id), recipient).await;
            outcomes.push(Outcome { recipients: vec![recipient.clone()], delivery });
        }
        Verdict { outcomes }
    }

    async fn tell_one(&self, report: &OutboundReport, ids: (&str, String), recipient: &Address) -> Delivery {
        let Some(way) = &self.reports else {
            return never("no report is sent, as `inbound.report_url` names no place for it");
        };
        let Some(request) = self.translator.report(report, ids, recipient) else { return told_already() };
        let envelope = match mm7::write_envelope(&request, &self.options) {
            Ok(envelope) => self.charset.encode(envelope),
            Err(error) => return never(&format!("the report cannot be written as MM7: {error}")),
        };
        let heard = self.exchange(way, Packaged::bare(envelope, self.charset), report.now).await;
        let asked =
            Asked { message: report.message.id, transaction_id: &request.transaction_id, recipients: &[] };
        let mut outcomes = self.judge.verdict(asked, heard).outcomes;
        outcomes.pop().map_or_else(|| never("the answer says nothing"), |outcome| outcome.delivery)
    }
}

/// The numbers that a report is about, by their names in the message.
fn recipients(report: &OutboundReport) -> Vec<Address> {
    let named = &report.order.recipients;
    let ours = report.message.recipients.iter().map(|recipient| &recipient.address);
    ours.filter(|address| named.is_empty() || named.contains(address)).cloned().collect()
}

fn told_already() -> Delivery {
    let answer = Answer::own(Code::OK, "the HTTP response has acknowledged the message already");
    Delivery::Sent { peer_ref: None, answer, acknowledged: true }
}

fn never(why: &str) -> Delivery {
    Delivery::Fail { answer: Answer::own(Code::UNSUPPORTED, why) }
}

#[cfg(test)]
mod tests;
