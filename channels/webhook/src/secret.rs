//! The shared secret of a destination: how it is made, read, used as a key, and shown.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::Sha256;

/// What a Standard Webhooks secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes that a Standard Webhooks secret may have: 192 to 512 bits.
const SIZES: std::ops::RangeInclusive<usize> = 24..=64;
/// The shortest opaque secret, in characters.
const OPAQUE_MIN: usize = 16;
/// The longest opaque secret, in characters.
const OPAQUE_MAX: usize = 256;

/// Base64 with or without padding: people lose the `=` when they copy.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret ready to sign with: both schemes' HMAC states are keyed once, and cloned per message.
///
/// There are two forms:
/// - `whsec_` and the base64 of 24 to 64 bytes. The `sha256=` scheme has the whole *text* as its
///   key, the `v1,` scheme the decoded *bytes*.
/// - any other printable ASCII text of 16 to 256 characters: its bytes are the key of both schemes.
#[derive(Clone)]
pub struct Key {
    text: Hmac<Sha256>,
    decoded: Hmac<Sha256>,
}

impl Key {
    /// Reads a secret in either form.
    pub fn parse(secret: &str) -> Result<Self, SecretError> {
        let text = keyed(secret.as_bytes());
        if let Some(encoded) = secret.strip_prefix(PREFIX) {
            let bytes = LENIENT.decode(encoded).map_err(|_| SecretError::NotBase64)?;
            if !SIZES.contains(&bytes.len()) {
                return Err(SecretError::Size(bytes.len()));
            }
            return Ok(Self { text, decoded: keyed(&bytes) });
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::NotPrintable);
        }
        if !(OPAQUE_MIN..=OPAQUE_MAX).contains(&secret.len()) {
            return Err(SecretError::Length(secret.len()));
        }
        Ok(Self { decoded: text.clone(), text })
    }

    /// HMAC-SHA256 of the raw body, keyed with the secret's text: the `sha256=` scheme.
    pub(crate) fn body_mac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.text.clone();
        mac.update(body);
        mac
    }

    /// HMAC-SHA256 of `id.timestamp.body`, keyed with the decoded secret: the `v1,` scheme.
    pub(crate) fn v1_mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.decoded.clone();
        for part in [id, b".", timestamp, b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Why a text cannot be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// `whsec_` and then something else.
    #[error("after `whsec_` there must be the base64 of 24 to 64 random bytes")]
    NotBase64,
    /// Too little or too much behind `whsec_`.
    #[error("after `whsec_` there must be the base64 of 24 to 64 random bytes, this is {0}")]
    Size(usize),
    /// An opaque secret that headers and tools would mangle.
    #[error("a secret must be printable ASCII without spaces")]
    NotPrintable,
    /// An opaque secret that is too easy to guess, or too long.
    #[error("a secret must have 16 to 256 characters, this has {0}")]
    Length(usize),
}

/// `whsec_` and the base64 of 32 bytes from the operating system.
pub(crate) fn generate() -> Result<String, SysError> {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(format!("{PREFIX}{}", general_purpose::STANDARD.encode(bytes)))
}

/// 28 `*` and the last 4 characters; nothing but `*` when that would show much of a short one.
pub(crate) fn mask(secret: &str) -> String {
    let shown = match secret.char_indices().rev().nth(3) {
        Some((at, _)) if at >= OPAQUE_MIN - 4 => &secret[at..],
        _ => "****",
    };
    format!("{}{shown}", "*".repeat(28))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_secret_is_32_random_bytes_and_valid() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, two);
        let encoded = one.strip_prefix("whsec_").unwrap();
        assert_eq!(general_purpose::STANDARD.decode(encoded).unwrap().len(), 32);
        Key::parse(&one).unwrap();
    }

    #[test]
    fn both_forms_are_read_and_the_rest_is_refused_with_the_reason() {
        let encoded = |size| format!("whsec_{}", general_purpose::STANDARD.encode(vec![7; size]));
        for good in [encoded(24), encoded(64), "0123456789abcdef".to_owned()] {
            assert!(Key::parse(&good).is_ok(), "{good}");
        }
        let unpadded = encoded(32);
        assert!(Key::parse(unpadded.trim_end_matches('=')).is_ok());
        for (bad, why) in [
            (encoded(23), SecretError::Size(23)),
            (encoded(65), SecretError::Size(65)),
            ("whsec_not base64".to_owned(), SecretError::NotBase64),
            ("whsec_".to_owned(), SecretError::Size(0)),
            ("short".to_owned(), SecretError::Length(5)),
            (String::new(), SecretError::Length(0)),
            ("x".repeat(257), SecretError::Length(257)),
            ("with a space in it".to_owned(), SecretError::NotPrintable),
            ("ungewöhnliches-Geheimnis".to_owned(), SecretError::NotPrintable),
        ] {
            assert_eq!(Key::parse(&bad).unwrap_err(), why, "{bad}");
        }
    }

    #[test]
    fn an_opaque_secret_is_the_key_of_both_schemes() {
        let key = Key::parse("correct-horse-battery").unwrap();
        let left = key.body_mac(b"evt_1.5.{}").finalize().into_bytes();
        let right = key.v1_mac(b"evt_1", b"5", b"{}").finalize().into_bytes();
        assert_eq!(left, right);
    }

    #[test]
    fn a_mask_shows_the_last_four_of_a_long_secret_only() {
        assert_eq!(mask("whsec_AAECAwQFBgcICQoLDA0"), format!("{}DA0", "*".repeat(28) + "L"));
        assert_eq!(mask("short"), "*".repeat(32));
        assert_eq!(mask(""), "*".repeat(32));
        assert_eq!(mask("ééééééééééééééééé"), format!("{}éééé", "*".repeat(28)));
    }

    #[test]
    fn a_key_does_not_print_itself() {
        assert_eq!(format!("{:?}", Key::parse("0123456789abcdef").unwrap()), "Key(..)");
    }
}
