//! What surrounds every page: navigation, messages, problems, and the headers of the answer.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::Ui;
use super::client::{Problem, escape};
use super::flash::Flash;
use super::format::Time;
use super::visit::Visit;

/// The navigation and the message at the top of a page.
#[derive(Default)]
pub(super) struct Frame {
    /// The path of the dashboard for browsers.
    pub(super) base: Arc<str>,
    pub(super) title: String,
    /// The tenant whose page it is. Empty on an operator's page.
    pub(super) tenant: String,
    /// The entry of the navigation to which the page belongs.
    pub(super) current: &'static str,
    pub(super) operator: bool,
    pub(super) may_change: bool,
    pub(super) may_make_keys: bool,
    pub(super) test: bool,
    /// When the session ends, if it began with a portal link.
    pub(super) portal_ends: Option<Time>,
    pub(super) token: String,
    pub(super) flash: Option<Flash>,
}

impl Frame {
    /// The path of one of the tenant's pages.
    pub(super) fn at(&self, page: &str) -> String {
        format!("{}/t/{}/{page}", self.base, escape(&self.tenant))
    }

    /// The path of a thing on one of the tenant's pages.
    pub(super) fn of(&self, page: &str, id: &str) -> String {
        format!("{}/{}", self.at(page), escape(id))
    }

    /// Marks the current entry of the navigation.
    pub(super) fn mark(&self, entry: &str) -> &'static str {
        if self.current == entry { "aria-current=page" } else { "" }
    }
}

/// Why a page cannot be shown.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    heading: &'a str,
    message: &'a str,
}

/// Renders a page.
pub(super) fn page(template: &impl Template) -> Response {
    show(StatusCode::OK, template)
}

/// Renders a page with a status.
pub(super) fn show(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the dashboard cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that says why there is none.
pub(super) fn problem(visit: &Visit, tenant: &str, problem: &Problem) -> Response {
    let heading = match problem.status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "This key may not do that",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::SERVICE_UNAVAILABLE => "The store does not answer",
        _ => "That did not work",
    };
    let frame = visit.frame(tenant, heading, "");
    show(problem.status, &ProblemPage { frame, heading, message: &problem.in_words() })
}

/// A refusal outside of any session.
pub(super) fn refused(base: &Arc<str>, message: &str) -> Response {
    let frame = Frame { base: base.clone(), title: "Refused".to_owned(), ..Frame::default() };
    show(StatusCode::FORBIDDEN, &ProblemPage { frame, heading: "Refused", message })
}

/// The headers of every answer under `/ui`.
const HEADERS: [(HeaderName, &str); 2] =
    [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "same-origin")];

/// The policy of every page. A page may show a preview of a mail in a frame, whose document has a
/// stricter policy of its own, and images of a tenant's logo.
pub(super) fn policy(ancestors: &[String]) -> String {
    let ancestors = if ancestors.is_empty() { "'none'".to_owned() } else { ancestors.join(" ") };
    format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src \
         'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    )
}

/// Adds the headers to an answer. What is behind a session is stored nowhere, and a message is shown
/// once.
pub(super) async fn add_headers(
    State(ui): State<Arc<Ui>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_file = path.starts_with("/ui/assets/") || path.ends_with("/live");
    let shows = request.method() == Method::GET && !is_file;
    let shown = shows.then(|| ui.sessions.take_flash(request.headers())).flatten();
    let mut response = next.run(request).await;
    let is_page = response.status().is_success() && has_type(&response, "text/html");
    let headers = response.headers_mut();
    if let Some((_, forget)) = shown.filter(|_| is_page) {
        headers.append(header::SET_COOKIE, forget);
    }
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(ui.policy.clone());
    if ui.frame_ancestors.is_empty() {
        let framing = headers.entry(header::X_FRAME_OPTIONS);
        framing.or_insert(HeaderValue::from_static("DENY"));
        let opener = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(opener, HeaderValue::from_static("same-origin"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn has_type(response: &Response, kind: &str) -> bool {
    let given = response.headers().get(header::CONTENT_TYPE);
    given.and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with(kind))
}
