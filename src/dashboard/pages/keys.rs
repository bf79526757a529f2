//! A tenant's API keys: listed, created and revoked. A new key is shown once.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::confirm::{self, Question};
use super::destination_form::refused;
use super::{Listed, Paged, done, frame, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::flash::Flash;
use crate::dashboard::form::{Field, Form};
use crate::dashboard::format::Time;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

/// The roles that a tenant's key can have: value and label.
const ROLES: [(&str, &str); 4] = [
    ("publisher", "Publisher: sends events"),
    ("reader", "Reader: sees everything of this tenant"),
    ("admin", "Admin: changes everything of this tenant"),
    ("consumer", "Consumer: reads mailboxes"),
];
const LIFETIMES: [(&str, &str); 5] = [
    ("", "Never"),
    ("86400", "In one day"),
    ("2592000", "In 30 days"),
    ("7776000", "In 90 days"),
    ("31536000", "In one year"),
];

#[derive(Deserialize)]
struct Key {
    id: String,
    hint: String,
    role: String,
    environment: String,
    label: String,
    created_ms: i64,
    expires_ms: Option<i64>,
    last_used_ms: Option<i64>,
    #[serde(default)]
    portal: bool,
}

impl Key {
    fn created(&self) -> Time {
        Time::ms(self.created_ms)
    }

    fn expires(&self) -> Option<Time> {
        self.expires_ms.map(Time::ms)
    }

    fn last_used(&self) -> Option<Time> {
        self.last_used_ms.map(Time::ms)
    }
}

#[derive(Template)]
#[template(path = "keys.html")]
struct Page {
    frame: Frame,
    keys: Vec<Key>,
    next: Option<String>,
    form: Form,
    now_ms: i64,
}

fn form() -> Form {
    Form {
        fields: vec![
            Field::new("label", "Label", "What the key is for, for people.").example("back office"),
            Field::new("role", "Role", "What the key may do.").choices(&ROLES),
            Field::new("environment", "Environment", "A test key sends and sees test events only.")
                .choices(&[("live", "Live"), ("test", "Test")]),
            Field::new("expires_in_seconds", "Expires", "").choices(&LIFETIMES),
        ],
        ..Form::default()
    }
}

/// Lists the keys.
pub(in crate::dashboard) async fn list(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Paged>,
) -> Response {
    let shown = read(&visit, &tenant, asked.cursor.as_deref(), form()).await;
    or_problem(&visit, &tenant, shown.map(|shown| page(&shown)))
}

async fn read(
    visit: &Visit,
    tenant: &str,
    cursor: Option<&str>,
    form: Form,
) -> Result<Page, Problem> {
    let asked = query(&[("limit", Some("100")), ("cursor", cursor)]);
    let found: Listed<Key> = visit.api.get(&(path(&["tenants", tenant, "keys"]) + &asked)).await?;
    Ok(Page {
        frame: frame(visit, tenant, "Keys", "keys"),
        keys: found.data,
        next: found.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))])),
        form,
        now_ms: visit.now_ms(),
    })
}

impl Page {
    fn is_expired(&self, key: &Key) -> bool {
        key.expires_ms.is_some_and(|expires| expires <= self.now_ms)
    }
}

/// Creates a key, or shows the form again with what is wrong.
pub(in crate::dashboard) async fn create(Path(tenant): Path<String>, posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let mut body = json!({
        "role": fields.get("role"),
        "environment": fields.get("environment"),
        "label": fields.get("label"),
    });
    if let Ok(seconds) = fields.get("expires_in_seconds").parse::<u32>() {
        body["expires_in_seconds"] = json!(seconds);
    }
    let resource = path(&["tenants", &tenant, "keys"]);
    match visit.api.send(Method::POST, &resource, Some(&body)).await {
        Ok(made) => {
            let key = made["key"].as_str().unwrap_or_default().to_owned();
            let text = "The key is created. Copy it now, because it is not shown again.";
            let secrets = vec![("New key".to_owned(), key)];
            let to = visit.frame(&tenant, "", "").at("keys");
            visit.go(&to, Flash { secrets, ..Flash::from(text) })
        }
        Err(problem) => {
            let form = form().fill(&fields).refused(&problem);
            match read(&visit, &tenant, None, form).await {
                Ok(again) => refused(&visit, &tenant, problem, |_, _| again),
                Err(why) => or_problem(&visit, &tenant, Err(why)),
            }
        }
    }
}

/// Revokes a key.
pub(in crate::dashboard) async fn revoke(
    Path((tenant, id)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let to = posted.visit.frame(&tenant, "", "").at("keys");
    if !confirm::is_sure(&posted) {
        let question = Question {
            heading: format!("Revoke the key {}?", posted.field("hint")),
            consequence: "Every server refuses it within a second. This cannot be undone."
                .to_owned(),
            label: "Revoke it",
            current: "keys",
            back: to,
        };
        return confirm::ask(&posted, &tenant, question);
    }
    let resource = path(&["tenants", &tenant, "keys", &id]);
    let answer = posted.visit.api.send(Method::DELETE, &resource, None).await;
    done(&posted.visit, &to, answer.map(|_| "The key is revoked."))
}
