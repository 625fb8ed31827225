//! The present moment, as text.

use jiff::Timestamp;

/// Now, as xs:dateTime in UTC.
pub(crate) fn iso() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Now, as a mail date in UTC (RFC 5322 section 3.3).
pub(crate) fn mail() -> String {
    Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
