//! API keys: 256 random bits, of which mmsgw keeps the digest only.

use aws_lc_rs::{digest, rand};
use encodify::base64::URL_SAFE_NO_PAD;
use mmsgw_domain::Digest;
use secrecy::SecretString;

/// A new key: the secret for the application, the hash for `[[api.key]]`.
#[derive(Debug)]
pub struct ApiKey {
    /// What the application sends as `Authorization: Bearer`. It is kept nowhere.
    pub secret: SecretString,
    /// What the settings hold.
    pub hash: Digest,
}

impl ApiKey {
    /// Makes a key.
    ///
    /// # Panics
    /// Where the system has no random numbers to give, which leaves no safe way on.
    pub fn generate() -> Self {
        let mut octets = [0; 32];
        rand::fill(&mut octets).expect("the system gives random numbers");
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(octets));
        Self { hash: hash(&secret), secret: secret.into() }
    }
}

/// The hash of a key as it is sent.
pub(crate) fn hash(secret: &str) -> Digest {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    Digest::new(digest.as_ref().try_into().expect("SHA-256 has 32 octets"))
}

/// Marks keys, so that they are found where they should not be.
const PREFIX: &str = "mmsgw_";

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn keys_differ_and_their_hash_is_sha_256() {
        let (one, other) = (ApiKey::generate(), ApiKey::generate());
        assert_ne!(one.hash, other.hash);
        assert_eq!(hash(one.secret.expose_secret()), one.hash);
        assert_eq!(one.secret.expose_secret().len(), PREFIX.len() + 43);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash("").to_string(), empty);
    }
}
