//! The secret of a destination: how it is generated, parsed, used as a key and masked.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::Sha256;

/// The prefix of a Standard Webhooks secret.
const PREFIX: &str = "whsec_";
/// Allowed sizes of a Standard Webhooks secret in bytes: 192 to 512 bits.
const SIZES: std::ops::RangeInclusive<usize> = 24..=64;
/// Minimum length of an opaque secret, in characters.
const OPAQUE_MIN: usize = 16;
/// Maximum length of an opaque secret, in characters.
const OPAQUE_MAX: usize = 256;

/// Base64 as the Standard Webhooks libraries decode it. Padding is optional, because the `=` gets
/// lost when people copy a secret, and the unused bits of the last character may have any value.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A secret that is ready to sign: the HMAC of each scheme is keyed once and cloned per message.
///
/// A secret has one of two forms:
/// - `whsec_` and the base64 of 24 to 64 bytes. The key of the `sha256=` scheme is the whole
///   *text*. The key of the `v1,` scheme is the decoded *bytes*.
/// - Any other printable ASCII text of 16 to 256 characters. Its bytes are the key of both schemes.
#[derive(Clone)]
pub struct Key {
    text: Hmac<Sha256>,
    decoded: Hmac<Sha256>,
}

impl Key {
    /// Parses a secret in either form.
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

    /// The `sha256=` scheme: HMAC-SHA256 of the raw body, keyed with the secret's text.
    pub(crate) fn body_mac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.text.clone();
        mac.update(body);
        mac
    }

    /// The `v1,` scheme: HMAC-SHA256 of `id.timestamp.body`, keyed with the decoded secret.
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
    Hmac::new_from_slice(key).expect("HMAC accepts keys of any length")
}

/// Why a text is not a valid secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The part after `whsec_` is not base64.
    #[error("must be `whsec_` followed by the base64 of 24 to 64 random bytes")]
    NotBase64,
    /// The part after `whsec_` has the wrong size.
    #[error("must be `whsec_` followed by the base64 of 24 to 64 random bytes, not of {0}")]
    Size(usize),
    /// An opaque secret has characters that tools can change.
    #[error("must be printable ASCII without spaces")]
    NotPrintable,
    /// An opaque secret is too easy to guess or too long.
    #[error("must have 16 to 256 characters, not {0}")]
    Length(usize),
}

/// Whether a text without the prefix is the base64 of a Standard Webhooks secret. A library that is
/// given this text decodes it, so its key differs from the text. Hexadecimal digits are a text:
/// tools such as `openssl rand -hex` make secrets for the `sha256=` scheme from them.
pub(crate) fn is_bare_base64(secret: &str) -> bool {
    let hexadecimal = secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = || LENIENT.decode(secret).is_ok_and(|bytes| SIZES.contains(&bytes.len()));
    !secret.starts_with(PREFIX) && !hexadecimal && size()
}

/// A new secret: `whsec_` and the base64 of 32 random bytes from the operating system.
pub(crate) fn generate() -> Result<String, SysError> {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(format!("{PREFIX}{}", general_purpose::STANDARD.encode(bytes)))
}

/// 28 `*` and the last 4 characters. A short secret is masked completely.
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
    fn a_generated_secret_is_32_random_bytes_and_valid() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, two);
        let encoded = one.strip_prefix("whsec_").unwrap();
        assert_eq!(general_purpose::STANDARD.decode(encoded).unwrap().len(), 32);
        Key::parse(&one).unwrap();
    }

    #[test]
    fn both_forms_are_parsed_and_others_are_refused_with_the_reason() {
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
    fn secrets_of_official_vectors_are_accepted_without_padding_and_in_any_spelling() {
        // 25 bytes: the last character of the first one has unused bits that are not zero.
        for encoded in
            ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBg=="]
        {
            let key = Key::parse(&format!("whsec_{encoded}")).unwrap();
            let bytes = hex::decode("31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b006").unwrap();
            let mut expected = keyed(&bytes);
            expected.update(b"evt_1.5.{}");
            let got = key.v1_mac(b"evt_1", b"5", b"{}").finalize().into_bytes();
            assert_eq!(got, expected.finalize().into_bytes(), "{encoded}");
        }
    }

    #[test]
    fn only_base64_of_a_whole_secret_counts_as_bare_base64() {
        for bare in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ] {
            assert!(is_bare_base64(bare), "{bare}");
        }
        for text in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "correct-horse-battery-staple-and-more",
            "0123456789abcdef",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw1",
        ] {
            assert!(!is_bare_base64(text), "{text}");
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
    fn a_mask_shows_only_the_last_four_characters_of_a_long_secret() {
        assert_eq!(mask("whsec_AAECAwQFBgcICQoLDA0"), format!("{}DA0", "*".repeat(28) + "L"));
        assert_eq!(mask("short"), "*".repeat(32));
        assert_eq!(mask(""), "*".repeat(32));
        assert_eq!(mask("ééééééééééééééééé"), format!("{}éééé", "*".repeat(28)));
    }

    #[test]
    fn debug_output_hides_the_key() {
        assert_eq!(format!("{:?}", Key::parse("0123456789abcdef").unwrap()), "Key(..)");
    }
}
