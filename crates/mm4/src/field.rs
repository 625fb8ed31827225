//! Header names and the small values behind them.
//!
//! Spelled as TS 23.140 clause 8.4.4 spells them; compared without regard to case everywhere.

use std::{fmt, str::FromStr};

/// `X-Mms-3GPP-MMS-Version`, all PDUs.
pub const VERSION: &str = "X-Mms-3GPP-MMS-Version";
/// The name one test client uses for [`VERSION`]; read only.
pub const VERSION_SHORT: &str = "X-Mms-3GPP-Version";
/// `X-Mms-Message-Type`, all PDUs.
pub const MESSAGE_TYPE: &str = "X-Mms-Message-Type";
/// `X-Mms-Transaction-ID`, all PDUs: pairs a request with its answer.
pub const TRANSACTION_ID: &str = "X-Mms-Transaction-ID";
/// `X-Mms-Message-ID`: the message itself, the same on every hop and in every report.
pub const MESSAGE_ID: &str = "X-Mms-Message-ID";
/// `X-Mms-Message-Class`, forward request.
pub const MESSAGE_CLASS: &str = "X-Mms-Message-Class";
/// `X-Mms-Expiry`, forward request.
pub const EXPIRY: &str = "X-Mms-Expiry";
/// `X-Mms-Delivery-Report`, forward request: the user wants a delivery report.
pub const DELIVERY_REPORT: &str = "X-Mms-Delivery-Report";
/// `X-Mms-Originator-R/S-Delivery-Report`, forward request (Release 5): the relay/server wants one.
pub const ORIGINATOR_RS_DELIVERY_REPORT: &str = "X-Mms-Originator-R/S-Delivery-Report";
/// `X-Mms-Priority`, forward request.
pub const PRIORITY: &str = "X-Mms-Priority";
/// `X-Mms-Sender-Visibility`, forward request.
pub const SENDER_VISIBILITY: &str = "X-Mms-Sender-Visibility";
/// `X-Mms-Read-Reply`, forward request: the user wants a read report.
pub const READ_REPLY: &str = "X-Mms-Read-Reply";
/// `X-Mms-Ack-Request`, all requests: an answer PDU is wanted.
pub const ACK_REQUEST: &str = "X-Mms-Ack-Request";
/// `X-Mms-Originator-System`, forward request: the mailbox an answer goes to.
pub const ORIGINATOR_SYSTEM: &str = "X-Mms-Originator-System";
/// `X-Mms-Forward-Counter`, forward request.
pub const FORWARD_COUNTER: &str = "X-Mms-Forward-Counter";
/// `X-Mms-Previously-sent-by`, forward request, one per earlier hop.
pub const PREVIOUSLY_SENT_BY: &str = "X-Mms-Previously-sent-by";
/// `X-Mms-Previously-sent-date-and-time`, forward request, pairs with the header above by number.
pub const PREVIOUSLY_SENT_AT: &str = "X-Mms-Previously-sent-date-and-time";
/// `X-Mms-Applic-ID` (Release 6): the application addressed.
pub const APPLIC_ID: &str = "X-Mms-Applic-ID";
/// `X-Mms-Reply-Applic-ID` (Release 6): the application replies and reports go to.
pub const REPLY_APPLIC_ID: &str = "X-Mms-Reply-Applic-ID";
/// `X-Mms-Aux-Applic-Info` (Release 6).
pub const AUX_APPLIC_INFO: &str = "X-Mms-Aux-Applic-Info";
/// `X-Mms-Content-Class` (Release 6).
pub const CONTENT_CLASS: &str = "X-Mms-Content-Class";
/// `X-Mms-Drm-Content` (Release 6).
pub const DRM_CONTENT: &str = "X-Mms-Drm-Content";
/// `X-Mms-Adaptation-Allowed` (Release 6).
pub const ADAPTATION_ALLOWED: &str = "X-Mms-Adaptation-Allowed";
/// `X-Mms-MMSIP-Address` (Release 6), interconnect routing.
pub const MMSIP_ADDRESS: &str = "X-Mms-MMSIP-Address";
/// `X-Mms-Forward-Route` (Release 6), interconnect routing.
pub const FORWARD_ROUTE: &str = "X-Mms-Forward-Route";
/// `X-Mms-Return-Route` (Release 6), interconnect routing.
pub const RETURN_ROUTE: &str = "X-Mms-Return-Route";
/// `X-Mms-Request-Status-Code`, answers.
pub const REQUEST_STATUS: &str = "X-Mms-Request-Status-Code";
/// `X-Mms-Status-Text`, answers and reports.
pub const STATUS_TEXT: &str = "X-Mms-Status-Text";
/// `X-Mms-Request-Recipients`, forward answer: whom the status is about; absent means all.
pub const REQUEST_RECIPIENTS: &str = "X-Mms-Request-Recipients";
/// `X-Mms-MM-Status-Code`, delivery report.
pub const MM_STATUS: &str = "X-Mms-MM-Status-Code";
/// Other names seen for [`MM_STATUS`] (Ajou, a Go simulator); read only.
pub const MM_STATUS_OTHERS: [&str; 2] = ["X-Mms-Status-Code", "X-Mms-Status"];
/// `X-Mms-MM-Status-Extension`, delivery report.
pub const MM_STATUS_EXTENSION: &str = "X-Mms-MM-Status-Extension";
/// `X-Mms-Forward-To-Originator-UA`, delivery report: whether the user is to see it.
pub const FORWARD_TO_ORIGINATOR_UA: &str = "X-Mms-Forward-To-Originator-UA";
/// `X-Mms-Read-Status`, read reply report.
pub const READ_STATUS: &str = "X-Mms-Read-Status";
/// Another name seen for [`READ_STATUS`] (drivefast's mmsgw); read only.
pub const READ_STATUS_OTHER: &str = "X-Mms-MM-Read-Status";
/// The name a Go simulator uses for `From`; read only.
pub const SENDER_ADDRESS: &str = "X-Mms-Sender-Address";

/// A value out of a list of words, where peers may send words of their own.
pub trait Word: Sized + Clone + PartialEq + 'static {
    /// The words of the standard, exactly as they are written; the first of two for one value counts.
    const KNOWN: &'static [(Self, &'static str)];

    /// The value for a word that is not on the list.
    fn other(word: &str) -> Self;

    /// The word of such a value; `None` for a value of the list.
    fn other_word(&self) -> Option<&str>;

    /// Reads a word in any case; one pair of quotes and runs of white space do not matter.
    fn read(text: &str) -> Self {
        let text = unquote(text).split_whitespace().collect::<Vec<_>>().join(" ");
        let known = Self::KNOWN.iter().find(|(_, word)| word.eq_ignore_ascii_case(&text));
        known.map_or_else(|| Self::other(&text), |(value, _)| value.clone())
    }

    /// The word as it is written.
    fn as_str(&self) -> &str {
        let known = Self::KNOWN.iter().find(|(value, _)| value == self).map(|(_, word)| *word);
        known.or_else(|| self.other_word()).unwrap_or_default()
    }
}

/// `X-Mms-Message-Class`; the default is Personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageClass {
    /// From a person.
    Personal,
    /// Advertising.
    Advertisement,
    /// Information service.
    Informational,
    /// Made by a machine; never answered by machines.
    Auto,
    /// A word that is not known.
    Other(String),
}

impl Word for MessageClass {
    const KNOWN: &'static [(Self, &'static str)] = &[
        (Self::Personal, "Personal"),
        (Self::Advertisement, "Advertisement"),
        (Self::Informational, "Informational"),
        (Self::Auto, "Auto"),
    ];

    fn other(word: &str) -> Self {
        Self::Other(word.to_owned())
    }

    fn other_word(&self) -> Option<&str> {
        match self {
            Self::Other(word) => Some(word),
            _ => None,
        }
    }
}

/// `X-Mms-Priority`; the default is Normal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Priority {
    /// Low.
    Low,
    /// Normal.
    Normal,
    /// High.
    High,
    /// A word that is not known.
    Other(String),
}

impl Word for Priority {
    const KNOWN: &'static [(Self, &'static str)] =
        &[(Self::Low, "Low"), (Self::Normal, "Normal"), (Self::High, "High")];

    fn other(word: &str) -> Self {
        Self::Other(word.to_owned())
    }

    fn other_word(&self) -> Option<&str> {
        match self {
            Self::Other(word) => Some(word),
            _ => None,
        }
    }
}

/// `X-Mms-Sender-Visibility`; the default is Show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visibility {
    /// The recipient may see the originator.
    Show,
    /// The recipient's relay/server hides the originator, who is still in `From`.
    Hide,
    /// A word that is not known.
    Other(String),
}

impl Word for Visibility {
    const KNOWN: &'static [(Self, &'static str)] = &[(Self::Show, "Show"), (Self::Hide, "Hide")];

    fn other(word: &str) -> Self {
        Self::Other(word.to_owned())
    }

    fn other_word(&self) -> Option<&str> {
        match self {
            Self::Other(word) => Some(word),
            _ => None,
        }
    }
}

/// `X-Mms-Content-Class` (Release 6; the classes are those of the OMA MMS Conformance Document).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentClass {
    /// Text only.
    Text,
    /// Small images.
    ImageBasic,
    /// Larger images.
    ImageRich,
    /// Small videos.
    VideoBasic,
    /// Larger videos.
    VideoRich,
    /// Camera images.
    Megapixel,
    /// Content of the basic content domain.
    ContentBasic,
    /// Content of the rich content domain.
    ContentRich,
    /// A word that is not known.
    Other(String),
}

impl Word for ContentClass {
    const KNOWN: &'static [(Self, &'static str)] = &[
        (Self::Text, "text"),
        (Self::ImageBasic, "image-basic"),
        (Self::ImageRich, "image-rich"),
        (Self::VideoBasic, "video-basic"),
        (Self::VideoRich, "video-rich"),
        (Self::Megapixel, "megapixel"),
        (Self::ContentBasic, "content-basic"),
        (Self::ContentRich, "content-rich"),
    ];

    fn other(word: &str) -> Self {
        Self::Other(word.to_owned())
    }

    fn other_word(&self) -> Option<&str> {
        match self {
            Self::Other(word) => Some(word),
            _ => None,
        }
    }
}

/// The version of TS 23.140 a relay/server implements, such as 6.10.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Release.
    pub major: u16,
    /// Technical version.
    pub minor: u16,
    /// Editorial version.
    pub patch: u16,
}

impl Version {
    /// A version from its three numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }
}

/// The text is not one to three decimal numbers with dots between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is up to three numbers with dots between")]
pub struct VersionError;

/// Reads `6.10.0`, also with quotes round it or with missing trailing numbers.
impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let mut numbers = [0u16; 3];
        for (index, part) in unquote(text).split('.').enumerate() {
            let slot = numbers.get_mut(index).ok_or(VersionError)?;
            *slot = part.trim().parse().map_err(|_| VersionError)?;
        }
        let [major, minor, patch] = numbers;
        Ok(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// `Yes` or `No` in any case; `None` for anything else.
pub(crate) fn read_flag(text: &str) -> Option<bool> {
    let text = unquote(text);
    match () {
        () if text.eq_ignore_ascii_case("yes") => Some(true),
        () if text.eq_ignore_ascii_case("no") => Some(false),
        () => None,
    }
}

/// The word for a flag.
pub(crate) fn write_flag(flag: bool) -> &'static str {
    if flag { "Yes" } else { "No" }
}

/// `text` without white space and one pair of double quotes round it.
pub(crate) fn unquote(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map_or(text, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_the_standard_spells_them() {
        assert_eq!(MessageClass::read("PERSONAL").as_str(), "Personal");
        assert_eq!(Priority::read("\"high\""), Priority::High);
        assert_eq!(Visibility::read("hide"), Visibility::Hide);
        assert_eq!(ContentClass::read("Video-Rich").as_str(), "video-rich");
        assert_eq!(MessageClass::read("Urgent").as_str(), "Urgent");
    }

    #[test]
    fn versions() {
        assert_eq!("6.10.0".parse(), Ok(Version::new(6, 10, 0)));
        assert_eq!(" \"5.5\" ".parse(), Ok(Version::new(5, 5, 0)));
        assert_eq!(Version::new(6, 16, 0).to_string(), "6.16.0");
        for bad in ["", "6.x", "1.2.3.4", "-1.0.0", "99999.0.0"] {
            assert_eq!(bad.parse::<Version>(), Err(VersionError), "{bad}");
        }
    }

    #[test]
    fn flags() {
        assert_eq!(
            (read_flag("YES "), read_flag("no"), read_flag("perhaps")),
            (Some(true), Some(false), None)
        );
    }
}
