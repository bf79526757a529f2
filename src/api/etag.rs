//! `ETag` and `If-Match`: a writer says which version it has seen, and nobody's change is lost.
//!
//! A tag is a keyed hash of the resource's own representation, secrets included, so that writers of
//! other resources of the same tenant do not collide, and a secret cannot be guessed from it. The key
//! is made once a store, so that all replicas give the same tags.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::OnceCell;

use super::answer::ApiError;
use fanfare_store::{Result, Store, StoreError};

/// Makes tags.
#[derive(Default)]
pub(super) struct Tags {
    key: OnceCell<[u8; 32]>,
}

impl Tags {
    /// The tag of a representation.
    pub(super) async fn of(&self, store: &Store, value: &Value) -> Result<String> {
        let key = self.key.get_or_try_init(|| shared_key(store)).await?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(value.to_string().as_bytes());
        Ok(format!("\"{}\"", hex::encode(&mac.finalize().into_bytes()[..16])))
    }
}

/// The store's key; made by whoever asks first.
async fn shared_key(store: &Store) -> Result<[u8; 32]> {
    loop {
        if let Some(found) = store.records.get("api", "etag-key").await? {
            let unreadable = |_| StoreError::Corrupt("the key of the ETags".to_owned());
            return found.doc.as_ref().try_into().map_err(unreadable);
        }
        let key: [u8; 32] = rand::random();
        match store.records.put("api", "etag-key", key.to_vec().into(), Some(0), None).await {
            // Read back: another replica may have been there between.
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What a request's `If-Match` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// Nothing: the last writer wins.
    #[default]
    No,
    /// `*`: it must be there.
    Any,
    /// It must have one of these tags.
    One(Vec<String>),
}

impl IfMatch {
    fn read(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(header::IF_MATCH).iter().peekable();
        if given.peek().is_none() {
            return Self::No;
        }
        let tags: Vec<String> = given
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().to_owned())
            .collect();
        if tags.iter().any(|tag| tag == "*") { Self::Any } else { Self::One(tags) }
    }

    /// Refuses when the resource, with this tag now, is not what the caller has seen.
    pub(super) fn check(&self, now: Option<&str>) -> Result<(), ApiError> {
        let fits = match (self, now) {
            (Self::No, _) | (Self::Any, Some(_)) => true,
            (Self::Any | Self::One(_), None) => false,
            (Self::One(tags), Some(now)) => tags.iter().any(|tag| tag == now),
        };
        let message = "it was changed since you read it; read it again and repeat the change";
        let changed = || {
            ApiError::new(
                StatusCode::PRECONDITION_FAILED,
                "conflict",
                "precondition_failed",
                message,
            )
        };
        if fits { Ok(()) } else { Err(changed()) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::read(&parts.headers))
    }
}

/// The answer with its tag.
pub(super) fn tagged(
    mut response: axum::response::Response,
    tag: &str,
) -> axum::response::Response {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> IfMatch {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, value.parse().unwrap());
        IfMatch::read(&headers)
    }

    #[test]
    fn one_of_several_tags_is_enough_and_a_weak_one_is_none() {
        assert!(of(r#""a", "b""#).check(Some(r#""b""#)).is_ok());
        assert!(of(r#"W/"b""#).check(Some(r#""b""#)).is_err());
        assert!(of(r#""a""#).check(None).is_err());
        assert!(of("*").check(Some(r#""a""#)).is_ok());
        assert!(of("*").check(None).is_err());
        assert!(IfMatch::No.check(None).is_ok());
    }
}
