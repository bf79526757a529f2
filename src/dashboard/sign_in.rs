//! Signing in with an API key or a portal link, and signing out.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::Ui;
use super::frame::{self, page};
use super::visit::{self, Posted};

/// What the page is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Why the person is here: `new` or `ended`.
    #[serde(default)]
    why: String,
    /// Where to go afterwards.
    #[serde(default)]
    to: String,
    /// The key of a portal link.
    key: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    message: &'a str,
    to: &'a str,
}

/// Shows the form. A portal link carries its key, which becomes a session at once and leaves the
/// address.
pub(super) async fn show(State(ui): State<Arc<Ui>>, Query(asked): Query<Asked>) -> Response {
    let to = local(&asked.to);
    if let Some(key) = asked.key {
        return enter(&ui, Some(key), to).await;
    }
    // On a router that asks for no key, everybody of this machine is an operator.
    if asked.why != "ended" && ui.authenticator.authenticate(&HeaderMap::new()).await.is_ok() {
        return enter(&ui, None, to).await;
    }
    let message = match &*asked.why {
        "ended" => "Your session has ended. Sign in again to go on.",
        _ => "",
    };
    page(&SignIn { message, to })
}

/// Begins a session.
pub(super) async fn sign_in(
    State(ui): State<Arc<Ui>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if visit::is_cross_site(&headers) {
        return frame::refused("This form was sent by another site, so it was refused.");
    }
    let fields = visit::fields(&body);
    let field =
        |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    let key = field("key").filter(|key| !key.is_empty()).map(str::to_owned);
    enter(&ui, key, local(field("to").unwrap_or_default())).await
}

async fn enter(ui: &Ui, key: Option<String>, to: &str) -> Response {
    if ui.authenticator.authenticate(&visit::bearer(key.as_deref())).await.is_err() {
        let message = "This key is not valid. It may be mistyped, revoked or expired. Ask the person \
                       who gave it to you for a new key or a new link.";
        let mut answer = page(&SignIn { message, to });
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        return answer;
    }
    match ui.sessions.begin(key, ui.now_s()) {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a session of the dashboard cannot begin");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Ends the session.
pub(super) async fn sign_out(State(ui): State<Arc<Ui>>, _posted: Posted) -> Response {
    let cookie = ui.sessions.end().ok().map(|cookie| [(header::SET_COOKIE, cookie)]);
    (cookie, Redirect::to("/ui/sign-in?why=ended")).into_response()
}

/// A path of the dashboard. Everything else becomes its first page.
fn local(to: &str) -> &str {
    let is_page = to.starts_with("/ui/") && !to.contains(['\\', '\n', '\r']) && !to.contains("//");
    if is_page { to } else { "/ui/" }
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
}
