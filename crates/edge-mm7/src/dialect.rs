//! The dialect of an MMSC: every way in which MM7 peers were seen to differ, as a switch.
//!
//! A dialect is a file with a name: some come with the gateway, in `dialects` beside this file, an operator adds
//! more. A gateway file picks one by `dialect` in `[gateway]` and overrides single switches in `[dialect]`.
//! Answers for names, forms, defaults and faults of the switches; what they do is said in `translate`,
//! `render`, `send` and `verdict`. What needs no switch: a request always states its length and is never
//! chunked, since some MMSCs refuse that and none minds a length.

use std::collections::BTreeMap;

use mmsgw_domain::Span;
use mmsgw_engine::config::{Protocol, Switches};
use mmsgw_engine::switches;
use mmsgw_mm7::version::{BASE, KNOWN};
use mmsgw_mm7::{Charset, Namespace};
use serde::Deserialize;

use crate::config::{AuthScheme, SettingFault};

switches! {
    /// Everything about a dialect, settled.
    pub Dialect, DialectSwitches {
        /// MM7Version stated in each request; `version` in `[gateway]` overrides it. Default `6.8.0`; many want
        /// `5.3.0`.
        version: String = "6.8.0".into(),
        /// Schema of the requests, such as `REL-6-MM7-1-4`, or a whole namespace; empty: as is usual with the
        /// version. Vibes wants 5.3.0 in a namespace of its own choice.
        namespace: String = String::new(),
        /// How elements get their namespace: `default` or `mm7`. Only readers without XML need the second.
        prefix_style: PrefixStyle = PrefixStyle::Default,
        /// Charset of the envelope: `utf-8`, or one of the Encoding Standard such as `euc-kr` for SKT and KTF.
        /// What it lacks becomes a character reference.
        charset: String = "utf-8".into(),
        /// Value of SOAPAction, sent in quotes (SOAP 1.1 clause 6.1.1); `{namespace}` in it stands for the
        /// namespace, which Sinch and Skycore want. `soap_action` in `[outbound]` overrides it.
        soap_action: String = String::new(),
        /// How a request proves who it comes from: `none`, `basic`, `bearer`, or `vaspid`, which puts
        /// `user:password` into the VASPID, as Turkcell wants it. Absent: what is given, a token before a user
        /// name. `auth` in `[outbound]` overrides it.
        auth: Option<AuthScheme> = None,
        /// HTTP headers that the MMSC wants besides, with their values (X-Mblox-Carrier-Id, MM7APIVersion).
        extra_headers: BTreeMap<String, String> = BTreeMap::new(),
        /// Time for a whole exchange, from the connection to the last octet of the answer; `timeout` in
        /// `[outbound]` overrides it.
        ack_timeout: Span = Span::secs(30),
        /// Stands before the digits of a number unless they start so already; empty for digits alone, as
        /// Sinch and Celcom want them. `dest_prefix` and `origin_prefix` override it.
        number_prefix: String = "+".into(),
        /// Follows a number; with an `@` in it the whole is an RFC2822Address. `dest_suffix` and
        /// `origin_suffix` override it.
        number_suffix: String = String::new(),
        /// Put `/TYPE=PLMN` behind every number, as Nokia does.
        number_type_suffix: bool = false,
        /// Put `/TYPE=PLMN` behind every short code, as Celcom does.
        short_code_type_suffix: bool = false,
        /// SenderAddress as bare text, as China Mobile and MMSCs at the level of MM7 5.2.0 want it.
        bare_sender: bool = false,
        /// Most numbers of one request; 0 for no limit. A message to more goes out as several, each with a
        /// transaction of its own. Sinch takes one.
        max_recipients: usize = 0,
        /// How the parts stand in the content: `nested` (related where a presentation comes first, else mixed),
        /// `related`, `mixed`, `single` (a lone part without a multipart), or `flat` (beside the envelope, as
        /// China Mobile does).
        content_layout: ContentLayout = ContentLayout::Nested,
        /// Transfer coding of the parts: `binary` or `base64`.
        transfer: PartTransfer = PartTransfer::Binary,
        /// ServiceCode of messages that name none, for billing; empty for none.
        service_code: String = String::new(),
        /// State the LinkedID of messages that answer another one.
        linked_id: bool = true,
        /// State the time of submission (TimeStamp).
        time_stamp: bool = false,
        /// How a message is taken back: `standard` (CancelReq), `extended` (extendedCancelReq, Release 6) or
        /// `none`.
        cancel: AmendForm = AmendForm::Standard,
        /// How a message is replaced: `standard` (ReplaceReq), `extended` (extendedReplaceReq, Release 6) or
        /// `none`.
        replace: AmendForm = AmendForm::Standard,
        /// An answer of HTTP 2xx without a body means success, as at Vibes.
        empty_200_is_success: bool = false,
        /// StatusCodes after which a message is tried again.
        retry_statuses: Vec<u16> = vec![3000, 3510, 4000, 4006],
        /// HTTP statuses of answers without SOAP after which a message is tried again: `429`, or `5xx` for a
        /// whole class. 401, 403 and 407 are always tried again, as the operator can mend them.
        retry_http: Vec<HttpStatuses> =
            vec![HttpStatuses::one(408), HttpStatuses::one(429), HttpStatuses::class(5)],
        /// Answer faults with HTTP status 200 where SOAP 1.1 clause 6.2 wants 500; `faults_with_200` in
        /// `[inbound]` overrides it.
        faults_with_200: bool = false,
    }
}

impl Switches for DialectSwitches {
    const PROTOCOL: Protocol = Protocol::Mm7;
    const STANDARD: &'static str = "standard-6.8.0";
    const BUILT_IN: &'static [(&'static str, &'static str)] = &[
        ("standard-6.8.0", include_str!("dialects/standard-6.8.0.toml")),
        ("standard-5.3.0", include_str!("dialects/standard-5.3.0.toml")),
        ("celcom", include_str!("dialects/celcom.toml")),
        ("china-mobile", include_str!("dialects/china-mobile.toml")),
        ("mbuni", include_str!("dialects/mbuni.toml")),
        ("msag", include_str!("dialects/msag.toml")),
        ("nokia", include_str!("dialects/nokia.toml")),
        ("sinch", include_str!("dialects/sinch.toml")),
        ("skt", include_str!("dialects/skt.toml")),
        ("skycore", include_str!("dialects/skycore.toml")),
        ("turkcell", include_str!("dialects/turkcell.toml")),
        ("vibes", include_str!("dialects/vibes.toml")),
    ];

    fn over(self, base: Self) -> Self {
        Self::over(self, base)
    }
}

impl Dialect {
    /// The namespace of the requests.
    pub(crate) fn namespace(&self) -> Namespace {
        match self.namespace.as_str() {
            "" => usual_namespace(&self.version),
            name => Namespace::from_uri(name).unwrap_or_else(|| Namespace::named(name)),
        }
    }

    /// SOAPAction, without its quotes.
    pub(crate) fn soap_action(&self) -> String {
        self.soap_action.replace("{namespace}", self.namespace().uri())
    }

    /// The charset of envelopes; the check has seen that there is one.
    pub(crate) fn charset(&self) -> Charset {
        Charset::named(&self.charset).unwrap_or_default()
    }

    /// Looks for everything that the types alone cannot see.
    pub(crate) fn faults(&self) -> Vec<SettingFault> {
        let mut faults = Vec::new();
        let mut add = |key, why: String| faults.push(SettingFault { key, why });
        if !self.namespace.bytes().all(|b| b.is_ascii_graphic()) {
            let why = "must be a schema name such as \"REL-6-MM7-1-4\", or a namespace";
            add("dialect.namespace", why.into());
        }
        if Charset::named(&self.charset).is_none() {
            let why = format!(
                "`{}` is no charset that can be written, such as \"utf-8\" or \"euc-kr\"",
                self.charset
            );
            add("dialect.charset", why);
        }
        if !self.soap_action.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"') {
            add("outbound.soap_action", "must be printable ASCII without quotes".into());
        }
        for (name, value) in &self.extra_headers {
            if http::HeaderName::try_from(name).is_err() || http::HeaderValue::try_from(value).is_err() {
                add("dialect.extra_headers", format!("`{}` is no HTTP header", name.escape_debug()));
            }
        }
        if self.ack_timeout.0.is_zero() {
            add("outbound.timeout", "must not be 0".into());
        }
        // XML cannot carry control characters.
        let texts = [
            ("gateway.version", &self.version),
            ("dialect.service_code", &self.service_code),
            ("dialect.number_prefix", &self.number_prefix),
            ("dialect.number_suffix", &self.number_suffix),
        ];
        for (key, text) in texts {
            if text.chars().any(char::is_control) {
                add(key, "must not hold control characters".into());
            }
        }
        if let Some(code) = self.retry_statuses.iter().find(|c| !(2000..10_000).contains(*c)) {
            add("dialect.retry_statuses", format!("{code} is no StatusCode of an error"));
        }
        faults
    }
}

/// The namespace usual with a version; for versions that no schema has, the last one of their release.
fn usual_namespace(version: &str) -> Namespace {
    let known = KNOWN.iter().find(|(_, usual)| *usual == version).map(|(schema, _)| *schema);
    let last = if version.starts_with("5.") { "REL-5-MM7-1-5" } else { "REL-6-MM7-1-4" };
    Namespace::from_uri(&format!("{BASE}{}", known.unwrap_or(last))).unwrap_or_default()
}

/// How elements get their namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrefixStyle {
    /// A default namespace, no prefixes but that of TransactionID.
    Default,
    /// Prefix `mm7`.
    Mm7,
}

/// With which request a message is taken back or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AmendForm {
    /// The ordinary one, by MessageID.
    Standard,
    /// The extended one of Release 6, for messages that may be on the terminal already. The MessageID
    /// stands for the CancelID or ReplaceID, as a SubmitRsp gives no other id.
    Extended,
    /// The MMSC has none.
    None,
}

/// Transfer coding of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartTransfer {
    /// Octets as they are.
    Binary,
    /// Base64, a third longer.
    Base64,
}

/// How the parts stand in the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentLayout {
    /// multipart/related where a presentation comes first, else multipart/mixed.
    Nested,
    /// Always multipart/related.
    Related,
    /// Always multipart/mixed.
    Mixed,
    /// A part that is alone stands without a multipart; more of them as in `nested`.
    Single,
    /// No multipart of their own: they follow the envelope, and Content refers to the first of them.
    Flat,
}

/// An HTTP status or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HttpStatuses {
    first: u16,
    last: u16,
}

impl HttpStatuses {
    const fn one(status: u16) -> Self {
        Self { first: status, last: status }
    }

    const fn class(digit: u16) -> Self {
        Self { first: digit * 100, last: digit * 100 + 99 }
    }

    /// Whether `status` is meant.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl TryFrom<String> for HttpStatuses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("`{text}` is no HTTP status: write one as in `429`, or a class as in `5xx`");
        let (digits, make): (&str, fn(u16) -> Self) = match text.strip_suffix("xx") {
            Some(digit) => (digit, Self::class),
            None => (&text, Self::one),
        };
        let made = make(digits.parse::<u16>().ok().filter(|n| *n < 600).ok_or_else(bad)?);
        if (300..600).contains(&made.first) { Ok(made) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests;
