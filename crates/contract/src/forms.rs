//! Requests as clients write them. They describe the requests to the OpenAPI document and serve the
//! command line; the gateway reads requests with [`TemplateRequest`](crate::TemplateRequest) and its
//! neighbours, which tell more about a fault than these types could.

use mmsgw_domain::Variables;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Body of `POST /mmsgw/v1/mms`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateRequest)]
pub struct TemplateForm {
    /// Number or short code the message comes from.
    #[schema(example = "+12065550100")]
    pub origin: String,
    /// Parts. SMIL always moves to the first place.
    pub parts: Vec<PartItem>,
    /// The other values.
    #[serde(flatten)]
    pub values: TemplateValuesForm,
    /// Sends a message made from the template at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<SendForm>,
}

/// Body of `PUT /mmsgw/v1/mms/<id>`: values given are replaced, `null` empties a value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateChangeRequest)]
pub struct TemplateChangeForm {
    /// Number or short code the message comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Parts to be appended; `null` as first element empties the list first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Option<PartItem>>>,
    /// The other values.
    #[serde(flatten)]
    pub values: TemplateValuesForm,
}

/// The optional values of a template.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = TemplateValues)]
pub struct TemplateValuesForm {
    /// Whether the recipient sees the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_sender: Option<bool>,
    /// Held until then: seconds since 1970 UTC, or RFC 3339 text; in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earliest_delivery: Option<i64>,
    /// Not delivered after that: seconds since 1970 UTC, or RFC 3339 text; in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_delivery: Option<i64>,
    /// Expires that many seconds after it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub expire_after: Option<u64>,
    /// `personal`, `advertisement`, `informational` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_class: Option<String>,
    /// `text`, `image-basic`, `image-rich`, `video-basic`, `video-rich`, `megapixel`, `content-basic`
    /// or `content-rich`; absent: the smallest one that the content fits is stated, where it fits one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_class: Option<String>,
    /// `sender`, `recipient`, `both`, `neither`, or `third-party` with `charged_party_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged_party: Option<String>,
    /// The third party who is charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged_party_id: Option<String>,
    /// Whether it holds content with rights management. Absent states nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drm: Option<bool>,
    /// Whether pictures may be changed so that the content fits the gateway, and whether the network may adapt
    /// it. Absent states nothing, and nothing is changed: content that does not fit is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_adaptation: Option<bool>,
    /// Whether the recipient may forward it. Absent states nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_redistribute: Option<bool>,
    /// Whether the sender pays for the answer (MM7). Absent states nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_charging: Option<bool>,
    /// Octets of the largest answer that is paid for; with `reply_charging`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub reply_charging_size: Option<u32>,
    /// Last time for an answer that is paid for: seconds since 1970 UTC, or RFC 3339 text; in the future, and
    /// with `reply_charging`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_deadline: Option<i64>,
    /// Conditions without which it is not delivered (MM7): 1 only to handsets that know MMS, 2 only in the home
    /// network, others as agreed with the carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_conditions: Option<Vec<u32>>,
    /// Subject; no control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Values of variables where a message gives none: subject, text and SMIL may hold `{{ name }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashMap<String, VariableForm>>)]
    pub defaults: Option<Variables>,
}

/// An element of `parts`: a new part, or the id of one that was created on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum PartItem {
    /// The id of a part.
    Id(String),
    /// A new part.
    New(PartForm),
}

/// Body of `POST /mmsgw/v1/mms_part`, and a part in a template. Exactly one of `content` and
/// `content_url` is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = PartRequest)]
pub struct PartForm {
    /// File name, by which SMIL refers to the part. `content_name` is taken as the same.
    #[schema(required, example = "picture.jpg")]
    pub name: String,
    /// Media type.
    #[schema(required, example = "image/jpeg")]
    pub content_type: String,
    /// Text, or octets in base64 where `encoding` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// `http`, `https` or `file` URL to fetch the content from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_url: Option<String>,
    /// `base64`, or absent for text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// Body of `POST /mmsgw/v1/mms/outbound/<template_id>`, and `send` in a template. At least one
/// number is given in the three lists together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = SendRequest)]
pub struct SendForm {
    /// Direct recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<NumbersForm>,
    /// Recipients of a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cc: Option<NumbersForm>,
    /// Recipients of a hidden copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bcc: Option<NumbersForm>,
    /// The gateway group to carry it; the configured default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// `low`, `normal` or `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_id: Option<String>,
    /// Another origin than the template's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Values of the template's variables, for all the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashMap<String, VariableForm>>)]
    pub variables: Option<Variables>,
    /// Where events are posted to, besides the gateway's URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_url: Option<UrlsForm>,
    /// The billing code (MM7 ServiceCode), in place of the gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_code: Option<String>,
    /// The application that it is for, in place of the gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handling_app: Option<String>,
    /// The application that replies go to, in place of the gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to_app: Option<String>,
    /// What the applications tell each other, in place of the gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_info: Option<String>,
}

/// Body of `PUT /mmsgw/v1/mms/outbound/<id>`. An empty object brings a message up to its template's latest revision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ReplaceRequest)]
pub struct ReplaceForm {
    /// The id of the template whose latest revision takes the place of the content; the message's own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Values of its variables; those of the message if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashMap<String, VariableForm>>)]
    pub variables: Option<Variables>,
}

/// Numbers: E.164 with or without `+`, short codes, mail addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Numbers)]
pub enum NumbersForm {
    /// With commas.
    Text(String),
    /// One by one.
    List(Vec<String>),
}

/// A value: text, a whole number, true or false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Variable)]
pub enum VariableForm {
    /// For conditions.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(String),
}

/// URLs, `http` or `https`; a comma inside one is written `%2C`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Urls)]
pub enum UrlsForm {
    /// One, or several with commas.
    Text(String),
    /// One by one.
    List(Vec<String>),
}

/// Body of `POST /mmsgw/v1/mms/inbound/{ack|dr|rr}/<message_id>`. What the message knows already need
/// not be repeated; what is repeated must agree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ReportRequest)]
pub struct ReportForm {
    /// The gateway group, or an instance of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The message's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The provider's id of the message. `provider_ref` is taken as the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_ref: Option<String>,
    /// What to tell the carrier.
    #[serde(flatten)]
    pub order: OrderForm,
    /// Taken and ignored: the path says what is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_for: Option<String>,
}

/// What to tell a carrier about an inbound message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ReportOrder)]
pub struct OrderForm {
    /// Canonical code, or the protocol's word.
    #[schema(required)]
    pub status: StatusForm,
    /// A sentence for the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The numbers it is about; all where absent or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applies_to: Option<NumbersForm>,
}

/// A status: 200 ok, 202 forwarded, 400 malformed, 404 unknown, 406 refused, 408 expired, 410 deferred,
/// 415 unsupported, 500 unspecified; or a word of MM4 or MM7 such as `Retrieved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Status)]
pub enum StatusForm {
    /// Code or word.
    Text(String),
    /// Code.
    Number(u16),
}

impl Default for StatusForm {
    fn default() -> Self {
        Self::Text("200".into())
    }
}

/// What an application may answer to the callback of an inbound message, to have these reports sent
/// instead of those that would be sent by themselves. Any other answer is taken as well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = CallbackAnswer)]
pub struct CallbackAnswerForm {
    /// The acknowledgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack: Option<OrderForm>,
    /// The delivery report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dr: Option<OrderForm>,
    /// The read report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rr: Option<OrderForm>,
}

/// The query of a look for messages. What is absent does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindForm {
    /// Only messages with one of these states for one of their numbers; several with commas.
    #[param(example = "FAILED,REJECTED")]
    pub state: Option<String>,
    /// Only those of this gateway group.
    pub gateway: Option<String>,
    /// Only those that this gateway instance worked on.
    pub instance: Option<String>,
    /// Only those to this number, short code or mail address, as destination, cc or bcc.
    pub destination: Option<String>,
    /// Only those from this number, short code or mail address.
    pub origin: Option<String>,
    /// Only those that answer this message.
    pub linked_id: Option<String>,
    /// Only those of this batch.
    pub batch: Option<String>,
    /// Only those accepted then or later: seconds since 1970 UTC, or as RFC 3339 has it.
    #[param(example = "2030-01-31T12:00:00Z")]
    pub since: Option<String>,
    /// Only those accepted before.
    pub until: Option<String>,
    /// The `next_cursor` of an answer, to go on behind it; the rest of the query should be the same.
    pub cursor: Option<String>,
    /// How many at most, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
}
