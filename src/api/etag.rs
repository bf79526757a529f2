//! `ETag` and `If-Match`: a writer states which version it has read, so that no change is lost.
//!
//! A tag is a keyed hash of the resource's own representation, including secrets. Writers of
//! different resources of one tenant therefore do not conflict, and a secret cannot be guessed from
//! a tag. The key is created once per store, so that all replicas compute the same tags.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::OnceCell;

use super::answer::ApiError;
use fanfare_store::{Result, Store, StoreError};

/// Computes tags.
#[derive(Default)]
pub(super) struct Tags {
    key: OnceCell<[u8; 32]>,
}

impl Tags {
    /// The tag of a resource's representation.
    pub(super) async fn of(&self, store: &Store, value: &Value) -> Result<String> {
        let key = self.key.get_or_try_init(|| shared_key(store)).await?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(value.to_string().as_bytes());
        Ok(format!("\"{}\"", hex::encode(&mac.finalize().into_bytes()[..16])))
    }
}

/// The store's key. The first request creates it.
async fn shared_key(store: &Store) -> Result<[u8; 32]> {
    loop {
        if let Some(found) = store.records.get("api", "etag-key").await? {
            let unreadable = |_| StoreError::Corrupt("the key for ETags cannot be read".to_owned());
            return found.doc.as_ref().try_into().map_err(unreadable);
        }
        let key: [u8; 32] = rand::random();
        match store.records.put("api", "etag-key", key.to_vec().into(), Some(0), None).await {
            // Read it back, because another replica may have written one first.
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The `If-Match` header of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// No header: the last writer wins.
    #[default]
    No,
    /// `*`: the resource must exist.
    Any,
    /// The resource must have one of these tags.
    One(Vec<String>),
}

impl IfMatch {
    fn parse(headers: &HeaderMap) -> Self {
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

    /// Fails if the resource's current tag is not one that the caller has read.
    pub(super) fn check(&self, now: Option<&str>) -> Result<(), ApiError> {
        let fits = match (self, now) {
            (Self::No, _) | (Self::Any, Some(_)) => true,
            (Self::Any | Self::One(_), None) => false,
            (Self::One(tags), Some(now)) => tags.iter().any(|tag| tag == now),
        };
        let message = "the resource changed since you read it; read it again and repeat the change";
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
        Ok(Self::parse(&parts.headers))
    }
}

/// Adds the tag to an answer.
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
        IfMatch::parse(&headers)
    }

    #[test]
    fn one_of_several_tags_must_match_and_a_weak_tag_never_does() {
        assert!(of(r#""a", "b""#).check(Some(r#""b""#)).is_ok());
        assert!(of(r#"W/"b""#).check(Some(r#""b""#)).is_err());
        assert!(of(r#""a""#).check(None).is_err());
        assert!(of("*").check(Some(r#""a""#)).is_ok());
        assert!(of("*").check(None).is_err());
        assert!(IfMatch::No.check(None).is_ok());
    }
}
