//! Signing in with an API key or a portal link, and signing out.
//!
//! A portal link works once. Its key is exchanged for a session at the first visit and is not in
//! the address after that. A program that follows links, such as a mail filter, does not use it up:
//! it sees a page with a button.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::Ui;
use super::frame::{self, page, show};
use super::resume::{self, Waiting};
use super::visit::{self, Fields, Posted};
use crate::access::Principal;

/// What the page is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Why the person is here: `new`, `ended` or `out`.
    #[serde(default)]
    why: String,
    /// Where to go afterwards.
    #[serde(default)]
    to: String,
    /// The key of a portal link.
    key: Option<String>,
}

/// The form.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignIn<'a> {
    base: &'a str,
    message: &'a str,
    bad: bool,
    to: &'a str,
    /// Where a person whose link has ended gets a new one.
    refresh_url: Option<&'a str>,
    /// A form that is sent after signing in.
    pub(super) waiting: Option<Waiting>,
}

impl<'a> SignIn<'a> {
    pub(super) fn new(ui: &'a Ui, why: &str) -> Self {
        let message = match why {
            "ended" => "Your session has ended. Sign in again to go on.",
            "out" => "You are signed out.",
            _ => "",
        };
        let refresh_url = ui.refresh_url.as_deref().filter(|_| why == "ended");
        Self { base: &ui.base, message, bad: false, to: "", refresh_url, waiting: None }
    }
}

/// The page of a portal link for programs that do not say that a person follows it.
#[derive(Template)]
#[template(path = "portal_link.html")]
struct LinkPage<'a> {
    base: &'a str,
    key: &'a str,
    to: &'a str,
}

/// The page of a portal link that has been used or has expired.
#[derive(Template)]
#[template(path = "portal_ended.html")]
struct EndedPage<'a> {
    base: &'a str,
    refresh_url: Option<&'a str>,
}

/// Shows the form, or exchanges the key of a portal link.
pub(super) async fn show_form(
    State(ui): State<Arc<Ui>>,
    method: Method,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let to = local(&asked.to);
    if let Some(key) = &asked.key {
        if method == Method::GET && is_person(&headers) {
            return enter(&ui, Some(key.clone()), to, None).await;
        }
        return page(&LinkPage { base: &ui.base, key, to });
    }
    // On a router that asks for no key, everybody of this machine is an operator.
    let is_new = !matches!(&*asked.why, "ended" | "out");
    if is_new && ui.authenticator.authenticate(&HeaderMap::new()).await.is_ok() {
        return enter(&ui, None, to, None).await;
    }
    page(&SignIn { to, ..SignIn::new(&ui, &asked.why) })
}

/// Whether a browser says that it navigates, not a program that looks at links in advance.
fn is_person(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|given| given == value);
    is("sec-fetch-mode", "navigate") && !headers.contains_key("sec-purpose")
}

/// Begins a session.
pub(super) async fn sign_in(
    State(ui): State<Arc<Ui>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if visit::is_cross_site(&headers) {
        let why = "This form was sent by another site, so it was refused.";
        return frame::refused(&ui.base, why);
    }
    let fields = Fields::parse(&body);
    let key = fields.given("key").map(str::to_owned);
    enter(&ui, key, local(fields.get("to")), Waiting::carried(&fields)).await
}

async fn enter(ui: &Arc<Ui>, key: Option<String>, to: &str, waiting: Option<Waiting>) -> Response {
    let is_link = key.as_deref().is_some_and(|key| key.starts_with("pl_"));
    let admitted = ui.authenticator.authenticate(&visit::bearer(key.as_deref())).await;
    let Ok(admitted) = admitted else {
        if is_link {
            return ended(ui);
        }
        let message = "This key is not valid. It may be mistyped, revoked or expired. Ask the person \
                       who gave it to you for a new key or a new link.";
        let form = SignIn { message, bad: true, to, waiting, ..SignIn::new(ui, "") };
        return show(StatusCode::UNAUTHORIZED, &form);
    };
    let begun =
        if is_link { exchange(ui, &admitted.principal).await } else { Ok(Some((key, None))) };
    let begun = begun.and_then(|key| match key {
        Some((key, ends_s)) => ui.sessions.begin(key, ends_s, ui.now_s()).map(Some),
        None => Ok(None),
    });
    match begun {
        Ok(Some((cookie, token))) => {
            let answer = match &waiting {
                Some(waiting) => resume::offer(ui, &token, waiting),
                None => Redirect::to(&ui.external(to)).into_response(),
            };
            ([(header::SET_COOKIE, cookie)], answer).into_response()
        }
        Ok(None) => ended(ui),
        Err(error) => {
            tracing::error!(%error, "a session of the dashboard cannot begin");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A key of a session and its end, in Unix seconds.
type SessionKey = (Option<String>, Option<i64>);

/// Exchanges a link for the key of a session. `None` if the link was used before.
async fn exchange(ui: &Ui, link: &Principal) -> anyhow::Result<Option<SessionKey>> {
    let made = ui.authenticator.keyring.exchange(link).await?;
    Ok(made.map(|made| {
        let ends_s = made.key.expires_ms.map(|expires| expires / 1_000);
        (Some(made.secret.reveal().to_owned()), ends_s)
    }))
}

fn ended(ui: &Ui) -> Response {
    let page = EndedPage { base: &ui.base, refresh_url: ui.refresh_url.as_deref() };
    show(StatusCode::UNAUTHORIZED, &page)
}

/// Ends the session.
pub(super) async fn sign_out(State(ui): State<Arc<Ui>>, _posted: Posted) -> Response {
    let cookie = ui.sessions.end().unwrap_or(HeaderValue::from_static(""));
    let to = format!("{}/sign-in?why=out", ui.base);
    ([(header::SET_COOKIE, cookie)], Redirect::to(&to)).into_response()
}

/// A path of the dashboard. Everything else becomes its first page.
fn local(to: &str) -> &str {
    if is_page(to) { to } else { "/ui/" }
}

/// Whether this is a path of the dashboard.
pub(super) fn is_page(to: &str) -> bool {
    let odd = |c: char| c == '\\' || c.is_control();
    to.starts_with("/ui/") && !to.contains(odd) && !to.contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_a_page_of_the_dashboard_only() {
        for to in ["", "https://evil.test/", "//evil.test", "/ui//evil.test", "/ui/\\evil", "/v1/x"]
        {
            assert_eq!(local(to), "/ui/", "{to}");
        }
        assert_eq!(local("/ui/t/acme/events?type=kyc.x"), "/ui/t/acme/events?type=kyc.x");
    }

    #[test]
    fn a_program_that_looks_at_links_does_not_use_them_up() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pair = |&(name, value): &(&'static str, &'static str)| {
                (http::HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            pairs.iter().map(pair).collect::<HeaderMap>()
        };
        let navigates = ("sec-fetch-mode", "navigate");
        assert!(is_person(&headers(&[navigates])));
        assert!(!is_person(&headers(&[])));
        assert!(!is_person(&headers(&[("sec-fetch-mode", "no-cors")])));
        assert!(!is_person(&headers(&[navigates, ("sec-purpose", "prefetch")])));
    }
}
