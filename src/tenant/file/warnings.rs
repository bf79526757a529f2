//! What a tenant file may contain and probably does not mean.

use serde_json::Value;

use super::super::spec::{Problem, TenantSpec};
use fanfare_routing::{RouteSpec, type_matches};

/// The fields of an event's envelope.
const ENVELOPE: [&str; 4] = ["id", "type", "created", "data"];

/// Everything suspicious in a document.
pub(super) fn warnings(spec: &TenantSpec) -> Vec<Problem> {
    let mut found = Vec::new();
    for one in &spec.destinations {
        let place = format!("destination \"{}\"", one.id);
        for (field, value) in &one.fields {
            literal(&place, field, value, &mut found);
        }
    }
    for (name, url) in &spec.links {
        literal("links", name, &Value::from(url.as_str()), &mut found);
    }
    for (nth, route) in spec.routes.iter().enumerate() {
        let place = match &route.name {
            Some(name) => format!("route {} \"{name}\"", nth + 1),
            None => format!("route {}", nth + 1),
        };
        found.extend(filter(&place, route));
        if !route.events.is_empty() && route.events.iter().all(|events| is_excluded(events, route))
        {
            let message = "excludes every type of `events`, so the route matches nothing";
            found.push(Problem::new(place, "except", message));
        }
    }
    found
}

/// `${NAME}` is text like any other.
fn literal(place: &str, field: &str, value: &Value, found: &mut Vec<Problem>) {
    match value {
        Value::String(text) => {
            if let Some(name) = variable(text) {
                let message = format!(
                    "contains `${{{name}}}`, which is taken literally; for the value of an \
                     environment variable write {{ env = \"{name}\" }}"
                );
                found.push(Problem::new(place, field, message));
            }
        }
        Value::Array(items) => {
            for (nth, item) in items.iter().enumerate() {
                literal(place, &format!("{field}[{nth}]"), item, found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                literal(place, &format!("{field}.{name}"), value, found);
            }
        }
        _ => {}
    }
}

/// The name in `${NAME}`.
pub fn variable(text: &str) -> Option<&str> {
    let (name, _) = text.split_once("${")?.1.split_once('}')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

/// A filter is compared with the whole event, so a field of `data` must be below `data`.
fn filter(place: &str, route: &RouteSpec) -> Option<Problem> {
    let fields = route.when.as_ref()?.as_object()?;
    let other = |key: &&String| !ENVELOPE.contains(&key.as_str()) && !key.starts_with('$');
    let key = fields.keys().find(other)?;
    let message = format!(
        "compares a field `{key}` beside `data`; if it is a field of the data, write {{ data = {{ {key} \
         = … }} }}"
    );
    Some(Problem::new(place, "when", message))
}

/// Whether the exceptions of a route exclude everything that a pattern matches.
fn is_excluded(pattern: &str, route: &RouteSpec) -> bool {
    // A pattern stands for types such as these.
    let types = [
        pattern.replace("**", "x").replace('*', "x"),
        pattern.replace("**", "x.y").replace('*', "x"),
    ];
    let excluded = |kind: &String| route.except.iter().any(|except| type_matches(except, kind));
    types.iter().all(excluded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::file::parse;

    fn warned(text: &str) -> Vec<String> {
        let whole = format!("[tenant]\nid = 'a'\n{text}");
        let spec = parse(&whole, &|_| None).expect("it is valid");
        warnings(&spec).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_probably_not_meant_is_a_warning() {
        let of = |text: &str| warned(text).concat();
        let secret = "[[destination]]\nid='x'\nchannel='webhook'\nheaders={a='k ${TOKEN}'}";
        assert!(
            of(secret).contains("destination \"x\", headers.a: contains `${TOKEN}`"),
            "{}",
            of(secret)
        );
        let filter = "[[route]]\nevents=['a.*']\nto=['x']\nwhen={risk=[1]}";
        assert!(of(filter).contains("route 1, when: compares a field `risk`"), "{}", of(filter));
        for except in ["a.*", "a.**", "**"] {
            let route = format!("[[route]]\nevents=['a.*']\nexcept=['{except}']\nto=['x']");
            assert!(of(&route).contains("route 1, except:"), "{except}");
        }
        for fine in [
            "[[route]]\nevents=['a.**']\nexcept=['a.*']\nto=['x']\nwhen={data={risk=[1]}}",
            "[links]\nsession='https://h/{data.id}'",
            "[[destination]]\nid='x'\nchannel='webhook'\nheaders={a='$5 {x}'}",
        ] {
            assert_eq!(of(fine), "", "{fine}");
        }
    }
}
