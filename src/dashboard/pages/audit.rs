//! The audit trail: who changed what, and when.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::{Listed, Paged, frame, or_problem};
use crate::dashboard::client::{path, query};
use crate::dashboard::format::{Time, cut};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

/// Longest value in a difference, in characters.
const VALUE_SHOWN: usize = 120;

#[derive(Deserialize)]
struct Entry {
    at_ms: i64,
    by: String,
    action: String,
    resource: String,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    outcome: String,
}

impl Entry {
    fn at(&self) -> Time {
        Time::ms(self.at_ms)
    }

    /// What differs: field, before, after.
    fn differences(&self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        compare("", &self.before, &self.after, &mut found);
        found
    }
}

fn compare(place: &str, before: &Value, after: &Value, found: &mut Vec<(String, String, String)>) {
    if before == after {
        return;
    }
    if let (Value::Object(one), Value::Object(other)) = (before, after) {
        let added = other.keys().filter(|key| !one.contains_key(*key));
        for key in one.keys().chain(added) {
            let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            let at =
                |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            compare(&place, &at(one), &at(other), found);
        }
        return;
    }
    found.push((place.to_owned(), short(before), short(after)));
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => return "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    cut(&text, VALUE_SHOWN)
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    entries: Vec<Entry>,
    next: Option<String>,
}

/// Lists the changes, newest first.
pub(in crate::dashboard) async fn list(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Paged>,
) -> Response {
    let asked = query(&[("limit", Some("50")), ("cursor", asked.cursor.as_deref())]);
    let all = path(&["tenants", &tenant, "audit"]) + &asked;
    let shown = visit.api.get::<Listed<Entry>>(&all).await.map(|found| {
        let frame = frame(&visit, &tenant, "Audit trail", "audit");
        let next = found.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))]));
        page(&Page { frame, entries: found.data, next })
    });
    or_problem(&visit, &tenant, shown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_names_the_field_and_both_values() {
        let (before, after) = (
            json!({"settings": {"rate": "1/s", "url": "https://a/"}}),
            json!({"settings": {"url": "https://a/", "timeout": "5s"}}),
        );
        let mut found = Vec::new();
        compare("", &before, &after, &mut found);
        let line = |place: &str, before: &str, after: &str| {
            (place.to_owned(), before.to_owned(), after.to_owned())
        };
        let expected = [line("settings.rate", "1/s", "–"), line("settings.timeout", "–", "5s")];
        assert_eq!(found, expected);
    }
}
