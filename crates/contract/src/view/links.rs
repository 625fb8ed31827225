//! Where applications find media.

use std::fmt::Write as _;

use mmsgw_domain::Digest;

use crate::type_by_name;

/// The path under which media are served, followed by `/<digest>/<name>`.
pub const MEDIA_PATH: &str = "/mmsgw/v1/media";

/// Makes the URLs of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// What comes before `/<digest>/<name>`: [`MEDIA_PATH`] on the public address of the API, or a
    /// prefix of the gateway's own, which may be `file://`.
    pub media_base: String,
}

impl Links {
    /// Links to media served by the API at `public_url`; relative ones where that is empty.
    pub fn at(public_url: &str) -> Self {
        Self { media_base: format!("{}{MEDIA_PATH}", public_url.trim_end_matches('/')) }
    }

    /// The URL of a medium. Where the name does not suggest the media type, the URL states it.
    pub fn media(&self, digest: &Digest, name: &str, content_type: &str) -> String {
        let mut url = format!("{}/{digest}/", self.media_base.trim_end_matches('/'));
        encode(name, &mut url);
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if self.media_base.starts_with("file:") || type_by_name(name) == Some(essence) {
            return url;
        }
        url.push_str("?type=");
        encode(essence, &mut url);
        url
    }
}

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
        let shared = Links { media_base: "file:///var/media".into() };
        assert_eq!(shared.media(&digest, "a", "image/jpg"), format!("file:///var/media/{digest}/a"));
        assert!(Links::at("").media(&digest, "a.jpg", "image/jpeg").starts_with("/mmsgw/v1/media/"));
    }
}
