//! Input that wants to break something gets an error, soon.

use bytes::Bytes;
use mmsgw_mime::{Limits, ReadError as MimeError};
use mmsgw_mm4::{Reason, read};
use proptest::prelude::*;

const HEAD: &str = "X-Mms-Message-Type: MM4_forward.REQ\r\nX-Mms-Transaction-ID: T\r\nX-Mms-Message-ID: M\r\n\
    X-Mms-Ack-Request: Yes\r\nSender: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n";

fn reason(tail: &[u8]) -> Reason {
    let error = read(Bytes::from([HEAD.as_bytes(), tail].concat()), &Limits::DEFAULT).unwrap_err();
    error.reason
}

#[test]
fn a_million_boundaries() {
    let tail = [b"\r\n".to_vec(), b"--b\r\n".repeat(1_000_000)].concat();
    let mail = Bytes::from([HEAD.as_bytes(), &tail].concat());
    let error = read(mail, &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.reason, Reason::Mime(MimeError::TooManyParts { limit: 200 }));
    assert_eq!(error.echo.reply_to.as_deref(), Some("a@b.example"));
    assert!(error.echo.ack_request && error.echo.transaction_id.is_some());
}

#[test]
fn deep_nesting() {
    let level = |n| format!("\r\n--b\r\nContent-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}");
    let level_of = |n: usize| level(n).replace("--b\r", &format!("--b{}\r", n - 1));
    let tail: String = std::iter::once(level(0)).chain((1..5000).map(level_of)).collect::<String>();
    assert_eq!(reason(tail.as_bytes()), Reason::Mime(MimeError::TooDeep { limit: 8 }));
}

#[test]
fn headers_of_ten_megabytes() {
    let too_large = Reason::Mime(MimeError::HeaderTooLarge { limit: 64 << 10, fields: 500 });
    assert_eq!(reason(&[b"To: ".to_vec(), b"+1555, ".repeat(1_500_000)].concat()), too_large);
    assert_eq!(reason(&b"To: +1555\r\n".repeat(1_000_000)), too_large);
    assert_eq!(reason(&[b"Subject: ".to_vec(), b"=?utf-8?q?".repeat(1 << 20)].concat()), too_large);
}

#[test]
fn a_full_header_of_tricky_text_is_read_in_time() {
    for piece in ["=?utf-8?q?", "((((", "\"\"\"\"", "<<>>", ",;,;", "/TYPE=", "name*0*=", "%%%%"] {
        let text = piece.repeat(60_000 / piece.len());
        for name in ["To", "Subject", "Content-Type", "X-Mms-Request-Recipients", "X-Mms-Originator-System"] {
            let mail = format!("{name}: {text}\r\n{HEAD}\r\n");
            let _ = read(Bytes::from(mail), &Limits::DEFAULT);
        }
    }
}

proptest! {
    #[test]
    fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(Bytes::from(octets.clone()), &Limits::DEFAULT);
        let _ = read(Bytes::from([HEAD.as_bytes(), &octets].concat()), &Limits::DEFAULT);
    }
}
