//! Routes: the list, as sentences.

use askama::Template;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::confirm::{self, Question};
use super::{Listed, done, frame, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::filter;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

/// A route as the API shows it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Route {
    #[serde(skip_serializing)]
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) events: Vec<String>,
    #[serde(default)]
    pub(super) except: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<Map<String, Value>>,
    pub(super) to: Vec<String>,
    pub(super) enabled: bool,
}

impl Route {
    /// What people call it.
    pub(super) fn label(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.id)
    }

    /// Its filter in words.
    pub(super) fn condition(&self) -> Option<String> {
        self.when.as_ref().map(filter::words)
    }
}

/// All routes, as the API shows them. Their number is bounded by the tenant's quota.
pub(super) async fn all(visit: &Visit, tenant: &str) -> Result<Vec<Route>, Problem> {
    let mut routes = Vec::new();
    let mut cursor = None;
    loop {
        let asked = query(&[("limit", Some("1000")), ("cursor", cursor.as_deref())]);
        let resource = path(&["tenants", tenant, "routes"]) + &asked;
        let found: Listed<Route> = visit.api.get(&resource).await?;
        routes.extend(found.data);
        match found.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(routes),
        }
    }
}

#[derive(Template)]
#[template(path = "routes.html")]
struct Page {
    frame: Frame,
    routes: Vec<Route>,
}

/// Lists the routes.
pub(in crate::dashboard) async fn list(visit: Visit, Path(tenant): Path<String>) -> Response {
    let shown = all(&visit, &tenant).await.map(|routes| {
        let frame = frame(&visit, &tenant, "Routes", "routes");
        page(&Page { frame, routes })
    });
    or_problem(&visit, &tenant, shown)
}

/// Enables, disables or deletes a route.
pub(in crate::dashboard) async fn act(
    Path((tenant, id, action)): Path<(String, String, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let frame = visit.frame(&tenant, "", "");
    let resource = path(&["tenants", &tenant, "routes", &id]);
    if action == "delete" && !confirm::is_sure(&posted) {
        let question = Question {
            heading: "Delete this route?".to_owned(),
            consequence: "Events that only this route matches go nowhere. What is already on its \
                          way is still delivered."
                .to_owned(),
            label: "Delete it",
            current: "routes",
            back: frame.of("routes", &id),
        };
        return confirm::ask(&posted, &tenant, question);
    }
    let result = match &*action {
        "delete" => visit.api.send(Method::DELETE, &resource, None).await.map(|_| "deleted"),
        "enable" => switch(visit, &resource, true).await.map(|()| "enabled"),
        "disable" => switch(visit, &resource, false).await.map(|()| "disabled"),
        _ => Err(Problem::field("", "There is no such action")),
    };
    done(visit, &frame.at("routes"), result.map(|what| format!("The route is {what}.")))
}

async fn switch(visit: &Visit, resource: &str, enabled: bool) -> Result<(), Problem> {
    let (mut route, version) = visit.api.get_tagged::<Route>(resource).await?;
    route.enabled = enabled;
    visit.api.send_if(Method::PUT, resource, Some(&json!(route)), Some(&version)).await?;
    Ok(())
}
