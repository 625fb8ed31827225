//! Who may in: users, passwords and TLS.

use std::fs;

use mmsgw_store::{Store, StoreError};
use mmsgw_store_redis::{RedisClock, RedisSettings, RedisStore, RedisTlsSettings};

use crate::bench::{queue, request, submission};
use crate::server::{Server, free_port};

/// What the store needs to be allowed, as `docs/design/0006-redis.md` has it.
const RULES: &str = "on >secret ~mmsgw:* &mmsgw:* +@read +@write +@scripting +@pubsub +@connection +info +config|get \
                     +time +wait";

async fn works(settings: &RedisSettings) {
    let store = RedisStore::connect(settings, RedisClock::Server).await.unwrap();
    store.commit(submission(&queue("main")).2).await.unwrap();
    assert_eq!(store.lease(request(&queue("main"), 5)).await.unwrap().jobs.len(), 1);
    assert_eq!(store.queues().await.unwrap().len(), 1);
    store.health().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_few_rights_is_enough_and_a_wrong_password_is_told_at_once() {
    let server = Server::start(&[]).await;
    let mut rules = vec!["ACL", "SETUSER", "gateway"];
    rules.extend(RULES.split_whitespace());
    server.call::<()>(&rules).await;
    let file = server.folder().join("password");
    fs::write(&file, "secret\n").unwrap();
    let username = Some("gateway".to_owned());
    let password_file = Some(file.clone());
    works(&RedisSettings { username: username.clone(), password_file, ..server.settings() }).await;
    let begin = std::time::Instant::now();
    let password = Some("wrong".to_owned().into());
    let wrong = RedisSettings { username, password, ..server.settings() };
    let error = RedisStore::connect(&wrong, RedisClock::Server).await.err().unwrap();
    assert!(matches!(&error, StoreError::Unusable(text) if !text.contains("wrong")), "{error:?}");
    assert!(begin.elapsed().as_secs() < 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_an_authority_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut about = rcgen::CertificateParams::new(Vec::new()).unwrap();
    about.distinguished_name.push(rcgen::DnType::CommonName, "authority of the test");
    about.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = about.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(about, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(path("ca.pem"), authority.pem()).unwrap();
    fs::write(path("cert.pem"), certificate.pem()).unwrap();
    fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let port = free_port().to_string();
    let (ca, cert, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
    let server = Server::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "yes",
    ])
    .await;
    let tls = RedisTlsSettings {
        ca_file: Some(ca.into()),
        cert_file: Some(cert.into()),
        key_file: Some(key.into()),
    };
    let settings =
        RedisSettings { servers: vec![format!("rediss://localhost:{port}")], tls, ..server.settings() };
    works(&settings).await;
    let tls = RedisTlsSettings { ca_file: None, ..settings.tls.clone() };
    let timeout = mmsgw_domain::Span(std::time::Duration::from_millis(300));
    let stranger = RedisSettings { tls, timeout, ..settings };
    assert!(
        RedisStore::connect(&stranger, RedisClock::Server).await.is_err(),
        "an unknown authority is refused"
    );
}
