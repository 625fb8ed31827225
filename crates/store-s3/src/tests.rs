//! The contract, and what only this store promises, with a real server.

use std::time::Instant;

use mmsgw_domain::{Span, SystemClock};
use mmsgw_net::tls::ClientTlsSettings;
use mmsgw_store::{ManualClock, conformance};

use super::*;
use crate::test_server::{Peer, Server, settings};

const DAY: Duration = Duration::from_secs(86_400);

async fn open(settings: &S3Settings) -> S3Blobs {
    S3Blobs::open(settings, Arc::new(SystemClock)).await.unwrap()
}

/// A store with a clock that starts right and goes as the test says.
async fn open_with_clock(settings: &S3Settings) -> (S3Blobs, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    (S3Blobs::open(settings, clock.clone()).await.unwrap(), clock)
}

async fn refusal(settings: &S3Settings) -> StoreError {
    S3Blobs::open(settings, Arc::new(SystemClock)).await.err().expect("opens all the same")
}

struct Hands<'a>(&'a Server);

impl conformance::BlobHands for Hands<'_> {
    async fn pass(&self, span: Duration) {
        // The store cuts times to whole seconds, and cannot be told of others.
        tokio::time::sleep(span + Duration::from_millis(1100)).await;
    }

    async fn spoil(&self, digest: &Digest, octets: &'static [u8]) {
        self.0.raw("PUT", &format!("media/{digest}"), std::str::from_utf8(octets).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_the_contract_among_processes() {
    let server = Server::start().await;
    let [here, there] = [open(&server.settings()).await, open(&server.settings()).await];
    conformance::run_blobs(Arc::new(here), Arc::new(there), Hands(&server)).await;
}

#[tokio::test]
async fn requests_are_as_few_as_the_tour_says() {
    let server = Server::start().await;
    let (blobs, clock) = open_with_clock(&S3Settings {
        fresh_for: Span::secs(600),
        prefix: "a/b-".into(),
        ..server.settings()
    })
    .await;
    let octets = Bytes::from_static(b"octets");
    let digest = digest_of(&octets);
    let (key, mark) = (format!("a/b-{digest}"), format!("a/b-removing-{digest}"));
    let asked = |requests: &[(&str, &String)]| -> Vec<String> {
        requests.iter().map(|(method, key)| format!("{method} {key}")).collect()
    };
    server.forget_requests().await;
    blobs.put(octets.clone()).await.unwrap();
    assert_eq!(server.requests().await, asked(&[("HEAD", &key), ("PUT", &key)]), "new octets");
    server.forget_requests().await;
    blobs.put(octets.clone()).await.unwrap();
    assert_eq!(server.requests().await, asked(&[("HEAD", &key)]), "octets put a short while ago");
    server.forget_requests().await;
    clock.advance(Duration::from_secs(601));
    blobs.put(octets.clone()).await.unwrap();
    let over = [("HEAD", &key), ("PUT", &key), ("HEAD", &mark), ("HEAD", &key)];
    assert_eq!(server.requests().await, asked(&over), "old octets");
    server.forget_requests().await;
    assert_eq!(blobs.get(&digest).await.unwrap(), Some(octets));
    assert_eq!(server.requests().await, asked(&[("GET", &key)]));
    server.forget_requests().await;
    assert!(!blobs.remove(&digest, DAY).await.unwrap());
    assert_eq!(server.requests().await, asked(&[("HEAD", &key)]), "young octets are left alone");
    server.forget_requests().await;
    clock.advance(2 * DAY);
    assert!(blobs.remove(&digest, DAY).await.unwrap());
    let removal = [("HEAD", &key), ("PUT", &mark), ("HEAD", &key), ("DELETE", &key), ("DELETE", &mark)];
    assert_eq!(server.requests().await, asked(&removal));
}

#[tokio::test]
async fn octets_not_sent_again_are_removed_by_the_time_of_their_last_put_all_the_same() {
    let server = Server::start().await;
    let (blobs, clock) =
        open_with_clock(&S3Settings { fresh_for: Span::secs(600), ..server.settings() }).await;
    let digest = blobs.put(Bytes::from_static(b"octets")).await.unwrap();
    clock.advance(Duration::from_secs(590));
    server.forget_requests().await;
    blobs.put(Bytes::from_static(b"octets")).await.unwrap();
    assert_eq!(server.requests().await, [format!("HEAD media/{digest}")]);
    clock.advance(DAY - Duration::from_secs(1));
    assert!(!blobs.remove(&digest, DAY).await.unwrap());
    assert!(blobs.get(&digest).await.unwrap().is_some(), "put less than a day ago");
    clock.advance(Duration::from_secs(30));
    assert!(blobs.remove(&digest, DAY).await.unwrap());
    assert_eq!(blobs.get(&digest).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_over_old_octets_waits_for_the_end_of_a_removal() {
    let server = Server::start().await;
    let (blobs, _) = open_with_clock(&server.settings()).await;
    let blobs = Arc::new(blobs);
    let digest = blobs.put(Bytes::from_static(b"octets")).await.unwrap();
    // Another host is about to remove them and has seen how old they were.
    server.raw("PUT", &format!("media/removing-{digest}"), "").await;
    let putting = tokio::spawn({
        let blobs = Arc::clone(&blobs);
        async move { blobs.put(Bytes::from_static(b"octets")).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!putting.is_finished(), "nobody is told yes while a removal is at work");
    server.raw("DELETE", &format!("media/{digest}"), "").await;
    server.raw("DELETE", &format!("media/removing-{digest}"), "").await;
    assert_eq!(putting.await.unwrap().unwrap(), digest);
    assert!(blobs.get(&digest).await.unwrap().is_some());
}

#[tokio::test]
async fn the_mark_of_a_removal_that_died_holds_puts_up_for_a_while_only() {
    let server = Server::start().await;
    let settings = S3Settings { total_timeout: Span::secs(1), timeout: Span::secs(1), ..server.settings() };
    let (blobs, clock) = open_with_clock(&S3Settings { connect_timeout: Span::secs(1), ..settings }).await;
    let digest = blobs.put(Bytes::from_static(b"octets")).await.unwrap();
    server.raw("PUT", &format!("media/removing-{digest}"), "").await;
    let busy = blobs.put(Bytes::from_static(b"octets")).await;
    assert!(matches!(busy, Err(StoreError::Unavailable(_))), "{busy:?}");
    clock.advance(Duration::from_secs(21 * 60));
    assert_eq!(blobs.put(Bytes::from_static(b"octets")).await.unwrap(), digest);
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_told_at_the_start_and_no_reason_to_give_media_up() {
    let server = Server::start().await;
    let error = refusal(&S3Settings { bucket: "no-such-bucket".into(), ..server.settings() }).await;
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("is the bucket there?")), "{error}");
    let blobs = open(&server.settings()).await;
    let unknown = Digest::new([1; 32]);
    assert_eq!(blobs.get(&unknown).await.unwrap(), None);
    server.raw("DELETE", "media/probe", "").await;
    server.raw("DELETE", "", "").await;
    let gone = blobs.get(&unknown).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
    let put = blobs.put(Bytes::from_static(b"octets")).await;
    assert!(matches!(put, Err(StoreError::Unavailable(_))), "{put:?}");
}

#[tokio::test]
async fn a_key_that_the_store_refuses_is_told_at_the_start() {
    let server = Server::run(|command| {
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "0");
    });
    let error = refusal(&server.settings()).await;
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("is it the right key")), "{error}");
    assert!(!error.to_string().contains("a secret"));
}

#[tokio::test]
async fn faults_of_the_settings_are_told_before_anybody_is_asked() {
    let error = refusal(&S3Settings { in_flight: 0, ..settings("http://127.0.0.1:1") }).await;
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("in_flight")), "{error}");
}

#[tokio::test]
async fn a_store_that_goes_away_is_unavailable() {
    let mut server = Server::start().await;
    let blobs = open(&server.settings()).await;
    let digest = blobs.put(Bytes::from_static(b"octets")).await.unwrap();
    server.stop();
    let (put, removed) = (blobs.put(Bytes::from_static(b"other")).await, blobs.remove(&digest, DAY).await);
    for result in [put.map(|_| ()), removed.map(|_| ())] {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    }
    let got = blobs.get(&digest).await;
    assert!(matches!(got, Err(StoreError::Unavailable(_))), "{got:?}");
    assert!(matches!(refusal(&server.settings()).await, StoreError::Unavailable(_)));
}

/// A store without the look at the bucket.
fn unopened(settings: &S3Settings) -> S3Blobs {
    S3Blobs::new(settings, Arc::new(SystemClock)).unwrap()
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up_in_time() {
    let peer = Peer::start(None);
    let (timeout, total_timeout) = (Span(Duration::from_millis(300)), Span::secs(1));
    let settings = settings(&peer.url);
    let blobs = unopened(&S3Settings { connect_timeout: timeout, timeout, total_timeout, ..settings });
    let began = Instant::now();
    let got = blobs.get(&Digest::new([1; 32])).await;
    assert!(matches!(got, Err(StoreError::Unavailable(_))), "{got:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(peer.requests() > 1, "a read is tried again");
}

#[tokio::test]
async fn a_busy_store_is_tried_again_so_many_times() {
    let peer = Peer::start(Some("HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let blobs = unopened(&S3Settings { retries: 2, ..settings(&peer.url) });
    let got = blobs.get(&Digest::new([1; 32])).await;
    assert!(matches!(got, Err(StoreError::Unavailable(_))), "{got:?}");
    assert_eq!(peer.requests(), 3);
}

#[tokio::test]
async fn an_object_beyond_all_measure_is_not_read() {
    let peer = Peer::start(Some(
        "HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\nETag: \"1\"\r\n\
         Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n",
    ));
    let got = unopened(&settings(&peer.url)).get(&Digest::new([1; 32])).await;
    assert!(matches!(&got, Err(StoreError::Corrupt(why)) if why.contains("9000000000")), "{got:?}");
}

#[tokio::test]
async fn no_more_media_are_on_their_way_than_the_settings_say() {
    let peer = Peer::start(Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let blobs = Arc::new(unopened(&S3Settings { in_flight: 2, ..settings(&peer.url) }));
    let reads: Vec<_> = (0..20)
        .map(|n| {
            let blobs = Arc::clone(&blobs);
            tokio::spawn(async move { blobs.get(&Digest::new([n; 32])).await })
        })
        .collect();
    for read in reads {
        assert!(matches!(read.await.unwrap(), Err(StoreError::Unavailable(_))));
    }
    assert_eq!(peer.requests(), 40, "each looks for the bucket too");
    assert_eq!(peer.most_at_once(), 2);
}

#[tokio::test]
async fn tls_trusts_whom_the_settings_say() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = Server::run(|command| {
        command.arg("-c").arg(&cert).arg("-k").arg(&key);
    });
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let stranger = refusal(&S3Settings { retries: 0, ..server.settings() }).await;
    assert!(matches!(&stranger, StoreError::Unavailable(_)), "{stranger}");
    let tls = ClientTlsSettings { ca_file: Some(cert), ..ClientTlsSettings::default() };
    let error = refusal(&S3Settings { tls: tls.clone(), ..server.settings() }).await;
    assert!(error.to_string().contains("is the bucket there?"), "the server was asked: {error}");
    let error =
        refusal(&S3Settings { tls: ClientTlsSettings { cert_file: Some(key), ..tls }, ..server.settings() })
            .await;
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("tls")), "{error}");
}
