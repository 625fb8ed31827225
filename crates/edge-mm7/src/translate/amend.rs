//! A message that the MMSC has, taken back or replaced: CancelReq, ReplaceReq (TS 23.140 clauses 8.7.1.5 to
//! 8.7.1.8) and the extended forms of Release 6.

use mmsgw_domain::{Message, TemplateContent};
use mmsgw_engine::Amendment;
use mmsgw_mm7::{self as mm7, Pdu, When};

use super::{Translator, application, content_reference, expiry, seconds};
use crate::config::AmendForm;

impl Translator {
    /// The request that takes a message back; none where the MMSC has none.
    pub(crate) fn cancel(
        &self,
        message: &Message,
        (message_id, transaction): (&str, &str),
    ) -> Option<mm7::Message> {
        let sender = self.sender(message);
        let pdu = match self.cancel {
            AmendForm::None => return None,
            AmendForm::Standard => Pdu::CancelReq(Box::new(mm7::CancelReq {
                sender,
                message_id: message_id.to_owned(),
                application: application(message),
            })),
            AmendForm::Extended => Pdu::ExtendedCancelReq(Box::new(mm7::ExtendedCancelReq {
                sender,
                cancel_id: message_id.to_owned(),
            })),
        };
        Some(self.request(transaction, pdu))
    }

    /// The request that puts `template` in the place of a message; `content_id` names the part with the new
    /// content. None where the MMSC has none.
    pub(crate) fn replace(
        &self,
        amendment: &Amendment,
        (message_id, transaction): (&str, &str),
        (template, content_id): (&TemplateContent, Option<&str>),
    ) -> Option<mm7::Message> {
        let message = &*amendment.message;
        let content = content_reference(template, content_id);
        let earliest_delivery_time = template.earliest_delivery.map(|at| When::At(seconds(at)));
        let time_stamp = self.time_stamp.then(|| seconds(amendment.now));
        let pdu = match self.replace {
            AmendForm::None => return None,
            AmendForm::Standard => Pdu::ReplaceReq(Box::new(mm7::ReplaceReq {
                sender: self.sender(message),
                message_id: message_id.to_owned(),
                service_code: self.billing(message),
                time_stamp,
                read_reply: message.rr_requested,
                earliest_delivery_time,
                distribution_indicator: template.can_redistribute,
                content_class: template.content_class.map(|class| mm7::ContentClass::from(class.name())),
                drm_content: template.drm,
                application: application(message),
                content,
            })),
            AmendForm::Extended => Pdu::ExtendedReplaceReq(Box::new(mm7::ExtendedReplaceReq {
                vasp_id: self.vaspid.clone(),
                vas_id: self.vasid.clone(),
                service_code: self.billing(message),
                replace_id: Some(message_id.to_owned()),
                time_stamp,
                earliest_delivery_time,
                expiry_date: expiry(template, message, amendment.now),
                read_reply: message.rr_requested,
                delivery_report: message.dr_requested,
                content,
            })),
        };
        Some(self.request(transaction, pdu))
    }
}
