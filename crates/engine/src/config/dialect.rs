//! Dialects: what a kind of carrier wants otherwise than others, in files with a name.
//!
//! A dialect file names switches of its protocol, and perhaps another dialect whose switches hold where it is
//! silent. Some come with the gateway, an operator has more in a directory. A gateway file picks one and
//! overrides single switches. The switches are the edges'; the names, the files and how one stands on
//! another are here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Protocol;

/// All switches of a protocol, each of which may be left unsaid.
pub trait Switches: DeserializeOwned + Default {
    /// The protocol.
    const PROTOCOL: Protocol;
    /// Name of the dialect that a gateway file has which picks none.
    const STANDARD: &'static str;
    /// The dialects that come with the gateway: name and text of the file.
    const BUILT_IN: &'static [(&'static str, &'static str)];
    /// Other names of built-in dialects, and which they mean.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];

    /// These switches, and those of `base` where these are silent.
    #[must_use]
    fn over(self, base: Self) -> Self;
}

/// A dialect file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialectFile<S> {
    /// Its protocol.
    pub protocol: Protocol,
    /// Whose it is, in a sentence.
    pub description: String,
    /// The dialect whose switches hold where this file is silent; absent: the protocol's defaults.
    #[serde(default)]
    pub extends: Option<String>,
    /// Its switches.
    #[serde(default = "S::default", bound(deserialize = "S: Switches"))]
    pub dialect: S,
}

/// Dialect files of an operator's own, by name; the texts of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnDialects(BTreeMap<String, String>);

/// Why there is no such dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialectFault {
    /// Nobody knows the name.
    #[error("gateway.dialect: there is no {protocol} dialect `{name}`; there are {known}")]
    Unknown {
        /// The protocol.
        protocol: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A file of the operator's has the name of a built-in one.
    #[error("dialect `{0}`: comes with the gateway; give yours another name, and say `extends = \"{0}\"`")]
    Taken(String),
    /// A file cannot be understood.
    #[error("dialect `{name}`: {why}")]
    Bad {
        /// The dialect.
        name: String,
        /// Place and reason.
        why: String,
    },
    /// A file that is of another protocol.
    #[error("dialect `{0}`: is of the other protocol")]
    OtherProtocol(String),
    /// Dialects that stand on each other.
    #[error("dialect `{0}`: stands on itself, or on too many others")]
    Endless(String),
}

impl OwnDialects {
    /// Adds a file.
    ///
    /// # Errors
    /// [`DialectFault::Bad`] where `name` is none: letters, digits, dots, hyphens and underscores.
    pub fn add(&mut self, name: &str, text: String) -> Result<(), DialectFault> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        if name.is_empty() || name.len() > 100 || !name.bytes().all(plain) {
            let why = "a name has letters, digits, dots, hyphens and underscores".to_owned();
            return Err(DialectFault::Bad { name: name.to_owned(), why });
        }
        self.0.insert(name.to_owned(), text);
        Ok(())
    }

    /// Names and texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// The text of a dialect file.
///
/// # Errors
/// [`DialectFault`]: there is none of that name.
pub fn dialect_text<'a, S: Switches>(name: &str, own: &'a OwnDialects) -> Result<&'a str, DialectFault> {
    let meant = S::ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, meant)| meant);
    let built_in = S::BUILT_IN.iter().find(|(known, _)| *known == meant).map(|(_, text)| *text);
    match (built_in, own.0.get(name)) {
        (Some(_), Some(_)) => Err(DialectFault::Taken(name.to_owned())),
        (Some(text), None) => Ok(text),
        (None, Some(text)) => Ok(text),
        (None, None) => {
            let built_in = S::BUILT_IN.iter().map(|(name, _)| *name);
            let known: Vec<&str> = built_in.chain(own.0.keys().map(String::as_str)).collect();
            let (protocol, known) = (S::PROTOCOL.name(), known.join(", "));
            Err(DialectFault::Unknown { protocol, name: name.to_owned(), known })
        }
    }
}

/// A dialect file, read.
///
/// # Errors
/// [`DialectFault`]: there is none of that name, or it is not understood.
pub fn dialect_file<S: Switches>(name: &str, own: &OwnDialects) -> Result<DialectFile<S>, DialectFault> {
    let text = dialect_text::<S>(name, own)?;
    let bad = |error: toml::de::Error| DialectFault::Bad { name: name.to_owned(), why: error.to_string() };
    // First whose it is, since the switches of the other protocol are not known here.
    let peek: Peek = toml::from_str(text).map_err(bad)?;
    if peek.protocol != S::PROTOCOL {
        return Err(DialectFault::OtherProtocol(name.to_owned()));
    }
    toml::from_str(text).map_err(bad)
}

/// The switches of the dialect that a gateway file picks, of those that it stands on, and before them all
/// those that the gateway file overrides.
///
/// # Errors
/// [`DialectFault`].
pub fn dialect_switches<S: Switches>(
    picked: Option<&str>,
    overrides: S,
    own: &OwnDialects,
) -> Result<S, DialectFault> {
    let mut switches = overrides;
    let picked = picked.filter(|name| !name.is_empty()).unwrap_or(S::STANDARD);
    let mut next = Some(picked.to_owned());
    for _ in 0..MOST_STEPS {
        let Some(name) = next else { return Ok(switches) };
        let file = dialect_file::<S>(&name, own)?;
        switches = switches.over(file.dialect);
        next = file.extends;
    }
    match next {
        None => Ok(switches),
        Some(_) => Err(DialectFault::Endless(picked.to_owned())),
    }
}

#[derive(Deserialize)]
struct Peek {
    protocol: Protocol,
}

/// Dialects that stand on each other in one line.
const MOST_STEPS: usize = 8;

/// Makes the switches of a protocol: a struct in which all are settled, its defaults, and one in which each
/// may be left unsaid, as files state them.
#[macro_export]
macro_rules! switches {
    (
        $(#[$about:meta])*
        $vis:vis $settled:ident, $stated:ident {
            $($(#[$doc:meta])* $name:ident: $kind:ty = $default:expr,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $settled {
            $($(#[$doc])* $vis $name: $kind,)+
        }

        impl Default for $settled {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// The same switches as a file states them: what is absent is left to the dialect below.
        #[derive(Debug, Clone, Default, PartialEq, Eq, ::serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $vis struct $stated {
            $($(#[$doc])* $vis $name: Option<$kind>,)+
        }

        impl $stated {
            /// Names of all switches.
            $vis const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            /// These switches, and those of `base` where these are silent.
            #[must_use]
            $vis fn over(self, base: Self) -> Self {
                Self { $($name: self.$name.or(base.$name),)+ }
            }

            /// All switches, those by default that nobody stated.
            $vis fn settle(self) -> $settled {
                let usual = $settled::default();
                $settled { $($name: self.$name.unwrap_or(usual.$name),)+ }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::switches! {
        /// For tests.
        Settled, Stated {
            /// One.
            one: u32 = 1,
            /// Two.
            two: String = "2".into(),
        }
    }

    impl Switches for Stated {
        const PROTOCOL: Protocol = Protocol::Mm7;
        const STANDARD: &'static str = "plain";
        const BUILT_IN: &'static [(&'static str, &'static str)] = &[
            ("plain", "protocol = 'MM7'\ndescription = ''\n"),
            ("odd", "protocol = 'MM7'\ndescription = ''\n[dialect]\none = 11\ntwo = 'odd'\n"),
        ];
        const ALIASES: &'static [(&'static str, &'static str)] = &[("strange", "odd")];

        fn over(self, base: Self) -> Self {
            Self::over(self, base)
        }
    }

    fn own(files: &[(&str, &str)]) -> OwnDialects {
        let mut own = OwnDialects::default();
        for (name, text) in files {
            own.add(name, format!("protocol = 'MM7'\ndescription = ''\n{text}")).unwrap();
        }
        own
    }

    fn settled(picked: Option<&str>, one: Option<u32>, own: &OwnDialects) -> Result<Settled, DialectFault> {
        dialect_switches(picked, Stated { one, two: None }, own).map(Stated::settle)
    }

    #[test]
    fn the_gateway_file_goes_before_the_dialect_and_that_before_the_one_it_stands_on() {
        let own = own(&[("mine", "extends = 'strange'\n[dialect]\none = 7\n")]);
        let is = |picked, one| settled(picked, one, &own).map(|s| (s.one, s.two)).unwrap();
        assert_eq!(is(None, None), (1, "2".to_owned()));
        assert_eq!(Stated::NAMES, ["one", "two"]);
        assert_eq!(is(Some("odd"), None), (11, "odd".to_owned()));
        assert_eq!(is(Some("mine"), None), (7, "odd".to_owned()));
        assert_eq!(is(Some("mine"), Some(3)), (3, "odd".to_owned()));
    }

    #[test]
    fn faults_name_the_dialect() {
        let own = own(&[
            ("odd", ""),
            ("typo", "[dialect]\nthree = 3\n"),
            ("loop", "extends = 'loop'"),
            ("lost", "extends = 'nowhere'"),
        ]);
        for (picked, want) in [
            ("odd", "comes with the gateway"),
            ("typo", "unknown field `three`"),
            ("loop", "stands on itself"),
            ("lost", "no MM7 dialect `nowhere`; there are plain, odd, loop"),
        ] {
            let fault = settled(Some(picked), None, &own).unwrap_err().to_string();
            assert!(fault.contains(want), "{fault}");
        }
        let mut other = OwnDialects::default();
        other.add("four", "protocol = 'MM4'\ndescription = ''\n[dialect]\nx = 1\n".into()).unwrap();
        assert_eq!(settled(Some("four"), None, &other), Err(DialectFault::OtherProtocol("four".into())));
        assert!(other.add("../x", String::new()).is_err());
    }
}
