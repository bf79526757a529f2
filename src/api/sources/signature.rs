//! HMAC-SHA256 signatures of a body, as hex in a header, with or without `sha256=` before it.

use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::api::answer::ApiError;

/// How a source signs.
pub(super) struct Signature {
    header: String,
    key: Hmac<Sha256>,
}

impl Signature {
    pub(super) fn new(header: &str, secret: &str) -> Self {
        let key = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        Self { header: header.to_ascii_lowercase(), key }
    }

    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
        let refuse = |what: &str| {
            let message = format!(
                "the header `{}` {what}; sign the body with the secret of this source",
                self.header
            );
            ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "bad_signature", message)
        };
        let given = headers.get(&self.header).ok_or_else(|| refuse("is missing"))?;
        let text = given.to_str().unwrap_or_default().trim();
        let text = text.strip_prefix("sha256=").unwrap_or(text);
        let signature = hex::decode(text).map_err(|_| refuse("is not hexadecimal"))?;
        let mut mac = self.key.clone();
        mac.update(body);
        mac.verify_slice(&signature).map_err(|_| refuse("does not match the body"))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_the_right_signature_is_accepted() {
        // The example of GitHub's documentation.
        let signature = Signature::new("X-Hub-Signature-256", "It's a Secret to Everybody");
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let check = |value: &str, body: &str| {
            let name = HeaderName::from_static("x-hub-signature-256");
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]);
            signature.verify(&headers, body.as_bytes()).map_err(|error| error.code)
        };
        assert_eq!(check(right, "Hello, World!"), Ok(()));
        assert_eq!(check(&right[7..], "Hello, World!"), Ok(()));
        for (value, body) in [(right, "Hello, World"), ("sha256=00", "Hello, World!"), ("x", "")] {
            assert_eq!(check(value, body), Err("bad_signature"), "{value} {body}");
        }
        assert!(signature.verify(&HeaderMap::new(), b"").is_err());
    }
}
