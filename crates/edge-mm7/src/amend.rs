//! Takes back a message that the MMSC has, or puts other content in its place.
//!
//! Such a request names a message by the MMSC's id and no numbers, so that it is about all numbers of that id.
//! A message that went out as several submissions has several ids and takes a request for each.

use mmsgw_domain::{Address, Code, Recipient};
use mmsgw_engine::{Amendment, AmendmentKind, Answer, Delivery, Outcome, Verdict};

use crate::send::{Mm7Gateway, unwritable};
use crate::verdict::Asked;

/// The numbers of one submission.
struct Submission<'a> {
    message_id: &'a str,
    recipients: Vec<Recipient>,
}

impl Mm7Gateway {
    /// Asks the MMSC, once for each of its ids of the message, and says what became of each number.
    pub(crate) async fn change(&self, amendment: &Amendment) -> Verdict {
        let (submissions, nameless) = submissions(amendment);
        let mut outcomes = Vec::new();
        if !nameless.is_empty() {
            let delivery =
                never(Code::UNKNOWN, "the MMSC gave no id of the message, so that it cannot be named");
            outcomes.push(Outcome { recipients: nameless, delivery });
        }
        for (index, submission) in submissions.iter().enumerate() {
            let transaction = match index {
                0 => amendment.transaction_id.clone(),
                _ => format!("{}-{index}", amendment.transaction_id),
            };
            let found = self.change_one(amendment, submission, &transaction).await;
            outcomes.extend(found.outcomes.into_iter().map(|outcome| named(outcome, submission)));
        }
        Verdict { outcomes }
    }

    async fn change_one(
        &self,
        amendment: &Amendment,
        submission: &Submission<'_>,
        transaction: &str,
    ) -> Verdict {
        if let Some(other) = bystander(amendment, submission) {
            let why = format!("the MMSC has one id for this number and {other}, and can only change both");
            return Verdict::all(never(Code::UNSUPPORTED, &why));
        }
        let ids = (submission.message_id, transaction);
        let packaged = match &amendment.change {
            AmendmentKind::Withdraw => {
                self.package(None, |_| self.translator.cancel(&amendment.message, ids)).await
            }
            AmendmentKind::Replace(content) => {
                let template = &content.template.content;
                let request = |id: Option<&str>| self.translator.replace(amendment, ids, (template, id));
                self.package(Some(content), request).await
            }
        };
        let packaged = match packaged {
            Ok(Some(packaged)) => packaged,
            Ok(None) => {
                return Verdict::all(never(
                    Code::UNSUPPORTED,
                    "the dialect of this MMSC has no such request",
                ));
            }
            Err(error) => return Verdict::all(unwritable(&error)),
        };
        let heard = self.exchange(&self.mmsc, packaged, amendment.now, &amendment.tap).await;
        let asked = Asked {
            message: amendment.message.id,
            transaction_id: transaction,
            recipients: &submission.recipients,
        };
        self.judge.verdict(asked, heard)
    }
}

/// The numbers of an amendment by the MMSC's ids, and those without one.
fn submissions(amendment: &Amendment) -> (Vec<Submission<'_>>, Vec<Address>) {
    let (mut found, mut nameless): (Vec<Submission<'_>>, Vec<Address>) = (Vec::new(), Vec::new());
    for recipient in &amendment.recipients {
        match id_of(recipient, amendment) {
            None => nameless.push(recipient.address.clone()),
            Some(id) => match found.iter_mut().find(|known| known.message_id == id) {
                Some(known) => known.recipients.push(recipient.clone()),
                None => found.push(Submission { message_id: id, recipients: vec![recipient.clone()] }),
            },
        }
    }
    (found, nameless)
}

fn id_of<'a>(recipient: &'a Recipient, amendment: &'a Amendment) -> Option<&'a str> {
    let id = recipient.peer_ref.as_deref().or(amendment.message.peer_ref.as_deref());
    id.filter(|id| !id.is_empty())
}

/// A number that is not to be changed, has the same id, and of which no end is known.
fn bystander<'a>(amendment: &'a Amendment, submission: &Submission<'_>) -> Option<&'a Address> {
    let meant = |address: &Address| amendment.recipients.iter().any(|r| r.address == *address);
    let mut others =
        amendment.message.recipients.iter().filter(|r| !meant(&r.address) && !r.state.is_unsent());
    let found = others.find(|r| !r.state.is_final() && id_of(r, amendment) == Some(submission.message_id));
    found.map(|recipient| &recipient.address)
}

/// An outcome about all numbers of a submission names them.
fn named(outcome: Outcome, submission: &Submission<'_>) -> Outcome {
    if !outcome.recipients.is_empty() {
        return outcome;
    }
    Outcome { recipients: submission.recipients.iter().map(|r| r.address.clone()).collect(), ..outcome }
}

fn never(code: Code, why: &str) -> Delivery {
    Delivery::Fail { answer: Answer::own(code, why) }
}

#[cfg(test)]
mod tests;
