//! TLS from files: what a listener shows, what it asks of its clients, and whom a client trusts.
//!
//! One cryptographic provider (AWS-LC) is named in every configuration, so nothing is installed for the whole
//! process. TLS 1.2 is the oldest version spoken. There is no way to switch verification off; a peer whose
//! certificate carries another name is met with `server_name`, one with a private authority with `ca_file`.
//! The module reads files when asked to and must not watch them: whoever handles the reload signal calls
//! [`ServerTls::read_anew`], and [`ServerTls::renew`] once all else is known to be good.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::connect::MaybeTls;

/// Settings of a listener that speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTlsSettings {
    /// PEM file with the listener's certificate, followed by the intermediate certificates.
    pub cert_file: PathBuf,
    /// PEM file with the private key (PKCS #8, PKCS #1 or SEC 1, not encrypted).
    pub key_file: PathBuf,
    /// PEM file with the authorities whose client certificates are accepted. Absent: clients are not asked for one.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// Whether a client must show a certificate: `"required"` (what is meant when only `client_ca_file` is given) or
    /// `"optional"`. A certificate that is shown must always verify.
    #[serde(default)]
    pub client_certificate: Option<ClientCertificate>,
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// A client without certificate is served too; the edge decides what it may do.
    Optional,
    /// The handshake fails without a certificate.
    Required,
}

/// Settings of a client that speaks TLS. All absent: the platform's authorities, no client certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientTlsSettings {
    /// PEM file with the authorities to trust instead of the platform's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate to show to the server, followed by its intermediates. Needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the private key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// Name (or address) the server's certificate must carry, when it is not the host that is connected to.
    pub server_name: Option<String>,
}

/// Which application protocols are offered in the handshake (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// None: SMTP.
    None,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2, then HTTP/1.1.
    Http,
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::None => &[],
            Self::Http1 => &[b"http/1.1"],
            Self::Http => &[b"h2", b"http/1.1"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// A listener's side of TLS. Share it in an `Arc`; handshakes begun after a renewal use the new files.
#[derive(Debug)]
pub struct ServerTls {
    alpn: Alpn,
    config: ArcSwap<ServerConfig>,
}

/// Files for a listener that were read and go together, for [`ServerTls::renew`].
#[derive(Debug)]
pub struct FreshTls(Arc<ServerConfig>);

impl ServerTls {
    /// Reads the files named in the settings.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn load(settings: &ServerTlsSettings, alpn: Alpn) -> Result<Self, TlsError> {
        let config = server_config(settings, alpn)?;
        Ok(Self { alpn, config: ArcSwap::from_pointee(config) })
    }

    /// Reads certificate, key and client authorities again, perhaps from other files; nothing changes by that.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn read_anew(&self, settings: &ServerTlsSettings) -> Result<FreshTls, TlsError> {
        server_config(settings, self.alpn).map(|config| FreshTls(Arc::new(config)))
    }

    /// Shows these from now on. Established connections keep what they have; tickets for session resumption are
    /// forgotten, so that nobody resumes under an authority that is gone.
    pub fn renew(&self, fresh: FreshTls) {
        self.config.store(fresh.0);
    }

    /// The server's handshake on a connected stream.
    ///
    /// # Errors
    /// [`HandshakeError`]: the peer failed it, or took longer than `limit`.
    pub async fn accept(&self, stream: TcpStream, limit: Duration) -> Result<MaybeTls, HandshakeError> {
        let handshake = TlsAcceptor::from(self.config.load_full()).accept(stream);
        let stream = tokio::time::timeout(limit, handshake)
            .await
            .map_err(|_| HandshakeError::TimedOut(limit))?
            .map_err(HandshakeError::Failed)?;
        Ok(MaybeTls::Server(Box::new(stream)))
    }
}

/// A client's side of TLS.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Reads the files named in the settings.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn load(settings: &ClientTlsSettings, alpn: Alpn) -> Result<Self, TlsError> {
        let server_name = settings.server_name.as_deref().map(parse_name).transpose()?;
        let provider = provider();
        let mut verifier = server_verifier(settings.ca_file.as_deref(), &provider)?;
        if let Some(name) = server_name.clone() {
            verifier = Arc::new(NamedVerifier { inner: verifier, name });
        }
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match (&settings.cert_file, &settings.key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(read_certificates(cert)?, read_key(key)?)
                .map_err(|source| TlsError::Pair { cert: cert.clone(), key: key.clone(), source })?,
            (Some(file), None) | (None, Some(file)) => {
                return Err(TlsError::HalfIdentity { file: file.clone() });
            }
        };
        config.alpn_protocols = alpn.protocols();
        Ok(Self { config: Arc::new(config), server_name })
    }

    /// The client's handshake on a connected stream. `host` is the name or address connected to; the settings'
    /// `server_name` takes its place.
    ///
    /// # Errors
    /// [`HandshakeError`]: not a name, the peer failed the handshake, or took longer than `limit`.
    pub async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
        limit: Duration,
    ) -> Result<MaybeTls, HandshakeError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => parse_name(host).map_err(|_| HandshakeError::Name(host.to_owned()))?,
        };
        let handshake = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream);
        let stream = tokio::time::timeout(limit, handshake)
            .await
            .map_err(|_| HandshakeError::TimedOut(limit))?
            .map_err(HandshakeError::Failed)?;
        Ok(MaybeTls::Client(Box::new(stream)))
    }

    /// The configuration for a library that makes its own handshakes; `server_name` is verified there too.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }
}

/// What is wrong with TLS settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file could not be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any sensible PEM file (1 MiB).
    #[error("{}: larger than {MAX_PEM_BYTES} octets", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// The file is not PEM, or does not hold what it should.
    #[error("{}: {source}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What was found.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("{}: no certificate in it", file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// Certificate and key do not go together, or one of them cannot be used.
    #[error("certificate {} with key {}: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// Only one of `cert_file` and `key_file` was given.
    #[error("{}: cert_file and key_file are given together or not at all", file.display())]
    HalfIdentity {
        /// The one given.
        file: PathBuf,
    },
    /// An authority in the file cannot be used.
    #[error("{}: {source}", file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The authorities in the file make no verifier.
    #[error("{}: {source}", file.display())]
    Verifier {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: rustls::server::VerifierBuilderError,
    },
    /// `client_certificate` is set but there is nothing to verify one with.
    #[error("client_certificate is set, but client_ca_file is not")]
    NoClientAuthority,
    /// `server_name` is neither a DNS name nor an address.
    #[error("server_name {0:?} is neither a host name nor an address")]
    ServerName(String),
    /// The platform's authorities could not be used.
    #[error("the platform's certificate authorities: {0}")]
    Platform(rustls::Error),
    /// The cryptographic provider does not serve the protocol versions.
    #[error("TLS provider: {0}")]
    Provider(rustls::Error),
}

/// Why a handshake did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The host to verify is neither a DNS name nor an address.
    #[error("{0:?} is neither a host name nor an address")]
    Name(String),
    /// Either side refused, or the connection broke; a `rustls::Error` is the source where TLS was the reason.
    #[error("TLS handshake: {0}")]
    Failed(#[source] io::Error),
    /// It took too long.
    #[error("TLS handshake not done in {0:?}")]
    TimedOut(Duration),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server_config(settings: &ServerTlsSettings, alpn: Alpn) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let verifier = client_verifier(settings, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(read_certificates(&settings.cert_file)?, read_key(&settings.key_file)?)
        .map_err(|source| TlsError::Pair {
            cert: settings.cert_file.clone(),
            key: settings.key_file.clone(),
            source,
        })?;
    config.alpn_protocols = alpn.protocols();
    Ok(config)
}

fn client_verifier(
    settings: &ServerTlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(file) = &settings.client_ca_file else {
        return match settings.client_certificate {
            None => Ok(WebPkiClientVerifier::no_client_auth()),
            Some(_) => Err(TlsError::NoClientAuthority),
        };
    };
    let builder = WebPkiClientVerifier::builder_with_provider(read_roots(file)?, Arc::clone(provider));
    match settings.client_certificate {
        Some(ClientCertificate::Optional) => builder.allow_unauthenticated().build(),
        Some(ClientCertificate::Required) | None => builder.build(),
    }
    .map_err(|source| TlsError::Verifier { file: file.clone(), source })
}

fn server_verifier(
    ca_file: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let Some(file) = ca_file else {
        let platform =
            rustls_platform_verifier::Verifier::new(Arc::clone(provider)).map_err(TlsError::Platform)?;
        return Ok(Arc::new(platform));
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(read_roots(file)?, Arc::clone(provider))
        .build()
        .map_err(|source| TlsError::Verifier { file: file.to_owned(), source })?;
    Ok(verifier)
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

fn read_roots(file: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots.add(certificate).map_err(|source| TlsError::Authority { file: file.to_owned(), source })?;
    }
    Ok(Arc::new(roots))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_pem(file)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { file: file.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { file: file.to_owned() });
    }
    Ok(certificates)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read_pem(file)?)
        .map_err(|source| TlsError::Pem { file: file.to_owned(), source })
}

fn read_pem(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut text = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(MAX_PEM_BYTES + 1).read_to_end(&mut text))
        .map_err(|source| TlsError::Read { file: file.to_owned(), source })?;
    if text.len() as u64 > MAX_PEM_BYTES {
        return Err(TlsError::TooLarge { file: file.to_owned() });
    }
    Ok(text)
}

/// Verifies the server under the configured name, whatever the host in the URL.
#[derive(Debug)]
struct NamedVerifier {
    inner: Arc<dyn ServerCertVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _connected_to: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

const MAX_PEM_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::test_pki::Authority;

    const LONG: Duration = Duration::from_secs(20);

    /// Both handshakes, and one octet from the server: a client of TLS 1.3 learns of a refusal only by reading.
    async fn meet(
        server: &ServerTls,
        client: &ClientTls,
        host: &str,
    ) -> (Result<MaybeTls, HandshakeError>, Result<MaybeTls, String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let mut stream = server.accept(listener.accept().await.unwrap().0, LONG).await?;
            stream.write_all(b"!").await.map_err(HandshakeError::Failed)?;
            stream.flush().await.map_err(HandshakeError::Failed)?;
            Ok(stream)
        };
        let visit = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut stream = client.connect(stream, host, LONG).await.map_err(|error| error.to_string())?;
            stream.read_exact(&mut [0]).await.map_err(|error| error.to_string())?;
            Ok(stream)
        };
        tokio::join!(serve, visit)
    }

    fn authority() -> Authority {
        let authority = Authority::new();
        authority.sign("server", &["localhost", "127.0.0.1"]);
        authority.sign("client", &["gw.example"]);
        authority
    }

    fn server(settings: &ServerTlsSettings) -> ServerTls {
        ServerTls::load(settings, Alpn::None).unwrap()
    }

    fn client(settings: &ClientTlsSettings) -> ClientTls {
        ClientTls::load(settings, Alpn::None).unwrap()
    }

    #[tokio::test]
    async fn names_are_verified() {
        let authority = authority();
        let (server, client) = (server(&authority.server()), client(&authority.client(None)));
        for host in ["localhost", "127.0.0.1"] {
            assert!(meet(&server, &client, host).await.1.is_ok(), "{host}");
        }
        let refusal = meet(&server, &client, "other.example").await.1.unwrap_err();
        assert!(refusal.contains("certificate"), "{refusal}");
        let stream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(stream.local_addr().unwrap()).await.unwrap();
        assert!(matches!(client.connect(stream, "no name", LONG).await, Err(HandshakeError::Name(_))));
    }

    #[tokio::test]
    async fn a_server_name_in_the_settings_takes_the_hosts_place() {
        let authority = authority();
        let server = server(&authority.server());
        let named = |name: &str| {
            client(&ClientTlsSettings { server_name: Some(name.into()), ..authority.client(None) })
        };
        assert!(meet(&server, &named("localhost"), "other.example").await.1.is_ok());
        assert!(meet(&server, &named("other.example"), "localhost").await.1.is_err());
    }

    #[tokio::test]
    async fn strangers_authorities_are_not_trusted() {
        let (ours, theirs) = (authority(), authority());
        let server = server(&theirs.server());
        assert!(meet(&server, &client(&ours.client(None)), "localhost").await.1.is_err());
    }

    #[tokio::test]
    async fn client_certificates_required_and_optional() {
        let (ours, theirs) = (authority(), authority());
        let mut settings = ours.server();
        settings.client_ca_file = Some(ours.path("ca.pem"));
        let required = server(&settings);
        settings.client_certificate = Some(ClientCertificate::Optional);
        let optional = server(&settings);
        let with = client(&ours.client(Some("client")));
        let without = client(&ours.client(None));
        let stranger = client(&ClientTlsSettings {
            cert_file: Some(theirs.path("client.pem")),
            key_file: Some(theirs.path("client.key")),
            ..ours.client(None)
        });
        for server in [&required, &optional] {
            let (accepted, visited) = meet(server, &with, "localhost").await;
            assert!(accepted.unwrap().peer_certificate().is_some() && visited.is_ok());
            let (accepted, visited) = meet(server, &stranger, "localhost").await;
            assert!(accepted.is_err() && visited.is_err(), "an unknown authority's certificate was accepted");
        }
        let (accepted, visited) = meet(&required, &without, "localhost").await;
        assert!(accepted.is_err() && visited.is_err(), "no certificate, and let in");
        let (accepted, visited) = meet(&optional, &without, "localhost").await;
        assert!(accepted.unwrap().peer_certificate().is_none() && visited.is_ok());
    }

    #[tokio::test]
    async fn a_renewal_shows_the_new_certificate_and_a_broken_one_changes_nothing() {
        let authority = authority();
        let settings = authority.server();
        let (server, client) = (server(&settings), client(&authority.client(None)));
        let shown = async || meet(&server, &client, "localhost").await.1.unwrap().peer_certificate().unwrap();
        let before = shown().await;
        let after = authority.sign("server", &["localhost"]);
        let fresh = server.read_anew(&settings).unwrap();
        assert_eq!(shown().await, before, "changed before the renewal");
        server.renew(fresh);
        assert_eq!(shown().await, after);
        std::fs::write(authority.path("server.pem"), "").unwrap();
        assert!(matches!(server.read_anew(&settings), Err(TlsError::NoCertificate { .. })));
        assert_eq!(shown().await, after);
    }

    #[test]
    fn faults_name_the_file() {
        let authority = authority();
        let load = |change: &dyn Fn(&mut ServerTlsSettings)| {
            let mut settings = authority.server();
            change(&mut settings);
            ServerTls::load(&settings, Alpn::Http).unwrap_err()
        };
        let missing = load(&|s| s.cert_file = authority.path("missing.pem"));
        assert!(matches!(missing, TlsError::Read { .. }) && missing.to_string().contains("missing.pem"));
        let no_key = load(&|s| s.key_file = authority.path("server.pem"));
        assert!(matches!(&no_key, TlsError::Pem { file, .. } if file.ends_with("server.pem")), "{no_key}");
        let mismatch = load(&|s| s.key_file = authority.path("client.key"));
        assert!(matches!(mismatch, TlsError::Pair { .. }), "{mismatch}");
        let lonely = load(&|s| s.client_certificate = Some(ClientCertificate::Optional));
        assert!(matches!(lonely, TlsError::NoClientAuthority));
        std::fs::write(authority.path("huge.pem"), vec![b'#'; MAX_PEM_BYTES as usize + 1]).unwrap();
        let huge = load(&|s| s.cert_file = authority.path("huge.pem"));
        assert!(matches!(huge, TlsError::TooLarge { .. }));
    }

    #[test]
    fn half_an_identity_is_refused() {
        let authority = authority();
        let mut settings = authority.client(Some("client"));
        settings.key_file = None;
        assert!(matches!(ClientTls::load(&settings, Alpn::None), Err(TlsError::HalfIdentity { .. })));
        settings = ClientTlsSettings { server_name: Some("no name".into()), ..authority.client(None) };
        assert!(matches!(ClientTls::load(&settings, Alpn::None), Err(TlsError::ServerName(_))));
    }
}
