//! Templates: creating and changing them.

use std::time::Duration;

use mmsgw_domain::{
    Address, ChargedParty, ContentClass, MessageClass, TemplateContent, Timestamp, Variables,
};

use super::variables::variables;
use super::{PartRequest, SendRequest};
use crate::json::Json;
use crate::reader::{At, Context, Object};
use crate::scalar::{address, boolean, count, future, line, span, text_line, word};
use crate::{FaultCode, Problem, Rules};

/// What `POST /mmsgw/v1/mms` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRequest {
    /// The content; its list of parts is empty here.
    pub content: TemplateContent,
    /// The parts.
    pub parts: Vec<PartRequest>,
    /// Whether a message is to be sent from it at once.
    pub send: Option<SendRequest>,
}

/// What `PUT /mmsgw/v1/mms/<id>` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateChangeRequest {
    /// The values to change.
    pub values: TemplateValues,
    /// Whether the parts so far are dropped.
    pub clear_parts: bool,
    /// Parts to be appended.
    pub parts: Vec<PartRequest>,
}

/// A change of one optional value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is no longer stated.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Change<T> {
    /// Carries the change out.
    pub fn apply(self, value: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *value = None,
            Self::Set(new) => *value = Some(new),
        }
    }
}

/// Changes of all values of a template, named and explained as in [`TemplateContent`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TemplateValues {
    /// The new origin, which cannot be cleared; `None` keeps it.
    pub origin: Option<Address>,
    pub show_sender: Change<bool>,
    pub earliest_delivery: Change<Timestamp>,
    pub latest_delivery: Change<Timestamp>,
    pub expire_after: Change<Duration>,
    pub message_class: Change<MessageClass>,
    pub content_class: Change<ContentClass>,
    pub charged_party: Change<ChargedParty>,
    pub charged_party_id: Change<String>,
    pub drm: Change<bool>,
    pub content_adaptation: Change<bool>,
    pub can_redistribute: Change<bool>,
    pub reply_charging: Change<bool>,
    pub reply_charging_size: Change<u32>,
    pub reply_deadline: Change<Timestamp>,
    pub delivery_conditions: Change<Vec<u32>>,
    pub subject: Change<String>,
    /// They replace those there are, all of them.
    pub defaults: Change<Variables>,
}

impl TemplateValues {
    fn take(object: &mut Object<'_, '_>) -> Self {
        Self {
            origin: None,
            show_sender: object.change("show_sender", boolean),
            earliest_delivery: object.change("earliest_delivery", future),
            latest_delivery: object.change("latest_delivery", future),
            expire_after: object.change("expire_after", span),
            message_class: object.change("message_class", |j, at, c| word(j, at, c, &MESSAGE_CLASSES)),
            content_class: object.change("content_class", |j, at, c| word(j, at, c, &CONTENT_CLASSES)),
            charged_party: object.change("charged_party", |j, at, c| word(j, at, c, &CHARGED_PARTIES)),
            charged_party_id: object.change("charged_party_id", text_line),
            drm: object.change("drm", boolean),
            content_adaptation: object.change("content_adaptation", boolean),
            can_redistribute: object.change("can_redistribute", boolean),
            reply_charging: object.change("reply_charging", boolean),
            reply_charging_size: object.change("reply_charging_size", count),
            reply_deadline: object.change("reply_deadline", future),
            delivery_conditions: object.change("delivery_conditions", conditions),
            subject: object.change("subject", |j, at, c| line(j, at, c, c.rules.limits.subject)),
            defaults: object.change("defaults", variables),
        }
    }

    /// Carries the changes out.
    pub fn apply(self, content: &mut TemplateContent) {
        if let Some(origin) = self.origin {
            content.origin = origin;
        }
        self.show_sender.apply(&mut content.show_sender);
        self.earliest_delivery.apply(&mut content.earliest_delivery);
        self.latest_delivery.apply(&mut content.latest_delivery);
        self.expire_after.apply(&mut content.expire_after);
        self.message_class.apply(&mut content.message_class);
        self.content_class.apply(&mut content.content_class);
        self.charged_party.apply(&mut content.charged_party);
        self.charged_party_id.apply(&mut content.charged_party_id);
        self.drm.apply(&mut content.drm);
        self.content_adaptation.apply(&mut content.content_adaptation);
        self.can_redistribute.apply(&mut content.can_redistribute);
        self.reply_charging.apply(&mut content.reply_charging);
        self.reply_charging_size.apply(&mut content.reply_charging_size);
        self.reply_deadline.apply(&mut content.reply_deadline);
        self.delivery_conditions.apply(&mut content.delivery_conditions);
        self.subject.apply(&mut content.subject);
        match self.defaults {
            Change::Keep => {}
            Change::Clear => content.defaults = Variables::new(),
            Change::Set(defaults) => content.defaults = defaults,
        }
    }
}

impl TemplateRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read(body: &[u8], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        Context::read(body, rules, now, |json, at, context| {
            let mut object = Object::open(json, at, context)?;
            let origin = object.required("origin", address);
            let values = TemplateValues::take(&mut object);
            let parts = object.required("parts", |j, at, c| read_parts(j, at, c, false));
            let send = object.optional("send", SendRequest::read_object);
            let content = origin.map(|origin| {
                let mut content = TemplateContent::new(origin);
                values.apply(&mut content);
                content
            });
            if let Some((code, detail)) = content.as_ref().and_then(charging_fault) {
                object.fault::<()>("charged_party_id", code, detail);
            }
            if let Some(detail) = content.as_ref().and_then(reply_fault) {
                object.fault::<()>("reply_charging", FaultCode::Required, detail);
            }
            object.finish();
            Some(Self { content: content?, parts: parts?.parts, send })
        })
    }
}

impl TemplateChangeRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read(body: &[u8], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        Context::read(body, rules, now, |json, at, context| {
            let mut object = Object::open(json, at, context)?;
            let origin = object.present("origin", address);
            let values = TemplateValues { origin, ..TemplateValues::take(&mut object) };
            let change = object.present("parts", |j, at, c| read_parts(j, at, c, true)).unwrap_or_default();
            if object.take("send").is_some() {
                let detail = "a change sends nothing; post to /mmsgw/v1/mms/outbound/<id> instead";
                object.fault::<()>("send", FaultCode::UnknownField, detail);
            }
            object.finish();
            Some(Self { values, clear_parts: change.clear, parts: change.parts })
        })
    }

    /// Whether the template would still make sense with the changes carried out.
    ///
    /// # Errors
    /// A [`Problem`] where values old and new do not go together.
    pub fn check(&self, before: &TemplateContent) -> Result<(), Problem> {
        let mut after = TemplateContent { parts: Vec::new(), ..before.clone() };
        self.values.clone().apply(&mut after);
        if let Some((code, detail)) = charging_fault(&after) {
            return Err(Problem::field("/charged_party_id", code, detail));
        }
        match reply_fault(&after) {
            Some(detail) => Err(Problem::field("/reply_charging", FaultCode::Required, detail)),
            None => Ok(()),
        }
    }
}

/// The parts of a request, and whether `null` came first.
#[derive(Default)]
struct Parts {
    clear: bool,
    parts: Vec<PartRequest>,
}

fn read_parts(json: Json<'_>, at: &At<'_>, context: &Context<'_>, may_clear: bool) -> Option<Parts> {
    let Json::List(list) = json else { return context.wrong_type(at, &json, "a list of parts") };
    let clear = may_clear && list.first() == Some(&Json::Null);
    let most = context.rules.limits.parts;
    if list.len() - usize::from(clear) > most {
        let detail = format!("there are {} parts; at most {most} are taken", list.len());
        return context.fault(at, FaultCode::TooMany, detail);
    }
    let items = list.into_iter().enumerate().skip(usize::from(clear));
    let parts: Vec<Option<PartRequest>> =
        items.map(|(index, part)| PartRequest::read_item(part, &at.item(index), context)).collect();
    Some(Parts { clear, parts: parts.into_iter().collect::<Option<_>>()? })
}

/// A third party is charged exactly where one is named.
fn charging_fault(content: &TemplateContent) -> Option<(FaultCode, &'static str)> {
    match (content.charged_party, &content.charged_party_id) {
        (Some(ChargedParty::ThirdParty), None) => {
            Some((FaultCode::Required, "`charged_party` is third-party, so name the party here"))
        }
        (Some(ChargedParty::ThirdParty), Some(_)) | (_, None) => None,
        (_, Some(_)) => {
            Some((FaultCode::Disagrees, "a party is named here, so set `charged_party` to third-party"))
        }
    }
}

/// Size and deadline say something only of answers that are paid for.
fn reply_fault(content: &TemplateContent) -> Option<&'static str> {
    let limited = content.reply_charging_size.is_some() || content.reply_deadline.is_some();
    let is_paid = content.reply_charging == Some(true);
    (limited && !is_paid).then_some("a size or deadline of answers is given, so set `reply_charging` to true")
}

/// Numbers of delivery conditions.
fn conditions(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Vec<u32>> {
    let Json::List(list) = json else { return context.wrong_type(at, &json, "a list of whole numbers") };
    if list.len() > MOST_CONDITIONS {
        let detail = format!("there are {} conditions; at most {MOST_CONDITIONS} are taken", list.len());
        return context.fault(at, FaultCode::TooMany, detail);
    }
    let items = list.into_iter().enumerate();
    let all: Vec<Option<u32>> = items.map(|(index, item)| count(item, &at.item(index), context)).collect();
    all.into_iter().collect()
}

const MOST_CONDITIONS: usize = 16;

const MESSAGE_CLASSES: [(&str, MessageClass); 4] = [
    ("personal", MessageClass::Personal),
    ("advertisement", MessageClass::Advertisement),
    ("informational", MessageClass::Informational),
    ("auto", MessageClass::Auto),
];

const CONTENT_CLASSES: [(&str, ContentClass); 8] = [
    ("text", ContentClass::Text),
    ("image-basic", ContentClass::ImageBasic),
    ("image-rich", ContentClass::ImageRich),
    ("video-basic", ContentClass::VideoBasic),
    ("video-rich", ContentClass::VideoRich),
    ("megapixel", ContentClass::Megapixel),
    ("content-basic", ContentClass::ContentBasic),
    ("content-rich", ContentClass::ContentRich),
];

const CHARGED_PARTIES: [(&str, ChargedParty); 5] = [
    ("sender", ChargedParty::Sender),
    ("recipient", ChargedParty::Recipient),
    ("both", ChargedParty::Both),
    ("neither", ChargedParty::Neither),
    ("third-party", ChargedParty::ThirdParty),
];
