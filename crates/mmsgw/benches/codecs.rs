//! How fast messages of 300 KB are written and read: nearly all of it a picture, in base64 as mails have it, and as it is
//! over HTTP. `cargo bench -p mmsgw --bench codecs`.

use std::hint::black_box;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use mmsgw_mime::write::{Entity, Layout, Leaf, Transfer, boundary_for, entity};
use mmsgw_mime::{self as mime, read_message};
use mmsgw_mm7 as mm7;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// A presentation, a picture of 290 KB, a text.
fn leaves() -> Vec<Leaf> {
    let mut state = 1_u64;
    // Xorshift: octets as hard to compress as a picture's.
    let picture = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    let leaf = |media_type: &str, name: &str, body: Bytes| Leaf {
        media_type: media_type.parse().expect("a media type"),
        name: Some(name.to_owned()),
        content_id: name.to_owned(),
        content_location: Some(name.to_owned()),
        body,
    };
    vec![
        leaf("application/smil", "show.smil", Bytes::from_static(b"<smil><body><par/></body></smil>")),
        leaf("image/jpeg", "picture.jpg", picture.take(290_000).collect()),
        leaf("text/plain", "text.txt", "A picture and a few words to go with it.\r\n".repeat(200).into()),
    ]
}

fn write(leaves: &[Leaf], transfer: Transfer) -> Entity {
    let layout = Layout::Related { start: "show.smil".into(), root_type: "application/smil".into() };
    entity(leaves, layout, transfer, &boundary_for(leaves, "0123456789"))
        .expect("content that can be written")
}

fn mail() -> Bytes {
    let body = write(&leaves(), Transfer::Mail);
    let head = format!(
        "X-Mms-3GPP-MMS-Version: 6.10.0\r\nX-Mms-Message-Type: MM4_forward.REQ\r\n\
         X-Mms-Transaction-ID: \"t-1\"\r\nX-Mms-Message-ID: \"m-1@mms.example\"\r\n\
         From: +15555550101/TYPE=PLMN@mms.example\r\nTo: +15555550102/TYPE=PLMN@mms.example\r\n\
         MIME-Version: 1.0\r\nContent-Type: {}\r\n\r\n",
        body.content_type
    );
    [head.as_bytes(), &body.body].concat().into()
}

fn envelope() -> String {
    let namespace = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4";
    format!(
        "<?xml version=\"1.0\"?><env:Envelope xmlns:env=\"http://schemas.xmlsoap.org/soap/envelope/\"><env:Header>\
         <TransactionID xmlns=\"{namespace}\">t-1</TransactionID></env:Header><env:Body><DeliverReq \
         xmlns=\"{namespace}\"><MM7Version>6.8.0</MM7Version><Sender><Number>+15555550101</Number></Sender>\
         <Content href=\"cid:content\"/></DeliverReq></env:Body></env:Envelope>"
    )
}

fn package(content: &Entity) -> mm7::Packaged {
    let envelope = envelope();
    let around = (envelope.as_bytes(), mm7::Charset::default());
    mm7::package(around, content, "content", "outer").expect("content that can be packaged")
}

fn octets(count: usize) -> BytesCount {
    BytesCount::new(count)
}

#[divan::bench]
fn mm4_write(bencher: Bencher<'_, '_>) {
    let leaves = leaves();
    let size = write(&leaves, Transfer::Mail).body.len();
    bencher.counter(octets(size)).bench(|| write(black_box(&leaves), Transfer::Mail));
}

#[divan::bench]
fn mm4_read(bencher: Bencher<'_, '_>) {
    let mail = mail();
    let limits = mime::Limits::DEFAULT;
    let read = |mail| mmsgw_mm4::read(mail, &limits).expect("a mail that can be read");
    assert_eq!(read(mail.clone()).content.map(|content| content.parts().len()), Some(3));
    bencher.counter(octets(mail.len())).bench(|| read(black_box(mail.clone())));
}

#[divan::bench]
fn mime_read(bencher: Bencher<'_, '_>) {
    let mail = mail();
    bencher
        .counter(octets(mail.len()))
        .bench(|| read_message(black_box(mail.clone()), &mime::Limits::DEFAULT));
}

#[divan::bench]
fn mm7_write(bencher: Bencher<'_, '_>) {
    let leaves = leaves();
    let size = package(&write(&leaves, Transfer::Binary)).content_length();
    bencher.counter(octets(size)).bench(|| package(&write(black_box(&leaves), Transfer::Binary)));
}

#[divan::bench]
fn mm7_read(bencher: Bencher<'_, '_>) {
    let packaged = package(&write(&leaves(), Transfer::Binary));
    let body = Bytes::from([packaged.head, packaged.body, packaged.tail].concat());
    let limits = mm7::Limits::default();
    let read = |body| {
        mm7::read_request(Some(&packaged.content_type), body, &limits).expect("a request that can be read")
    };
    assert!(read(body.clone()).content.is_some());
    bencher.counter(octets(body.len())).bench(|| read(black_box(body.clone())));
}
