//! Checks of a commented reference file against the settings that it describes.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The reference with its examples (`#key = value`, `#[table]`) made real.
pub(crate) fn uncommented(reference: &str) -> String {
    let example = |line: &str| {
        let rest = line.strip_prefix('#')?;
        (!rest.is_empty() && !rest.starts_with(' ')).then(|| rest.to_owned())
    };
    let lines = reference.lines().map(|line| example(line).unwrap_or_else(|| line.to_owned()));
    // One of the two only.
    lines.filter(|line| !line.starts_with("password_file")).collect::<Vec<_>>().join("\n")
}

/// Asserts that the reference names every field of `section` (`a.b` for a table in a table, empty for
/// the top). The fields are those that the settings themselves name when they are given an unknown one.
pub(crate) fn names_all_fields<T: DeserializeOwned>(reference: &str, least: &str, section: &str) {
    let mut table: Table = toml::from_str(least).unwrap();
    let mut here = &mut table;
    for name in section.split('.').filter(|name| !name.is_empty()) {
        let inner = here.entry(name).or_insert_with(|| Value::Table(Table::new()));
        here = inner.as_table_mut().unwrap();
    }
    here.insert("no_such_field".into(), Value::Boolean(true));
    let error = table.try_into::<T>().err().unwrap().to_string();
    let (_, list) = error.split_once("expected one of ").unwrap_or_else(|| panic!("{error}"));
    let fields: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert!(fields.len() > 1, "{error}");
    let uncommented = reference.replace('#', "");
    for field in fields {
        let named = uncommented.lines().any(|line| {
            line.starts_with(&format!("{field} = "))
                || line.starts_with(&format!("[{field}]"))
                || line.starts_with(&format!("[[{field}]]"))
                || line.starts_with(&format!("[{section}.{field}]"))
        });
        assert!(named, "[{section}] {field} is not in the reference");
    }
}
