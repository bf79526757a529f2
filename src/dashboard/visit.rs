//! Who looks at a page: the session of a request, checked against its key.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use subtle::ConstantTimeEq as _;

use super::Ui;
use super::client::{Api, escape};
use super::flash::Flash;
use super::format::Time;
use super::frame::{self, Frame};
use super::resume;
use super::session::Sessions;
use crate::access::{Action, Environment, Principal, Role};

/// A signed-in request.
pub(super) struct Visit {
    /// The API with the session's key.
    pub(super) api: Api,
    /// Whose key it is.
    pub(super) who: Arc<Principal>,
    /// What the pages share.
    pub(super) ui: Arc<Ui>,
    /// The token for this page's forms.
    pub(super) token: String,
    /// The message of the last action, if there was one.
    flash: Option<Flash>,
    /// When the session ends, in Unix seconds.
    ends_s: i64,
}

impl Visit {
    /// Whether the key is an operator's.
    pub(super) fn is_operator(&self) -> bool {
        self.who.role == Role::Operator
    }

    /// The frame around a page of a tenant.
    pub(super) fn frame(&self, tenant: &str, title: &str, current: &'static str) -> Frame {
        Frame {
            base: self.ui.base.clone(),
            title: title.to_owned(),
            tenant: tenant.to_owned(),
            current,
            operator: self.is_operator(),
            may_change: self.who.may(Action::Write),
            may_make_keys: self.who.may(Action::Keys),
            test: self.who.environment == Environment::Test,
            portal_ends: self.who.portal.then(|| Time::ms(self.ends_s.saturating_mul(1_000))),
            token: self.token.clone(),
            flash: self.flash.clone(),
        }
    }

    /// The time.
    pub(super) fn now_ms(&self) -> i64 {
        self.ui.clock.now_ms()
    }

    /// Goes to a page, which then says what happened.
    pub(super) fn go(&self, to: &str, flash: impl Into<Flash>) -> Response {
        let cookie = self.ui.sessions.flash(flash.into()).ok();
        (cookie.map(|cookie| [(header::SET_COOKIE, cookie)]), Redirect::to(to)).into_response()
    }
}

impl FromRequestParts<Arc<Ui>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Self, Response> {
        visit(&parts.headers, ui).await.map_err(|missing| {
            let path = parts.uri.path_and_query().map_or("/ui/", |path| path.as_str());
            let back = if parts.method.is_safe() { escape(path) } else { String::new() };
            let (base, why) = (&ui.base, missing.word());
            Redirect::to(&format!("{base}/sign-in?why={why}&to={back}")).into_response()
        })
    }
}

/// Why a request has no session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It never had one.
    New,
    /// Its session has ended.
    Ended,
}

impl Missing {
    fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ended => "ended",
        }
    }
}

async fn visit(headers: &HeaderMap, ui: &Arc<Ui>) -> Result<Visit, Missing> {
    let Some(session) = ui.sessions.of(headers, ui.now_s()) else {
        let had_one = Sessions::is_given(headers);
        return Err(if had_one { Missing::Ended } else { Missing::New });
    };
    let admitted = ui.authenticator.authenticate(&bearer(session.key.as_deref())).await;
    let admitted = admitted.map_err(|_| Missing::Ended)?;
    Ok(Visit {
        api: Api { router: ui.api.clone(), key: session.key },
        who: admitted.principal,
        ui: ui.clone(),
        token: Sessions::token(headers),
        flash: ui.sessions.take_flash(headers).map(|(flash, _)| flash),
        ends_s: session.ends_s,
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
    pub(super) fields: Fields,
}

/// The fields of a form, in order. A name may occur several times.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// A field. A field that is left out is empty.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// A field that is not empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// All values of a field that are not empty.
    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }
}

impl Posted {
    /// A field of the form. A field that is left out is empty.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name)
    }
}

impl FromRequest<Arc<Ui>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, ui: &Arc<Ui>) -> Result<Self, Response> {
        if is_cross_site(request.headers()) {
            let why = "This form was sent by another site, so it was refused.";
            return Err(frame::refused(&ui.base, why));
        }
        let path = request.uri().path().to_owned();
        let visit = visit(request.headers(), ui).await;
        let body = Bytes::from_request(request, ui).await.map_err(IntoResponse::into_response)?;
        let fields = Fields::parse(&body);
        // What was typed is kept while the person signs in again.
        let visit = match visit {
            Ok(visit) => visit,
            Err(missing) => return Err(resume::ask_to_sign_in(ui, missing.word(), &path, &fields)),
        };
        let (given, expected) = (fields.get("token").as_bytes(), visit.token.as_bytes());
        if bool::from(given.ct_eq(expected)) {
            return Ok(Self { visit, fields });
        }
        Err(resume::ask_to_confirm(ui, &visit.token, &path, &fields))
    }
}

/// Whether a browser says that another site caused the request.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    !matches!(site, None | Some(b"same-origin" | b"none"))
}
