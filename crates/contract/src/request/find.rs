//! Finding messages: what they have to be like, and where to go on.

use encodify::base64::URL_SAFE_NO_PAD;
use mmsgw_domain::{Direction, MessageFilter, MessageId, State, Timestamp};

use crate::json::Json;
use crate::reader::{At, Context, Object, quoted};
use crate::scalar::{address, batch_id, group, moment, number_in_text, text_line, word};
use crate::{FaultCode, Problem, Rules};

/// What a query asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindRequest {
    /// What the messages have to be like.
    pub filter: MessageFilter,
    /// Where to go on: behind this message.
    pub cursor: Option<MessageId>,
    /// How many at most.
    pub limit: usize,
}

impl FindRequest {
    /// Most messages in a page.
    pub const LARGEST_PAGE: usize = 200;
    /// Messages in a page where the query does not say.
    pub const USUAL_PAGE: usize = 50;

    /// Reads a query of an application, whose path says which way the messages go.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read_query(pairs: &[(String, String)], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        Self::read(pairs, rules, now, |_| None)
    }

    /// Reads a query of an operator, which may say which way the messages go: `outbound` or `inbound`.
    ///
    /// # Errors
    /// A [`Problem`] that names every fault.
    pub fn read_directed(pairs: &[(String, String)], rules: &Rules, now: Timestamp) -> Result<Self, Problem> {
        Self::read(pairs, rules, now, |object| {
            object.optional("direction", |json, at, context| word(json, at, context, &DIRECTIONS))
        })
    }

    fn read(
        pairs: &[(String, String)],
        rules: &Rules,
        now: Timestamp,
        direction: impl FnOnce(&mut Object<'_, '_>) -> Option<Direction>,
    ) -> Result<Self, Problem> {
        let field =
            |(name, value): &(String, String)| (name.clone().into(), Json::Text(value.clone().into()));
        let json = Json::Object(pairs.iter().map(field).collect());
        Context::read_json(json, &At::ROOT, rules, now, |json, at, context| {
            let mut object = Object::open(json, at, context)?;
            let filter = MessageFilter {
                direction: direction(&mut object),
                states: object.optional("state", states).unwrap_or_default(),
                group: object.optional("gateway", group),
                instance: object.optional("instance", text_line),
                destination: object.optional("destination", address),
                origin: object.optional("origin", address),
                linked_id: object.optional("linked_id", text_line),
                batch: object.optional("batch", batch_id),
                since: object.optional("since", moment),
                until: object.optional("until", moment),
            };
            let cursor = object.optional("cursor", cursor);
            let limit = object.optional("limit", limit).unwrap_or(Self::USUAL_PAGE);
            object.finish();
            Some(Self { filter, cursor, limit })
        })
    }
}

/// States with commas.
fn states(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Vec<State>> {
    let Json::Text(text) = json else { return context.wrong_type(at, &json, "a string") };
    let words = State::ALL.map(|state| (state.name(), state));
    text.split(',').map(|name| word(Json::Text(name.trim().into()), at, context, &words)).collect()
}

fn limit(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<usize> {
    number_in_text(json, at, context, 1..=FindRequest::LARGEST_PAGE)
}

/// The text that leads behind the message `id`: nobody is meant to look into it.
pub(crate) fn cursor_behind(id: MessageId) -> String {
    URL_SAFE_NO_PAD.encode([&[CURSOR_VERSION], &id.as_bytes()[..]].concat())
}

fn cursor(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<MessageId> {
    let Json::Text(text) = json else { return context.wrong_type(at, &json, "a string") };
    let octets = URL_SAFE_NO_PAD.decode(text.as_bytes()).unwrap_or_default();
    let id = octets.split_first().filter(|(version, _)| **version == CURSOR_VERSION);
    let id = id.and_then(|(_, id)| MessageId::from_slice(id));
    id.map_or_else(
        || {
            let detail = format!("`{}` is no `next_cursor` of an answer to this", quoted(&text));
            context.fault(at, FaultCode::BadCursor, detail)
        },
        Some,
    )
}

const CURSOR_VERSION: u8 = 1;

const DIRECTIONS: [(&str, Direction); 2] =
    [("outbound", Direction::Outbound), ("inbound", Direction::Inbound)];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<FindRequest, Problem> {
        let pairs: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        FindRequest::read_query(&pairs, &Rules::default(), Timestamp::from_secs(0))
    }

    #[test]
    fn a_query_reads_as_it_is_meant() {
        let nothing = read(&[]).unwrap();
        assert_eq!((nothing.limit, nothing.filter), (50, MessageFilter::default()));
        let id = MessageId::first_at(Timestamp::from_secs(1_800_000_000));
        let asked = read(&[
            ("state", "SENT, FAILED"),
            ("gateway", "mm7"),
            ("destination", "+1 (206) 555-0102"),
            ("linked_id", "m-1"),
            ("since", "1970-01-01T00:01:00.5Z"),
            ("until", "90"),
            ("cursor", &cursor_behind(id)),
            ("limit", "200"),
        ])
        .unwrap();
        let filter = asked.filter;
        assert_eq!(filter.states, [State::Sent, State::Failed]);
        assert_eq!(filter.destination, Some("12065550102".parse().unwrap()));
        assert_eq!(filter.since, Some(Timestamp::from_millis(60_500)));
        assert_eq!((filter.until, asked.cursor), (Some(Timestamp::from_secs(90)), Some(id)));
        assert_eq!((filter.linked_id.as_deref(), asked.limit), (Some("m-1"), 200));
    }

    #[test]
    fn what_is_asked_for_wrongly_is_told_by_name() {
        let foreign = URL_SAFE_NO_PAD.encode([2; 17]);
        for (name, value, code) in [
            ("state", "sent", FaultCode::UnknownWord),
            ("state", "SENT,,FAILED", FaultCode::UnknownWord),
            ("gateway", "a b", FaultCode::BadId),
            ("destination", "12", FaultCode::BadNumber),
            ("linked_id", "", FaultCode::Empty),
            ("batch", "x", FaultCode::BadId),
            ("since", "yesterday", FaultCode::BadTime),
            ("until", "-1", FaultCode::BadTime),
            ("cursor", "x", FaultCode::BadCursor),
            ("cursor", &foreign, FaultCode::BadCursor),
            ("limit", "0", FaultCode::OutOfRange),
            ("limit", "201", FaultCode::OutOfRange),
            ("limit", "many", FaultCode::OutOfRange),
            ("direction", "outbound", FaultCode::UnknownField),
            ("stat", "SENT", FaultCode::UnknownField),
        ] {
            let faults = read(&[(name, value)]).unwrap_err().errors;
            assert_eq!((faults[0].pointer.as_str(), faults[0].code), (&*format!("/{name}"), code), "{value}");
        }
        let twice = read(&[("state", "SENT"), ("state", "FAILED")]).unwrap_err().errors;
        assert_eq!(twice[0].code, FaultCode::DuplicateField);
        let pairs = [("direction".to_owned(), "inbound".to_owned())];
        let directed = FindRequest::read_directed(&pairs, &Rules::default(), Timestamp::from_secs(0));
        assert_eq!(directed.unwrap().filter.direction, Some(Direction::Inbound));
    }
}
