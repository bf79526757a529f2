//! The tenants, for operators.

use askama::Template;
use axum::extract::Query;
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::destination_form::refused;
use super::{Listed, Paged, or_problem};
use crate::dashboard::client::{Problem, query};
use crate::dashboard::form::{Field, Form};
use crate::dashboard::format::number;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

#[derive(Deserialize)]
struct Tenant {
    id: String,
    name: String,
    destinations: u64,
    routes: u64,
}

impl Tenant {
    fn destinations(&self) -> String {
        number(self.destinations)
    }

    fn routes(&self) -> String {
        number(self.routes)
    }
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct Page {
    frame: Frame,
    tenants: Vec<Tenant>,
    next: Option<String>,
    form: Form,
}

fn form() -> Form {
    let id = Field::new("id", "Id", "Lower-case letters, digits, - and _. It cannot be changed.");
    let name = Field::new("name", "Name", "Shown in messages and here.");
    let fields = vec![id.example("acme").required(), name.example("Acme Bank")];
    Form { fields, ..Form::default() }
}

/// Lists the tenants.
pub(in crate::dashboard) async fn list(visit: Visit, Query(asked): Query<Paged>) -> Response {
    let shown = read(&visit, asked.cursor.as_deref(), form()).await;
    or_problem(&visit, "", shown.map(|shown| page(&shown)))
}

async fn read(visit: &Visit, cursor: Option<&str>, form: Form) -> Result<Page, Problem> {
    let asked = query(&[("limit", Some("50")), ("cursor", cursor)]);
    let found: Listed<Tenant> = visit.api.get(&format!("/tenants{asked}")).await?;
    Ok(Page {
        frame: visit.frame("", "Tenants", "tenants"),
        tenants: found.data,
        next: found.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))])),
        form,
    })
}

/// Creates a tenant, or shows the form again with what is wrong.
pub(in crate::dashboard) async fn create(posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let mut body = json!({"id": fields.get("id")});
    if let Some(name) = fields.given("name") {
        body["name"] = json!(name);
    }
    match visit.api.send(Method::POST, "/tenants", Some(&body)).await {
        Ok(_) => {
            let to = visit.frame(fields.get("id"), "", "").at("overview");
            visit.go(&to, "The tenant is created. Add a destination next.")
        }
        Err(problem) => match read(&visit, None, form().fill(&fields).refused(&problem)).await {
            Ok(again) => refused(&visit, "", problem, |_, _| again),
            Err(why) => or_problem(&visit, "", Err(why)),
        },
    }
}
