//! What a received MM4 mail leads to: the RES, the delivery reports, the read replies (TS 23.140 clause 8.4).

use std::collections::BTreeMap;

use super::write::{Mail, header_address};
use crate::mail::{self, Fields};
use crate::outbox::{Errand, Payload, Planned};
use crate::record::bare_id;
use crate::script::{Decision, Plan};
use crate::shared::Shared;

/// A mail that was received whole.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) fields: Fields,
}

impl Incoming {
    /// A header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        mail::field(&self.fields, name).map(str::trim)
    }

    /// X-Mms-Message-Type; empty if the mail is no MM4.
    pub(crate) fn kind(&self) -> &str {
        self.field("X-Mms-Message-Type").unwrap_or_default()
    }

    pub(crate) fn transaction_id(&self) -> &str {
        bare_id(self.field("X-Mms-Transaction-ID").unwrap_or_default())
    }

    pub(crate) fn message_id(&self) -> &str {
        bare_id(self.field("X-Mms-Message-ID").unwrap_or_default())
    }

    /// Whether this is a message and not a report or an answer.
    pub(crate) fn is_message(&self) -> bool {
        self.kind().eq_ignore_ascii_case("MM4_forward.REQ")
    }

    fn flag(&self, name: &str) -> bool {
        self.field(name).is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    }

    /// Where answers and reports go: X-Mms-Originator-System for a message, Sender for a report, else MAIL FROM.
    fn return_address(&self) -> String {
        let system = if self.is_message() { self.field("X-Mms-Originator-System") } else { None };
        let address = system.or_else(|| self.field("Sender")).filter(|address| address.contains('@'));
        let address = address.and_then(|address| mail::addresses(address).into_iter().next());
        address.unwrap_or_else(|| self.from.clone())
    }

    /// What breaks the rules of clause 8.4, as far as this witness checks them.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut wanted =
            vec!["X-Mms-3GPP-MMS-Version", "X-Mms-Transaction-ID", "Sender", "Date", "Message-ID"];
        match self.kind() {
            "MM4_forward.REQ" => wanted.extend(["X-Mms-Message-ID", "From", "To", "Content-Type"]),
            "MM4_forward.RES" | "MM4_delivery_report.RES" => {
                wanted.extend(["X-Mms-Message-ID", "X-Mms-Request-Status-Code", "To"]);
            }
            "MM4_read_reply_report.RES" => wanted.extend(["X-Mms-Request-Status-Code", "To"]),
            "MM4_delivery_report.REQ" => {
                wanted.extend(["X-Mms-Message-ID", "From", "To", "X-Mms-MM-Status-Code"]);
            }
            "MM4_read_reply_report.REQ" => {
                wanted.extend(["X-Mms-Message-ID", "From", "To", "X-Mms-Read-Status"]);
            }
            other => return vec![format!("unknown X-Mms-Message-Type {other:?}")],
        }
        if self.flag("X-Mms-Ack-Request") && self.is_message() {
            wanted.push("X-Mms-Originator-System");
        }
        let missing = wanted.into_iter().filter(|name| self.field(name).is_none_or(str::is_empty));
        let mut problems: Vec<_> = missing.map(|name| format!("{name} is missing")).collect();
        if self.field("Bcc").is_some() {
            problems.push("Bcc must not be a header field".into());
        }
        problems
    }
}

/// Everything the carrier will send because of this mail.
pub(crate) fn follow_ups(shared: &Shared, incoming: &Incoming, decision: &Decision<'_>) -> Vec<Planned> {
    let mut planned = Vec::new();
    let acknowledged = match incoming.kind() {
        "MM4_forward.REQ" => "MM4_forward.RES",
        "MM4_delivery_report.REQ" => "MM4_delivery_report.RES",
        "MM4_read_reply_report.REQ" => "MM4_read_reply_report.RES",
        _ => return planned,
    };
    responses(shared, incoming, decision, acknowledged, &mut planned);
    if !incoming.is_message() {
        return planned;
    }
    let (user, system) =
        (incoming.flag("X-Mms-Delivery-Report"), incoming.flag("X-Mms-Originator-R/S-Delivery-Report"));
    for recipient in &incoming.to {
        let behaviour = decision.mm4_for(recipient);
        if !is_ok(&behaviour.res) {
            continue;
        }
        if behaviour.delivery.wanted(user || system) {
            let plan = &behaviour.delivery;
            let mail = report(shared, incoming, recipient, plan, "MM4_delivery_report.REQ", |mail| {
                mail.field("X-Mms-MM-Status-Code", plan.status.as_deref().unwrap_or("Retrieved"))
                    .maybe("X-Mms-MM-Status-Extension", plan.extension.as_deref())
                    .field("X-Mms-Forward-To-Originator-UA", if user { "Yes" } else { "No" })
            });
            planned.push(mail);
        }
        if behaviour.read.wanted(incoming.flag("X-Mms-Read-Reply")) {
            let plan = &behaviour.read;
            let mail = report(shared, incoming, recipient, plan, "MM4_read_reply_report.REQ", |mail| {
                mail.field("X-Mms-Read-Status", plan.status.as_deref().unwrap_or("Read"))
            });
            planned.push(mail);
        }
    }
    planned
}

fn is_ok(plan: &Plan) -> bool {
    plan.status.as_deref().is_none_or(|status| status.eq_ignore_ascii_case("Ok"))
}

/// One RES for all recipients, or one per plan where recipients have different fates.
fn responses(
    shared: &Shared,
    incoming: &Incoming,
    decision: &Decision<'_>,
    kind: &'static str,
    planned: &mut Vec<Planned>,
) {
    let mut groups: BTreeMap<String, (&Plan, Vec<&str>)> = BTreeMap::new();
    for recipient in &incoming.to {
        let plan = &decision.mm4_for(recipient).res;
        let key = format!("{plan:?}");
        groups.entry(key).or_insert((plan, Vec::new())).1.push(recipient);
    }
    let split = groups.len() > 1;
    for (plan, recipients) in groups.into_values() {
        if plan.wanted(incoming.flag("X-Mms-Ack-Request")) {
            planned.push(response(shared, incoming, plan, kind, split.then_some(&recipients)));
        }
    }
}

fn response(
    shared: &Shared,
    incoming: &Incoming,
    plan: &Plan,
    kind: &'static str,
    recipients: Option<&Vec<&str>>,
) -> Planned {
    let names = &shared.config.mm4;
    let to = incoming.return_address();
    let list = recipients.map(|list| list.iter().map(|to| header_address(to)).collect::<Vec<_>>().join(", "));
    let octets = Mail::default()
        .field("Date", &crate::clock::mail())
        .field("From", &names.system_address)
        .field("Sender", &names.system_address)
        .field("To", &to)
        .field("Message-ID", &format!("<{}@{}>", shared.fresh_id(), names.domain))
        .field("X-Mms-3GPP-MMS-Version", &names.version)
        .field("X-Mms-Message-Type", kind)
        // Echoed as it came, quotes and all.
        .maybe("X-Mms-Transaction-ID", incoming.field("X-Mms-Transaction-ID"))
        .maybe("X-Mms-Message-ID", incoming.field("X-Mms-Message-ID"))
        .field("X-Mms-Request-Status-Code", plan.status.as_deref().unwrap_or("Ok"))
        .maybe("X-Mms-Status-Text", plan.text.as_deref())
        .maybe("X-Mms-Request-Recipients", list.as_deref())
        .body("");
    let errand = Errand {
        kind,
        transaction_id: incoming.transaction_id().to_owned(),
        message_id: incoming.message_id().to_owned(),
        recipient: String::new(),
        payload: Payload::Mail { from: names.system_address.clone(), to: vec![to], octets: octets.into() },
    };
    (plan.clone(), errand)
}

fn report(
    shared: &Shared,
    incoming: &Incoming,
    recipient: &str,
    plan: &Plan,
    kind: &'static str,
    specific: impl FnOnce(Mail) -> Mail,
) -> Planned {
    let names = &shared.config.mm4;
    let transaction = shared.fresh_id();
    let (applic, reply) = (incoming.field("X-Mms-Applic-ID"), incoming.field("X-Mms-Reply-Applic-ID"));
    let mail = Mail::default()
        .field("X-Mms-3GPP-MMS-Version", &names.version)
        .field("X-Mms-Message-Type", kind)
        .field("X-Mms-Transaction-ID", &format!("\"{transaction}\""))
        .maybe("X-Mms-Message-ID", incoming.field("X-Mms-Message-ID"))
        .field("From", &header_address(recipient))
        .field("To", incoming.field("From").unwrap_or(&incoming.from))
        .field("Date", &crate::clock::mail())
        .field("X-Mms-Ack-Request", if plan.ack_request { "Yes" } else { "No" });
    let to = incoming.return_address();
    let octets = specific(mail)
        .maybe("X-Mms-Status-Text", plan.text.as_deref())
        .maybe("X-Mms-Applic-ID", reply.or(applic))
        .maybe("X-Mms-Reply-Applic-ID", reply.filter(|reply| Some(*reply) != applic).and(applic))
        .maybe("X-Mms-Aux-Applic-Info", incoming.field("X-Mms-Aux-Applic-Info"))
        .field("Sender", &names.system_address)
        .field("Message-ID", &format!("<{transaction}@{}>", names.domain))
        .body("");
    let errand = Errand {
        kind,
        transaction_id: transaction,
        message_id: incoming.message_id().to_owned(),
        recipient: recipient.to_owned(),
        payload: Payload::Mail { from: names.system_address.clone(), to: vec![to], octets: octets.into() },
    };
    (plan.clone(), errand)
}
