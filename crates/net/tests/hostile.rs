//! Peers in bad faith at a listener for HTTP: what two readers could understand in two ways is never two requests, slow
//! peers are in nobody's way, and nobody speaks TLS of old.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use mmsgw_net::{Alpn, Drain, HttpLimits, ServerTls, ServerTlsSettings, bind, serve_http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::service_fn;

const LONG: Duration = Duration::from_secs(30);

struct Site {
    address: SocketAddr,
    /// Method, path and body of each request that reached the service whole.
    served: Arc<Mutex<Vec<String>>>,
    _drain: Drain,
}

/// Reads each request to its end and answers 200.
fn site(limits: HttpLimits, tls: Option<Arc<ServerTls>>) -> Site {
    let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (drain, served) = (Drain::new(), Arc::<Mutex<Vec<String>>>::default());
    let kept = Arc::clone(&served);
    let service = service_fn(move |request: Request<Incoming>| {
        let kept = Arc::clone(&kept);
        async move {
            let line = format!("{} {}", request.method(), request.uri().path());
            if let Ok(body) = request.into_body().collect().await {
                let body = body.to_bytes();
                kept.lock().unwrap().push(format!("{line} {}", String::from_utf8_lossy(&body)));
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"fine"))))
        }
    });
    drain.spawn(serve_http(listener, tls, limits, drain.clone(), service));
    Site { address, served, _drain: drain }
}

impl Site {
    /// Sends octets, closes our side, and reads all that comes back.
    async fn hears(&self, octets: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(octets).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut said)).await.expect("the server does not close");
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// What would be a second request for a reader that counts otherwise.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn what_may_be_read_in_two_ways_hides_no_request() {
    // Two honest requests are two.
    let honest = site(HttpLimits::default(), None);
    honest
        .hears(format!("POST /open HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello{HIDDEN}").as_bytes())
        .await;
    assert_eq!(*honest.served.lock().unwrap(), ["POST /open hello", "GET /hidden "]);
    for (name, head, body) in [
        ("two lengths", "content-length: 5\r\ncontent-length: 6", "hello"),
        ("lengths in a list", "content-length: 5, 6", "hello"),
        ("a signed length", "content-length: +5", "hello"),
        ("a negative length", "content-length: -5", "hello"),
        ("a length in hexadecimal", "content-length: 0x5", "hello"),
        ("a length beyond measure", "content-length: 99999999999999999999", "hello"),
        ("a length with a blank", "content-length: 1 0", "hello"),
        ("a length and chunks", "content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
        ("chunks and a length", "transfer-encoding: chunked\r\ncontent-length: 5", "0\r\n\r\n"),
        ("another coding behind chunks", "transfer-encoding: chunked, identity", "0\r\n\r\n"),
        ("an unknown coding", "transfer-encoding: xchunked", "0\r\n\r\n"),
        ("chunks twice", "transfer-encoding: chunked\r\ntransfer-encoding: identity", "0\r\n\r\n"),
        ("a folded coding", "transfer-encoding:\r\n chunked", "0\r\n\r\n"),
        ("a folded length", "content-length:\r\n 5", "hello"),
        ("a blank before the colon", "content-length : 5", "hello"),
        ("a coding with a blank before the colon", "transfer-encoding : chunked", "0\r\n\r\n"),
        ("a control in a coding", "transfer-encoding: \u{b}chunked", "0\r\n\r\n"),
        ("a control in a name", "trans\u{1}fer-encoding: chunked", "0\r\n\r\n"),
        ("a lone carriage return", "a: b\rcontent-length: 5", "hello"),
        ("a chunk size with a sign", "transfer-encoding: chunked", "+0\r\n\r\n"),
        ("a chunk size in disguise", "transfer-encoding: chunked", "0x0\r\n\r\n"),
        ("a chunk that is longer", "transfer-encoding: chunked", "3\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size beyond measure", "transfer-encoding: chunked", "fffffffffffffffff\r\nx\r\n0\r\n\r\n"),
        ("a chunk without its end", "transfer-encoding: chunked", "5\r\nhello0\r\n\r\n"),
    ] {
        let site = site(HttpLimits::default(), None);
        let said = site
            .hears(format!("POST /open HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n{body}{HIDDEN}").as_bytes())
            .await;
        let served = site.served.lock().unwrap().clone();
        assert!(!served.iter().any(|line| line.contains("/hidden")), "{name}: {served:?}\n{said}");
        assert!(said.matches("HTTP/1.1 200").count() <= 1, "{name}: {said}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_request_is_answered_400() {
    for (name, request) in [
        ("a space before a header", "GET / HTTP/1.1\r\n host: a\r\n\r\n"),
        ("a nul in a header", "GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n"),
        ("a header without a name", "GET / HTTP/1.1\r\n: a\r\n\r\n"),
        ("an unknown version", "GET / HTTP/3.7\r\nhost: a\r\n\r\n"),
        ("a control in the target", "GET /a\u{7}b HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("another protocol", "EHLO mail.example\r\n\r\n"),
        ("TLS in the clear", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n"),
    ] {
        let site = site(HttpLimits::default(), None);
        let said = site.hears(request.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 400") || said.is_empty(), "{name}: {said}");
        assert!(site.served.lock().unwrap().is_empty(), "{name}");
    }
    // More headers than anybody needs, within the octets that a head may have.
    let site = site(HttpLimits::default(), None);
    let many: String = (0..1_000).map(|n| format!("a{n}: b\r\n")).collect();
    let said = site.hears(format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes()).await;
    assert!(said.starts_with("HTTP/1.1 431") || said.starts_with("HTTP/1.1 400"), "{said}");
}

/// Hundreds of peers in the middle of a head or of a body.
#[tokio::test]
async fn slow_peers_are_in_nobodys_way() {
    let site = site(HttpLimits::default(), None);
    let mut slow = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let begun: &[u8] = match number % 4 {
            0 => b"",
            1 => b"POST / HTTP/1.1\r\nho",
            2 => b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nx",
            _ => b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx",
        };
        stream.write_all(begun).await.unwrap();
        slow.push(stream);
    }
    for _ in 0..20 {
        let said = site.hears(b"GET /quick HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
    assert_eq!(site.served.lock().unwrap().len(), 20);
}

/// A ClientHello (RFC 5246 section 7.4.1.2) whose highest version is `minor`, without the extension that names others.
fn client_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend([7; 32]);
    hello.push(0);
    // Suites of every age, ECDHE with AES among them.
    let suites: [u16; 6] = [0xc013, 0xc014, 0xc009, 0xc02f, 0xc02b, 0x002f];
    hello.extend(u16::try_from(suites.len() * 2).unwrap().to_be_bytes());
    suites.iter().for_each(|suite| hello.extend(suite.to_be_bytes()));
    hello.extend([1, 0]);
    // Groups (x25519, P-256), forms of points, signatures.
    let extensions: [&[u8]; 3] =
        [&[0, 10, 0, 6, 0, 4, 0, 29, 0, 23], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1]];
    let extensions = extensions.concat();
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let mut message = vec![1, 0];
    message.extend(u16::try_from(hello.len()).unwrap().to_be_bytes());
    message.extend(hello);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

#[tokio::test]
async fn tls_before_1_2_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let [cert_file, key_file] = ["server.pem", "server.key"].map(|name| directory.path().join(name));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let text = format!("cert_file = '{}'\nkey_file = '{}'\n", cert_file.display(), key_file.display());
    let settings: ServerTlsSettings = toml::from_str(&text).unwrap();
    let tls = Arc::new(ServerTls::load(&settings, Alpn::Http).unwrap());
    let site = site(HttpLimits::default(), Some(tls));
    for (minor, is_taken) in [(0, false), (1, false), (2, false), (3, true)] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(&client_hello(minor)).await.unwrap();
        let mut record = [0; 7];
        timeout(LONG, stream.read_exact(&mut record)).await.expect("no answer in time").unwrap();
        // A handshake record, or a fatal alert.
        assert_eq!(record[0] == 22, is_taken, "TLS 1.{}: {record:?}", i16::from(minor) - 1);
        assert!(is_taken || (record[0], record[5]) == (21, 2), "{record:?}");
    }
}
