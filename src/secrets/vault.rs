//! Encrypts and decrypts one value.
//!
//! A sealed value is `v1.<key id>.<base64url of nonce and ciphertext>`. XChaCha20-Poly1305 has
//! 192-bit nonces, which can be chosen at random for the lifetime of a key. The place is part of
//! the associated data, so a ciphertext that is moved to another place does not decrypt.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};

use super::MasterKey;

const VERSION: &str = "v1";
const NONCE: usize = 24;

/// The place of a value.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The tenant. Empty for values of the store itself.
    pub tenant: &'a str,
    /// The destination's id, or another owner.
    pub destination: &'a str,
    /// The field.
    pub field: &'a str,
}

/// Why a sealed value cannot be decrypted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its key was not passed.
    #[error("it is encrypted with master key {0}, which was not passed")]
    NoKey(String),
    /// It was modified, or belongs to another place.
    #[error("it was modified, or it was encrypted for another place")]
    Damaged,
}

/// Master keys, ready for use.
pub struct Vault {
    /// Never empty. The first key encrypts.
    keys: Vec<(String, XChaCha20Poly1305)>,
}

impl Vault {
    /// Creates a vault whose first key encrypts. Returns `None` if there are no keys.
    pub fn new(keys: &[MasterKey]) -> Option<Self> {
        let cipher = |key: &MasterKey| XChaCha20Poly1305::new(&Key::from(key.bytes()));
        let keys: Vec<_> = keys.iter().map(|key| (key.id().to_owned(), cipher(key))).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// The id of the key that encrypts.
    pub fn current(&self) -> &str {
        &self.keys[0].0
    }

    /// Whether the vault has a key.
    pub fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|(own, _)| own == id)
    }

    /// Encrypts a value for its place. Fails if the system's random number generator fails.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<String, SysError> {
        let (id, cipher) = &self.keys[0];
        let mut sealed = vec![0; NONCE];
        SysRng.try_fill_bytes(&mut sealed)?;
        let nonce = nonce(&sealed).expect("it has just the length of a nonce");
        let payload = Payload { msg: plain, aad: &bound(place) };
        let ciphertext = cipher.encrypt(&nonce, payload);
        sealed.extend(ciphertext.expect("a secret is shorter than 256 GiB"));
        Ok(format!("{VERSION}.{id}.{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Decrypts a value that was encrypted for this place.
    pub fn open(&self, place: Place<'_>, sealed: &str) -> Result<Vec<u8>, OpenError> {
        let (id, ciphertext) = parts(sealed).ok_or(OpenError::Damaged)?;
        let found = self.keys.iter().find(|(own, _)| own == id);
        let (_, cipher) = found.ok_or_else(|| OpenError::NoKey(id.to_owned()))?;
        let bytes = URL_SAFE_NO_PAD.decode(ciphertext).map_err(|_| OpenError::Damaged)?;
        let (head, msg) = bytes.split_at_checked(NONCE).ok_or(OpenError::Damaged)?;
        let nonce = nonce(head).ok_or(OpenError::Damaged)?;
        let payload = Payload { msg, aad: &bound(place) };
        cipher.decrypt(&nonce, payload).map_err(|_| OpenError::Damaged)
    }
}

fn nonce(bytes: &[u8]) -> Option<XNonce> {
    Some(XNonce::from(<[u8; NONCE]>::try_from(bytes).ok()?))
}

/// The id of the key that encrypted a value.
pub(super) fn key_id(sealed: &str) -> Option<&str> {
    parts(sealed).map(|(id, _)| id)
}

fn parts(sealed: &str) -> Option<(&str, &str)> {
    sealed.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')
}

/// The place as bytes. Each part is preceded by its length, so that different places never have the
/// same bytes.
fn bound(place: Place<'_>) -> Vec<u8> {
    let mut bound = Vec::new();
    for part in ["fanfare secret v1", place.tenant, place.destination, place.field] {
        bound.extend((part.len() as u64).to_be_bytes());
        bound.extend(part.as_bytes());
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place { tenant: "acme", destination: "hooks", field: "secret" };

    fn key() -> MasterKey {
        MasterKey::generate().unwrap()
    }

    #[test]
    fn a_sealed_value_opens_only_at_its_place() {
        let vault = Vault::new(&[key()]).unwrap();
        let sealed = vault.seal(HERE, b"whsec_1").unwrap();
        assert_eq!(vault.open(HERE, &sealed).unwrap(), b"whsec_1");
        for elsewhere in [
            Place { tenant: "globex", ..HERE },
            Place { destination: "hook", ..HERE },
            Place { field: "previous_secrets", ..HERE },
            Place { tenant: "acmeh", destination: "ooks", ..HERE },
        ] {
            assert_eq!(vault.open(elsewhere, &sealed), Err(OpenError::Damaged), "{elsewhere:?}");
        }
    }

    #[test]
    fn a_modified_value_does_not_open() {
        let vault = Vault::new(&[key()]).unwrap();
        let sealed = vault.seal(HERE, b"whsec_1").unwrap();
        for place in 12..sealed.len() - 1 {
            let mut changed = sealed.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(vault.open(HERE, &changed), Err(OpenError::Damaged), "{place}");
        }
        for odd in ["", "v1", "v1.", "v2.aa.bb", &format!("v1.{}.AAAA", vault.current())] {
            assert_eq!(vault.open(HERE, odd), Err(OpenError::Damaged), "{odd}");
        }
    }

    #[test]
    fn all_keys_open_and_the_first_one_seals() {
        let (old, new) = (key(), key());
        let before = Vault::new(std::slice::from_ref(&old)).unwrap();
        let sealed = before.seal(HERE, b"1").unwrap();
        let both = Vault::new(&[new.clone(), old.clone()]).unwrap();
        assert_eq!(both.open(HERE, &sealed).unwrap(), b"1");
        let again = both.seal(HERE, b"1").unwrap();
        assert_eq!(key_id(&again), Some(new.id()));
        assert_eq!(before.open(HERE, &again), Err(OpenError::NoKey(new.id().to_owned())));
        assert_ne!(both.seal(HERE, b"1").unwrap(), again, "two encryptions of a value differ");
    }
}
