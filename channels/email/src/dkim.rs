//! DKIM (RFC 6376): reads the operator's key and signs messages, with ring.
//!
//! Headers and body use the relaxed canonicalization, because relays refold both. Some signed
//! headers may be missing in a message. Naming them in `h=` prevents adding them later.
//!
//! lettre can sign too, but with the `rsa` crate, whose timing can leak the private key
//! (RUSTSEC-2023-0071).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use crate::config::{DkimConfig, Error};

/// The signed headers. RFC 8058 requires both unsubscribe headers.
const SIGNED: [&str; 14] = [
    "from",
    "reply-to",
    "to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "auto-submitted",
    "list-unsubscribe",
    "list-unsubscribe-post",
];
/// Length of the lines that hold the signature.
const LINE: usize = 72;

/// Signs messages with one key.
pub(crate) struct Signer {
    selector: String,
    domain: String,
    key: Key,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    /// RFC 8463.
    Ed25519(Ed25519KeyPair),
}

/// The system's random number generator failed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the message cannot be signed, because the system's random number generator failed")]
pub(crate) struct Unsigned;

impl Signer {
    pub(crate) fn new(config: &DkimConfig) -> Result<Self, Error> {
        let name = |field, text: &str| {
            let label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            let fine = (1..=253).contains(&text.len()) && text.bytes().all(label);
            let message = "must be a DNS name of letters, digits, dots and hyphens";
            if fine { Ok(text.to_owned()) } else { Err(Error::new(field, message)) }
        };
        let selector = name("dkim.selector", &config.selector)?;
        let domain = name("dkim.domain", &config.domain)?;
        let key = read_key(&config.private_key_pem)
            .map_err(|message| Error::new("dkim.private_key_pem", message))?;
        Ok(Self { selector, domain, key })
    }

    /// The `DKIM-Signature` header of a message, with its line end. `headers` and `body` are what
    /// is sent, without the empty line between them. `at_s` is in Unix seconds.
    pub(crate) fn sign(&self, headers: &str, body: &str, at_s: i64) -> Result<String, Unsigned> {
        let Self { selector, domain, key } = self;
        let algorithm = match key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let body_hash = BASE64.encode(body_hash(body));
        let names = SIGNED.join(":");
        let mut header = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed; d={domain}; s={selector};\r\n\
             \tt={};\r\n\th={names};\r\n\tbh={body_hash};\r\n\tb=",
            at_s.max(0)
        );
        let mut signed = String::with_capacity(headers.len());
        let fields = fields(headers);
        for name in SIGNED {
            // Of a header that occurs several times, the last one is signed.
            if let Some((_, value)) =
                fields.iter().rev().find(|(found, _)| found.eq_ignore_ascii_case(name))
            {
                push_relaxed(&mut signed, name, value);
                signed.push_str("\r\n");
            }
        }
        let (_, unsigned) = header.split_once(':').unwrap_or_default();
        push_relaxed(&mut signed, "dkim-signature", unsigned);
        let signature = BASE64.encode(key.sign(signed.as_bytes())?);
        let mut rest = signature.as_str();
        while rest.len() > LINE {
            let (line, left) = rest.split_at(LINE);
            header.push_str(line);
            header.push_str("\r\n\t");
            rest = left;
        }
        header.push_str(rest);
        header.push_str("\r\n");
        Ok(header)
    }
}

impl Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unsigned> {
        match self {
            // The random numbers blind the private key against timing.
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| Unsigned)?;
                Ok(signature)
            }
            // RFC 8463, section 3: Ed25519 signs the SHA-256 of the data.
            Self::Ed25519(key) => Ok(key.sign(&Sha256::digest(message)).as_ref().to_vec()),
        }
    }
}

/// The headers as pairs of name and value. A value keeps its folds.
fn fields(headers: &str) -> Vec<(&str, &str)> {
    let mut fields = Vec::new();
    let mut rest = headers;
    while !rest.is_empty() {
        let end = field_end(rest);
        let (field, left) = rest.split_at(end);
        fields.extend(field.trim_end_matches("\r\n").split_once(':'));
        rest = left;
    }
    fields
}

/// Where the first header ends: after a line end that no folded line follows.
fn field_end(headers: &str) -> usize {
    let ends = headers.match_indices("\r\n").map(|(at, end)| at + end.len());
    let mut ends = ends.filter(|end| !headers[*end..].starts_with([' ', '\t']));
    ends.next().unwrap_or(headers.len())
}

/// RFC 6376, section 3.4.2: a lower-case name, and the value on one line with single spaces.
fn push_relaxed(signed: &mut String, name: &str, value: &str) {
    signed.push_str(name);
    signed.push(':');
    let blank = |c| matches!(c, ' ' | '\t' | '\r' | '\n');
    for (nth, word) in value.split(blank).filter(|word| !word.is_empty()).enumerate() {
        if nth > 0 {
            signed.push(' ');
        }
        signed.push_str(word);
    }
}

/// RFC 6376, section 3.4.4: the hash of the body with single spaces, without spaces at the ends of
/// lines, and without empty lines at its end.
fn body_hash(body: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut empty_lines = 0;
    for line in body.split_terminator("\r\n") {
        let line = line.trim_end_matches([' ', '\t']);
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            hash.update("\r\n");
        }
        let mut blank = false;
        for piece in line.split_inclusive([' ', '\t']) {
            let word = piece.trim_end_matches([' ', '\t']);
            if blank && !word.is_empty() {
                hash.update(" ");
            }
            hash.update(word);
            // A run of blanks continues through pieces that have no word.
            blank = word.len() < piece.len() || (blank && word.is_empty());
        }
        hash.update("\r\n");
    }
    hash.finalize().into()
}

fn read_key(pem: &str) -> Result<Key, &'static str> {
    const NOT_RSA: &str = "holds an RSA key that is not valid; it must have 2048 to 4096 bits";
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "must hold a private key in PEM (`-----BEGIN PRIVATE KEY-----`)")?;
    let rsa = |key: RsaKeyPair| Key::Rsa(Box::new(key));
    match &der {
        PrivateKeyDer::Pkcs1(key) => {
            RsaKeyPair::from_der(key.secret_pkcs1_der()).map(rsa).map_err(|_| NOT_RSA)
        }
        PrivateKeyDer::Pkcs8(key) => {
            let der = key.secret_pkcs8_der();
            // OpenSSL writes keys without the public half, which `from_pkcs8` refuses.
            if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                return Ok(Key::Ed25519(key));
            }
            RsaKeyPair::from_pkcs8(der).map(rsa).map_err(|error| {
                // ring names its reasons.
                match error.to_string().as_str() {
                    "WrongAlgorithm" => "must be an RSA or an Ed25519 key",
                    _ => NOT_RSA,
                }
            })
        }
        _ => Err("must be an RSA or an Ed25519 key"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(body: &str) -> String {
        BASE64.encode(body_hash(body))
    }

    fn of(text: &str) -> String {
        BASE64.encode(Sha256::digest(text))
    }

    #[test]
    fn a_body_is_canonical_as_rfc_6376_says() {
        // Section 3.4.5.
        assert_eq!(hashed(" C \r\nD \t E\r\n\r\n\r\n"), of(" C\r\nD E\r\n"));
        // Section 3.4.4, and its erratum 1384: an empty body stays empty.
        assert_eq!(hashed(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(hashed("\r\n\r\n"), of(""));
        assert_eq!(hashed("a"), of("a\r\n"));
        assert_eq!(hashed("a\r\n\r\nb\r\n"), of("a\r\n\r\nb\r\n"));
        assert_eq!(hashed("\t  a \t\tb  c\t\r\n"), of(" a b c\r\n"));
        assert_eq!(hashed("  \r\nx\r\n \t \r\n"), of("\r\nx\r\n"));
    }

    #[test]
    fn headers_are_canonical_as_rfc_6376_says() {
        let headers = "A: X\r\nB : Y\t\r\n\tZ  \r\nSubject:  one\r\n   two\r\n";
        let fields = fields(headers);
        let relaxed = |nth: usize| {
            let mut text = String::new();
            push_relaxed(&mut text, &fields[nth].0.trim().to_lowercase(), fields[nth].1);
            text
        };
        assert_eq!([relaxed(0), relaxed(1), relaxed(2)], ["a:X", "b:Y Z", "subject:one two"]);
        assert_eq!(fields.len(), 3);
    }
}
