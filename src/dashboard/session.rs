//! Sessions: the API key of a signed-in person, sealed in a cookie.
//!
//! There is no table of sessions. The cookie holds the key, encrypted with the server's master key,
//! so every replica can open it, and a session ends when its key is revoked or expires. The token
//! that each form carries is derived from the cookie, which a page of another site cannot read.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::flash::Flash;
use crate::secrets::{MasterKey, Place, Vault};

const COOKIE: &str = "fanfare_session";
/// A message for the next page.
const FLASH: &str = "fanfare_flash";
/// How long a message waits for its page, in seconds.
const FLASH_LASTS_S: i64 = 60;
const PLACE: Place<'static> = Place { tenant: "", destination: "dashboard", field: "session" };
const FLASH_PLACE: Place<'static> = Place { tenant: "", destination: "dashboard", field: "flash" };

/// Seals and opens sessions.
#[derive(Clone)]
pub(super) struct Sessions {
    vault: Arc<Vault>,
    /// Longest time that a session lasts, in seconds. A key that ends earlier ends it earlier.
    lasts_s: i64,
    /// What browsers are asked to do with the cookies.
    cookies: Cookies,
}

/// The attributes of the cookies.
#[derive(Clone, Debug)]
pub(super) struct Cookies {
    /// The path of the dashboard.
    pub(super) path: String,
    /// Browsers send the cookies over HTTPS alone.
    pub(super) secure: bool,
    /// The dashboard may be shown in a frame of another site.
    pub(super) framed: bool,
}

/// What the cookie holds.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// The API key. `None` on a router that asks for none.
    pub(super) key: Option<String>,
    /// When the session ends, in Unix seconds.
    pub(super) ends_s: i64,
}

impl Sessions {
    /// Sessions that are sealed with `vault`. Without one, they end with this process.
    pub(super) fn new(
        vault: Option<Arc<Vault>>,
        lasts_s: i64,
        cookies: Cookies,
    ) -> anyhow::Result<Self> {
        let vault = match vault {
            Some(vault) => vault,
            None => Arc::new(Vault::new(&[MasterKey::generate()?]).expect("there is a key")),
        };
        Ok(Self { vault, lasts_s, cookies })
    }

    /// A new session: the `Set-Cookie` that begins it, and the token of its forms. It ends with its
    /// key, if that is earlier.
    pub(super) fn begin(
        &self,
        key: Option<String>,
        key_ends_s: Option<i64>,
        now_s: i64,
    ) -> anyhow::Result<(HeaderValue, String)> {
        let longest = now_s.saturating_add(self.lasts_s);
        let ends_s = key_ends_s.map_or(longest, |ends_s| ends_s.min(longest));
        let session = Session { key, ends_s };
        let sealed = self.vault.seal(PLACE, &serde_json::to_vec(&session)?)?;
        // The cookie outlives the session, so that a page can say that it has ended.
        let kept = self.lasts_s.saturating_mul(2);
        Ok((self.cookie(COOKIE, &sealed, Some(kept))?, token_of(&sealed)))
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

    /// Whether a request has the cookie of a session, valid or not.
    pub(super) fn is_given(headers: &HeaderMap) -> bool {
        cookie(headers, COOKIE).is_some_and(|value| !value.is_empty())
    }

    /// The token that forms carry, so that only this site's forms are accepted.
    pub(super) fn token(headers: &HeaderMap) -> String {
        token_of(cookie(headers, COOKIE).unwrap_or_default())
    }

    /// The `Set-Cookie` that shows a message on the next page.
    pub(super) fn flash(&self, flash: Flash) -> anyhow::Result<HeaderValue> {
        let sealed = self.vault.seal(FLASH_PLACE, &serde_json::to_vec(&flash.bounded())?)?;
        self.cookie(FLASH, &sealed, Some(FLASH_LASTS_S))
    }

    /// The message for this page, with the `Set-Cookie` that forgets it.
    pub(super) fn take_flash(&self, headers: &HeaderMap) -> Option<(Flash, HeaderValue)> {
        let opened = self.vault.open(FLASH_PLACE, cookie(headers, FLASH)?).ok()?;
        let flash = serde_json::from_slice(&opened).ok()?;
        Some((flash, self.cookie(FLASH, "", Some(0)).ok()?))
    }

    fn cookie(&self, name: &str, value: &str, lasts_s: Option<i64>) -> anyhow::Result<HeaderValue> {
        let age = lasts_s.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
        let Cookies { path, secure, framed } = &self.cookies;
        // A browser sends cookies to a frame of another site only if they say so, and only over
        // HTTPS. Elsewhere `Lax`, because a link in a mail must find its session.
        let site = if *framed && *secure { "None; Partitioned" } else { "Lax" };
        let secure = if *secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path={path}; HttpOnly; SameSite={site}{secure}{age}");
        Ok(HeaderValue::try_from(text)?)
    }
}

fn token_of(sealed: &str) -> String {
    let hash = Sha256::digest(["fanfare form ", sealed].concat());
    hex::encode(&hash[..16])
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
        let cookies = Cookies { path: "/ui".to_owned(), secure: true, framed: false };
        Sessions::new(None, 60, cookies).expect("randomness")
    }

    fn sent_back(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(pair).unwrap())])
    }

    #[test]
    fn a_session_holds_its_key_until_it_ends() {
        let sessions = sessions();
        let headers = sent_back(&sessions.begin(Some("sk_live_x".into()), None, 100).unwrap().0);
        assert_eq!(sessions.of(&headers, 159).unwrap().key.unwrap(), "sk_live_x");
        assert!(sessions.of(&headers, 160).is_none());
        assert!(sessions.of(&sent_back(&sessions.end().unwrap()), 100).is_none());
        let portal = sessions.begin(Some("pl_live_x".into()), Some(130), 100).unwrap().0;
        assert_eq!(sessions.of(&sent_back(&portal), 129).unwrap().ends_s, 130);
        assert!(sessions.of(&sent_back(&portal), 130).is_none(), "it ends with its key");
    }

    #[test]
    fn a_cookie_shows_no_key_and_another_server_cannot_open_it() {
        let set = sessions().begin(Some("sk_live_x".into()), None, 100).unwrap().0;
        let text = set.to_str().unwrap();
        assert!(!text.contains("sk_live_x") && text.contains("HttpOnly"), "{text}");
        assert!(sessions().of(&sent_back(&set), 100).is_none());
    }

    #[test]
    fn a_message_is_shown_as_it_was_written_and_its_secret_is_sealed() {
        let sessions = sessions();
        let secrets = vec![("Secret".to_owned(), "whsec_abc".to_owned())];
        let flash = Flash { secrets, ..Flash::from("Sent; \"naïve\" = ✓") };
        let set = sessions.flash(flash.clone()).unwrap();
        assert!(!set.to_str().unwrap().contains("whsec_abc"));
        assert_eq!(sessions.take_flash(&sent_back(&set)).unwrap().0, flash);
        let long = "é".repeat(1_000);
        let headers = sent_back(&sessions.flash(long.clone().into()).unwrap());
        let shown = sessions.take_flash(&headers).unwrap().0.text;
        assert!(long.starts_with(&shown) && shown.len() == 600);
    }

    #[test]
    fn a_cookie_in_a_frame_of_another_site_needs_https() {
        let set = |secure, framed| {
            let cookies = Cookies { path: "/x/ui".to_owned(), secure, framed };
            let sessions = Sessions::new(None, 60, cookies).unwrap();
            sessions.end().unwrap().to_str().unwrap().to_owned()
        };
        assert!(set(true, true).contains("SameSite=None; Partitioned; Secure"));
        assert!(set(false, true).contains("SameSite=Lax"));
        assert!(set(true, false).contains("Path=/x/ui; HttpOnly; SameSite=Lax; Secure"));
    }
}
