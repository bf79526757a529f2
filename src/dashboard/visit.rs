//! Who looks at a page: the session of a request, checked against its key.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use subtle::ConstantTimeEq as _;

use super::client::{Api, escape};
use super::frame::{self, Frame};
use super::session::Sessions;
use super::{SIGN_IN, Ui};
use crate::access::{Environment, Principal, Role};

/// A signed-in request.
pub(super) struct Visit {
    /// The API with the session's key.
    pub(super) api: Api,
    /// Whose key it is.
    pub(super) who: Arc<Principal>,
    /// The token for this page's forms.
    pub(super) token: String,
    /// The message of the last action, if there was one.
    pub(super) flash: Option<String>,
}

impl Visit {
    /// Whether the key may change things.
    pub(super) fn may_change(&self) -> bool {
        matches!(self.who.role, Role::Admin | Role::Operator)
    }

    /// Whether the key is an operator's.
    pub(super) fn is_operator(&self) -> bool {
        self.who.role == Role::Operator
    }

    /// Whether the key belongs to the test environment.
    pub(super) fn is_test(&self) -> bool {
        self.who.environment == Environment::Test
    }

    /// The frame around a page of a tenant.
    pub(super) fn frame(&self, tenant: &str, title: &str, current: &'static str) -> Frame {
        Frame {
            title: title.to_owned(),
            tenant: tenant.to_owned(),
            current,
            operator: self.is_operator(),
            may_change: self.may_change(),
            test: self.is_test(),
            token: self.token.clone(),
            flash: self.flash.clone(),
        }
    }
}

impl FromRequestParts<Arc<Ui>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Self, Response> {
        let path = parts.uri.path_and_query().map_or("/ui/", |path| path.as_str());
        let back = parts.method.is_safe().then_some(path);
        visit(&parts.headers, ui, back).await
    }
}

async fn visit(headers: &HeaderMap, ui: &Ui, back: Option<&str>) -> Result<Visit, Response> {
    let to_sign_in = |why: &str| {
        let back = back.map(|back| format!("&to={}", escape(back))).unwrap_or_default();
        Redirect::to(&format!("{SIGN_IN}?why={why}{back}")).into_response()
    };
    let Some(session) = ui.sessions.of(headers, ui.now_s()) else {
        return Err(to_sign_in(if headers.contains_key(header::COOKIE) { "ended" } else { "new" }));
    };
    let admitted = ui.authenticator.authenticate(&bearer(session.key.as_deref())).await;
    let admitted = admitted.map_err(|_| to_sign_in("ended"))?;
    Ok(Visit {
        api: Api { router: ui.api.clone(), key: session.key },
        who: admitted.principal,
        token: Sessions::token(headers),
        flash: ui.sessions.take_flash(headers).map(|(message, _)| message),
    })
}

/// The headers of a request with this key.
pub(super) fn bearer(key: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = key.and_then(|key| HeaderValue::try_from(format!("Bearer {key}")).ok());
    headers.extend(value.map(|value| (header::AUTHORIZATION, value)));
    headers
}

/// A form that this site's own page sent.
pub(super) struct Posted {
    pub(super) visit: Visit,
    fields: Vec<(String, String)>,
}

impl Posted {
    /// A field of the form. A field that is left out is empty.
    pub(super) fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.trim())
    }
}

impl FromRequest<Arc<Ui>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, ui: &Arc<Ui>) -> Result<Self, Response> {
        if is_cross_site(request.headers()) {
            return Err(frame::refused("This form was sent by another site, so it was refused."));
        }
        let visit = visit(request.headers(), ui, None).await?;
        let body = Bytes::from_request(request, ui).await.map_err(IntoResponse::into_response)?;
        let posted = Self { visit, fields: fields(&body) };
        let (given, expected) = (posted.field("token").as_bytes(), posted.visit.token.as_bytes());
        if !bool::from(given.ct_eq(expected)) {
            let why = "This form belongs to a session that has ended. Go back, reload the page, and \
                       send it again.";
            return Err(frame::refused(why));
        }
        Ok(posted)
    }
}

/// The fields of a form.
pub(super) fn fields(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

/// Whether a browser says that another site caused the request.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    !matches!(site, None | Some(b"same-origin" | b"none"))
}
