//! The closed word lists of the schema, open at the end: a word that is not listed is kept.

/// Makes an enum of words with `Other(String)` for the rest. Reading ignores ASCII case, spaces, `-` and
/// `_`.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// A word that is not listed, as the peer wrote it.
            Other(String),
        }

        impl $name {
            /// Every listed value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as the schema spells it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                $(if $crate::words::same(word, $word) {
                    return Self::$variant;
                })+
                Self::Other(word.to_owned())
            }
        }

        impl $crate::emit::Value for $name {
            fn to_text(&self) -> std::borrow::Cow<'_, str> {
                self.as_str().into()
            }

            fn of_text(text: &str) -> Option<Self> {
                Some(text.into())
            }
        }
    };
}
pub(crate) use words;

/// Whether two words are the same but for ASCII case and separators.
pub(crate) fn same(left: &str, right: &str) -> bool {
    let letters = |word: &str| -> Vec<u8> {
        let kept = word.bytes().filter(|b| !matches!(b, b' ' | b'-' | b'_'));
        kept.map(|b| b.to_ascii_lowercase()).take(64).collect()
    };
    letters(left) == letters(right)
}

words! {
    /// MessageClass (REL-5).
    pub enum MessageClass {
        /// From person to person.
        Personal = "Personal",
        /// Information.
        Informational = "Informational",
        /// Advertising.
        Advertisement = "Advertisement",
        /// Made by a machine.
        Auto = "Auto",
    }
}

words! {
    /// Priority (REL-5).
    pub enum Priority {
        /// The usual one.
        Normal = "Normal",
        /// Before others.
        High = "High",
        /// After others.
        Low = "Low",
    }
}

words! {
    /// ChargedParty (REL-5): who pays for the message.
    pub enum ChargedParty {
        /// The value added service provider.
        Sender = "Sender",
        /// The recipient.
        Recipient = "Recipient",
        /// Both.
        Both = "Both",
        /// Nobody.
        Neither = "Neither",
        /// Somebody else, named by ChargedPartyID (REL-6).
        ThirdParty = "ThirdParty",
    }
}

words! {
    /// ContentClass (REL-6; OMA MMS Conformance).
    pub enum ContentClass {
        /// text
        Text = "text",
        /// image-basic
        ImageBasic = "image-basic",
        /// image-rich
        ImageRich = "image-rich",
        /// video-basic
        VideoBasic = "video-basic",
        /// video-rich
        VideoRich = "video-rich",
        /// megapixel
        Megapixel = "megapixel",
        /// content-basic
        ContentBasic = "content-basic",
        /// content-rich
        ContentRich = "content-rich",
    }
}

words! {
    /// addressCoding attribute of an address (REL-6).
    pub enum AddressCoding {
        /// Encrypted, readable by the relay/server.
        Encrypted = "encrypted",
        /// Replaced by a stand-in.
        Obfuscated = "obfuscated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for class in ContentClass::ALL {
            assert_eq!(&ContentClass::from(class.as_str()), class);
        }
        assert_eq!(ChargedParty::from("thirdparty"), ChargedParty::ThirdParty);
        assert_eq!(ChargedParty::from("0"), ChargedParty::Other("0".into()));
        assert_eq!(Priority::from(""), Priority::Other(String::new()));
    }
}
