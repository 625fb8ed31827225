//! Sending: to whom, through which gateway.

use mmsgw_domain::{Address, GroupName, Priority, Timestamp, Variables};

use super::variables::variables;
use crate::json::Json;
use crate::reader::{At, Context, Object};
use crate::scalar::{address, group, parse_address, text_line, url, word};
use crate::{FaultCode, Problem, Rules};

/// What `POST /mmsgw/v1/mms/outbound/<template_id>` asks for, and `send` in a template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendRequest {
    /// Direct recipients.
    pub destination: Vec<Address>,
    /// Recipients of a copy.
    pub cc: Vec<Address>,
    /// Recipients of a hidden copy.
    pub bcc: Vec<Address>,
    /// The gateway group to carry it.
    pub gateway: Option<GroupName>,
    /// Priority.
    pub priority: Option<Priority>,
    /// The message it answers.
    pub linked_id: Option<String>,
    /// Another origin than the template's.
    pub origin: Option<Address>,
    /// Values of the template's variables, for all the numbers.
    pub variables: Variables,
    /// Where events are posted to, besides the gateway's URLs.
    pub events_url: Vec<String>,
    /// The billing code, in place of the gateway's.
    pub service_code: Option<String>,
    /// The application that it is for, in place of the gateway's. So the two that follow.
    pub handling_app: Option<String>,
    /// The application that replies go to.
    pub reply_to_app: Option<String>,
    /// What the applications tell each other.
    pub app_info: Option<String>,
}

impl SendRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read(body: &[u8], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        Context::read(body, rules, now, Self::read_object)
    }

    /// Reads what a batch's address says of all its lines: every field of sending, save the numbers and the variables.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read_query(pairs: &[(String, String)], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        let field =
            |(name, value): &(String, String)| (name.clone().into(), Json::Text(value.clone().into()));
        let json = Json::Object(pairs.iter().map(field).collect());
        Context::read_json(json, &At::ROOT, rules, now, |json, at, context| {
            let mut object = Object::open(json, at, context)?;
            let request = Self::take_manner(&mut object);
            object.finish();
            Some(request)
        })
    }

    /// What this line says, and where it says nothing what all lines have in common.
    #[must_use]
    pub fn over(mut self, common: &Self) -> Self {
        self.gateway = self.gateway.or_else(|| common.gateway.clone());
        self.priority = self.priority.or(common.priority);
        self.linked_id = self.linked_id.or_else(|| common.linked_id.clone());
        self.origin = self.origin.or_else(|| common.origin.clone());
        self.service_code = self.service_code.or_else(|| common.service_code.clone());
        self.handling_app = self.handling_app.or_else(|| common.handling_app.clone());
        self.reply_to_app = self.reply_to_app.or_else(|| common.reply_to_app.clone());
        self.app_info = self.app_info.or_else(|| common.app_info.clone());
        if self.events_url.is_empty() {
            self.events_url.clone_from(&common.events_url);
        }
        self
    }

    /// How it is sent, to whomever.
    fn take_manner(object: &mut Object<'_, '_>) -> Self {
        Self {
            gateway: object.optional("gateway", group),
            priority: object.optional("priority", |json, at, context| word(json, at, context, &PRIORITIES)),
            linked_id: object.optional("linked_id", text_line),
            origin: object.optional("origin", address),
            events_url: object.optional("events_url", urls).unwrap_or_default(),
            service_code: object.optional("service_code", text_line),
            handling_app: object.optional("handling_app", text_line),
            reply_to_app: object.optional("reply_to_app", text_line),
            app_info: object.optional("app_info", text_line),
            ..Self::default()
        }
    }

    pub(crate) fn read_object(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Self> {
        let mut object = Object::open(json, at, context)?;
        let (mut left, faults) = (context.rules.limits.numbers, context.faults());
        let mut list = |name| {
            let read =
                |json: Json<'_>, at: &At<'_>, context: &Context<'_>| numbers(json, at, context, &mut left);
            object.optional(name, read)
        };
        let (destination, cc, bcc) = (list("destination"), list("cc"), list("bcc"));
        let lists_are_good = context.faults() == faults;
        let request = Self {
            destination: destination.unwrap_or_default(),
            cc: cc.unwrap_or_default(),
            bcc: bcc.unwrap_or_default(),
            variables: object.optional("variables", variables).unwrap_or_default(),
            ..Self::take_manner(&mut object)
        };
        if lists_are_good && request.is_to_nobody() {
            let detail = "give at least one number in destination, cc or bcc";
            object.fault::<()>("destination", FaultCode::NoRecipient, detail);
        }
        object.finish();
        Some(request)
    }

    fn is_to_nobody(&self) -> bool {
        self.destination.is_empty() && self.cc.is_empty() && self.bcc.is_empty()
    }
}

const PRIORITIES: [(&str, Priority); 3] =
    [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)];

/// Numbers as a list, or as one text with commas; `left` is how many the message may still have.
pub(super) fn numbers(
    json: Json<'_>,
    at: &At<'_>,
    context: &Context<'_>,
    left: &mut usize,
) -> Option<Vec<Address>> {
    let numbers: Vec<Option<Address>> = match json {
        Json::Text(text) if text.trim().is_empty() => Vec::new(),
        Json::Text(text) => {
            take(text.split(',').count(), at, context, left)?;
            text.split(',').map(|number| parse_address(number, at, context)).collect()
        }
        Json::List(list) => {
            take(list.len(), at, context, left)?;
            let each = |(index, number)| address(number, &at.item(index), context);
            list.into_iter().enumerate().map(each).collect()
        }
        other => {
            return context.wrong_type(at, &other, "numbers as a list of strings, or as one with commas");
        }
    };
    numbers.into_iter().collect()
}

fn take(count: usize, at: &At<'_>, context: &Context<'_>, left: &mut usize) -> Option<()> {
    if let Some(rest) = left.checked_sub(count) {
        *left = rest;
        return Some(());
    }
    let most = context.rules.limits.numbers;
    let detail = format!(
        "there are {count} numbers here; a message takes at most {most} in all, so send several messages"
    );
    context.fault(at, FaultCode::TooMany, detail)
}

/// URLs as a list, or as one text with commas. A comma inside a URL has to be written `%2C`.
fn urls(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Vec<String>> {
    const SCHEMES: [&str; 2] = ["http", "https"];
    let enough = |count: usize| {
        let most = context.rules.limits.urls;
        let detail = format!("there are {count} URLs; at most {most} are taken");
        if count > most { context.fault(at, FaultCode::TooMany, detail) } else { Some(()) }
    };
    let urls: Vec<Option<String>> = match json {
        Json::Text(text) => {
            enough(text.split(',').count())?;
            text.split(',').map(|one| url(one.trim(), at, context, &SCHEMES)).collect()
        }
        Json::List(list) => {
            enough(list.len())?;
            list.into_iter()
                .enumerate()
                .map(|(index, one)| listed_url(one, &at.item(index), context, &SCHEMES))
                .collect()
        }
        other => return context.wrong_type(at, &other, "a URL as a string, or a list of them"),
    };
    urls.into_iter().collect()
}

fn listed_url(json: Json<'_>, at: &At<'_>, context: &Context<'_>, schemes: &[&str]) -> Option<String> {
    match json {
        Json::Text(text) if text.contains(',') => {
            context.fault(at, FaultCode::BadUrl, "write a comma inside a URL as %2C")
        }
        Json::Text(text) => url(&text, at, context, schemes),
        other => context.wrong_type(at, &other, "a URL as a string"),
    }
}
