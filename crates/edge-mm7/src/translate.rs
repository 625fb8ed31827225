//! Words of the domain into words of MM7 and back (TS 23.140 clause 8.7). Pure: no I/O and no clock.
//! Messages that come in are in `message`, with their `parts`; reports that go out in `report`; what is done
//! to a message that the MMSC has in `amend`.
//!
//! MM7 has no word for `show_sender` and none for `request_submit_ack`: a SubmitReq always shows its
//! sender and is always answered. What a namespace of Release 5 lacks is left out by the codec.

mod amend;
mod message;
mod parts;
mod report;

use bytes::Bytes;
use mmsgw_domain::{
    Address, AddressKind, CarrierReport, ChargedParty, Code, Correlation, GroupName, IntakeJob, IntakeKind,
    Message, MessageClass, Priority, Recipient, RecipientKind, ReportKind, State, TemplateContent, Timestamp,
};
use mmsgw_engine::{InboundMessage, Incoming, Outbound, Unreadable};
use mmsgw_mm7::{
    self as mm7, ContentReference, Interval, MmStatus, Namespace, Pdu, ReadStatus, SubmitReq, When,
};

use crate::config::{Addressing, AmendForm, Dialect, Mm7Settings};

pub(crate) use message::message_id;

/// Turns messages into requests, and requests that come in into what they say.
pub(crate) struct Translator {
    group: GroupName,
    vaspid: Option<String>,
    vasid: Option<String>,
    namespace: Namespace,
    version: String,
    service_code: Option<String>,
    linked_id: bool,
    time_stamp: bool,
    pub(crate) cancel: AmendForm,
    pub(crate) replace: AmendForm,
    pub(crate) numbering: Numbering,
}

impl Translator {
    pub(crate) fn new(settings: &Mm7Settings) -> Self {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            group: settings.gateway.group.clone(),
            vaspid: settings.gateway.vaspid.as_ref().and_then(some),
            vasid: settings.gateway.vasid.as_ref().and_then(some),
            namespace: settings.dialect.namespace(),
            version: settings.dialect.version.clone(),
            service_code: some(&settings.dialect.service_code),
            linked_id: settings.dialect.linked_id,
            time_stamp: settings.dialect.time_stamp,
            cancel: settings.dialect.cancel,
            replace: settings.dialect.replace,
            numbering: Numbering::new(&settings.addressing, &settings.dialect),
        }
    }

    /// The same with this VASPID in each request.
    pub(crate) fn stating(self, vaspid: Option<String>) -> Self {
        Self { vaspid, ..self }
    }

    /// The request for a message to some of its numbers; `content_id` names the part with its content, where it
    /// has any.
    pub(crate) fn submit(
        &self,
        outbound: &Outbound,
        (recipients, transaction_id): (&[Recipient], &str),
        content_id: Option<&str>,
    ) -> mm7::Message {
        let (message, template) = (&*outbound.message, &outbound.content.template.content);
        let request = SubmitReq {
            sender: self.sender(message),
            recipients: self.recipients(recipients),
            service_code: self.billing(message),
            linked_id: message.linked_id.clone().filter(|_| self.linked_id),
            message_class: template.message_class.map(message_class),
            time_stamp: self.time_stamp.then(|| seconds(outbound.now)),
            reply_charging: reply_charging(template),
            earliest_delivery_time: template.earliest_delivery.map(|at| When::At(seconds(at))),
            expiry_date: expiry(template, message, outbound.now),
            delivery_report: message.dr_requested,
            read_reply: message.rr_requested,
            priority: message.priority.map(priority),
            subject: template.subject.clone().filter(|subject| !subject.is_empty()),
            charged_party: template.charged_party.map(charged_party),
            charged_party_id: template.charged_party_id.clone().filter(|id| !id.is_empty()),
            distribution_indicator: template.can_redistribute,
            delivery_condition: template.delivery_conditions.clone().unwrap_or_default(),
            application: application(message),
            content_class: template.content_class.map(|class| mm7::ContentClass::from(class.name())),
            drm_content: template.drm,
            content: content_reference(template, content_id),
        };
        self.request(transaction_id, Pdu::SubmitReq(Box::new(request)))
    }

    /// A request of ours in the namespace and version of this MMSC.
    fn request(&self, transaction_id: &str, pdu: Pdu) -> mm7::Message {
        mm7::Message {
            transaction_id: transaction_id.to_owned(),
            namespace: self.namespace.clone(),
            version: self.version.clone(),
            pdu,
        }
    }

    /// The billing code of a message, else that of the gateway.
    fn billing(&self, message: &Message) -> Option<String> {
        message.service_code.clone().or_else(|| self.service_code.clone())
    }

    fn sender(&self, message: &Message) -> mm7::SenderIdentification {
        mm7::SenderIdentification {
            vasp_id: self.vaspid.clone(),
            vas_id: self.vasid.clone(),
            address: Some(self.numbering.origin(&message.origin)),
        }
    }

    fn recipients(&self, recipients: &[Recipient]) -> mm7::Recipients {
        let of = |kind| {
            let addressed = recipients.iter().filter(|recipient| recipient.kind == kind);
            addressed.map(|recipient| self.numbering.destination(&recipient.address)).collect()
        };
        mm7::Recipients { to: of(RecipientKind::To), cc: of(RecipientKind::Cc), bcc: of(RecipientKind::Bcc) }
    }

    /// What an HTTP body from the MMSC says.
    ///
    /// # Errors
    /// It is no request of MM7, or one that is not served.
    pub(crate) fn read(&self, intake: &IntakeJob, limits: &mm7::Limits) -> Result<Incoming, Unreadable> {
        let IntakeKind::Http { content_type } = &intake.kind else {
            return Err(Unreadable::because("a mail is nothing that MM7 knows"));
        };
        let body = Bytes::clone(&intake.raw);
        let request = mm7::read_request(Some(content_type), body, limits)
            .map_err(|error| Unreadable::because(error.to_string()))?;
        let (transaction, content) = (request.message.transaction_id.as_str(), request.content.as_ref());
        match &request.message.pdu {
            Pdu::DeliverReq(deliver) => Ok(brought(self.delivered(transaction, deliver, content))),
            Pdu::SubmitReq(submit) => Ok(brought(self.submitted(transaction, submit, content))),
            Pdu::DeliveryReportReq(report) => Ok(told(self.delivery_report(report))),
            Pdu::ReadReplyReq(report) => Ok(told(self.read_reply(report))),
            other => Err(Unreadable::because(format!("{} is not served", other.name()))),
        }
    }

    fn delivery_report(&self, report: &mm7::DeliveryReportReq) -> CarrierReport {
        let (state, code) = delivery_state(&report.mm_status);
        let word = report.mm_status.as_str();
        let carrier_status = match &report.mm_status_extension {
            Some(extension) => format!("{word} ({})", extension.as_str()),
            None => word.to_owned(),
        };
        CarrierReport {
            kind: ReportKind::Delivery,
            about: about(&report.message_id),
            recipients: self.read_back(report.recipient.as_ref()),
            other_party: self.read_back(report.sender.as_ref()),
            state,
            code,
            carrier_status,
            description: report.status_text.clone(),
            at: report.date.map(Timestamp::from_jiff),
            places: None,
            again: false,
        }
    }

    fn read_reply(&self, report: &mm7::ReadReplyReq) -> CarrierReport {
        let (state, code) = match report.mm_status {
            ReadStatus::Read => (State::Read, Code::OK),
            ReadStatus::Deleted => (State::Deleted, Code::OK),
            ReadStatus::Indeterminate | ReadStatus::Other(_) => (State::Undefined, Code::UNSPECIFIED),
        };
        CarrierReport {
            kind: ReportKind::Read,
            about: about(&report.message_id),
            recipients: self.read_back(report.recipient.as_ref()),
            other_party: self.read_back(report.sender.as_ref()),
            state,
            code,
            carrier_status: report.mm_status.as_str().to_owned(),
            description: report.status_text.clone(),
            at: report.time_stamp.map(Timestamp::from_jiff),
            places: None,
            again: false,
        }
    }

    fn read_back(&self, address: Option<&mm7::Address>) -> Vec<Address> {
        address.map(|address| self.numbering.read_back(address)).unwrap_or_default()
    }
}

fn brought(message: InboundMessage) -> Incoming {
    Incoming::Message(Box::new(message))
}

/// A report; MM7 has answered it in the HTTP response.
fn told(report: CarrierReport) -> Incoming {
    Incoming::Report { report, answer: None }
}

fn about(message_id: &str) -> Correlation {
    Correlation { transaction: None, message: Some(message_id.to_owned()) }
}

/// State and canonical code for an MMStatus (TS 23.140 clause 8.7.1.12), also for the words beyond the
/// standard: `NotSupported`, `Unreachable` and `Unrecognized` of Skycore, `Delivered` of other vendors.
fn delivery_state(status: &MmStatus) -> (State, Code) {
    match status {
        MmStatus::Retrieved => (State::Delivered, Code::OK),
        MmStatus::Expired => (State::Expired, Code::EXPIRED),
        MmStatus::Rejected => (State::Rejected, Code::REFUSED),
        MmStatus::Indeterminate => (State::Undefined, Code::UNSPECIFIED),
        MmStatus::Forwarded => (State::Forwarded, Code::FORWARDED),
        MmStatus::DeliveryConditionNotMet => (State::Failed, Code::REFUSED),
        MmStatus::Unrecognised => (State::Failed, Code::UNKNOWN),
        MmStatus::Deferred => (State::Deferred, Code::DEFERRED),
        MmStatus::Other(word) => {
            let letters = word.chars().filter(char::is_ascii_alphanumeric).take(40);
            match letters.collect::<String>().to_ascii_lowercase().as_str() {
                "delivered" => (State::Delivered, Code::OK),
                "unrecognized" => (State::Failed, Code::UNKNOWN),
                "unreachable" => (State::Deferred, Code::DEFERRED),
                "notsupported" => (State::Rejected, Code::UNSUPPORTED),
                _ => (State::Undefined, Code::UNSPECIFIED),
            }
        }
    }
}

/// ExpiryDate: what is left of `expire_after` as an interval, or `latest_delivery` as an instant, whichever
/// ends first. An interval counts from the carrier's reception, so the time that the message has waited here
/// is taken off, in whole minutes.
fn expiry(template: &TemplateContent, message: &Message, now: Timestamp) -> Option<When> {
    let latest = template.latest_delivery;
    let relative =
        template.expire_after.filter(|span| latest.is_none_or(|end| message.created.after(*span) < end));
    let Some(span) = relative else {
        return latest.map(|end| When::At(Timestamp::from_secs(end.as_secs()).to_jiff()));
    };
    let waited = message.created.until(now).as_secs() / 60 * 60;
    let left = span.as_secs().saturating_sub(waited).max(1);
    Some(When::After(Interval::from_seconds(u32::try_from(left).unwrap_or(u32::MAX))))
}

/// An instant as the schema's dateTime, in whole seconds.
fn seconds(at: Timestamp) -> jiff::Timestamp {
    Timestamp::from_secs(at.as_secs()).to_jiff()
}

fn reply_charging(template: &TemplateContent) -> Option<mm7::ReplyCharging> {
    template.reply_charging.unwrap_or(false).then(|| mm7::ReplyCharging {
        size: template.reply_charging_size,
        deadline: template.reply_deadline.map(|at| When::At(seconds(at))),
    })
}

fn application(message: &Message) -> mm7::Application {
    mm7::Application {
        applic_id: message.handling_app.clone(),
        reply_applic_id: message.reply_to_app.clone(),
        aux_applic_info: message.app_info.clone(),
    }
}

fn content_reference(template: &TemplateContent, content_id: Option<&str>) -> Option<ContentReference> {
    content_id.map(|id| ContentReference {
        allow_adaptations: template.content_adaptation.unwrap_or(true),
        ..ContentReference::to_part(id)
    })
}

fn message_class(class: MessageClass) -> mm7::MessageClass {
    match class {
        MessageClass::Personal => mm7::MessageClass::Personal,
        MessageClass::Advertisement => mm7::MessageClass::Advertisement,
        MessageClass::Informational => mm7::MessageClass::Informational,
        MessageClass::Auto => mm7::MessageClass::Auto,
    }
}

fn priority(priority: Priority) -> mm7::Priority {
    match priority {
        Priority::Low => mm7::Priority::Low,
        Priority::Normal => mm7::Priority::Normal,
        Priority::High => mm7::Priority::High,
    }
}

fn charged_party(party: ChargedParty) -> mm7::ChargedParty {
    match party {
        ChargedParty::Sender => mm7::ChargedParty::Sender,
        ChargedParty::Recipient => mm7::ChargedParty::Recipient,
        ChargedParty::Both => mm7::ChargedParty::Both,
        ChargedParty::Neither => mm7::ChargedParty::Neither,
        ChargedParty::ThirdParty => mm7::ChargedParty::ThirdParty,
    }
}

/// An address as a peer stated it, to be said to that peer again.
fn as_stated(address: &Address) -> mm7::Address {
    let kind = match address.kind() {
        AddressKind::Mail => mm7::AddressKind::Rfc2822,
        AddressKind::Number => mm7::AddressKind::Number,
        AddressKind::ShortCode | AddressKind::Other => mm7::AddressKind::ShortCode,
    };
    mm7::Address::new(kind, address.as_str())
}

/// How numbers are written for this MMSC, and read back.
#[derive(Clone)]
pub(crate) struct Numbering {
    addressing: Addressing,
    type_suffix: bool,
    short_code_suffix: bool,
}

impl Numbering {
    pub(crate) fn new(addressing: &Addressing, dialect: &Dialect) -> Self {
        Self {
            addressing: addressing.clone(),
            type_suffix: dialect.number_type_suffix,
            short_code_suffix: dialect.short_code_type_suffix,
        }
    }

    fn origin(&self, address: &Address) -> mm7::Address {
        self.write(address, &self.addressing.origin_prefix, &self.addressing.origin_suffix)
    }

    pub(crate) fn destination(&self, address: &Address) -> mm7::Address {
        self.write(address, &self.addressing.dest_prefix, &self.addressing.dest_suffix)
    }

    fn write(&self, address: &Address, prefix: &str, suffix: &str) -> mm7::Address {
        match address.kind() {
            AddressKind::Mail | AddressKind::Other => as_stated(address),
            AddressKind::ShortCode => {
                let number_type = if self.short_code_suffix { PLMN } else { "" };
                mm7::Address::short_code(format!("{}{number_type}", address.bare()))
            }
            AddressKind::Number => {
                let number_type = if self.type_suffix { PLMN } else { "" };
                let text = format!("{}{number_type}{suffix}", prefixed(address, prefix));
                let kind = match text.contains('@') {
                    true => mm7::AddressKind::Rfc2822,
                    false => mm7::AddressKind::Number,
                };
                mm7::Address::new(kind, text)
            }
        }
    }

    /// The address that a peer states as sender or recipient of a message that it brings: with the
    /// configured suffixes and `/TYPE=…` taken off, so that a number is a number. What is no address at
    /// all is kept as it stands.
    fn stated(&self, address: Option<&mm7::Address>) -> Address {
        let text = address.map_or("", |address| address.value.trim());
        let suffixes = [self.addressing.origin_suffix.as_str(), self.addressing.dest_suffix.as_str()];
        let cut = suffixes.into_iter().filter(|suffix| !suffix.is_empty());
        let plain = cut.filter_map(|suffix| text.strip_suffix(suffix)).next().unwrap_or(text);
        let local = plain.split('@').next().unwrap_or_default();
        let typed = local.to_ascii_lowercase().find("/type=").map(|at| &local[..at]);
        typed.and_then(|number| number.parse().ok()).unwrap_or_else(|| Address::from_carrier(plain))
    }

    /// The addresses that an MMSC may mean by what it wrote: as it stands, and with what
    /// [`Numbering::destination`] adds taken off.
    pub(crate) fn read_back(&self, address: &mm7::Address) -> Vec<Address> {
        let text = address.value.trim();
        let plain = text.strip_suffix(self.addressing.dest_suffix.as_str()).unwrap_or(text);
        let local = plain.split(['@', '/']).next().unwrap_or_default();
        let prefix = self.addressing.dest_prefix.trim_start_matches('+');
        let digits = local.trim_start_matches('+');
        let national = digits.strip_prefix(prefix).filter(|_| !prefix.is_empty());
        let mut found: Vec<Address> = Vec::new();
        let as_it_stands = [text, plain].into_iter().filter_map(|form| form.parse().ok());
        // What is cut out of an address is believed where a whole number is left, not a short code.
        let is_number = |address: &Address| address.kind() == AddressKind::Number;
        let cut = [Some(local), national].into_iter().flatten().filter_map(|form| form.parse().ok());
        for address in as_it_stands.chain(cut.filter(is_number)) {
            if !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }
}

/// The type of a number in the form of a mail address.
const PLMN: &str = "/TYPE=PLMN";

/// Digits behind the prefix, which is not put twice. A number given with a plus sign is complete, so that of
/// a prefix with a plus sign only that sign is put.
fn prefixed(address: &Address, prefix: &str) -> String {
    let digits = address.bare();
    let complete = address.as_str().starts_with('+');
    match prefix.strip_prefix('+') {
        Some(country) if complete || digits.starts_with(country) => format!("+{digits}"),
        None if digits.starts_with(prefix) => digits.to_owned(),
        _ => format!("{prefix}{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{self, settings};

    fn submitted(sections: &str, outbound: &Outbound, content_id: Option<&str>) -> mm7::Message {
        let to = (outbound.recipients.as_slice(), outbound.transaction_id.as_str());
        Translator::new(&settings(sections)).submit(outbound, to, content_id)
    }

    fn numbering(prefix: &str, suffix: &str) -> Numbering {
        let addressing =
            Addressing { dest_prefix: prefix.into(), dest_suffix: suffix.into(), ..Addressing::default() };
        Numbering::new(&addressing, &Dialect::default())
    }

    fn written(number: &str, prefix: &str, suffix: &str) -> (&'static str, String) {
        let address = numbering(prefix, suffix).destination(&number.parse().unwrap());
        (address.kind.name(), address.value)
    }

    #[test]
    fn prefixes_are_not_doubled() {
        for (number, prefix, want) in [
            ("+15555550101", "+", "+15555550101"),
            ("15555550101", "+", "+15555550101"),
            ("+15555550101", "", "15555550101"),
            ("5555550101", "+1", "+15555550101"),
            ("15555550101", "+1", "+15555550101"),
            ("+97245555501", "+1", "+97245555501"),
            ("5555550101", "1", "15555550101"),
            ("+15555550101", "1", "15555550101"),
            ("+15555550101", "00", "0015555550101"),
        ] {
            assert_eq!(written(number, prefix, ""), ("Number", want.to_owned()), "{number} {prefix}");
        }
        assert_eq!(written("54321", "+1", "@x"), ("ShortCode", "54321".into()));
        assert_eq!(written("a@b.example", "+1", "@x"), ("RFC2822Address", "a@b.example".into()));
        assert_eq!(
            written("15555550101", "+", "@mms.example"),
            ("RFC2822Address", "+15555550101@mms.example".into())
        );
        let dialect =
            Dialect { number_type_suffix: true, short_code_type_suffix: true, ..Dialect::default() };
        let typed = Numbering::new(&Addressing::default(), &dialect);
        assert_eq!(typed.destination(&"15555550101".parse().unwrap()).value, "+15555550101/TYPE=PLMN");
        assert_eq!(typed.origin(&"54321".parse().unwrap()).value, "54321/TYPE=PLMN");
    }

    #[test]
    fn what_was_written_is_read_back() {
        for number in ["+15555550101", "15555550101", "5555550101", "54321", "a@b.example"] {
            for (prefix, suffix) in [("+", ""), ("", ""), ("+1", "@mms.example"), ("00", ""), ("1", "/x")] {
                let (numbering, address) = (numbering(prefix, suffix), number.parse().unwrap());
                let wire = numbering.destination(&address);
                assert!(numbering.read_back(&wire).contains(&address), "{number} {prefix} {suffix}");
            }
        }
        let odd = mm7::Address::new(mm7::AddressKind::Rfc2822, "+15555550101/TYPE=PLMN@mmsc.example");
        assert!(numbering("+", "").read_back(&odd).contains(&"15555550101".parse().unwrap()));
        assert!(numbering("+", "").read_back(&mm7::Address::number("\u{e9}")).is_empty());
        let short = numbering("+1", "").read_back(&mm7::Address::short_code("12345"));
        assert_eq!(short, ["12345".parse().unwrap()], "a short code has no prefix to take off");
    }

    fn expiry_of(after: Option<u64>, latest: Option<i64>, waited: u64) -> Option<String> {
        let mut outbound = testing::outbound(&["+15555550101"]);
        let created = outbound.message.created;
        let content = std::sync::Arc::make_mut(&mut outbound.content);
        content.template.content.expire_after = after.map(Duration::from_secs);
        content.template.content.latest_delivery =
            latest.map(|s| Timestamp::from_secs(created.as_secs() + s));
        let now = created.after(Duration::from_secs(waited));
        expiry(&content.template.content, &outbound.message, now).map(|when| when.to_string())
    }

    #[test]
    fn the_earlier_end_is_stated_less_the_time_waited() {
        assert_eq!(expiry_of(None, None, 0), None);
        assert_eq!(expiry_of(Some(86_400), None, 3).as_deref(), Some("P1D"));
        assert_eq!(expiry_of(Some(86_400), None, 3_605).as_deref(), Some("PT23H"));
        assert_eq!(expiry_of(Some(60), None, 3_605).as_deref(), Some("PT1S"));
        assert_eq!(expiry_of(None, Some(60), 0).as_deref(), Some("2023-11-14T22:14:20Z"));
        assert_eq!(expiry_of(Some(86_400), Some(60), 0).as_deref(), Some("2023-11-14T22:14:20Z"));
        assert_eq!(expiry_of(Some(30), Some(60), 0).as_deref(), Some("PT30S"));
    }

    #[test]
    fn absent_options_are_not_stated() {
        let outbound = testing::outbound(&["+15555550101"]);
        let message = submitted("", &outbound, None);
        let xml = mm7::write_envelope(&message, &mm7::WriteOptions::default()).unwrap();
        let xml = std::str::from_utf8(&xml).unwrap();
        let names: Vec<_> = xml
            .split('<')
            .filter_map(|tag| tag.split(['>', ' ', '/']).next())
            .filter(|name| !name.is_empty() && !name.contains(':') && !name.starts_with('?'))
            .collect();
        let want = [
            "SubmitReq",
            "MM7Version",
            "SenderIdentification",
            "SenderAddress",
            "ShortCode",
            "Recipients",
            "To",
            "Number",
        ];
        assert_eq!(names, want);
    }

    #[test]
    fn every_option_is_stated_in_its_words_and_release_5_leaves_out_what_it_lacks() {
        let outbound = testing::outbound_with_everything();
        let xml = |dialect: &str| {
            let message = submitted(dialect, &outbound, Some("content"));
            String::from_utf8(mm7::write_envelope(&message, &mm7::WriteOptions::default()).unwrap()).unwrap()
        };
        let rel6 = xml("# with-ids\n[dialect]\nservice_code = 'gold'\ntime_stamp = true\n");
        let common = [
            "<VASPID>acct</VASPID><VASID>svc</VASID>",
            "<SenderAddress><ShortCode>54321</ShortCode></SenderAddress>",
            "<To><Number>+15555550101</Number></To>",
            "<Cc><Number>+15555550102</Number></Cc>",
            "<Bcc><RFC2822Address>a@b.example</RFC2822Address></Bcc>",
            "<LinkedID>linked-1</LinkedID>",
            "<MessageClass>Advertisement</MessageClass>",
            "<EarliestDeliveryTime>2023-11-14T22:13:30Z</EarliestDeliveryTime>",
            "<ExpiryDate>PT1H</ExpiryDate>",
            "<DeliveryReport>true</DeliveryReport>",
            "<ReadReply>false</ReadReply>",
            "<ReplyCharging replyChargingSize=\"30000\" replyDeadline=\"2023-11-15T22:13:20Z\"/>",
            "<Priority>High</Priority>",
            "<Subject>Fish &amp; chips</Subject>",
            "<DistributionIndicator>false</DistributionIndicator>",
            "allowAdaptations=\"false\"",
            "href=\"cid:content\"",
        ];
        let rel6_only = [
            "<ChargedParty>ThirdParty</ChargedParty>",
            "<ChargedPartyID>payer</ChargedPartyID>",
            "<DeliveryCondition><DC>1</DC><DC>7</DC></DeliveryCondition>",
            "<ApplicID>app</ApplicID>",
            "<ReplyApplicID>reply</ReplyApplicID>",
            "<AuxApplicInfo>aux</AuxApplicInfo>",
            "<ContentClass>image-rich</ContentClass>",
            "<DRMContent>true</DRMContent>",
        ];
        for want in common.iter().chain(&rel6_only) {
            assert!(rel6.contains(want), "{want}\n{rel6}");
        }
        assert!(rel6.contains("<ServiceCode>silver</ServiceCode>"), "that of the message goes before");
        assert!(rel6.contains("<TimeStamp>2023-11-14T22:13:20Z</TimeStamp>"));
        let rel5 = xml("# with-ids\n[dialect]\nnamespace = 'REL-5-MM7-1-2'\nlinked_id = false\n");
        for want in common.iter().filter(|want| !want.contains("LinkedID")) {
            assert!(rel5.contains(want), "{want}\n{rel5}");
        }
        for gone in rel6_only.iter().chain(&["<LinkedID>linked-1</LinkedID>"]) {
            assert!(!rel5.contains(gone), "{gone}");
        }
    }

    fn intake(body: &str) -> IntakeJob {
        IntakeJob {
            kind: IntakeKind::Http { content_type: "text/xml".into() },
            peer: "127.0.0.1".into(),
            raw: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn report(body: &str) -> CarrierReport {
        let translator = Translator::new(&settings(""));
        match translator.read(&intake(body), &mm7::Limits::default()).unwrap() {
            Incoming::Report { report, answer: None } => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn delivery_reports_in_every_word() {
        for (word, state, code) in [
            ("Retrieved", State::Delivered, 200),
            ("Expired", State::Expired, 408),
            ("Rejected", State::Rejected, 406),
            ("Indeterminate", State::Undefined, 500),
            ("Forwarded", State::Forwarded, 202),
            ("DeliveryConditionNotMet", State::Failed, 406),
            ("Unrecognised", State::Failed, 404),
            ("Unrecognized", State::Failed, 404),
            ("Deferred", State::Deferred, 410),
            ("NotSupported", State::Rejected, 415),
            ("Unreachable", State::Deferred, 410),
            ("Delivered", State::Delivered, 200),
            ("Eaten by the dog", State::Undefined, 500),
        ] {
            let got = report(&testing::delivery_report("tx-1", "msg-1", word));
            assert_eq!((got.state, got.code.number(), got.carrier_status.as_str()), (state, code, word));
            assert_eq!(got.about.message.as_deref(), Some("msg-1"));
            assert_eq!(got.recipients, ["15555550101".parse().unwrap()]);
            assert_eq!(got.other_party, ["54321".parse().unwrap()]);
            assert_eq!(got.at.unwrap().to_string(), "2026-01-01T06:00:00Z");
        }
        let body = testing::delivery_report("tx-1", "msg-1", "Rejected").replace(
            "</MMStatus>",
            "</MMStatus><MMStatusExtension>RejectionByOtherRS</MMStatusExtension><StatusText>No.</StatusText>",
        );
        let got = report(&body);
        assert_eq!(got.carrier_status, "Rejected (RejectionByOtherRS)");
        assert_eq!(got.description.as_deref(), Some("No."));
    }

    #[test]
    fn read_replies_in_every_word() {
        for (word, state) in
            [("Read", State::Read), ("Deleted", State::Deleted), ("Indeterminate", State::Undefined)]
        {
            let got = report(&testing::read_reply("tx-1", "msg-1", word));
            assert_eq!((got.kind, got.state, got.carrier_status.as_str()), (ReportKind::Read, state, word));
            assert_eq!(got.at.unwrap().to_string(), "2026-01-01T06:00:00Z");
        }
    }

    #[test]
    fn what_is_no_report_is_unreadable() {
        let translator = Translator::new(&settings(""));
        let read = |job: &IntakeJob| translator.read(job, &mm7::Limits::default()).unwrap_err().reason;
        assert!(read(&intake("<html>")).contains("not XML"));
        let mail = IntakeKind::Mail { mail_from: String::new(), rcpt_to: Vec::new() };
        assert!(read(&IntakeJob { kind: mail, ..intake("") }).contains("mail"));
    }
}
