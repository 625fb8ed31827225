//! Personalisation: subject, text and SMIL with variables in them, rendered for each message.
//!
//! The language is that of Jinja, in a sandbox: nothing is included or read from anywhere, every step costs fuel, and
//! the result has a limit. Each revision is compiled once. What has no variables in it is left alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use mmsgw_domain::{
    Message, Part, PartContent, PartId, RevisionId, Template, TemplateContent, Variable, Variables,
};
use parking_lot::Mutex;

use crate::content::Content;
use crate::engine::Engine;
use crate::refusal::{Field, Refusal};

/// A revision ready to be rendered.
pub(crate) struct Personal {
    environment: Environment<'static>,
    /// Whether the subject has variables.
    subject: bool,
    /// The parts that have variables: their names here, and their ids.
    parts: Vec<(String, PartId)>,
    defaults: Variables,
    /// Most octets of a rendered part.
    limit: usize,
    /// Octets of the sources.
    weight: usize,
}

/// What a revision says to the numbers of one message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) subject: Option<String>,
    /// By the ids of the parts.
    pub(crate) parts: Vec<(PartId, String)>,
}

/// Why a message has no words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Speechless {
    /// Variables have no value.
    #[error("no value is given for {}, and the template has no default", listed(.0))]
    Missing(Vec<String>),
    /// The result cannot be sent, or there is none.
    #[error("{0}")]
    Unfit(String),
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Whether a text has anything to be rendered.
fn has_variables(text: &str) -> bool {
    memmem::find(text.as_bytes(), b"{{").is_some() || memmem::find(text.as_bytes(), b"{%").is_some()
}

/// Whether any of a template is to be rendered.
pub(crate) fn is_personal(content: &TemplateContent) -> bool {
    content.subject.as_deref().is_some_and(has_variables)
        || content.parts.iter().any(|part| text_of(part).is_some())
}

fn text_of(part: &Part) -> Option<&str> {
    match &part.content {
        PartContent::Text(text) if has_variables(text) => Some(text),
        _ => None,
    }
}

/// What a part is called in the environment; the ending says how values are escaped.
fn name_of(place: usize, part: &Part) -> String {
    let kind = part.content_type.split(';').next().unwrap_or_default().trim();
    let markup = kind.starts_with("application/smil") || kind == "text/html";
    format!("{place}.{}", if markup { "xml" } else { "txt" })
}

impl Personal {
    fn compile(content: &TemplateContent, limit: usize) -> Result<Self, Error> {
        let mut personal = Self {
            environment: environment()?,
            subject: false,
            parts: Vec::new(),
            defaults: content.defaults.clone(),
            limit,
            weight: 0,
        };
        if let Some(subject) = content.subject.as_ref().filter(|subject| has_variables(subject)) {
            personal.add(SUBJECT.to_owned(), subject)?;
            personal.subject = true;
        }
        for (place, part) in content.parts.iter().enumerate() {
            if let Some(text) = text_of(part) {
                let name = name_of(place, part);
                personal.add(name.clone(), text)?;
                personal.parts.push((name, part.id));
            }
        }
        Ok(personal)
    }

    fn add(&mut self, name: String, source: &str) -> Result<(), Error> {
        self.weight += source.len();
        self.environment.add_template_owned(name, source.to_owned())
    }

    /// What is said where the variables have these values.
    pub(crate) fn words(&self, variables: &Variables) -> Result<Words, Speechless> {
        let values = self.values(variables);
        let mut words = Words::default();
        if self.subject {
            let subject = self.render(SUBJECT, &values, MAX_SUBJECT)?;
            if let Some(bad) =
                subject.chars().find(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
            {
                let why = format!("the character U+{:04X} may not stand in the subject", u32::from(bad));
                return Err(Speechless::Unfit(why));
            }
            words.subject = Some(subject);
        }
        for (name, id) in &self.parts {
            words.parts.push((*id, self.render(name, &values, self.limit)?));
        }
        Ok(words)
    }

    /// The variables that are looked for, whether they have defaults or not.
    pub(crate) fn names(&self) -> HashSet<String> {
        self.environment.templates().flat_map(|(_, template)| template.undeclared_variables(false)).collect()
    }

    fn values(&self, variables: &Variables) -> BTreeMap<String, Value> {
        let given = self.defaults.iter().chain(variables);
        given.map(|(name, value)| (name.clone(), value_of(value))).collect()
    }

    fn render(
        &self,
        name: &str,
        values: &BTreeMap<String, Value>,
        most: usize,
    ) -> Result<String, Speechless> {
        match self.try_render(name, values, most) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == ErrorKind::UndefinedError => Err(self.missing(name, values)),
            Err(error) if error.kind() == ErrorKind::OutOfFuel => {
                Err(Speechless::Unfit("the template takes too many steps, or makes too much".into()))
            }
            Err(error) if error.kind() == ErrorKind::WriteFailure => {
                Err(Speechless::Unfit(format!("what the variables make of it has more than {most} octets")))
            }
            Err(error) => Err(Speechless::Unfit(explained(&error))),
        }
    }

    fn try_render(&self, name: &str, values: &BTreeMap<String, Value>, most: usize) -> Result<String, Error> {
        let mut page = Page { text: Vec::new(), most };
        let template = self.environment.get_template(name)?;
        template.render_captured_to(Value::from(values.clone()), &mut page)?;
        String::from_utf8(page.text).map_err(|_| Error::new(ErrorKind::BadSerialization, "no text came out"))
    }

    /// Which variables are missing: those without which it does not go, whatever the others are.
    fn missing(&self, name: &str, values: &BTreeMap<String, Value>) -> Speechless {
        let Ok(template) = self.environment.get_template(name) else {
            return Speechless::Missing(Vec::new());
        };
        let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| !values.contains_key(name));
        unknown.sort();
        unknown.truncate(MOST_NAMED);
        let needed = |one: &&String| {
            let others = unknown.iter().filter(|other| other != one);
            let mut values = values.clone();
            values.extend(others.map(|other| (other.clone(), Value::from(""))));
            let without = self.try_render(name, &values, self.limit);
            without.is_err_and(|error| error.kind() == ErrorKind::UndefinedError)
        };
        let named: Vec<String> = unknown.iter().filter(needed).cloned().collect();
        if named.is_empty() {
            return Speechless::Unfit("something in the template is undefined".into());
        }
        Speechless::Missing(named)
    }
}

fn value_of(variable: &Variable) -> Value {
    match variable {
        Variable::Flag(flag) => Value::from(*flag),
        Variable::Integer(number) => Value::from(*number),
        Variable::Text(text) => Value::from(text.as_str()),
    }
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".xml") { AutoEscape::Html } else { AutoEscape::None }
    });
    environment.set_formatter(write_value);
    Ok(environment)
}

/// Writes a value: into markup with the five characters escaped that mean something there (XML 1.0 clause 2.4).
fn write_value(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() || !matches!(state.auto_escape(), AutoEscape::Html) || value.is_safe() {
        return minijinja::escape_formatter(output, state, value);
    }
    let text = value.to_string();
    let mut rest = text.as_str();
    while let Some(place) = rest.find(['&', '<', '>', '"', '\'']) {
        output.write_str(&rest[..place])?;
        output.write_str(match rest.as_bytes()[place] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        })?;
        rest = &rest[place + 1..];
    }
    Ok(output.write_str(rest)?)
}

/// A text that has an end.
struct Page {
    text: Vec<u8>,
    most: usize,
}

impl io::Write for Page {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if octets.len() > self.most - self.text.len() {
            return Err(io::Error::other("too long"));
        }
        self.text.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error of the language in a sentence, with its line.
fn explained(error: &Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    error.line().map_or_else(|| what.clone(), |line| format!("line {line}: {what}"))
}

/// Compiled revisions; all are dropped where they become too many, and compiled again.
#[derive(Default)]
pub(crate) struct Compiled {
    shelf: Mutex<(HashMap<RevisionId, Arc<Personal>>, usize)>,
}

impl Engine {
    /// Whether a template is personal, once all that is to be rendered was found to be well-formed. `parts` are those
    /// of the request, in its order.
    pub(crate) fn check_personal(&self, subject: Option<&str>, parts: &[Part]) -> Result<(), Refusal> {
        let refuse = |field, why: String| Err(Refusal::invalid(field, why));
        let well_formed = |name: &str, source: &str| {
            let environment = environment().map_err(|error| explained(&error))?;
            environment.template_from_named_str(name, source).map(drop).map_err(|error| explained(&error))
        };
        if let Some(subject) = subject.filter(|subject| has_variables(subject))
            && let Err(why) = well_formed(SUBJECT, subject)
        {
            return refuse(Field::Subject, format!("the subject cannot be rendered: {why}"));
        }
        for (index, part) in parts.iter().enumerate() {
            let Some(text) = text_of(part) else { continue };
            let most = self.settings.max_personal_octets;
            if text.len() > most {
                let why = format!("part `{}` has variables and more than {most} octets", part.name);
                return refuse(Field::Part(index), why);
            }
            if let Err(why) = well_formed(&name_of(index, part), text) {
                return refuse(Field::Part(index), format!("part `{}` cannot be rendered: {why}", part.name));
            }
        }
        Ok(())
    }

    /// A revision ready to be rendered; `None` where there is nothing to render.
    pub(crate) fn personal(&self, template: &Template) -> Result<Option<Arc<Personal>>, Speechless> {
        if !template.content.personal {
            return Ok(None);
        }
        if let Some(found) = self.compiled.shelf.lock().0.get(&template.revision) {
            return Ok(Some(Arc::clone(found)));
        }
        let personal = Personal::compile(&template.content, self.settings.max_personal_octets)
            .map_err(|error| Speechless::Unfit(explained(&error)))?;
        let (weight, personal) = (personal.weight + COMPILED_OCTETS, Arc::new(personal));
        let mut shelf = self.compiled.shelf.lock();
        if shelf.1 + weight > MOST_COMPILED {
            *shelf = (HashMap::new(), 0);
        }
        shelf.1 += weight;
        shelf.0.insert(template.revision, Arc::clone(&personal));
        Ok(Some(personal))
    }

    /// Makes sure that a message with these variables has something to say.
    pub(crate) fn check_words(&self, template: &Template, variables: &Variables) -> Result<(), Refusal> {
        let personal = self.personal(template);
        let words = personal.and_then(|p| p.map(|p| p.words(variables)).transpose());
        match words {
            Ok(_) => Ok(()),
            Err(Speechless::Missing(names)) => Err(Refusal::MissingVariables(names)),
            Err(error) => Err(Refusal::invalid(Field::Variables, error.to_string())),
        }
    }

    /// The content as it is for this message: media are shared with all others of the revision.
    pub(crate) fn personalised(
        &self,
        message: &Message,
        content: Arc<Content>,
    ) -> Result<Arc<Content>, Speechless> {
        let Some(personal) = self.personal(&content.template)? else { return Ok(content) };
        let words = personal.words(&message.variables)?;
        let mut own = Content::clone(&content);
        own.personal = true;
        if words.subject.is_some() {
            own.template.content.subject = words.subject;
        }
        for (id, text) in words.parts {
            // Its place is another one where a presentation was put before it.
            let place = own.template.content.parts.iter().position(|part| part.id == id);
            if let Some(place) = place {
                own.bodies[place] = Bytes::from(text.clone());
                own.template.content.parts[place].content = PartContent::Text(text);
            }
        }
        Ok(Arc::new(own))
    }
}

const SUBJECT: &str = "subject";
/// Most octets of a rendered subject.
const MAX_SUBJECT: usize = 1_024;
/// Steps that rendering one part may take, and 64 octets handled count as one.
const FUEL: u64 = 100_000;
/// Most missing variables named.
const MOST_NAMED: usize = 20;
/// What a compiled revision costs beside its sources, roughly.
const COMPILED_OCTETS: usize = 32 << 10;
/// Octets of compiled revisions in memory.
const MOST_COMPILED: usize = 16 << 20;

/// Renders a template with a value, as subject, text and markup.
#[cfg(fuzzing)]
pub fn fuzz(source: &str, value: &str) {
    let part = |name: &str, content_type: &str| Part {
        id: PartId::generate(mmsgw_domain::Timestamp::from_secs(1)),
        name: name.into(),
        content_type: content_type.into(),
        content: PartContent::Text(source.into()),
    };
    let mut content = TemplateContent::new("54321".parse().expect("a number"));
    content.subject = Some(source.into());
    content.parts = vec![part("a.txt", "text/plain"), part("a.smil", "application/smil")];
    let Ok(personal) = Personal::compile(&content, 10_000) else { return };
    let values =
        [("a", value), ("b", "b")].map(|(name, text)| (name.to_owned(), Variable::Text(text.to_owned())));
    if let Ok(words) = personal.words(&values.into_iter().collect()) {
        assert!(words.subject.is_none_or(|subject| !subject.contains(char::is_control)));
        assert!(words.parts.iter().all(|(_, text)| text.len() <= 10_000));
    }
}

#[cfg(test)]
mod tests;
