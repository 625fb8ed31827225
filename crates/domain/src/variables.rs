//! Variables: what makes one template say something else to each of many.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Variables by name.
pub type Variables = BTreeMap<String, Variable>;

/// The value of a variable. A fraction is no value: how it is to be written is the application's affair, which gives it
/// as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variable {
    /// True or false, for conditions.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(String),
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => fmt::Display::fmt(flag, f),
            Self::Integer(number) => fmt::Display::fmt(number, f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_what_they_were() {
        let text = r#"{"age":-7,"name":"7","vip":true}"#;
        let read: Variables = serde_json::from_str(text).unwrap();
        assert_eq!(read["age"], Variable::Integer(-7));
        assert_eq!(read["name"], Variable::Text("7".into()));
        assert_eq!(read["vip"], Variable::Flag(true));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(serde_json::from_str::<Variables>(r#"{"a": 1.5}"#).is_err());
    }
}
