//! What applications send.

use encodify::base64::STANDARD;
use serde_json::{Value, json};

pub(crate) const SMIL: &str = "<smil><head><layout><root-layout width=\"320\" height=\"480\"/></layout></head>\
    <body><par dur=\"5s\"><img src=\"picture.jpg\"/><text src=\"greeting.txt\"/></par></body></smil>";
/// Non-ASCII, dots at the beginning of lines, a line longer than any mail may have, something like a header.
pub(crate) const TEXT: &str = concat!(
    "Grüße — ¡hola! 你好 🙂\r\n.\r\n..two dots\r\nSubject: not a header\r\n<&>\"'\r\n\r\nFrom here on\r\n",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "long long long long long long long long long long long long long long long long long long long long ",
    "end"
);

/// Subjects that could break out of XML, of a header or of a MIME boundary.
pub(crate) const SUBJECTS: [&str; 10] = [
    "plain",
    "Grüße aus Zürich – ¡y hasta pronto! 你好 🙂",
    "a <b>&\"quoted\" 'apostrophe' & ]]> <!-- -->",
    "Bcc: somebody@else.example",
    "=?utf-8?Q?already_encoded?=",
    "--=_boundary-- \\ (comment) ; semicolon, comma",
    "trailing equals= and =20 and % %0A",
    "</Subject><Recipients><To/></Recipients>",
    "&amp; &#10; &lt;",
    concat!(
        "a long subject that has to be folded somewhere, and again, and again, since no line of a mail may be ",
        "longer than nine hundred and ninety-eight octets and none should be longer than seventy-eight, ",
        "which a subject of four hundred octets reaches quite easily when somebody writes without an end in sight"
    ),
];

/// A template with picture, text and SMIL, the SMIL last so that it has to move to the first place.
pub(crate) fn postcard(subject: &str, picture: &[u8], send: Value) -> Value {
    json!({
        "origin": "+15555550101", "subject": subject,
        "parts": [
            {"name": "picture.jpg", "content_type": "image/jpeg", "encoding": "base64",
             "content": STANDARD.encode(picture)},
            {"name": "greeting.txt", "content_type": "text/plain", "content": TEXT},
            {"name": "postcard.smil", "content_type": "application/smil", "content": SMIL},
        ],
        "send": send,
    })
}

/// Lays the members of `more` over those of `letter`.
pub(crate) fn with(mut letter: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("members are an object") };
    letter.as_object_mut().unwrap().extend(more);
    letter
}

/// Every field of a template beside subject and parts; held until `now` + 2 seconds.
pub(crate) fn all_fields(now: i64) -> Value {
    json!({
        "show_sender": false, "earliest_delivery": now + 2, "latest_delivery": now + 7_200, "expire_after": 86_400,
        "message_class": "advertisement", "content_class": "image-rich", "charged_party": "both", "drm": false,
        "content_adaptation": true, "can_redistribute": false,
    })
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
