//! Walking a request: fields by name, faults with their place, all of them and not just the first.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;

use mmsgw_domain::Timestamp;

use crate::json::Json;
use crate::request::Change;
use crate::{Fault, FaultCode, Problem, Rules};

/// Most faults told of one request.
const MAX_FAULTS: usize = 20;

/// Longest piece of a request that is repeated in a fault, in characters.
const MAX_QUOTE: usize = 60;

/// What a request is read by, and the faults found so far.
pub(crate) struct Context<'c> {
    pub(crate) rules: &'c Rules,
    /// The present, by which times are judged.
    pub(crate) now: Timestamp,
    faults: RefCell<Vec<Fault>>,
}

impl<'c> Context<'c> {
    /// Reads a whole body with `read`.
    pub(crate) fn read<T>(
        body: &[u8],
        rules: &'c Rules,
        now: Timestamp,
        read: impl FnOnce(Json<'_>, &At<'_>, &Context<'_>) -> Option<T>,
    ) -> Result<T, Problem> {
        Self::read_json(Json::parse(body, rules.limits.values)?, &At::ROOT, rules, now, read)
    }

    /// Reads a value that stands at `at`, as if nothing else were there.
    pub(crate) fn read_json<T>(
        json: Json<'_>,
        at: &At<'_>,
        rules: &'c Rules,
        now: Timestamp,
        read: impl FnOnce(Json<'_>, &At<'_>, &Context<'_>) -> Option<T>,
    ) -> Result<T, Problem> {
        let context = Context { rules, now, faults: RefCell::default() };
        let value = read(json, at, &context);
        match value {
            Some(value) if context.faults.borrow().is_empty() => Ok(value),
            _ => Err(Problem::invalid(context.faults.into_inner())),
        }
    }

    /// Notes a fault; gives nothing, so that readers can end with it.
    pub(crate) fn fault<T>(&self, at: &At<'_>, code: FaultCode, detail: impl Into<String>) -> Option<T> {
        let mut faults = self.faults.borrow_mut();
        if faults.len() < MAX_FAULTS {
            faults.push(Fault { pointer: at.pointer(), code, detail: detail.into() });
        }
        None
    }

    /// How many faults were noted so far.
    pub(crate) fn faults(&self) -> usize {
        self.faults.borrow().len()
    }

    /// Notes that something of another JSON type was expected.
    pub(crate) fn wrong_type<T>(&self, at: &At<'_>, found: &Json<'_>, expected: &str) -> Option<T> {
        let detail = format!("`{}` is {}; give {expected}", at.name(), found.kind());
        self.fault(at, FaultCode::WrongType, detail)
    }
}

/// A place in a request.
#[derive(Clone, Copy)]
pub(crate) struct At<'p> {
    above: Option<&'p Self>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Field(&'p str),
    Item(usize),
}

impl<'p> At<'p> {
    /// The whole body.
    pub(crate) const ROOT: At<'static> = At { above: None, step: Step::Root };

    pub(crate) fn field(&'p self, name: &'p str) -> Self {
        Self { above: Some(self), step: Step::Field(name) }
    }

    pub(crate) fn item(&'p self, index: usize) -> Self {
        Self { above: Some(self), step: Step::Item(index) }
    }

    /// The JSON pointer.
    pub(crate) fn pointer(&self) -> String {
        let mut pointer = self.above.map_or_else(String::new, At::pointer);
        match self.step {
            Step::Root => {}
            Step::Field(name) => {
                pointer.push('/');
                pointer.push_str(&quoted(name).replace('~', "~0").replace('/', "~1"));
            }
            Step::Item(index) => write!(pointer, "/{index}").expect("a string takes all that is written"),
        }
        pointer
    }

    /// The nearest field name, for people.
    fn name(&self) -> Cow<'p, str> {
        match (self.step, self.above) {
            (Step::Field(name), _) => quoted(name),
            (Step::Item(index), Some(above)) => Cow::Owned(format!("{}[{index}]", above.name())),
            _ => Cow::Borrowed("the body"),
        }
    }
}

/// A piece of a request fit to be repeated: short, and without control characters.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !c.is_control();
    if text.len() <= MAX_QUOTE && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut short: String =
        text.chars().take(MAX_QUOTE).map(|c| if plain(c) { c } else { '\u{fffd}' }).collect();
    if short.len() < text.len() && text.chars().nth(MAX_QUOTE).is_some() {
        short.push('…');
    }
    Cow::Owned(short)
}

/// An object whose fields are taken one by one; what is left at the end is unknown.
pub(crate) struct Object<'o, 'a> {
    context: &'o Context<'o>,
    at: &'o At<'o>,
    fields: Vec<(Cow<'a, str>, Json<'a>)>,
    known: Vec<&'static str>,
}

impl<'o, 'a> Object<'o, 'a> {
    pub(crate) fn open(json: Json<'a>, at: &'o At<'o>, context: &'o Context<'o>) -> Option<Self> {
        match json {
            Json::Object(fields) => Some(Self { context, at, fields, known: Vec::with_capacity(16) }),
            other => context.wrong_type(at, &other, "an object"),
        }
    }

    /// A field that may be absent, for which `null` stands as well.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json<'a>, &At<'_>, &Context<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.take(name)? {
            Json::Null => None,
            value => read(value, &self.at.field(name), self.context),
        }
    }

    /// A field that must be given.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json<'a>, &At<'_>, &Context<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.take(name) {
            None | Some(Json::Null) => self.fault(name, FaultCode::Required, format!("`{name}` is missing")),
            Some(value) => read(value, &self.at.field(name), self.context),
        }
    }

    /// A field that may be absent but has no empty value.
    pub(crate) fn present<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json<'a>, &At<'_>, &Context<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.take(name)? {
            Json::Null => {
                let detail = format!("`{name}` cannot be emptied; leave it out to keep it");
                self.fault(name, FaultCode::Required, detail)
            }
            value => read(value, &self.at.field(name), self.context),
        }
    }

    /// A field of a change: absent keeps, `null` clears.
    pub(crate) fn change<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Json<'a>, &At<'_>, &Context<'_>) -> Option<T>,
    ) -> Change<T> {
        match self.take(name) {
            None => Change::Keep,
            Some(Json::Null) => Change::Clear,
            Some(value) => read(value, &self.at.field(name), self.context).map_or(Change::Keep, Change::Set),
        }
    }

    /// Takes a field as it is.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Json<'a>> {
        self.known.push(name);
        let position = self.fields.iter().position(|(field, _)| field == name)?;
        let (_, value) = self.fields.remove(position);
        let others = self.fields.len();
        self.fields.retain(|(field, _)| field != name);
        if self.fields.len() < others {
            let detail = format!("`{name}` is given more than once; give it once");
            return self.fault(name, FaultCode::DuplicateField, detail);
        }
        Some(value)
    }

    /// Notes a fault of a field.
    pub(crate) fn fault<T>(&self, name: &str, code: FaultCode, detail: impl Into<String>) -> Option<T> {
        self.context.fault(&self.at.field(name), code, detail)
    }

    /// Refuses the fields that nobody took.
    pub(crate) fn finish(self) {
        for (name, _) in self.fields.iter().take(MAX_FAULTS) {
            let known = self.known.join(", ");
            let detail = format!("there is no field `{}` here, only {known}", quoted(name));
            self.fault::<()>(name, FaultCode::UnknownField, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Option<bool>, Problem> {
        let rules = Rules::default();
        Context::read(body.as_bytes(), &rules, Timestamp::from_secs(0), |json, at, context| {
            let mut object = Object::open(json, at, context)?;
            let flag = object.optional("flag", crate::scalar::boolean);
            object.finish();
            Some(flag)
        })
    }

    fn faults(body: &str) -> Vec<(String, FaultCode)> {
        read(body).unwrap_err().errors.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn null_is_absent_and_everything_else_is_as_it_is() {
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(r#"{"flag": null}"#), Ok(None));
        assert_eq!(read(r#"{"flag": false}"#), Ok(Some(false)));
    }

    #[test]
    fn unknown_and_repeated_fields_are_named() {
        assert_eq!(faults(r#"{"fl/a~g": 1}"#), [("/fl~1a~0g".to_owned(), FaultCode::UnknownField)]);
        assert_eq!(
            faults(r#"{"flag": true, "flag": false}"#),
            [("/flag".to_owned(), FaultCode::DuplicateField)]
        );
        assert_eq!(faults("[]"), [(String::new(), FaultCode::WrongType)]);
    }

    #[test]
    fn faults_are_few_and_short_however_hostile_the_request() {
        let fields: Vec<String> =
            (0..1_000).map(|i| format!("\"{i}{}\": 1", "x\\u0000".repeat(500))).collect();
        let problem = read(&format!("{{{}}}", fields.join(","))).unwrap_err();
        assert_eq!(problem.errors.len(), MAX_FAULTS);
        for fault in problem.errors {
            assert!(fault.pointer.len() < 300 && fault.detail.len() < 400, "{fault:?}");
            assert!(!fault.detail.contains('\0'));
        }
    }
}
