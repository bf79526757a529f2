//! DKIM (RFC 6376): reads the operator's key and signs messages.
//!
//! Headers and body use the relaxed canonicalization, because relays refold both. Some signed
//! headers may be missing in a message. Naming them in `h=` prevents adding them later.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::Message;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig as Signature, DkimSigningAlgorithm,
    DkimSigningKey,
};
use lettre::message::header::HeaderName;
use pkcs8::{ObjectIdentifier, PrivateKeyInfo};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use crate::config::{DkimConfig, Error};

/// The signed headers. RFC 8058 requires both unsubscribe headers.
const SIGNED: [&str; 14] = [
    "From",
    "Reply-To",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

/// RFC 8017, `rsaEncryption`.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 8410, `id-Ed25519`.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Signs messages with one key.
pub(crate) struct Signer(Signature);

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
        let headers = SIGNED.map(HeaderName::new_from_ascii_str).to_vec();
        let relaxed = DkimCanonicalization {
            header: DkimCanonicalizationType::Relaxed,
            body: DkimCanonicalizationType::Relaxed,
        };
        Ok(Self(Signature::new(selector, domain, key, headers, relaxed)))
    }

    /// Adds the `DKIM-Signature` header.
    pub(crate) fn sign(&self, message: &mut Message) {
        message.sign(&self.0);
    }
}

/// The key in lettre's format: RSA as PKCS#1 PEM, Ed25519 as the base64 of its seed.
fn read_key(pem: &str) -> Result<DkimSigningKey, &'static str> {
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| "must hold a private key in PEM (`-----BEGIN PRIVATE KEY-----`)")?;
    let (key, algorithm) = match &der {
        PrivateKeyDer::Pkcs1(key) => (rsa_pem(key.secret_pkcs1_der()), DkimSigningAlgorithm::Rsa),
        PrivateKeyDer::Pkcs8(key) => read_pkcs8(key.secret_pkcs8_der())?,
        _ => return Err("must be an RSA or an Ed25519 key"),
    };
    DkimSigningKey::new(&key, algorithm).map_err(|_| "holds an invalid key")
}

fn read_pkcs8(der: &[u8]) -> Result<(String, DkimSigningAlgorithm), &'static str> {
    let info = PrivateKeyInfo::try_from(der).map_err(|_| "holds an invalid PKCS#8 key")?;
    match info.algorithm.oid {
        RSA => Ok((rsa_pem(info.private_key), DkimSigningAlgorithm::Rsa)),
        // RFC 8410: an octet string of 32 bytes within the octet string.
        ED25519 => match info.private_key {
            [0x04, 0x20, seed @ ..] if seed.len() == 32 => {
                Ok((BASE64.encode(seed), DkimSigningAlgorithm::Ed25519))
            }
            _ => Err("holds an invalid Ed25519 key"),
        },
        _ => Err("must be an RSA or an Ed25519 key"),
    }
}

fn rsa_pem(der: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN RSA PRIVATE KEY-----\n");
    let text = BASE64.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, left) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = left;
    }
    pem.push_str("-----END RSA PRIVATE KEY-----\n");
    pem
}
