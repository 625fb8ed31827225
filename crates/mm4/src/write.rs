//! PDUs into mails: CRLF lines, ASCII only, header names exactly as TS 23.140 spells them.
//!
//! A forward request is written as a header block; its body is shared octets that the sender puts
//! behind it without a copy. The other PDUs are whole mails.

use crate::address::AddressStyle;
use crate::date;
use crate::field::{self, Version, Word, write_flag};
use crate::id::{Id, IdStyle};
use crate::pdu::{
    ApplicIds, DeliveryReportReq, ForwardReq, Head, Kind, PreviouslySent, ReadReplyReportReq, Report, Res,
    ResKind,
};
use mmsgw_mime::write::Entity;
use mmsgw_mime::{HeaderError, HeaderWriter};
use thiserror::Error;

/// The dialect of one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOptions {
    /// The version we say we implement.
    pub version: Version,
    /// How our ids are quoted in requests. Ids of others are written as they came.
    pub id_style: IdStyle,
    /// How addresses of our side are written.
    pub origin: AddressStyle,
    /// How addresses of the peer's side are written.
    pub destination: AddressStyle,
    /// Headers the peer does not want, in any case.
    pub omit: Vec<String>,
    /// Headers the peer wants besides, in each forward request.
    pub extra: Vec<(String, String)>,
}

impl Default for WriteOptions {
    /// Version 6.10.0, ids quoted, `+number/TYPE=PLMN`, all headers that have a value.
    fn default() -> Self {
        Self {
            version: Version::new(6, 10, 0),
            id_style: IdStyle::Quoted,
            origin: AddressStyle::default(),
            destination: AddressStyle::default(),
            omit: Vec::new(),
            extra: Vec::new(),
        }
    }
}

/// Why a PDU cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// A header value that cannot stand in a mail.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A mandatory value is missing or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
}

impl ForwardReq {
    /// The header block up to and with the empty line; `body.body` follows it as it is.
    ///
    /// # Errors
    /// A value that cannot be written, no originator or no recipient.
    pub fn write_head(&self, body: &Entity, options: &WriteOptions) -> Result<Vec<u8>, WriteError> {
        let from = self.from.as_ref().ok_or(WriteError::Missing("From"))?;
        if self.to.is_empty() && self.cc.is_empty() {
            return Err(WriteError::Missing("To"));
        }
        let mut out = Writer::new(options);
        out.mail(&self.head)?;
        out.raw("From", &options.origin.write(from))?;
        for (name, list) in [("To", &self.to), ("Cc", &self.cc)] {
            out.optional(name, (!list.is_empty()).then(|| options.destination.write_list(list)))?;
        }
        out.text("Subject", self.subject.as_deref())?;
        out.body(body)?;
        out.mms(Kind::ForwardReq)?;
        out.id(field::TRANSACTION_ID, &self.head.transaction_id, options.id_style)?;
        out.id(field::MESSAGE_ID, &self.message_id, options.id_style)?;
        self.write_wishes(&mut out)?;
        self.write_release_6(&mut out)?;
        for (name, value) in &options.extra {
            out.head.text(name, value)?;
        }
        Ok(out.head.finish())
    }

    fn write_wishes(&self, out: &mut Writer<'_>) -> Result<(), WriteError> {
        out.word(field::MESSAGE_CLASS, self.message_class.as_ref())?;
        out.optional(field::EXPIRY, self.expiry.as_ref().map(date::Expiry::written))?;
        out.flag(field::DELIVERY_REPORT, self.wishes.delivery_report)?;
        out.flag(field::ORIGINATOR_RS_DELIVERY_REPORT, self.wishes.originator_rs_delivery_report)?;
        out.word(field::PRIORITY, self.priority.as_ref())?;
        out.word(field::SENDER_VISIBILITY, self.sender_visibility.as_ref())?;
        out.flag(field::READ_REPLY, self.wishes.read_reply)?;
        out.flag(field::ACK_REQUEST, self.wishes.ack_request)?;
        out.optional(field::ORIGINATOR_SYSTEM, self.originator_system.clone())?;
        out.optional(field::FORWARD_COUNTER, self.forward_counter.map(|count| count.to_string()))?;
        self.previously_sent.iter().try_for_each(|hop| out.hop(hop))
    }

    fn write_release_6(&self, out: &mut Writer<'_>) -> Result<(), WriteError> {
        out.applic(&self.applic)?;
        out.word(field::CONTENT_CLASS, self.content_class.as_ref())?;
        out.flag(field::DRM_CONTENT, self.drm_content)?;
        out.flag(field::ADAPTATION_ALLOWED, self.adaptation_allowed)?;
        out.text(field::MMSIP_ADDRESS, self.routing.mmsip_address.as_deref())?;
        out.text(field::FORWARD_ROUTE, self.routing.forward_route.as_deref())?;
        out.text(field::RETURN_ROUTE, self.routing.return_route.as_deref())
    }
}

impl DeliveryReportReq {
    /// The whole mail.
    ///
    /// # Errors
    /// A value that cannot be written, or no `From` or `To`.
    pub fn write(&self, options: &WriteOptions) -> Result<Vec<u8>, WriteError> {
        let mut out = Writer::new(options);
        out.report(Kind::DeliveryReportReq, &self.report)?;
        out.word(field::MM_STATUS, Some(&self.status))?;
        out.word(field::MM_STATUS_EXTENSION, self.extension.as_ref())?;
        out.flag(field::FORWARD_TO_ORIGINATOR_UA, self.forward_to_originator_ua)?;
        out.text(field::STATUS_TEXT, self.report.status_text.as_deref())?;
        Ok(out.head.finish())
    }
}

impl ReadReplyReportReq {
    /// The whole mail.
    ///
    /// # Errors
    /// A value that cannot be written, or no `From` or `To`.
    pub fn write(&self, options: &WriteOptions) -> Result<Vec<u8>, WriteError> {
        let mut out = Writer::new(options);
        out.report(Kind::ReadReplyReportReq, &self.report)?;
        out.word(field::READ_STATUS, Some(&self.status))?;
        out.text(field::STATUS_TEXT, self.report.status_text.as_deref())?;
        Ok(out.head.finish())
    }
}

impl Res {
    /// The whole mail. The ids are written as the request had them.
    ///
    /// # Errors
    /// A value that cannot be written, or no `To`.
    pub fn write(&self, kind: ResKind, options: &WriteOptions) -> Result<Vec<u8>, WriteError> {
        let to = self.to.as_deref().ok_or(WriteError::Missing("To"))?;
        let mut out = Writer::new(options);
        out.mail(&self.head)?;
        out.optional("From", self.head.sender.clone())?;
        out.raw("To", to)?;
        out.plain_body()?;
        out.mms(Kind::Res(kind))?;
        // Empty where the request had none.
        out.raw(field::TRANSACTION_ID, self.head.transaction_id.raw())?;
        if let Some(id) = &self.message_id {
            out.id(field::MESSAGE_ID, id, IdStyle::AsIs)?;
        }
        out.word(field::REQUEST_STATUS, Some(&self.status))?;
        out.text(field::STATUS_TEXT, self.status_text.as_deref())?;
        let recipients = options.origin.write_list(&self.recipients);
        out.optional(field::REQUEST_RECIPIENTS, (!recipients.is_empty()).then_some(recipients))?;
        Ok(out.head.finish())
    }
}

/// A header block in the dialect of a peer.
struct Writer<'a> {
    head: HeaderWriter,
    options: &'a WriteOptions,
}

impl<'a> Writer<'a> {
    fn new(options: &'a WriteOptions) -> Self {
        Self { head: HeaderWriter::with_capacity(2048), options }
    }

    fn wanted(&self, name: &str) -> bool {
        !self.options.omit.iter().any(|omitted| omitted.eq_ignore_ascii_case(name))
    }

    fn raw(&mut self, name: &str, value: &str) -> Result<(), WriteError> {
        match self.wanted(name) {
            true => Ok(self.head.raw(name, value)?),
            false => Ok(()),
        }
    }

    fn optional(&mut self, name: &str, value: Option<String>) -> Result<(), WriteError> {
        value.map_or(Ok(()), |value| self.raw(name, &value))
    }

    fn text(&mut self, name: &str, value: Option<&str>) -> Result<(), WriteError> {
        match value.filter(|_| self.wanted(name)) {
            Some(value) => Ok(self.head.text(name, value)?),
            None => Ok(()),
        }
    }

    fn flag(&mut self, name: &str, value: Option<bool>) -> Result<(), WriteError> {
        self.optional(name, value.map(|flag| write_flag(flag).to_owned()))
    }

    fn word<W: Word>(&mut self, name: &str, value: Option<&W>) -> Result<(), WriteError> {
        value.map_or(Ok(()), |value| self.raw(name, value.as_str()))
    }

    fn id(&mut self, name: &'static str, id: &Id, style: IdStyle) -> Result<(), WriteError> {
        if id.is_empty() {
            return Err(WriteError::Missing(name));
        }
        self.raw(name, &id.written(style))
    }

    /// The headers of RFC 5322 but `From` and `To`.
    fn mail(&mut self, head: &Head) -> Result<(), WriteError> {
        self.optional("Date", head.date.map(date::write_mail))?;
        self.optional("Sender", head.sender.clone())?;
        self.optional("Message-ID", head.mail_id.as_ref().map(|id| format!("<{id}>")))
    }

    fn mms(&mut self, kind: Kind) -> Result<(), WriteError> {
        self.raw(field::VERSION, &self.options.version.to_string())?;
        self.raw(field::MESSAGE_TYPE, kind.as_str())
    }

    fn body(&mut self, body: &Entity) -> Result<(), WriteError> {
        self.raw("MIME-Version", "1.0")?;
        self.raw("Content-Type", &body.content_type)?;
        self.optional("Content-Transfer-Encoding", body.transfer.map(str::to_owned))?;
        self.optional("Content-ID", body.content_id.as_ref().map(|id| format!("<{id}>")))?;
        self.text("Content-Location", body.content_location.as_deref())
    }

    fn plain_body(&mut self) -> Result<(), WriteError> {
        self.raw("MIME-Version", "1.0")?;
        self.raw("Content-Type", "text/plain; charset=us-ascii")
    }

    /// All of a report but its status. The recipient is of our side, the originator of the peer's.
    fn report(&mut self, kind: Kind, report: &Report) -> Result<(), WriteError> {
        let from = report.from.as_ref().ok_or(WriteError::Missing("From"))?;
        let to = report.to.as_ref().ok_or(WriteError::Missing("To"))?;
        self.mail(&report.head)?;
        self.raw("From", &self.options.origin.write(from))?;
        self.raw("To", &self.options.destination.write(to))?;
        self.plain_body()?;
        self.mms(kind)?;
        self.id(field::TRANSACTION_ID, &report.head.transaction_id, self.options.id_style)?;
        self.id(field::MESSAGE_ID, &report.message_id, IdStyle::AsIs)?;
        self.flag(field::ACK_REQUEST, report.ack_request)?;
        self.applic(&report.applic)
    }

    fn applic(&mut self, applic: &ApplicIds) -> Result<(), WriteError> {
        self.text(field::APPLIC_ID, applic.applic_id.as_deref())?;
        self.text(field::REPLY_APPLIC_ID, applic.reply_applic_id.as_deref())?;
        self.text(field::AUX_APPLIC_INFO, applic.aux_applic_info.as_deref())
    }

    fn hop(&mut self, hop: &PreviouslySent) -> Result<(), WriteError> {
        let by = hop.address.as_ref().map(|address| self.options.origin.write(address));
        self.optional(field::PREVIOUSLY_SENT_BY, by.map(|by| format!("{}, {by}", hop.position)))?;
        let at = hop.at.map(date::write_http);
        self.optional(field::PREVIOUSLY_SENT_AT, at.map(|at| format!("{}, {at}", hop.position)))
    }
}
