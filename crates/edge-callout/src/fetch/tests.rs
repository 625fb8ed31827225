use super::*;
use crate::test_server::{Server, answer, closed_port};

fn fetch(change: impl FnOnce(&mut FetchSettings)) -> Fetch {
    let mut settings =
        FetchSettings { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], ..FetchSettings::default() };
    settings.max_size = mmsgw_domain::ByteSize(1000);
    change(&mut settings);
    Fetch::new(&settings).unwrap()
}

async fn status(status: &'static str) -> Result<Bytes, FetchError> {
    let server = Server::start(move |_| Some(answer(status, "", "hello"))).await;
    fetch(|_| ()).fetch(&server.url("/a"), "image/jpeg").await
}

async fn typed(header: &'static str, wanted: &str) -> Result<Bytes, FetchError> {
    let server = Server::start(move |_| Some(answer("200 OK", header, "hello"))).await;
    fetch(|_| ()).fetch(&server.url("/a"), wanted).await
}

async fn raw(text: &'static str) -> Result<Bytes, FetchError> {
    let server = Server::saying(text).await;
    fetch(|settings| settings.timeout = mmsgw_domain::Span(Duration::from_millis(500)))
        .fetch(&server.url("/a"), "image/jpeg")
        .await
}

fn is_refused<T>(result: &Result<T, FetchError>) -> bool {
    matches!(result, Err(FetchError::Refused(_)))
}

#[tokio::test]
async fn statuses_say_whether_it_is_worth_another_try() {
    assert_eq!(status("200 OK").await.unwrap(), "hello");
    for missing in ["404 Not Found", "410 Gone"] {
        assert!(matches!(status(missing).await, Err(FetchError::Missing(_))), "{missing}");
    }
    for no in ["400 Bad", "401 Who", "403 No", "204 No Content", "206 Partial", "304 Same", "302 Nowhere"] {
        assert!(is_refused(&status(no).await), "{no}");
    }
    for later in ["408 Slow", "429 Slower", "500 Oops", "502 Bad", "503 Busy", "599 Odd"] {
        assert!(matches!(status(later).await, Err(FetchError::Later(_))), "{later}");
    }
}

#[tokio::test]
async fn the_type_must_be_the_parts_where_it_is_stated() {
    for header in [
        "",
        "content-type: image/jpeg\r\n",
        "content-type: IMAGE/JPG; q=1\r\n",
        "content-type: application/octet-stream\r\n",
        "content-encoding: identity\r\n",
    ] {
        assert_eq!(typed(header, "image/jpeg").await.unwrap(), "hello", "{header}");
    }
    assert!(typed("content-type: image/jpeg\r\n", "image/jpg; name=\"a\"").await.is_ok());
    for header in ["content-type: text/html\r\n", "content-type: image/png\r\n", "content-encoding: gzip\r\n"]
    {
        assert!(is_refused(&typed(header, "image/jpeg").await), "{header}");
    }
}

#[tokio::test]
async fn sizes_are_counted_not_believed() {
    assert_eq!(raw("HTTP/1.1 200 OK\r\n\r\nto the end").await.unwrap(), "to the end");
    let endless = Server::start(|_| {
        Some(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\n{}", "x".repeat(2000)))
    })
    .await;
    assert!(is_refused(&fetch(|_| ()).fetch(&endless.url("/"), "image/jpeg").await));
    assert!(is_refused(&raw("HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\nx").await));
    let unstated = Server::start(|_| Some(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1001)))).await;
    assert!(is_refused(&fetch(|_| ()).fetch(&unstated.url("/"), "image/jpeg").await));
    let short = raw("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf").await;
    assert!(matches!(short, Err(FetchError::Later(_))), "{short:?}");
}

#[tokio::test]
async fn slow_servers_and_dead_ones_are_for_later() {
    let start = std::time::Instant::now();
    let silent = Server::start(|_| None).await;
    let quick = fetch(|settings| settings.timeout = mmsgw_domain::Span(Duration::from_millis(100)));
    assert!(matches!(quick.fetch(&silent.url("/"), "image/jpeg").await, Err(FetchError::Later(_))));
    assert!(start.elapsed() < Duration::from_secs(10));
    let (_held, gone) = closed_port();
    let error = quick.fetch(&format!("http://{gone}/?token=hidden"), "image/jpeg").await.unwrap_err();
    assert!(matches!(&error, FetchError::Later(reason) if !reason.contains("hidden")), "{error}");
}

/// `/3` redirects to `/2` and so on; `/0` has it.
async fn hops(root: &'static str) -> Server {
    Server::start(move |path| {
        let left: u32 = path[1..].parse().unwrap();
        match left {
            0 => Some(answer("200 OK", "", "there")),
            left => Some(answer("302 Found", &format!("location: {root}{}\r\n", left - 1), "")),
        }
    })
    .await
}

#[tokio::test]
async fn redirects_are_followed_so_many_times() {
    let server = hops("/").await;
    let fetch = fetch(|_| ());
    assert_eq!(fetch.fetch(&server.url("/3"), "image/jpeg").await.unwrap(), "there");
    assert!(is_refused(&fetch.fetch(&server.url("/4"), "image/jpeg").await));
}

#[tokio::test]
async fn redirects_are_judged_like_the_first_url() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a");
    std::fs::write(&file, "x").unwrap();
    let local = format!("file://{}", file.display());
    for to in [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://[::1]:1/",
        "http://user@127.0.0.1:1/",
        "ftp://example.org/",
        &local,
        "http://",
    ] {
        let headers = format!("location: {to}\r\n");
        let server = Server::start(move |_| Some(answer("307 There", &headers, ""))).await;
        let fetch = fetch(|settings| settings.file_roots = vec![directory.path().to_owned()]);
        assert!(fetch.check(&local).is_ok());
        let result = fetch.fetch(&server.url("/"), "image/jpeg").await;
        assert!(is_refused(&result), "{to}: {result:?}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_by_number_and_by_name() {
    let mut server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let guarded = fetch(|settings| settings.allow_networks.clear());
    assert!(is_refused(&guarded.check(&server.url("/"))));
    let by_name = format!("http://localhost:{}/", server.address.port());
    assert!(guarded.check(&by_name).is_ok(), "a name is judged when it is resolved");
    assert!(is_refused(&guarded.fetch(&by_name, "image/jpeg").await));
    assert!(server.asked.try_recv().is_err());
    assert!(fetch(|_| ()).fetch(&by_name, "image/jpeg").await.is_ok());
}

#[test]
fn texts_are_judged() {
    let fetch = fetch(|settings| settings.file_roots = vec!["/srv/media".into()]);
    let long = format!("https://example.org/{}", "a".repeat(2048));
    for bad in [
        "",
        "image.jpg",
        "ftp://example.org/a",
        "data:image/png;base64,AAAA",
        "javascript:1",
        "https://",
        "https://user:pass@example.org/",
        "https://user@example.org/",
        "http://169.254.169.254/",
        "http://10.1.1.1/",
        "file:///etc/passwd",
        "file:///srv/media/../x",
        "file:///srv/mediaevil/x",
        "file:///srv/media/..%2f..%2fetc/passwd",
        "file://host/srv/media/x",
        &long,
    ] {
        assert!(is_refused(&fetch.check(bad)), "{bad}");
    }
    for good in ["https://example.org/a.jpg?x=1", "http://127.0.0.1:1/", "file:///srv/media/a.jpg"] {
        assert_eq!(fetch.check(good), Ok(()), "{good}");
    }
}

#[tokio::test]
async fn files_are_fetched_from_where_they_may_be() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.jpg"), "octets").unwrap();
    let fetch = fetch(|settings| settings.file_roots = vec![directory.path().to_owned()]);
    let url = |name: &str| format!("file://{}/{name}", directory.path().display());
    assert_eq!(fetch.fetch(&url("a.jpg"), "image/jpeg").await.unwrap(), "octets");
    assert!(matches!(fetch.fetch(&url("b.jpg"), "image/jpeg").await, Err(FetchError::Missing(_))));
}
