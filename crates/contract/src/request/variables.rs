//! Values of a template's variables.

use mmsgw_domain::{Variable, Variables};

use crate::FaultCode;
use crate::json::Json;
use crate::reader::{At, Context, quoted};
use crate::scalar::breaks_a_text;

/// An object of values by name.
pub(super) fn variables(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Variables> {
    let Json::Object(fields) = json else {
        return context.wrong_type(at, &json, "an object of values by name");
    };
    let most = context.rules.limits.variables;
    if fields.len() > most {
        let detail = format!("there are {} variables; at most {most} are taken", fields.len());
        return context.fault(at, FaultCode::TooMany, detail);
    }
    let (mut variables, faults) = (Variables::new(), context.faults());
    for (name, json) in fields {
        let at = at.field(&name);
        if !is_name(&name) {
            let detail = format!(
                "`{}` cannot name a variable; use up to {LONGEST_NAME} letters, digits and _, no digit first",
                quoted(&name)
            );
            context.fault::<()>(&at, FaultCode::BadName, detail);
        } else if let Some(value) = value(json, &at, context)
            && variables.insert(name.clone().into_owned(), value).is_some()
        {
            let detail = format!("`{name}` is given more than once; give it once");
            context.fault::<()>(&at, FaultCode::DuplicateField, detail);
        }
    }
    (context.faults() == faults).then_some(variables)
}

/// What the language of templates can refer to.
fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(good)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn value(json: Json<'_>, at: &At<'_>, context: &Context<'_>) -> Option<Variable> {
    match json {
        Json::Bool(flag) => Some(Variable::Flag(flag)),
        Json::Integer(number) => Some(Variable::Integer(number)),
        Json::Text(text) => {
            let most = context.rules.limits.variable;
            if text.len() > most && text.chars().nth(most).is_some() {
                let detail = format!("at most {most} characters are taken here");
                return context.fault(at, FaultCode::TooLong, detail);
            }
            if let Some(bad) = text.chars().find(|c| breaks_a_text(*c)) {
                let detail =
                    format!("the character U+{:04X} may not stand in text; remove it", u32::from(bad));
                return context.fault(at, FaultCode::BadCharacter, detail);
            }
            Some(Variable::Text(text.into_owned()))
        }
        Json::Fraction => {
            let detail = "give a fraction as text, written as it is to be read";
            context.fault(at, FaultCode::WrongType, detail)
        }
        other => context.wrong_type(at, &other, "text, a whole number, true or false"),
    }
}

/// Longest name of a variable.
const LONGEST_NAME: usize = 64;
