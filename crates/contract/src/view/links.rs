//! Where applications find media.

use std::collections::HashMap;
use std::fmt::Write as _;

use mmsgw_domain::{Digest, GroupName};

use crate::type_by_name;

/// The path under which media are served, followed by `/<digest>/<name>`.
pub const MEDIA_PATH: &str = "/mmsgw/v1/media";

/// Makes the URLs of media. A gateway group may have a prefix of its own for what its carrier hands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// What comes before the place of a medium, without a slash at its end.
    prefix: String,
    /// Those of groups with a prefix of their own.
    groups: HashMap<GroupName, Self>,
}

impl Links {
    /// Links to media served by the API at `public_url`; relative ones where that is empty.
    pub fn at(public_url: &str) -> Self {
        Self::under(&format!("{}{MEDIA_PATH}", public_url.trim_end_matches('/')))
    }

    fn under(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').to_owned(), groups: HashMap::new() }
    }

    /// The same, with another prefix for inbound messages of `group`: an `http` or `https` URL under
    /// which the paths below [`MEDIA_PATH`] are served, or the `file` URL of the media directory.
    #[must_use]
    pub fn with_group(mut self, group: GroupName, prefix: &str) -> Self {
        self.groups.insert(group, Self::under(prefix));
        self
    }

    /// The links of a group: its own, or these.
    pub(super) fn of_group(&self, group: &GroupName) -> &Self {
        self.groups.get(group).unwrap_or(self)
    }

    /// The URL of a medium. Where the name does not suggest the media type, the URL states it.
    pub fn media(&self, digest: &Digest, name: &str, content_type: &str) -> String {
        if self.prefix.get(..FILE.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(FILE)) {
            return self.file(digest);
        }
        let mut url = format!("{}/{digest}/", self.prefix);
        encode(name, &mut url);
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if type_by_name(name) == Some(essence) {
            return url;
        }
        url.push_str("?type=");
        encode(essence, &mut url);
        url
    }

    /// The URL of a file as the media directory is laid out: two levels by the first four digits.
    fn file(&self, digest: &Digest) -> String {
        let digits = digest.to_string();
        format!("{}/{}/{}/{digits}", self.prefix, &digits[..2], &digits[2..4])
    }
}

const FILE: &str = "file:";

/// Percent-encodes all but the unreserved characters (RFC 3986 clause 2.3).
fn encode(text: &str, url: &mut String) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            url.push(char::from(octet));
        } else {
            write!(url, "%{octet:02X}").expect("a string takes all that is written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_types_stated_where_needed() {
        let digest = Digest::new([7; 32]);
        let links = Links::at("https://mms.example/");
        let start = format!("https://mms.example/mmsgw/v1/media/{digest}");
        assert_eq!(links.media(&digest, "a.jpg", "image/jpeg"), format!("{start}/a.jpg"));
        assert_eq!(links.media(&digest, "a.jpg", "image/jpg"), format!("{start}/a.jpg?type=image%2Fjpg"));
        assert_eq!(
            links.media(&digest, "ü ?#/..", "text/plain; charset=x"),
            format!("{start}/%C3%BC%20%3F%23%2F..?type=text%2Fplain")
        );
        assert!(Links::at("").media(&digest, "a.jpg", "image/jpeg").starts_with("/mmsgw/v1/media/"));
    }

    #[test]
    fn a_group_may_have_a_prefix_of_its_own() {
        let digest = Digest::new([0xab; 32]);
        let group = |name: &str| -> GroupName { name.parse().unwrap() };
        let links = Links::at("https://mms.example")
            .with_group(group("web"), "https://media.example/mms/")
            .with_group(group("disk"), "FILE:///var/lib/mmsgw/media/");
        let media = |name: &str| links.of_group(&group(name)).media(&digest, "a.jpg", "image/jpeg");
        assert_eq!(media("web"), format!("https://media.example/mms/{digest}/a.jpg"));
        assert_eq!(media("disk"), format!("FILE:///var/lib/mmsgw/media/ab/ab/{digest}"));
        assert_eq!(media("other"), format!("https://mms.example/mmsgw/v1/media/{digest}/a.jpg"));
    }
}
