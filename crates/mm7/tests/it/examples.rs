//! One message of every PDU with every element, for the other tests.

use jiff::Timestamp;
use mmsgw_mm7::{
    Address, AddressCoding, AddressKind, Application, CancelReq, ChargedParty, ContentClass,
    ContentReference, DeliverReq, DeliverRsp, DeliveryReportReq, ErrorSide, ExtendedCancelReq,
    ExtendedReplaceReq, ExtendedReplaceRsp, Fault, FaultCode, Interval, Message, MessageClass, MmStatus,
    MmStatusExtension, Namespace, Pdu, PreviousDate, PreviousSender, Priority, ReadReplyReq, ReadStatus,
    Recipients, ReplaceReq, ReplyCharging, SenderIdentification, Status, SubmitReq, SubmitRsp,
    UaCapabilities, When,
};

pub(crate) fn instant() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

pub(crate) fn message(pdu: Pdu) -> Message {
    Message::new("tx-1", Namespace::LATEST, pdu)
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn after(seconds: u32) -> Option<When> {
    Some(When::After(Interval::from_seconds(seconds)))
}

fn sender() -> SenderIdentification {
    SenderIdentification {
        vasp_id: text("acct"),
        vas_id: text("svc"),
        address: Some(Address::short_code("12345")),
    }
}

fn application() -> Application {
    Application { applic_id: text("app"), reply_applic_id: text("reply"), aux_applic_info: text("aux") }
}

fn capabilities() -> Option<UaCapabilities> {
    Some(UaCapabilities { ua_prof: text("http://ua.example/a?b&c"), time_stamp: Some(When::At(instant())) })
}

pub(crate) fn submit() -> SubmitReq {
    let coded = Address {
        coding: Some(AddressCoding::Obfuscated),
        id: text("a1"),
        display_only: true,
        ..Address::new(AddressKind::Rfc2822, "ann@example.com")
    };
    SubmitReq {
        sender: sender(),
        recipients: Recipients {
            to: vec![Address::number("+15555550102")],
            cc: vec![coded],
            bcc: vec![Address::number("15555550103")],
        },
        service_code: text("gold"),
        linked_id: text("link-1"),
        message_class: Some(MessageClass::Informational),
        time_stamp: Some(instant()),
        reply_charging: Some(ReplyCharging { size: Some(30_720), deadline: after(86_400) }),
        earliest_delivery_time: Some(When::At(instant())),
        expiry_date: after(90_061),
        delivery_report: Some(true),
        read_reply: Some(false),
        priority: Some(Priority::High),
        subject: text("Tom & Jerry <b>]]>"),
        charged_party: Some(ChargedParty::ThirdParty),
        charged_party_id: text("payer"),
        distribution_indicator: Some(false),
        delivery_condition: vec![1, 2],
        application: application(),
        content_class: Some(ContentClass::ImageBasic),
        drm_content: Some(false),
        content: Some(ContentReference { allow_adaptations: false, ..ContentReference::to_part("content") }),
    }
}

fn deliver() -> DeliverReq {
    DeliverReq {
        relay_server_id: text("mmsc"),
        vasp_id: text("acct"),
        vas_id: text("svc"),
        linked_id: text("link-1"),
        sender: Some(Address::number("+15555550101")),
        recipients: Recipients::to(Address::short_code("12345")),
        previously_sent_by: vec![PreviousSender {
            address: Address::number("15555550104"),
            sequence: Some(1),
        }],
        previously_sent_date: vec![PreviousDate { date: When::At(instant()), sequence: Some(1) }],
        sender_spi: text("one"),
        recipient_spi: text("two"),
        time_stamp: Some(instant()),
        reply_charging_id: text("r-1"),
        priority: Some(Priority::Low),
        subject: text("Hello"),
        application: application(),
        ua_capabilities: capabilities(),
        content: Some(ContentReference::to_part("a b/c@x.example")),
    }
}

fn delivery_report() -> DeliveryReportReq {
    DeliveryReportReq {
        relay_server_id: text("mmsc"),
        message_id: "m-1".into(),
        recipient: Some(Address::number("+15555550102")),
        sender: Some(Address::short_code("12345")),
        date: Some(instant()),
        mm_status: MmStatus::DeliveryConditionNotMet,
        mm_status_extension: Some(MmStatusExtension::RejectionByOtherRs),
        status_text: text("done"),
        application: application(),
        ua_capabilities: capabilities(),
    }
}

fn read_reply() -> ReadReplyReq {
    ReadReplyReq {
        relay_server_id: text("mmsc"),
        message_id: "m-1".into(),
        recipient: Some(Address::number("+15555550102")),
        sender: Some(Address::short_code("12345")),
        time_stamp: Some(instant()),
        mm_status: ReadStatus::Read,
        status_text: text("seen"),
        application: application(),
    }
}

fn replace() -> ReplaceReq {
    ReplaceReq {
        sender: sender(),
        message_id: "m-1".into(),
        service_code: text("gold"),
        time_stamp: Some(instant()),
        read_reply: Some(true),
        earliest_delivery_time: after(60),
        distribution_indicator: Some(true),
        content_class: Some(ContentClass::Text),
        drm_content: Some(true),
        application: application(),
        content: Some(ContentReference::to_part("content")),
    }
}

fn extended_replace() -> ExtendedReplaceReq {
    ExtendedReplaceReq {
        vasp_id: text("acct"),
        vas_id: text("svc"),
        service_code: text("gold"),
        replace_id: text("r-1"),
        time_stamp: Some(instant()),
        earliest_delivery_time: after(60),
        expiry_date: after(3600),
        read_reply: Some(true),
        delivery_report: Some(true),
        content: Some(ContentReference::to_part("content")),
    }
}

/// A status that the short responses carry whole.
fn short() -> Status {
    Status { code: 1000, text: String::new(), details: None }
}

/// Every PDU, each with every element.
pub(crate) fn all() -> Vec<Pdu> {
    let detailed = Status { details: Some("one of two".into()), ..Status::of(1100) };
    let fault =
        |side| Fault { code: FaultCode::Client, text: "Client error".into(), side, status: Status::of(4002) };
    vec![
        Pdu::SubmitReq(Box::new(submit())),
        Pdu::SubmitRsp(SubmitRsp { status: detailed.clone(), message_id: text("m-1") }),
        Pdu::DeliverReq(Box::new(deliver())),
        Pdu::DeliverRsp(DeliverRsp { status: Status::of(1000), service_code: text("gold") }),
        Pdu::DeliveryReportReq(Box::new(delivery_report())),
        Pdu::DeliveryReportRsp(Status::of(1000)),
        Pdu::ReadReplyReq(Box::new(read_reply())),
        Pdu::ReadReplyRsp(Status::of(2005)),
        Pdu::CancelReq(Box::new(CancelReq {
            sender: sender(),
            message_id: "m-1".into(),
            application: application(),
        })),
        Pdu::CancelRsp(Status::of(1000)),
        Pdu::ReplaceReq(Box::new(replace())),
        Pdu::ReplaceRsp(Status::of(3001)),
        Pdu::ExtendedCancelReq(Box::new(ExtendedCancelReq { sender: sender(), cancel_id: "c-1".into() })),
        Pdu::ExtendedCancelRsp(short()),
        Pdu::ExtendedReplaceReq(Box::new(extended_replace())),
        Pdu::ExtendedReplaceRsp(ExtendedReplaceRsp { message_id: text("m-2"), status: short() }),
        Pdu::Fault(fault(ErrorSide::RelayServer)),
        Pdu::Fault(fault(ErrorSide::Vasp)),
    ]
}
