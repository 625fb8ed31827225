//! Signatures of callbacks by the Standard Webhooks specification 1.0.0.
//!
//! The signed octets are `id.timestamp.body`, the body exactly as it is sent. Each configured key adds one signature
//! to `webhook-signature`, separated by spaces, so that a receiver that knows any of them is content. Secrets stay
//! in here: nothing of them is shown by `Debug`, in errors or in logs.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use encodify::base64;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::SetupError;
use crate::config::KeySettings;

/// Signs with all configured keys.
#[derive(Debug)]
pub(crate) struct Signer(Vec<Key>);

impl Signer {
    pub(crate) fn new(settings: &[KeySettings]) -> Result<Self, SetupError> {
        let key =
            |(index, key)| Key::load(key).map_err(|source| SetupError::Key { entry: index + 1, source });
        settings.iter().enumerate().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// The value of `webhook-signature`; `None` without any key.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut text = format!("{id}.{timestamp}.").into_bytes();
        text.extend_from_slice(body);
        let signatures: Vec<String> = self.0.iter().map(|key| key.sign(&text)).collect();
        Some(signatures.join(" "))
    }
}

enum Key {
    /// Version `v1`.
    Hmac(Box<hmac::Key>),
    /// Version `v1a`.
    Ed25519(Box<Ed25519KeyPair>),
}

impl Key {
    fn load(settings: &KeySettings) -> Result<Self, KeyError> {
        match (&settings.secret, &settings.secret_file) {
            (Some(secret), None) => Self::parse(secret),
            (None, Some(file)) => Self::parse(&read_secret(file)?),
            _ => Err(KeyError::NotOne),
        }
    }

    fn parse(secret: &SecretString) -> Result<Self, KeyError> {
        let text = secret.expose_secret().trim();
        if let Some(rest) = text.strip_prefix("whsec_") {
            let octets = decode(rest)?;
            let octets = octets.expose_secret();
            if !HMAC_OCTETS.contains(&octets.len()) {
                return Err(KeyError::HmacLength(octets.len()));
            }
            return Ok(Self::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, octets))));
        }
        let rest = text.strip_prefix("whsk_").ok_or(KeyError::Prefix)?;
        let octets = decode(rest)?;
        // Either the seed alone, or the seed followed by the public key.
        let pair = match octets.expose_secret() {
            seed if seed.len() == SEED => Ed25519KeyPair::from_seed_unchecked(seed),
            both if both.len() == 2 * SEED => {
                Ed25519KeyPair::from_seed_and_public_key(&both[..SEED], &both[SEED..])
            }
            other => return Err(KeyError::Ed25519Length(other.len())),
        };
        pair.map(|pair| Self::Ed25519(Box::new(pair))).map_err(|_| KeyError::Mismatch)
    }

    fn sign(&self, text: &[u8]) -> String {
        match self {
            Self::Hmac(key) => format!("v1,{}", base64::STANDARD.encode(hmac::sign(key, text))),
            Self::Ed25519(pair) => format!("v1a,{}", base64::STANDARD.encode(pair.sign(text))),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hmac(_) => f.write_str("whsec_"),
            Self::Ed25519(pair) => {
                write!(f, "whpk_{}", base64::STANDARD.encode(pair.public_key().as_ref()))
            }
        }
    }
}

/// Why a signing key is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither or both of the two ways to state it.
    #[error("state exactly one of `secret` and `secret_file`")]
    NotOne,
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The secret begins with neither prefix.
    #[error("a secret begins with `whsec_` or `whsk_`")]
    Prefix,
    /// What follows the prefix is not base64.
    #[error("what follows the prefix is not base64")]
    Base64,
    /// Number of octets of a `whsec_` secret.
    #[error("a `whsec_` secret has 24 to 64 octets, not {0}")]
    HmacLength(usize),
    /// Number of octets of a `whsk_` secret.
    #[error("a `whsk_` secret has 32 octets, or 64 with its public key, not {0}")]
    Ed25519Length(usize),
    /// The public half does not belong to the secret half.
    #[error("the public key in the `whsk_` secret does not belong to it")]
    Mismatch,
}

fn decode(text: &str) -> Result<SecretSlice<u8>, KeyError> {
    base64::STANDARD.decode(text).map(SecretSlice::from).map_err(|_| KeyError::Base64)
}

fn read_secret(file: &Path) -> Result<SecretString, KeyError> {
    let read = || {
        let mut text = String::new();
        File::open(file)?.take(MAX_FILE).read_to_string(&mut text)?;
        Ok(SecretString::from(text))
    };
    read().map_err(|source| KeyError::Read { file: file.to_owned(), source })
}

/// Octets of a `whsec_` secret, by the specification.
const HMAC_OCTETS: std::ops::RangeInclusive<usize> = 24..=64;
/// Octets of an ed25519 seed, and of a public key (RFC 8032).
const SEED: usize = 32;
const MAX_FILE: u64 = 4096;

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn signer(secrets: &[&str]) -> Result<Signer, SetupError> {
        let key = |secret: &&str| KeySettings { secret: Some((*secret).into()), secret_file: None };
        Signer::new(&secrets.iter().map(key).collect::<Vec<_>>())
    }

    /// HMAC-SHA256 by RFC 2104, from the hash alone.
    fn hmac_by_hand(key: &[u8], text: &[u8]) -> Vec<u8> {
        assert!(key.len() <= 64);
        let pad = |with: u8| (0..64).map(|i| key.get(i).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
        let inner = digest(&SHA256, &[pad(0x36), text.to_vec()].concat());
        digest(&SHA256, &[pad(0x5c), inner.as_ref().to_vec()].concat()).as_ref().to_vec()
    }

    #[test]
    fn each_key_adds_a_signature_over_id_timestamp_and_body() {
        let (first, second): (Vec<u8>, Vec<u8>) = ((1..25).collect(), (100..164).collect());
        let seed: Vec<u8> = (7..39).collect();
        let text = |prefix: &str, octets: &[u8]| format!("{prefix}{}", base64::STANDARD.encode(octets));
        let secrets = [text("whsec_", &first), text("whsec_", &second), text("whsk_", &seed)];
        let signer = signer(&secrets.each_ref().map(String::as_str)).unwrap();
        let value = signer.sign("abc", 1_700_000_000, b"{\"a\":1}").unwrap();
        let signatures: Vec<&str> = value.split(' ').collect();
        let signed = b"abc.1700000000.{\"a\":1}";
        for (key, signature) in [&first, &second].into_iter().zip(&signatures) {
            assert_eq!(*signature, format!("v1,{}", base64::STANDARD.encode(hmac_by_hand(key, signed))));
        }
        let last = base64::STANDARD.decode(signatures[2].strip_prefix("v1a,").unwrap()).unwrap();
        let public = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().public_key().as_ref().to_vec();
        UnparsedPublicKey::new(&ED25519, public).verify(signed, &last).unwrap();
        assert_eq!(signatures.len(), 3);
    }

    #[test]
    fn without_keys_there_is_no_signature() {
        assert_eq!(signer(&[]).unwrap().sign("a", 1, b""), None);
    }

    #[test]
    fn what_is_no_key_is_explained_without_showing_it() {
        let seed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let wrong_half = [[7; 32], [8; 32]].concat();
        assert_ne!(seed.public_key().as_ref(), &[8; 32]);
        let mismatch = format!("whsk_{}", base64::STANDARD.encode(wrong_half));
        for bad in ["", "hello", "whsec_!!!", "whsec_c2hvcnQ=", "whsk_c2hvcnQ=", &mismatch] {
            let error = signer(&[bad]).expect_err(bad).to_string();
            assert!(error.contains("entry 1") && !error.contains("c2hvcnQ"), "{error}");
        }
        assert!(Signer::new(&[KeySettings::default()]).is_err());
    }

    #[test]
    fn secrets_come_from_files_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = format!("whsec_{}", base64::STANDARD.encode([9; 32]));
        std::fs::write(file.path(), format!("{secret}\n")).unwrap();
        let from_file = KeySettings { secret: None, secret_file: Some(file.path().to_owned()) };
        let by_file = Signer::new(&[from_file]).unwrap().sign("a", 1, b"x");
        assert_eq!(by_file, signer(&[&secret]).unwrap().sign("a", 1, b"x"));
        let gone = KeySettings { secret: None, secret_file: Some("/no/such/file".into()) };
        assert!(matches!(Signer::new(&[gone]), Err(SetupError::Key { source: KeyError::Read { .. }, .. })));
    }
}
