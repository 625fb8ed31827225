//! JSON as it stands in the body: borrowed where no escape has to be undone, fields in their order,
//! repeated fields still there. Whoever walks the tree can refuse them, which a map could not.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{Problem, ProblemCode};

/// A JSON value. The depth is bounded by the parser, the number of values by the caller.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is not whole, or beyond 63 bits.
    Fraction,
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    /// Reads a whole body of at most `most` values.
    pub(crate) fn parse(body: &'a [u8], most: usize) -> Result<Self, Problem> {
        let budget = Cell::new(most);
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let seed = Value { budget: &budget };
        seed.deserialize(&mut deserializer)
            .and_then(|json| deserializer.end().map(|()| json))
            .map_err(|error| Problem::new(ProblemCode::MalformedJson, format!("no JSON: {error}")))
    }

    /// What it is, for people.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Fraction => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

#[derive(Clone, Copy)]
struct Value<'b> {
    budget: &'b Cell<usize>,
}

impl Value<'_> {
    fn spend<E: de::Error>(self) -> Result<(), E> {
        let left = self.budget.get().checked_sub(1);
        self.budget.set(left.ok_or_else(|| E::custom("the body holds too many values"))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        self.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Fraction, Json::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Fraction)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = fields.next_key_seed(Name)? {
            object.push((name, fields.next_value_seed(self)?));
        }
        Ok(Json::Object(object))
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_keeps_what_a_map_would_lose() {
        let json = Json::parse(br#"{"a": 1, "a": [null, true, 1.5, "x\ny"]}"#, 10).unwrap();
        let list = vec![Json::Null, Json::Bool(true), Json::Fraction, Json::Text("x\ny".into())];
        assert_eq!(json, Json::Object(vec![("a".into(), Json::Integer(1)), ("a".into(), Json::List(list))]));
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let Json::Text(text) = Json::parse(br#""plain""#, 1).unwrap() else { panic!("no text") };
        assert!(matches!(text, Cow::Borrowed("plain")));
    }

    #[test]
    fn what_is_no_json_is_told_with_line_and_column() {
        let problem = Json::parse(b"{\n  \"a\": 'x'\n}", 10).unwrap_err();
        assert_eq!(problem.code, ProblemCode::MalformedJson);
        assert!(problem.detail.contains("line 2 column"), "{}", problem.detail);
        for bad in [&b""[..], b"{} {}", b"\xff\"", b"\"\xff\"", b"{\"a\":1,}", b"'a'", b"NaN"] {
            assert!(Json::parse(bad, 10).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hostile_bodies_cost_little() {
        assert!(Json::parse("[".repeat(100_000).as_bytes(), 1_000_000).is_err(), "depth");
        let many = format!("[{}1]", "1,".repeat(1_000));
        let problem = Json::parse(many.as_bytes(), 1_000).unwrap_err();
        assert!(problem.detail.contains("too many values"), "{}", problem.detail);
        assert!(Json::parse(many.as_bytes(), 1_002).is_ok());
    }
}
