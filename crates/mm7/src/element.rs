//! Elements that several PDUs share (TS 23.140 clause 8.7; schema REL-6-MM7-1-4).

use crate::address::Address;
use crate::emit::{Out, Value, positive};
use crate::status::Status;
use crate::when::When;
use crate::write::WriteError;
use crate::xml::Element;

/// SenderIdentification: who submits (REL-5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SenderIdentification {
    /// `VASPID`: the provider's account; one operator wants `user:password` here.
    pub vasp_id: Option<String>,
    /// `VASID`: the provider's service.
    pub vas_id: Option<String>,
    /// `SenderAddress`: what the recipient sees.
    pub address: Option<Address>,
}

impl SenderIdentification {
    /// Reads it from a request; what is missing there is empty here.
    pub(crate) fn inside(request: Element<'_>) -> Self {
        let Some(element) = request.child(&["SenderIdentification"]) else { return Self::default() };
        Self {
            vasp_id: element.maybe(&["VASPID"]),
            vas_id: element.maybe(&["VASID"]),
            address: element.child(&["SenderAddress"]).and_then(Address::inside),
        }
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.open("SenderIdentification");
        out.maybe("VASPID", self.vasp_id.as_ref())?;
        out.maybe("VASID", self.vas_id.as_ref())?;
        if let Some(address) = &self.address {
            address.write_sender("SenderAddress", out)?;
        }
        out.close("SenderIdentification");
        Ok(())
    }
}

/// Application addressing (REL-6): ApplicID, ReplyApplicID, AuxApplicInfo.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Application {
    /// `ApplicID`: the application addressed.
    pub applic_id: Option<String>,
    /// `ReplyApplicID`: the application that answers go to.
    pub reply_applic_id: Option<String>,
    /// `AuxApplicInfo`: for the application.
    pub aux_applic_info: Option<String>,
}

impl Application {
    pub(crate) fn inside(pdu: Element<'_>) -> Self {
        Self {
            applic_id: pdu.maybe(&["ApplicID"]),
            reply_applic_id: pdu.maybe(&["ReplyApplicID"]),
            aux_applic_info: pdu.maybe(&["AuxApplicInfo", "AuxApplicId"]),
        }
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.rel6("ApplicID", self.applic_id.as_ref())?;
        out.rel6("ReplyApplicID", self.reply_applic_id.as_ref())?;
        out.rel6("AuxApplicInfo", self.aux_applic_info.as_ref())
    }
}

/// ReplyCharging of a submission (REL-5); its presence asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplyCharging {
    /// `replyChargingSize`: largest answer paid for, in octets; not 0.
    pub size: Option<u32>,
    /// `replyDeadline`: last time for the answer.
    pub deadline: Option<When>,
}

impl ReplyCharging {
    /// Reads it; `<ReplyCharging>False</ReplyCharging>` is none, and ReplyChargingSize may be an element.
    pub(crate) fn inside(request: Element<'_>) -> Option<Self> {
        let element = request.child(&["ReplyCharging"])?;
        if bool::of_text(element.text()) == Some(false) {
            return None;
        }
        let by_element =
            || element.maybe(&["ReplyChargingSize"]).or_else(|| request.maybe(&["ReplyChargingSize"]));
        let deadline = || element.maybe(&["ReplyDeadline"]).or_else(|| request.maybe(&["ReplyDeadline"]));
        Some(Self {
            size: element.value("replyChargingSize").or_else(by_element),
            deadline: element.value("replyDeadline").or_else(deadline),
        })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.begin("ReplyCharging");
        let size = self.size.map(|size| positive("replyChargingSize", size)).transpose()?;
        out.attribute("replyChargingSize", size.as_ref())?;
        out.attribute("replyDeadline", self.deadline.as_ref())?;
        out.raw("/>");
        Ok(())
    }
}

/// Content: where the message's content is (REL-5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentReference {
    /// `href`: `cid:` and the Content-ID of the part, percent-encoded. Read as it stands; none if
    /// missing or empty.
    pub href: Option<String>,
    /// `allowAdaptations`: the relay/server may convert the content. Default true.
    pub allow_adaptations: bool,
}

impl ContentReference {
    /// A reference to the part with this Content-ID (without `<>`), adaptations allowed.
    pub fn to_part(content_id: &str) -> Self {
        let mut href = String::from("cid:");
        for byte in content_id.bytes() {
            // Unreserved and sub-delims of RFC 3986, and what addr-spec uses.
            if byte.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:@".contains(&byte) {
                href.push(byte.into());
            } else {
                href.push_str(&format!("%{byte:02X}"));
            }
        }
        Self { href: Some(href), allow_adaptations: true }
    }

    pub(crate) fn inside(request: Element<'_>) -> Option<Self> {
        let element = request.child(&["Content"])?;
        Some(Self {
            href: element.value("href"),
            allow_adaptations: element.value("allowAdaptations").unwrap_or(true),
        })
    }

    pub(crate) fn write(content: Option<&Self>, out: &mut Out) -> Result<(), WriteError> {
        let Some(content) = content else { return Ok(()) };
        let href = content.href.as_ref().ok_or(WriteError::Missing { field: "href" })?;
        out.begin("Content");
        out.attribute("href", Some(href))?;
        out.attribute("allowAdaptations", Some(&content.allow_adaptations))?;
        out.raw("/>");
        Ok(())
    }
}

/// UACapabilities (REL-6): what the terminal can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UaCapabilities {
    /// `UAProf`: URL of the profile; some peers put a device's name.
    pub ua_prof: Option<String>,
    /// `TimeStamp`: when this was learnt.
    pub time_stamp: Option<When>,
}

impl UaCapabilities {
    pub(crate) fn inside(request: Element<'_>) -> Option<Self> {
        let element = request.child(&["UACapabilities"])?;
        Some(Self { ua_prof: element.value("UAProf"), time_stamp: element.value("TimeStamp") })
    }

    pub(crate) fn write(capabilities: Option<&Self>, out: &mut Out) -> Result<(), WriteError> {
        let Some(capabilities) = capabilities.filter(|_| out.is_rel6()) else { return Ok(()) };
        out.begin("UACapabilities");
        out.attribute("UAProf", capabilities.ua_prof.as_ref())?;
        out.attribute("TimeStamp", capabilities.time_stamp.as_ref())?;
        out.raw("/>");
        Ok(())
    }
}

impl Status {
    /// Reads the Status of a response; a StatusCode directly under the response is taken too. None
    /// without a code.
    pub(crate) fn inside(response: Element<'_>) -> Option<Self> {
        let element = response.child(&["Status"]).unwrap_or(response);
        let code = element.maybe::<String>(&["StatusCode"])?;
        Some(Self {
            // What is no number of 16 bits is in no class, as 0 is.
            code: code.parse().unwrap_or(0),
            text: element.maybe(&["StatusText"]).unwrap_or_default(),
            details: element
                .child(&["Details", "Detail"])
                .map(Element::whole_text)
                .filter(|text| !text.is_empty()),
        })
    }

    pub(crate) fn write(&self, out: &mut Out) -> Result<(), WriteError> {
        out.open("Status");
        self.write_code(out)?;
        let usual = || crate::status::text(self.code).to_owned();
        let text = if self.text.is_empty() { usual() } else { self.text.clone() };
        out.text("StatusText", &text)?;
        out.maybe("Details", self.details.as_ref())?;
        out.close("Status");
        Ok(())
    }

    /// As [`Status::write`], without text and details: all that the `extended…` responses have.
    pub(crate) fn write_short(&self, out: &mut Out) -> Result<(), WriteError> {
        out.open("Status");
        self.write_code(out)?;
        out.close("Status");
        Ok(())
    }

    fn write_code(&self, out: &mut Out) -> Result<(), WriteError> {
        out.text("StatusCode", &positive("StatusCode", self.code.into())?)
    }
}
