//! The text of an API key: generated once, shown once, never stored.
//!
//! A key has the prefix `sk_live_` or `sk_test_` (`pl_…` for a portal link), 43 random characters
//! of base62 (256 bits from the system's generator), and a checksum of 6 characters. Thanks to the
//! checksum, a mistyped key is recognized without a server, and so is a key that leaked into a
//! repository.

use std::fmt;

use fanfare_contract::Environment;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is a little more than 2^256.
const RANDOM: usize = 43;
/// 62^6 is a little more than 2^35.
const CHECK: usize = 6;
/// The prefixes of keys: kind and environment.
const PREFIXES: [&str; 4] = ["sk_live_", "sk_test_", "pl_live_", "pl_test_"];

/// A complete key. `Debug` does not show it, and it has no `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Generates a key. Fails if the system's random number generator fails.
    pub fn generate(environment: Environment, portal: bool) -> Result<Self, rand::rngs::SysError> {
        let kind = if portal { "pl" } else { "sk" };
        let mut text = format!("{kind}_{}_", environment.word());
        text.push_str(&random_text(RANDOM)?);
        let check = check_of(&text);
        text.push_str(&check);
        Ok(Self(text))
    }

    /// Parses a text. Returns `None` if it cannot be a key.
    pub fn parse(text: &str) -> Option<Self> {
        let prefix = PREFIXES.iter().find(|prefix| text.starts_with(**prefix))?;
        let right = text.len() == prefix.len() + RANDOM + CHECK && text.is_ascii();
        let (head, check) = text.split_at_checked(prefix.len() + RANDOM)?;
        (right && check_of(head) == check).then(|| Self(text.to_owned()))
    }

    /// The text, to show it once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash, which is all that is stored.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }

    /// A hint that may always be shown: `sk_live_A1b2…x9Yz`.
    pub fn hint(&self) -> String {
        format!("{}…{}", &self.0[..12], &self.0[self.0.len() - 4..])
    }
}

/// The beginning of a key that may be shown, such as `sk_live_A1b2`. `None` if a text does not have
/// the form of a key, and may therefore be another secret.
pub fn key_prefix(text: &str) -> Option<&str> {
    let prefix = PREFIXES.iter().find(|prefix| text.starts_with(**prefix))?;
    let whole = text.len() == prefix.len() + RANDOM + CHECK;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.get(..prefix.len() + 4).filter(|_| whole && plain)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.hint()).finish()
    }
}

/// The SHA-256 of a key. A key has 256 random bits, so it cannot be guessed, and a slow hash would
/// add nothing.
#[derive(Clone, Copy)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Hashes any text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Formats it as 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// The first half, to find candidates. The whole is then compared by [`Hash::is`].
    pub(super) fn index(&self) -> [u8; 16] {
        let mut index = [0; 16];
        index.copy_from_slice(&self.0[..16]);
        index
    }

    /// Whether two hashes are equal, compared in constant time.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

/// Random characters of base62, uniformly distributed.
pub(super) fn random_text(length: usize) -> Result<String, rand::rngs::SysError> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        SysRng.try_fill_bytes(&mut bytes)?;
        // 248 is the largest multiple of 62 in a byte. Larger bytes would favor some characters.
        let fair = bytes.iter().filter(|byte| **byte < 248).take(length - text.len());
        text.extend(fair.map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
    }
    Ok(text)
}

fn check_of(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let mut number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let mut check = String::with_capacity(CHECK);
    for _ in 0..CHECK {
        check.push(char::from(ALPHABET[(number % 62) as usize]));
        number /= 62;
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate() -> Secret {
        Secret::generate(Environment::Live, false).unwrap()
    }

    #[test]
    fn a_key_parses_and_a_mistyped_one_does_not() {
        let secret = generate();
        let text = secret.reveal();
        assert!(text.starts_with("sk_live_") && text.len() == 57, "{} characters", text.len());
        assert!(Secret::parse(text).unwrap().hash().is(&secret.hash()));
        for place in 8..text.len() {
            let mut wrong = text.as_bytes().to_vec();
            wrong[place] = if wrong[place] == b'x' { b'y' } else { b'x' };
            assert!(Secret::parse(std::str::from_utf8(&wrong).unwrap()).is_none(), "{place}");
        }
        let odd = ["", "sk_live_", &text[..56], &format!("{text}0"), "sk_live_ü", "whsec_AAAA"];
        assert!(odd.iter().all(|odd| Secret::parse(odd).is_none()));
        assert!(
            Secret::generate(Environment::Test, true).unwrap().reveal().starts_with("pl_test_")
        );
    }

    #[test]
    fn every_character_of_a_key_is_random() {
        let made: Vec<_> = (0..300).map(|_| generate()).collect();
        for place in 8..57 {
            let seen: std::collections::HashSet<u8> =
                made.iter().map(|secret| secret.reveal().as_bytes()[place]).collect();
            assert!(seen.len() > if place < 56 { 40 } else { 3 }, "place {place}: {seen:?}");
        }
    }

    #[test]
    fn debug_shows_only_the_hint() {
        let secret = generate();
        let shown = format!("{secret:?} {:?}", secret.hash());
        assert!(!shown.contains(&secret.reveal()[12..20]), "{shown}");
        assert!(!shown.contains(&secret.hash().to_hex()[..8]), "{shown}");
        assert!(secret.reveal().ends_with(secret.hint().rsplit('…').next().unwrap()));
    }
}
