//! The envelope of a mail that a mail server has delivered into a file: what its delivery agent wrote on
//! top. Pure: octets in, values out.
//!
//! `X-Original-To` is the recipient of the SMTP dialogue, `Delivered-To` the local mailbox that an alias
//! led to, `Return-Path` the sender (written by Postfix, Exim and others). Only those above the first
//! `Received` count: further down stands what the sender wrote.

use bytes::Bytes;
use mmsgw_mime::{Limits, ReadError, read_headers};
use mmsgw_mm4::address::addr_spec;

/// A mail out of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivered {
    /// Empty for the null sender, or where nothing is said.
    pub(super) mail_from: String,
    /// The recipients of the envelope; none where the file does not tell.
    pub(super) rcpt_to: Vec<String>,
    /// The addresses of `To` and `Cc`.
    pub(super) header_to: Vec<String>,
    /// The mail itself.
    pub(super) mail: Bytes,
}

/// Why a file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    #[error("the file is empty")]
    Empty,
    #[error("not a mail: {0}")]
    Headers(#[from] ReadError),
    #[error("not a mail: no header")]
    NoHeaders,
    #[error("nobody here has one of its recipients: {0}")]
    Nobody(String),
}

/// Reads the envelope out of a file. A `From ` line of the mbox form is cut off.
pub(super) fn read(file: Bytes, limits: &Limits) -> Result<Delivered, Misfit> {
    if file.iter().all(u8::is_ascii_whitespace) {
        return Err(Misfit::Empty);
    }
    let (mbox_from, mail) = split_mbox(file);
    let (headers, _) = read_headers(&mail, limits)?;
    if headers.is_empty() {
        return Err(Misfit::NoHeaders);
    }
    let is = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
    let top: Vec<_> = headers.iter().take_while(|field| !is(&field.name, "Received")).collect();
    let all = |wanted: &str| -> Vec<String> {
        let values = top.iter().filter(|field| is(&field.name, wanted));
        distinct(values.filter_map(|field| addr_spec(&field.value)))
    };
    let names = ["X-Original-To", "Envelope-To", "X-Envelope-To", "Delivered-To"];
    let rcpt_to = names.into_iter().map(all).find(|found| !found.is_empty()).unwrap_or_default();
    let return_path = top.iter().find(|field| is(&field.name, "Return-Path"));
    let mail_from = match return_path {
        Some(field) => addr_spec(&field.value).unwrap_or_default(),
        None => mbox_from.unwrap_or_default(),
    };
    let listed = ["To", "Cc"].into_iter().flat_map(|name| headers.all(name));
    let header_to = distinct(listed.flat_map(|list| list.split(',')).filter_map(addr_spec));
    Ok(Delivered { mail_from, rcpt_to, header_to, mail })
}

fn split_mbox(file: Bytes) -> (Option<String>, Bytes) {
    let Some(rest) = file.strip_prefix(b"From ") else { return (None, file) };
    let end = rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
    let line = String::from_utf8_lossy(&rest[..end]).into_owned();
    let sender = line.split_whitespace().next().filter(|word| word.contains('@')).and_then(addr_spec);
    (sender, file.slice(file.len().min(end + 6)..))
}

fn distinct(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for address in addresses {
        if found.len() < MAX_RECIPIENTS && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// Recipients of one mail that are looked at.
const MAX_RECIPIENTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(text: &str) -> Delivered {
        read(text.to_owned().into(), &Limits::DEFAULT).unwrap()
    }

    #[test]
    fn what_postfix_writes_on_top() {
        let mail = delivered(
            "Return-Path: <+15555550101/TYPE=PLMN@mms.peer.example>\nX-Original-To: +15555550102/TYPE=PLMN@own\n\
             Delivered-To: mms@host\nReceived: from x\nX-Original-To: forged@own\nReturn-Path: <forged@x>\n\
             To: +15555550102/TYPE=PLMN, <+15555550103/TYPE=PLMN@own>\nCc: a@b\n\nbody",
        );
        assert_eq!(mail.mail_from, "+15555550101/TYPE=PLMN@mms.peer.example");
        assert_eq!(mail.rcpt_to, ["+15555550102/TYPE=PLMN@own"]);
        assert_eq!(mail.header_to, ["+15555550102/TYPE=PLMN", "+15555550103/TYPE=PLMN@own", "a@b"]);
    }

    #[test]
    fn less_is_enough() {
        let plain = delivered("Delivered-To: a@b\nDelivered-To: c@d\nDelivered-To: a@b\nSubject: x\n\n");
        assert_eq!((plain.mail_from.as_str(), plain.rcpt_to), ("", vec!["a@b".to_owned(), "c@d".to_owned()]));
        assert_eq!(delivered("Return-Path: <>\nSubject: x\n\n").mail_from, "");
        let mbox = delivered("From a@b.example Tue Nov 14 22:13:20 2023\nSubject: x\n\nFrom y\n");
        assert_eq!(mbox.mail_from, "a@b.example");
        assert_eq!(mbox.mail, "Subject: x\n\nFrom y\n");
        assert_eq!(delivered("From MAILER-DAEMON Tue Nov 14\nSubject: x\n\n").mail_from, "");
    }

    #[test]
    fn what_is_no_mail() {
        for nothing in ["", "\n\n", " \r\n"] {
            assert_eq!(read(nothing.into(), &Limits::DEFAULT), Err(Misfit::Empty));
        }
        assert!(read("From ".into(), &Limits::DEFAULT).is_err());
        assert!(read(Bytes::from(vec![0xff; 300_000]), &Limits::DEFAULT).is_err());
    }
}
