//! Seals and opens one value.
//!
//! A sealed value is `v1.<key id>.<base64url of nonce and ciphertext>`. XChaCha20-Poly1305 has nonces
//! of 192 bits, so that they can be chosen at random for as long as a key lives. The place is bound
//! in as associated data: a ciphertext that is moved to another place does not open.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};

use super::MasterKey;

const VERSION: &str = "v1";
const NONCE: usize = 24;

/// Where a value belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The tenant; empty for what is the store's own.
    pub tenant: &'a str,
    /// The destination's id, or what else it belongs to.
    pub destination: &'a str,
    /// The field.
    pub field: &'a str,
}

/// Why a sealed value does not open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its key is not among those that were given.
    #[error("it is encrypted with master key {0}, which is not given")]
    NoKey(String),
    /// It was changed, or belongs somewhere else.
    #[error("it was changed, or was encrypted for another place")]
    Damaged,
}

/// The keys, ready for use.
pub struct Vault {
    /// Never empty; the first seals.
    keys: Vec<(String, XChaCha20Poly1305)>,
}

impl Vault {
    /// Of keys, the first of which seals. `None` without any.
    pub fn new(keys: &[MasterKey]) -> Option<Self> {
        let cipher = |key: &MasterKey| XChaCha20Poly1305::new(&Key::from(key.bytes()));
        let keys: Vec<_> = keys.iter().map(|key| (key.id().to_owned(), cipher(key))).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// The id of the key that seals.
    pub fn current(&self) -> &str {
        &self.keys[0].0
    }

    /// Whether a key is among those given.
    pub fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|(own, _)| own == id)
    }

    /// Encrypts a value for its place. Fails when the system gives no random numbers.
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

    /// Decrypts what was sealed for this place.
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

/// The id of the key that a value is sealed with.
pub(super) fn key_id(sealed: &str) -> Option<&str> {
    parts(sealed).map(|(id, _)| id)
}

fn parts(sealed: &str) -> Option<(&str, &str)> {
    sealed.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')
}

/// The place, each part with its length in front, so that no two places look alike.
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
        MasterKey::make().unwrap()
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_alone() {
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
    fn a_changed_value_does_not_open() {
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
    fn several_keys_open_and_the_first_seals() {
        let (old, new) = (key(), key());
        let before = Vault::new(std::slice::from_ref(&old)).unwrap();
        let sealed = before.seal(HERE, b"1").unwrap();
        let both = Vault::new(&[new.clone(), old.clone()]).unwrap();
        assert_eq!(both.open(HERE, &sealed).unwrap(), b"1");
        let again = both.seal(HERE, b"1").unwrap();
        assert_eq!(key_id(&again), Some(new.id()));
        assert_eq!(before.open(HERE, &again), Err(OpenError::NoKey(new.id().to_owned())));
        assert_ne!(both.seal(HERE, b"1").unwrap(), again, "no two look alike");
    }
}
