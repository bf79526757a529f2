//! A form that arrives after its session has ended. What was typed is not lost: it waits in hidden
//! fields while the person signs in, and is sent after one more click.

use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::Ui;
use super::frame::show;
use super::sign_in::{self, SignIn};
use super::visit::Fields;

/// The field of the sign-in form that holds the address of a form that waits.
pub(super) const TO: &str = "resume_to";
/// Before the names of the fields that wait.
const FIELD: &str = "resume.";

/// A form that waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// Where it goes, as a path of the dashboard.
    pub(super) to: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Waiting {
    fn of(path: &str, fields: &Fields) -> Self {
        let kept = fields.0.iter().filter(|(name, _)| name != "token" && name != "check");
        Self { to: path.to_owned(), fields: kept.cloned().collect() }
    }

    /// The form that waits while this sign-in form was filled in.
    pub(super) fn carried(fields: &Fields) -> Option<Self> {
        let to = fields.given(TO).filter(|to| sign_in::is_page(to))?;
        let inner = fields.0.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix(FIELD)?.to_owned(), value.clone()))
        });
        Some(Self { to: to.to_owned(), fields: inner.collect() })
    }

    /// Its address for the browser.
    pub(super) fn action(&self, base: &str) -> String {
        [base, self.to.strip_prefix("/ui").unwrap_or_default()].concat()
    }

    /// The names of its fields in the sign-in form, with their values.
    pub(super) fn hidden<'w>(&'w self) -> Vec<(String, &'w str)> {
        let hidden = |(name, value): &'w (String, String)| (format!("{FIELD}{name}"), &**value);
        self.fields.iter().map(hidden).collect()
    }
}

/// The page that sends the form after one click.
#[derive(Template)]
#[template(path = "resume.html")]
struct Resume<'a> {
    base: &'a str,
    token: &'a str,
    waiting: &'a Waiting,
    heading: &'a str,
}

/// Asks for a key, and keeps the form.
pub(super) fn ask_to_sign_in(ui: &Arc<Ui>, why: &str, path: &str, fields: &Fields) -> Response {
    let waiting = Waiting::of(path, fields);
    let mut page = SignIn::new(ui, why);
    page.waiting = Some(waiting);
    show(StatusCode::UNAUTHORIZED, &page)
}

/// Asks whether to send a form whose token is not the session's: the person signed in again in
/// another tab.
pub(super) fn ask_to_confirm(ui: &Arc<Ui>, token: &str, path: &str, fields: &Fields) -> Response {
    let waiting = Waiting::of(path, fields);
    let heading = "You signed in again since this page was opened";
    let page = Resume { base: &ui.base, token, waiting: &waiting, heading };
    show(StatusCode::FORBIDDEN, &page)
}

/// Offers to send a form after its sender signed in.
pub(super) fn offer(ui: &Arc<Ui>, token: &str, waiting: &Waiting) -> Response {
    let heading = "You are signed in again";
    show(StatusCode::OK, &Resume { base: &ui.base, token, waiting, heading })
}
