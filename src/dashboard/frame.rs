//! What surrounds every page: navigation, messages, and the headers of the answer.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::Ui;
use super::client::Problem;
use super::visit::Visit;

/// The navigation and the message at the top of a page.
pub(super) struct Frame {
    pub(super) title: String,
    /// The tenant whose page it is. Empty on an operator's page.
    pub(super) tenant: String,
    /// The entry of the navigation to which the page belongs.
    pub(super) current: &'static str,
    pub(super) operator: bool,
    pub(super) may_change: bool,
    pub(super) test: bool,
    pub(super) token: String,
    pub(super) flash: Option<String>,
}

impl Frame {
    /// The path of one of the tenant's pages.
    pub(super) fn at(&self, page: &str) -> String {
        format!("/ui/t/{}/{page}", super::client::escape(&self.tenant))
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

fn show(status: StatusCode, template: &impl Template) -> Response {
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
        _ => "That did not work",
    };
    let frame = visit.frame(tenant, heading, "");
    let mut message = problem.message.clone();
    for detail in &problem.details {
        message += &[" ", &detail.field, ": ", &detail.message, "."].concat();
    }
    show(problem.status, &ProblemPage { frame, heading, message: &message })
}

/// A refusal outside of any session.
pub(super) fn refused(message: &str) -> Response {
    let frame = Frame {
        title: "Refused".to_owned(),
        tenant: String::new(),
        current: "",
        operator: false,
        may_change: false,
        test: false,
        token: String::new(),
        flash: None,
    };
    show(StatusCode::FORBIDDEN, &ProblemPage { frame, heading: "Refused", message })
}

/// The headers of every answer under `/ui`.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src \
         'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Adds the headers to an answer. What is behind a session is stored nowhere, and a message is shown
/// once.
pub(super) async fn add_headers(
    State(ui): State<Arc<Ui>>,
    request: Request,
    next: Next,
) -> Response {
    let shows = request.method() == Method::GET && request.uri().path().starts_with("/ui/t");
    let shown = shows.then(|| ui.sessions.take_flash(request.headers())).flatten();
    let mut response = next.run(request).await;
    let is_page = response.status().is_success();
    let headers = response.headers_mut();
    if let Some((_, forget)) = shown.filter(|_| is_page) {
        headers.append(header::SET_COOKIE, forget);
    }
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
