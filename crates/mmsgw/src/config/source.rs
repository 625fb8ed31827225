//! What a file of the configuration says, kept so that it can be compared with what it says later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mmsgw_domain::Digest;
use mmsgw_store::digest_of;
use toml::{Table, Value};

/// The keys of a file with their values, and the octets of the files that it names.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Source {
    values: BTreeMap<String, Value>,
    /// What other files say of its dialect.
    dialect: String,
    /// By the key that names it; none for a file that is not there.
    files: BTreeMap<String, Vec<Option<Digest>>>,
}

impl fmt::Debug for Source {
    /// Keys only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Source {
    /// What `text` says; nothing where it is no TOML. Reads the files that it names.
    pub(crate) fn of(text: &str) -> Self {
        let mut values = BTreeMap::new();
        flatten("", toml::from_str(text).unwrap_or_default(), &mut values);
        let files = values.iter().map(|(key, value)| (key.clone(), digests(key, value))).collect();
        Self { values, dialect: String::new(), files }
    }

    /// The text at a key.
    pub(crate) fn text_at(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }

    /// The same, with what other files say of its dialect.
    pub(crate) fn with_dialect(self, dialect: String) -> Self {
        Self { dialect, ..self }
    }

    /// The keys whose values, or whose files, are others later.
    pub(crate) fn changes(&self, later: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.values.keys().chain(later.values.keys()).collect();
        let differs = |key: &&&String| {
            self.values.get(**key) != later.values.get(**key)
                || self.files.get(**key) != later.files.get(**key)
        };
        let mut changes: Vec<String> = keys.iter().filter(differs).map(|key| (*key).clone()).collect();
        if self.dialect != later.dialect && !changes.iter().any(|key| key == "gateway.dialect") {
            changes.push("gateway.dialect".to_owned());
        }
        changes
    }
}

/// Tables become dotted keys; all else, arrays of tables too, is a value.
fn flatten(prefix: &str, table: Table, values: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) => flatten(&key, table, values),
            value => {
                values.insert(key, value);
            }
        }
    }
}

/// What is in the files that a value names: a text at a key that ends in `_file`, also in tables of an array.
fn digests(key: &str, value: &Value) -> Vec<Option<Digest>> {
    match value {
        Value::String(file) if key.ends_with("_file") => {
            vec![std::fs::read(file).ok().map(|octets| digest_of(&octets))]
        }
        Value::Array(values) => values.iter().flat_map(|value| digests(key, value)).collect(),
        Value::Table(table) => table.iter().flat_map(|(key, value)| digests(key, value)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_key() {
        let before = Source::of("[api]\nlisten = 'a'\n[[api.key]]\nname = 'x'\n[log]\nlevel = 'info' # so\n");
        assert_eq!(before.changes(&before), Vec::<String>::new());
        let same = Source::of("log.level = 'info'\n[api]\nkey = [{ name = 'x' }]\nlisten = 'a'\n");
        assert_eq!(before.changes(&same), Vec::<String>::new(), "the form is no matter");
        let later =
            Source::of("api.key = [{ name = 'y' }]\n[ops]\ndashboard = false\n[api.tls]\ncert_file = 'c'\n");
        assert_eq!(
            before.changes(&later),
            ["api.key", "api.listen", "api.tls.cert_file", "log.level", "ops.dashboard"]
        );
    }

    #[test]
    fn values_are_not_shown() {
        let source = Source::of("outbound.password = 'hush'\n");
        assert_eq!(format!("{source:?}"), "{\"outbound.password\"}");
    }

    #[test]
    fn a_named_file_and_a_dialect_count_with_what_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let text = format!("outbound.password_file = '{}'\n", file.display());
        let without = Source::of(&text);
        std::fs::write(&file, "one").unwrap();
        let one = Source::of(&text);
        std::fs::write(&file, "two").unwrap();
        assert_eq!(without.changes(&one), ["outbound.password_file"]);
        assert_eq!(one.changes(&Source::of(&text)), ["outbound.password_file"]);
        let signed = format!("callbacks.keys = [{{ secret_file = '{}' }}]\n", file.display());
        let two = Source::of(&signed);
        std::fs::write(&file, "three").unwrap();
        assert_eq!(two.changes(&Source::of(&signed)), ["callbacks.keys"]);
        let with = |dialect: &str| Source::of("").with_dialect(dialect.to_owned());
        assert_eq!(with("a").changes(&with("b")), ["gateway.dialect"]);
        assert_eq!(with("a").changes(&with("a")), Vec::<String>::new());
    }
}
