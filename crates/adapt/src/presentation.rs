//! Presentations (SMIL): composed for parts, and checked against parts.

use mmsgw_mime::MediaType;
use mmsgw_mime::smil::{self, SmilKind, SmilOptions, SmilPart};

pub use mmsgw_mime::smil::{Agreement, agreement};

/// Composes a presentation of parts, which are given by name and media type, in order; none where none of
/// them can be shown. Slides follow one another, a text joins the picture or film before it.
pub fn compose<'a>(parts: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let shown = parts.filter_map(|(name, content_type)| {
        let kind = SmilKind::of(&content_type.parse::<MediaType>().ok()?)?;
        Some(SmilPart { kind, src: name.to_owned() })
    });
    let shown: Vec<SmilPart> = shown.collect();
    (!shown.is_empty()).then(|| smil::compose(&shown, &SmilOptions::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_composed_names_the_parts_that_can_be_shown() {
        let parts =
            [("a.jpg", "image/jpeg"), ("a.txt", "text/plain; charset=utf-8"), ("c.vcf", "text/x-vcard")];
        let smil = compose(parts.into_iter()).unwrap();
        let found = agreement(&smil, &["a.jpg", "a.txt", "c.vcf"]);
        assert!(found.missing.is_empty());
        assert_eq!(found.unshown, ["c.vcf"]);
        assert_eq!(smil.matches("<par").count(), 1, "the text joins the picture");
        assert_eq!(compose([("c.vcf", "text/x-vcard"), ("x", "nonsense")].into_iter()), None);
    }
}
