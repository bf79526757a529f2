//! Sessions: the API key of a signed-in person, sealed in a cookie.
//!
//! There is no table of sessions. The cookie holds the key, encrypted with the server's master key,
//! so every replica can open it, and a session ends when its key is revoked or expires. The token
//! that each form carries is derived from the cookie, which a page of another site cannot read.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::secrets::{MasterKey, Place, Vault};

const COOKIE: &str = "fanfare_session";
/// A message for the next page.
const FLASH: &str = "fanfare_flash";
/// Longest message for the next page, in bytes.
const FLASH_MAX: usize = 600;
const PLACE: Place<'static> = Place { tenant: "", destination: "dashboard", field: "session" };

/// Seals and opens sessions.
#[derive(Clone)]
pub(super) struct Sessions {
    vault: Arc<Vault>,
    /// Longest time that a session lasts, in seconds. A key that ends earlier ends it earlier.
    lasts_s: i64,
    /// Whether browsers send the cookie over HTTPS alone.
    secure: bool,
}

/// What the cookie holds.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// The API key. `None` on a router that asks for none.
    pub(super) key: Option<String>,
    /// When the session ends, in Unix seconds.
    ends_s: i64,
}

impl Sessions {
    /// Sessions that are sealed with `vault`. Without one, they end with this process.
    pub(super) fn new(
        vault: Option<Arc<Vault>>,
        lasts_s: i64,
        secure: bool,
    ) -> anyhow::Result<Self> {
        let vault = match vault {
            Some(vault) => vault,
            None => Arc::new(Vault::new(&[MasterKey::generate()?]).expect("there is a key")),
        };
        Ok(Self { vault, lasts_s, secure })
    }

    /// A new session, and the `Set-Cookie` that begins it.
    pub(super) fn begin(&self, key: Option<String>, now_s: i64) -> anyhow::Result<HeaderValue> {
        let session = Session { key, ends_s: now_s.saturating_add(self.lasts_s) };
        let sealed = self.vault.seal(PLACE, &serde_json::to_vec(&session)?)?;
        self.cookie(COOKIE, &sealed, Some(self.lasts_s))
    }

    /// The `Set-Cookie` that ends the session.
    pub(super) fn end(&self) -> anyhow::Result<HeaderValue> {
        self.cookie(COOKIE, "", Some(0))
    }

    /// The session of a request.
    pub(super) fn of(&self, headers: &HeaderMap, now_s: i64) -> Option<Session> {
        let opened = self.vault.open(PLACE, cookie(headers, COOKIE)?).ok()?;
        let session: Session = serde_json::from_slice(&opened).ok()?;
        (session.ends_s > now_s).then_some(session)
    }

    /// The token that forms carry, so that only this site's forms are accepted.
    pub(super) fn token(headers: &HeaderMap) -> String {
        let sealed = cookie(headers, COOKIE).unwrap_or_default();
        let hash = Sha256::digest(["fanfare form ", sealed].concat());
        hex::encode(&hash[..16])
    }

    /// The `Set-Cookie` that shows a message on the next page.
    pub(super) fn flash(&self, message: &str) -> anyhow::Result<HeaderValue> {
        let mut end = message.len().min(FLASH_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        self.cookie(FLASH, &hex::encode(&message[..end]), Some(60))
    }

    /// The message for this page, with the `Set-Cookie` that forgets it.
    pub(super) fn take_flash(&self, headers: &HeaderMap) -> Option<(String, HeaderValue)> {
        let message = String::from_utf8(hex::decode(cookie(headers, FLASH)?).ok()?).ok()?;
        Some((message, self.cookie(FLASH, "", Some(0)).ok()?))
    }

    fn cookie(&self, name: &str, value: &str, lasts_s: Option<i64>) -> anyhow::Result<HeaderValue> {
        let age = lasts_s.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/ui; HttpOnly; SameSite=Lax{secure}{age}");
        Ok(HeaderValue::try_from(text)?)
    }
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs =
        all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions {
        Sessions::new(None, 60, true).expect("randomness")
    }

    fn sent_back(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(pair).unwrap())])
    }

    #[test]
    fn a_session_holds_its_key_until_it_ends() {
        let sessions = sessions();
        let headers = sent_back(&sessions.begin(Some("sk_live_x".into()), 100).unwrap());
        assert_eq!(sessions.of(&headers, 159).unwrap().key.unwrap(), "sk_live_x");
        assert!(sessions.of(&headers, 160).is_none());
        assert!(sessions.of(&sent_back(&sessions.end().unwrap()), 100).is_none());
    }

    #[test]
    fn a_cookie_shows_no_key_and_another_server_cannot_open_it() {
        let set = sessions().begin(Some("sk_live_x".into()), 100).unwrap();
        let text = set.to_str().unwrap();
        assert!(!text.contains("sk_live_x") && text.contains("HttpOnly"), "{text}");
        assert!(sessions().of(&sent_back(&set), 100).is_none());
    }

    #[test]
    fn a_message_is_shown_as_it_was_written() {
        let sessions = sessions();
        let message = "Sent; \"naïve\" = ✓";
        let headers = sent_back(&sessions.flash(message).unwrap());
        assert_eq!(sessions.take_flash(&headers).unwrap().0, message);
        let long = "é".repeat(FLASH_MAX);
        let headers = sent_back(&sessions.flash(&long).unwrap());
        assert!(long.starts_with(&sessions.take_flash(&headers).unwrap().0));
    }
}
