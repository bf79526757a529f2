//! Creating and editing a destination.

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::destination_fields::{CHANNELS, channel_name, form};
use super::{frame, or_problem};
use crate::dashboard::client::{Problem, path};
use crate::dashboard::flash::Flash;
use crate::dashboard::form::{Form, patch, settings};
use crate::dashboard::frame::{Frame, page, show};
use crate::dashboard::visit::{Posted, Visit};

#[derive(Deserialize)]
pub(in crate::dashboard) struct Asked {
    #[serde(default)]
    channel: String,
}

/// The choice of a channel.
#[derive(Template)]
#[template(path = "new_destination.html")]
struct ChoicePage {
    frame: Frame,
}

#[derive(Template)]
#[template(path = "destination_form.html")]
struct FormPage {
    frame: Frame,
    channel: String,
    /// The destination that is edited.
    id: Option<String>,
    form: Form,
}

impl FormPage {
    fn new(visit: &Visit, tenant: &str, channel: &str, id: Option<&str>, form: Form) -> Self {
        let title = match id {
            Some(id) => format!("Edit {id}"),
            None => format!("New destination: {}", channel_name(channel)),
        };
        let frame = frame(visit, tenant, &title, "destinations");
        Self { frame, channel: channel.to_owned(), id: id.map(str::to_owned), form }
    }

    /// Where to go without saving.
    fn back(&self) -> String {
        match &self.id {
            Some(id) => self.frame.of("destinations", id),
            None => self.frame.at("destinations"),
        }
    }
}

/// Asks for the channel, then for its settings.
pub(in crate::dashboard) async fn new(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    match form(&asked.channel, None) {
        Some(form) => page(&FormPage::new(&visit, &tenant, &asked.channel, None, form)),
        None => {
            let frame = frame(&visit, &tenant, "New destination", "destinations");
            page(&ChoicePage { frame })
        }
    }
}

/// Creates a destination, or shows the form again with what is wrong.
pub(in crate::dashboard) async fn create(Path(tenant): Path<String>, posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let channel = fields.get("channel");
    let Some(form) = form(channel, None) else {
        return Redirect::to(&visit.frame(&tenant, "", "").at("new-destination")).into_response();
    };
    let form = form.fill(&fields);
    let id = fields.get("id");
    let body = json!({"id": id, "channel": channel, "settings": settings(&form, &Map::new())});
    let checks = fields.given("check").is_some();
    let resource = path(&["tenants", &tenant, "destinations"]) + dry_run(checks);
    let answer = visit.api.send(Method::POST, &resource, Some(&body)).await;
    if checks {
        return checked(form, answer);
    }
    match answer {
        Ok(made) => {
            let to = visit.frame(&tenant, "", "").of("destinations", id);
            let text = format!("{id} is created. Send a test event to see what it answers.");
            visit.go(&to, Flash { secrets: secrets(&made), ..Flash::from(text) })
        }
        Err(problem) => refused(&visit, &tenant, problem, |visit, problem| {
            FormPage::new(visit, &tenant, channel, None, form.refused(problem))
        }),
    }
}

/// Shows the settings of a destination in a form.
pub(in crate::dashboard) async fn edit(
    visit: Visit,
    Path((tenant, id)): Path<(String, String)>,
) -> Response {
    let shown = read(&visit, &tenant, &id).await.map(|(channel, before, version)| {
        let form = form(&channel, Some((&id, &before))).unwrap_or_default();
        let form = Form { version, ..form };
        page(&FormPage::new(&visit, &tenant, &channel, Some(&id), form))
    });
    or_problem(&visit, &tenant, shown)
}

#[derive(Deserialize)]
struct Destination {
    channel: String,
    settings: Map<String, Value>,
}

/// A destination's channel, settings and version.
async fn read(
    visit: &Visit,
    tenant: &str,
    id: &str,
) -> Result<(String, Map<String, Value>, String), Problem> {
    let resource = path(&["tenants", tenant, "destinations", id]);
    let (found, version) = visit.api.get_tagged::<Destination>(&resource).await?;
    Ok((found.channel, found.settings, version))
}

/// Changes a destination, or shows the form again with what is wrong.
pub(in crate::dashboard) async fn update(
    Path((tenant, id)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let Posted { visit, fields } = posted;
    let (channel, before, _) = match read(&visit, &tenant, &id).await {
        Ok(found) => found,
        Err(why) => return or_problem(&visit, &tenant, Err(why)),
    };
    let form = form(&channel, Some((&id, &before))).unwrap_or_default().fill(&fields);
    let change = patch(&before, &settings(&form, &before));
    let checks = fields.given("check").is_some();
    let resource = path(&["tenants", &tenant, "destinations", &id]) + dry_run(checks);
    let body = json!({"settings": change});
    let version = fields.given("version").filter(|_| !checks);
    let answer = visit.api.send_if(Method::PATCH, &resource, Some(&body), version).await;
    if checks {
        return checked(form, answer);
    }
    match answer {
        Ok(made) => {
            let to = visit.frame(&tenant, "", "").of("destinations", &id);
            let text = format!("{id} is saved. It applies to everything that is sent from now on.");
            visit.go(&to, Flash { secrets: secrets(&made), ..Flash::from(text) })
        }
        Err(problem) => refused(&visit, &tenant, problem, |visit, problem| {
            FormPage::new(visit, &tenant, &channel, Some(&id), form.refused(problem))
        }),
    }
}

fn dry_run(checks: bool) -> &'static str {
    if checks { "?dry_run=true" } else { "" }
}

/// The generated values of an answer, which are shown once.
pub(super) fn secrets(answer: &Value) -> Vec<(String, String)> {
    let once = answer["shown_once"].as_object().into_iter().flatten();
    let label = |name: &str| match name {
        "secret" => "Signing secret".to_owned(),
        other => other.to_owned(),
    };
    once.map(|(name, value)| (label(name), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// What is wrong beside each field, for the script, which asks while a person types.
pub(super) fn checked(form: Form, answer: Result<Value, Problem>) -> Response {
    let form = match answer {
        Err(problem) if problem.is_about_the_form() => form.refused(&problem),
        _ => form,
    };
    Json(json!({"fields": form.messages(), "form": form.errors})).into_response()
}

/// The form again, if something is wrong with what was typed. Otherwise a page that says why.
pub(super) fn refused<T: Template>(
    visit: &Visit,
    tenant: &str,
    problem: Problem,
    again: impl FnOnce(&Visit, &Problem) -> T,
) -> Response {
    if problem.is_about_the_form() {
        return show(StatusCode::UNPROCESSABLE_ENTITY, &again(visit, &problem));
    }
    or_problem(visit, tenant, Err(problem))
}
