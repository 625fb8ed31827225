//! Who may post to us. Decides from the connection and the head of a request, before its body is read.

use std::net::IpAddr;
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Uri};
use ipnet::IpNet;
use mmsgw_mime::transfer::Coding;
use mmsgw_net::Peer;
use secrecy::ExposeSecret;

use crate::config::{Credential, Inbound, SecretError};
use crate::digest::{DigestAuth, Seen};

/// The door of one group.
pub(crate) struct Door {
    allow: Vec<IpNet>,
    certificates: Vec<[u8; 32]>,
    proofs: Vec<Proof>,
    digest: Option<DigestAuth>,
    opened: Instant,
}

/// The head of a request, as far as it says who asks.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// A credential as it is compared: its digest, so that the comparison tells nothing, not even a length.
struct Proof {
    scheme: &'static str,
    digest: [u8; 32],
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// From here nobody may post: 403.
    Away,
    /// Credentials are missing or wrong: 401.
    Back,
    /// Credentials are right but too old: 401, and a new nonce.
    Stale,
}

impl Door {
    /// The door that the settings describe; reads the files with secrets.
    ///
    /// # Errors
    /// [`SecretError`], naming the file.
    pub(crate) fn new(inbound: &Inbound) -> Result<Self, SecretError> {
        let proofs = inbound.credentials()?.iter().map(Proof::of).collect();
        let algorithms = &inbound.digest_algorithms;
        let digest =
            inbound.digest_user()?.map(|(user, password)| DigestAuth::new(&user, &password, algorithms));
        Ok(Self {
            allow: inbound.allow.clone(),
            certificates: inbound.fingerprints(),
            proofs,
            digest,
            opened: Instant::now(),
        })
    }

    /// Whether a request may come in.
    pub(crate) fn admit(&self, peer: Option<&Peer>, asking: Asking<'_>) -> Result<(), Turned> {
        let address = peer.map(|peer| peer.address.ip().to_canonical());
        if !address.is_some_and(|address| self.is_near(address)) {
            return Err(Turned::Away);
        }
        let asks_nothing = self.certificates.is_empty() && !self.asks_credentials();
        if asks_nothing || self.knows_certificate(peer) {
            return Ok(());
        }
        match self.look(asking) {
            Seen::Good => Ok(()),
            Seen::Stale => Err(Turned::Stale),
            Seen::Bad if self.asks_credentials() => Err(Turned::Back),
            Seen::Bad => Err(Turned::Away),
        }
    }

    /// Values of WWW-Authenticate, the best first (RFC 7616 clause 3.7).
    pub(crate) fn challenges(&self, turned: Turned) -> Vec<String> {
        let stale = turned == Turned::Stale;
        let digest = self.digest.iter().flat_map(|digest| digest.challenges(stale, self.opened.elapsed()));
        digest.chain(self.proofs.iter().map(|proof| format!("{} realm=\"mm7\"", proof.scheme))).collect()
    }

    fn asks_credentials(&self) -> bool {
        !self.proofs.is_empty() || self.digest.is_some()
    }

    /// Without any setting only this host itself is near.
    fn is_near(&self, address: IpAddr) -> bool {
        if !self.allow.is_empty() {
            return self.allow.iter().any(|net| net.contains(&address));
        }
        address.is_loopback() || !self.certificates.is_empty() || self.asks_credentials()
    }

    fn knows_certificate(&self, peer: Option<&Peer>) -> bool {
        let shown = peer.and_then(Peer::certificate_sha256);
        shown.is_some_and(|shown| self.certificates.contains(&shown))
    }

    fn look(&self, asking: Asking<'_>) -> Seen {
        let shown =
            asking.headers.get(AUTHORIZATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let Some((scheme, value)) = shown.and_then(|shown| shown.trim().split_once(' ')) else {
            return Seen::Bad;
        };
        match &self.digest {
            Some(digest) if scheme.eq_ignore_ascii_case("Digest") => {
                digest.look(value, asking.method, asking.target, self.opened.elapsed())
            }
            _ if self.proves(scheme, value.trim()) => Seen::Good,
            _ => Seen::Bad,
        }
    }

    fn proves(&self, scheme: &str, value: &str) -> bool {
        let octets = match scheme.eq_ignore_ascii_case("Basic") {
            true => Coding::Base64.decode(&Bytes::copy_from_slice(value.as_bytes())),
            false => Bytes::copy_from_slice(value.as_bytes()),
        };
        let shown = sha256(&octets);
        let mut good = false;
        for proof in self.proofs.iter().filter(|proof| proof.scheme.eq_ignore_ascii_case(scheme)) {
            good |= verify_slices_are_equal(&proof.digest, &shown).is_ok();
        }
        good
    }
}

impl Proof {
    fn of(credential: &Credential) -> Self {
        match credential {
            Credential::Basic { username, password } => {
                let pair = format!("{username}:{}", password.expose_secret());
                Self { scheme: "Basic", digest: sha256(pair.as_bytes()) }
            }
            Credential::Bearer(token) => {
                Self { scheme: "Bearer", digest: sha256(token.expose_secret().as_bytes()) }
            }
        }
    }
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, octets);
    digest.as_ref().try_into().expect("a SHA-256 digest has 32 octets")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::testing::settings;

    fn door(inbound: &str) -> Door {
        Door::new(&settings(&format!("[inbound]\n{inbound}\n")).inbound).unwrap()
    }

    fn peer(address: &str) -> Peer {
        Peer { address: format!("{address}:1000").parse().unwrap(), certificate: None }
    }

    fn admit(door: &Door, address: &str, authorization: &str) -> Result<(), Turned> {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        }
        door.admit(Some(&peer(address)), asking(&headers))
    }

    fn asking(headers: &HeaderMap) -> Asking<'_> {
        static TARGET: std::sync::LazyLock<Uri> = std::sync::LazyLock::new(|| Uri::from_static("/mm7"));
        Asking { method: &Method::POST, target: &TARGET, headers }
    }

    #[test]
    fn without_settings_only_this_host_comes_in() {
        let door = door("");
        assert_eq!(admit(&door, "127.0.0.1", ""), Ok(()));
        assert_eq!(admit(&door, "[::1]", ""), Ok(()));
        assert_eq!(admit(&door, "[::ffff:127.0.0.1]", ""), Ok(()));
        assert_eq!(admit(&door, "192.0.2.1", ""), Err(Turned::Away));
        assert_eq!(door.admit(None, asking(&HeaderMap::new())), Err(Turned::Away), "nobody knows who asks");
    }

    #[test]
    fn networks_are_met_besides_credentials() {
        let open = door("allow = ['192.0.2.0/24', '2001:db8::/32']");
        assert_eq!(admit(&open, "192.0.2.9", ""), Ok(()));
        assert_eq!(admit(&open, "[::ffff:192.0.2.9]", ""), Ok(()));
        assert_eq!(admit(&open, "[2001:db8::1]", ""), Ok(()));
        assert_eq!(admit(&open, "127.0.0.1", ""), Err(Turned::Away));
        let both = door("allow = ['192.0.2.0/24']\nbearer_token = 't'");
        assert_eq!(admit(&both, "192.0.2.9", "Bearer t"), Ok(()));
        assert_eq!(admit(&both, "192.0.2.9", ""), Err(Turned::Back));
        assert_eq!(admit(&both, "198.51.100.1", "Bearer t"), Err(Turned::Away));
    }

    #[test]
    fn basic_and_bearer() {
        let door = door("username = 'user'\npassword = 'pass'\nbearer_token = 'user:pass'");
        for good in ["Basic dXNlcjpwYXNz", "basic  dXNlcjpwYXNz", "Bearer user:pass", "bearer user:pass"] {
            assert_eq!(admit(&door, "192.0.2.1", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "Basic",
            "Basic dXNlcjpwYXN",
            "Basic !!!",
            "Basic user:pass",
            "Bearer dXNlcjpwYXNz",
            "Bearer user:pas",
            "Digest user:pass",
            "Basic dXNlcjpwYXNzcw==",
        ] {
            assert_eq!(admit(&door, "127.0.0.1", bad), Err(Turned::Back), "{bad}");
        }
        assert_eq!(door.challenges(Turned::Back), ["Bearer realm=\"mm7\"", "Basic realm=\"mm7\""]);
    }

    #[test]
    fn client_certificates_are_known_by_their_digest() {
        let certificate = Bytes::from_static(b"der");
        let digest: Vec<_> = sha256(&certificate).iter().map(|octet| format!("{octet:02X}")).collect();
        let door = door(&format!("client_certificates = ['{}']", digest.join(":")));
        let shown = Peer { certificate: Some(certificate), ..peer("192.0.2.1") };
        assert_eq!(door.admit(Some(&shown), asking(&HeaderMap::new())), Ok(()));
        let other = Peer { certificate: Some(Bytes::from_static(b"other")), ..peer("192.0.2.1") };
        assert_eq!(door.admit(Some(&other), asking(&HeaderMap::new())), Err(Turned::Away));
        assert_eq!(door.admit(Some(&peer("127.0.0.1")), asking(&HeaderMap::new())), Err(Turned::Away));
    }
}
