//! The editor of a template, with a preview in a frame.
//!
//! The frame shows what is in the editor, also before it is saved: the form is posted into it. The
//! HTML of a mail needs inline styles, so its document has a policy of its own. It is sandboxed: it
//! runs no script, loads nothing but images, and has no access to the page around it.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::slack::{self, Block, Message};
use super::templates::PARTS;
use super::{Listed, done, frame, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::form::{Field, Form, Json};
use crate::dashboard::frame::{Frame, page, show as show_page};
use crate::dashboard::visit::{Posted, Visit};

/// The policy of the document of a mail.
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; \
                           sandbox; frame-ancestors 'self'";

#[derive(Deserialize)]
pub(in crate::dashboard) struct Asked {
    #[serde(default)]
    part: String,
}

impl Asked {
    fn part(&self) -> &'static str {
        part(&self.part)
    }
}

/// A known part. The HTML is the default.
fn part(asked: &str) -> &'static str {
    PARTS.iter().find(|(name, _)| *name == asked).map_or("html", |(name, _)| name)
}

#[derive(Deserialize)]
struct Stored {
    source: String,
    origin: String,
}

#[derive(Template)]
#[template(path = "template.html")]
struct Page {
    frame: Frame,
    kind: String,
    part: &'static str,
    origin: String,
    form: Form,
}

impl Page {
    fn source(&self) -> &Field {
        &self.form.fields[0]
    }

    fn at(&self) -> String {
        self.frame.of("templates", &self.kind)
    }
}

fn form(source: String, version: String) -> Form {
    let hint = "Handlebars. The preview shows a sample event. It is not saved until you save it.";
    let source = Field { value: source, ..Field::new("source", "Source", hint) };
    Form { fields: vec![source.lines(Json::Text)], version, ..Form::default() }
}

fn resource(tenant: &str, kind: &str, part: &str) -> String {
    path(&["tenants", tenant, "templates", kind, part])
}

/// Shows the editor.
pub(in crate::dashboard) async fn show(
    visit: Visit,
    Path((tenant, kind)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    let part = asked.part();
    let found = visit.api.get_tagged::<Stored>(&resource(&tenant, &kind, part)).await;
    // A type without a template of its own begins with an empty one.
    let found = match found {
        Err(problem) if problem.status == StatusCode::NOT_FOUND => {
            let none = Stored { source: String::new(), origin: "none".to_owned() };
            Ok((none, String::new()))
        }
        found => found,
    };
    let shown = found.map(|(stored, version)| {
        let frame = frame(&visit, &tenant, &kind, "templates");
        let form = form(stored.source, version);
        page(&Page { frame, kind, part, origin: stored.origin, form })
    });
    or_problem(&visit, &tenant, shown)
}

/// Saves a template, deletes the tenant's own one, or previews what is in the editor.
pub(in crate::dashboard) async fn change(
    Path((tenant, kind)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let Posted { visit, fields } = posted;
    let part = part(fields.get("part"));
    // Browsers send line breaks as CRLF.
    let raw = fields.0.iter().find(|(name, _)| name == "source");
    let source = raw.map(|(_, text)| text.replace("\r\n", "\n")).unwrap_or_default();
    let resource = resource(&tenant, &kind, part);
    let to = visit.frame(&tenant, "", "").of("templates", &kind);
    let to = to + &query(&[("part", Some(part))]);
    match fields.get("do") {
        "preview" => preview(&visit, &tenant, &kind, part, Some(&source)).await,
        "delete" => {
            let answer = visit.api.send(Method::DELETE, &resource, None).await;
            let text = "Your own template is deleted. The server's or the built-in one applies.";
            done(&visit, &to, answer.map(|_| text))
        }
        _ => {
            let body = json!({"source": source});
            let version = fields.given("version");
            match visit.api.send_if(Method::PUT, &resource, Some(&body), version).await {
                Ok(_) => visit.go(&to, "The template is saved. It applies to the next message."),
                Err(problem) if problem.is_about_the_form() => {
                    let form = form(source, fields.get("version").to_owned()).refused(&problem);
                    let frame = frame(&visit, &tenant, &kind, "templates");
                    let origin = "draft".to_owned();
                    let again = Page { frame, kind, part, origin, form };
                    show_page(StatusCode::UNPROCESSABLE_ENTITY, &again)
                }
                Err(problem) => or_problem(&visit, &tenant, Err(problem)),
            }
        }
    }
}

/// Shows the stored template in the frame.
pub(in crate::dashboard) async fn stored_preview(
    visit: Visit,
    Path((tenant, kind)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    preview(&visit, &tenant, &kind, asked.part(), None).await
}

/// A text, a subject or an error in the frame.
#[derive(Template)]
#[template(path = "preview_text.html")]
struct TextPreview<'a> {
    base: &'a str,
    text: &'a str,
    bad: bool,
}

/// A Slack message in the frame.
#[derive(Template)]
#[template(path = "preview_slack.html")]
struct SlackPreview<'a> {
    base: &'a str,
    message: Message,
}

async fn preview(
    visit: &Visit,
    tenant: &str,
    kind: &str,
    part: &str,
    draft: Option<&str>,
) -> Response {
    let base = &*visit.ui.base;
    let mut answer = match render(visit, tenant, kind, part, draft).await {
        Ok(rendered) => match part {
            "html" => {
                let html = rendered[part].as_str().unwrap_or_default().to_owned();
                let policy = HeaderValue::from_static(MAIL_POLICY);
                ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
            }
            "slack" => page(&SlackPreview { base, message: slack::message(&rendered[part]) }),
            _ => {
                let text = rendered[part].as_str().unwrap_or_default();
                page(&TextPreview { base, text, bad: false })
            }
        },
        Err(problem) => page(&TextPreview { base, text: &problem.in_words(), bad: true }),
    };
    allow_own_frame(answer.headers_mut());
    answer
}

/// The dashboard's own pages may show this document in a frame.
fn allow_own_frame(headers: &mut HeaderMap) {
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    let policy =
        "default-src 'none'; style-src 'self'; sandbox allow-same-origin; frame-ancestors 'self'";
    let policy = HeaderValue::from_static(policy);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    let corp = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(corp, HeaderValue::from_static("same-origin"));
}

async fn render(
    visit: &Visit,
    tenant: &str,
    kind: &str,
    part: &str,
    draft: Option<&str>,
) -> Result<Value, Problem> {
    let resource = path(&["tenants", tenant, "templates", "preview"]);
    let mut body = json!({"type": kind, "parts": [part]});
    if let Some(source) = draft {
        body["templates"] = json!({part: source});
    }
    match visit.api.send(Method::POST, &resource, Some(&body)).await {
        // A type of the tenant's own has no sample, so its newest event takes its place.
        Err(problem) if problem.details.iter().any(|detail| detail.field == "type") => {
            let mut whole = serde_json::Map::new();
            whole.insert("parts".to_owned(), json!([part]));
            if let Some(source) = draft {
                whole.insert("templates".to_owned(), json!({part: source}));
            }
            whole.insert("event".to_owned(), newest(visit, tenant, kind).await?);
            visit.api.send(Method::POST, &resource, Some(&Value::Object(whole))).await
        }
        answer => answer,
    }
}

#[derive(Deserialize)]
struct Line {
    id: String,
}

#[derive(Deserialize)]
struct Whole {
    event: Box<RawValue>,
}

/// The newest event of a type, or an invented one.
async fn newest(visit: &Visit, tenant: &str, kind: &str) -> Result<Value, Problem> {
    let asked = query(&[("type", Some(kind)), ("environment", Some("all")), ("limit", Some("1"))]);
    let asked = path(&["tenants", tenant, "events"]) + &asked;
    let found: Listed<Line> = visit.api.get(&asked).await.or_else(|problem| {
        let none = Listed { data: Vec::new(), next_cursor: None };
        if problem.is_about_the_form() { Ok(none) } else { Err(problem) }
    })?;
    let Some(Line { id }) = found.data.first() else {
        let data = json!({"message": "There is no event of this type yet."});
        return Ok(json!({"type": kind, "data": data}));
    };
    let whole: Whole = visit.api.get(&path(&["tenants", tenant, "events", id])).await?;
    serde_json::from_str(whole.event.get()).map_err(Problem::internal)
}
