//! A question before an action that is hard to undo. It is a page, so it works without JavaScript.

use askama::Template;
use axum::response::Response;

use super::frame;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Posted;

/// The field that says that the person was asked.
const SURE: &str = "sure";

/// A question.
pub(super) struct Question<'q> {
    pub(super) heading: String,
    /// What happens.
    pub(super) consequence: String,
    /// The word on the button.
    pub(super) label: &'q str,
    /// The entry of the navigation.
    pub(super) current: &'static str,
    /// Where the person goes without doing it.
    pub(super) back: String,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Page<'q> {
    frame: Frame,
    question: Question<'q>,
    fields: Vec<(String, String)>,
}

/// Whether the person has confirmed the form.
pub(super) fn is_sure(posted: &Posted) -> bool {
    !posted.field(SURE).is_empty()
}

/// Asks. The answer sends the same form to the same address again.
pub(super) fn ask(posted: &Posted, tenant: &str, question: Question<'_>) -> Response {
    let fields = posted.fields.0.iter().filter(|(name, _)| name != "token").cloned();
    let fields = fields.chain([(SURE.to_owned(), "yes".to_owned())]).collect();
    let frame = frame(&posted.visit, tenant, &question.heading, question.current);
    page(&Page { frame, question, fields })
}
