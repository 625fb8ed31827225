//! Content that came in as parts: the tree flattened, presentations first, text in UTF-8, names made safe.

use mmsgw_engine::{InboundContent, InboundPart};
use mmsgw_mime::{Entity, MediaType, safe_name};

/// The leaves of a content tree.
pub(super) fn parts(content: Option<&Entity>) -> Vec<InboundPart> {
    let leaves = content.map(Entity::leaves).unwrap_or_default();
    let (presentations, media): (Vec<_>, Vec<_>) =
        leaves.into_iter().partition(|leaf| leaf.media_type.is_smil());
    presentations.into_iter().chain(media).enumerate().map(|(index, leaf)| part(leaf, index + 1)).collect()
}

fn part(leaf: &Entity, number: usize) -> InboundPart {
    let octets = leaf.body().cloned().unwrap_or_default();
    // What nobody described counts as text in a mail, but media without a type are seen too.
    let is_undescribed =
        leaf.headers.value("Content-Type").is_none() && std::str::from_utf8(&octets).is_err();
    let media_type = if is_undescribed { MediaType::octet_stream() } else { leaf.media_type.clone() };
    let content = match leaf.text().filter(|_| !is_undescribed) {
        Some(text) => InboundContent::Text(text),
        None => InboundContent::Octets(octets),
    };
    let name = leaf.name().or_else(|| leaf.content_id().as_deref().and_then(safe_name));
    let name = name.unwrap_or_else(|| format!("part-{number}{}", extension(media_type.essence())));
    // The charset of the text is gone, and its name stands apart.
    InboundPart { name, content_type: media_type.essence().to_owned(), content }
}

/// The usual end of a file name, for parts without any name.
fn extension(essence: &str) -> &'static str {
    match essence {
        "application/smil" | "application/smil+xml" => ".smil",
        "text/plain" => ".txt",
        "text/x-vcard" | "text/vcard" => ".vcf",
        "text/x-vcalendar" | "text/calendar" => ".vcs",
        "image/jpeg" | "image/jpg" => ".jpg",
        "image/gif" => ".gif",
        "image/png" => ".png",
        "image/vnd.wap.wbmp" => ".wbmp",
        "audio/amr" => ".amr",
        "audio/mpeg" | "audio/mp3" => ".mp3",
        "audio/midi" | "audio/sp-midi" | "audio/mid" => ".mid",
        "video/3gpp" => ".3gp",
        "video/mp4" => ".mp4",
        _ => "",
    }
}
