//! Namespaces and MM7 versions of the schema releases (TS 23.140 clause 8.7 and its schema folder).
//!
//! Names what is known and which release a namespace belongs to; never enforces that namespace and
//! version fit, because peers pair them freely.

use std::borrow::Cow;

/// What every MM7 schema namespace starts with.
pub const BASE: &str = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/";

/// The published schemas, each with the MM7Version of its release (inferred from the order of releases).
pub const KNOWN: [(&str, &str); 11] = [
    ("REL-5-MM7-1-0", "5.2.0"),
    ("REL-5-MM7-1-1", "5.3.0"),
    ("REL-5-MM7-1-2", "5.5.0"),
    ("REL-5-MM7-1-3", "5.6.0"),
    ("REL-5-MM7-1-4", "5.8.0"),
    ("REL-5-MM7-1-5", "5.10.0"),
    ("REL-6-MM7-1-0", "6.3.0"),
    ("REL-6-MM7-1-1", "6.4.0"),
    ("REL-6-MM7-1-2", "6.5.0"),
    ("REL-6-MM7-1-3", "6.6.0"),
    ("REL-6-MM7-1-4", "6.8.0"),
];

/// Which elements a namespace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// Release 5: submit, deliver, reports, cancel, replace.
    Rel5,
    /// Release 6: adds application addressing, content class, conditions, `extended…` operations.
    Rel6,
}

/// A namespace name of MM7, also one that no release ever had (`REL-6-MM7-6-7` was seen): it is kept, so
/// that an answer can be given in the words of the request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace(Cow<'static, str>);

impl Namespace {
    /// REL-6-MM7-1-4, the last one.
    pub const LATEST: Self =
        Self(Cow::Borrowed("http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4"));

    /// The namespace of a schema name such as `REL-5-MM7-1-0`.
    pub fn named(schema: &str) -> Self {
        Self(Cow::Owned(format!("{BASE}{schema}")))
    }

    /// A namespace name as met on the wire; none if it does not start with [`BASE`] (ASCII case aside).
    pub fn from_uri(uri: &str) -> Option<Self> {
        let uri = uri.trim();
        Self::is_ours(uri).then(|| Self(Cow::Owned(uri.to_owned())))
    }

    /// Whether a namespace name is one of MM7's.
    pub(crate) fn is_ours(uri: &str) -> bool {
        uri.trim_start().get(..BASE.len()).is_some_and(|start| start.eq_ignore_ascii_case(BASE))
    }

    /// The whole namespace name.
    pub fn uri(&self) -> &str {
        &self.0
    }

    /// The schema name, e.g. `REL-6-MM7-1-4`.
    pub fn schema(&self) -> &str {
        self.0.get(BASE.len()..).unwrap_or_default()
    }

    /// The release it belongs to; unknown names count as Release 6 unless they say otherwise.
    pub fn release(&self) -> Release {
        let number = self.schema().get(4..).and_then(|rest| rest.split('-').next());
        match number.and_then(|n| n.parse::<u8>().ok()) {
            Some(0..=5) => Release::Rel5,
            _ => Release::Rel6,
        }
    }

    /// The MM7Version usual with this namespace; the last of its release for unknown names.
    pub fn usual_version(&self) -> &'static str {
        match KNOWN.iter().find(|(schema, _)| *schema == self.schema()) {
            Some((_, version)) => version,
            None if self.release() == Release::Rel5 => "5.10.0",
            None => "6.8.0",
        }
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::LATEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_schema_has_its_release_and_version() {
        for (schema, version) in KNOWN {
            let namespace = Namespace::named(schema);
            assert_eq!(namespace.schema(), schema);
            assert_eq!(namespace.usual_version(), version);
            assert_eq!(namespace.release() == Release::Rel5, version.starts_with('5'), "{schema}");
            assert_eq!(Namespace::from_uri(namespace.uri()), Some(namespace));
        }
        assert_eq!(Namespace::default(), Namespace::named("REL-6-MM7-1-4"));
    }

    #[test]
    fn a_namespace_that_never_was_is_kept_and_a_foreign_one_is_not() {
        let bogus = Namespace::from_uri(&format!(" {BASE}REL-6-MM7-6-7 ")).unwrap();
        assert_eq!(
            (bogus.schema(), bogus.release(), bogus.usual_version()),
            ("REL-6-MM7-6-7", Release::Rel6, "6.8.0")
        );
        assert_eq!(Namespace::named("REL-5-MM7-9-9").usual_version(), "5.10.0");
        assert_eq!(Namespace::named("REL-4").release(), Release::Rel5);
        assert_eq!(Namespace::from_uri("http://www.openwave.com/mms/mm7_extensions/1-0"), None);
        assert_eq!(Namespace::from_uri(""), None);
    }
}
