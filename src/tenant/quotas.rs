//! The quotas on a tenant's document: how much of what it may contain.

use serde_json::Value;

use super::{Problem, TenantSpec};
use crate::quota::{Limits, Quota};

/// What a document uses of each quota that is about documents.
pub fn document_usage(spec: &TenantSpec) -> [(Quota, u64); 4] {
    let values = spec.routes.iter().filter_map(|route| route.when.as_ref()).map(values);
    let templates = spec.templates.iter().map(|(path, text)| (path.len() + text.len()) as u64);
    [
        (Quota::Destinations, spec.destinations.len() as u64),
        (Quota::Routes, spec.routes.len() as u64),
        (Quota::FilterValues, values.sum()),
        (Quota::TemplateBytes, templates.sum()),
    ]
}

/// The quotas that a document exceeds and that its previous version did not exceed as far. So a
/// tenant that is beyond a new quota can still change everything else.
pub fn over_quota(
    limits: &Limits,
    before: Option<&TenantSpec>,
    spec: &TenantSpec,
) -> Vec<(Quota, Problem)> {
    let before = before.map(document_usage);
    let used = document_usage(spec).into_iter().enumerate();
    let exceeded = used.filter_map(|(place, (quota, used))| {
        let limit = limits.get(quota).filter(|limit| used > *limit)?;
        let grows = before.is_none_or(|before| used > before[place].1);
        grows.then(|| (quota, problem(quota, used, limit)))
    });
    exceeded.collect()
}

fn problem(quota: Quota, used: u64, limit: u64) -> Problem {
    let message = format!(
        "would be {used}, and the tenant's quota `{quota}` is {limit}; use less, or ask an \
         operator for a higher quota"
    );
    Problem::new("tenant", quota.name(), message)
}

/// The texts, numbers, booleans and nulls of a filter.
fn values(filter: &Value) -> u64 {
    match filter {
        Value::Array(list) => list.iter().map(values).sum(),
        Value::Object(map) => map.values().map(values).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(destinations: usize, when: &Value, template: &str) -> TenantSpec {
        let one = |n: usize| json!({"id": format!("d{n}"), "channel": "poll"});
        let destinations: Vec<_> = (0..destinations).map(one).collect();
        let document = json!({
            "id": "acme", "name": "Acme", "destinations": destinations,
            "routes": [{"events": ["a"], "to": ["d0"], "when": when}],
            "templates": {"email/a/subject.txt.hbs": template},
        });
        serde_json::from_value(document).expect("a document")
    }

    #[test]
    fn a_documents_usage_is_counted() {
        let when =
            json!({"data": {"a": ["x", {"anything-but": ["y", "z"]}], "b": [{"exists": true}]}});
        let used = document_usage(&spec(3, &when, "Hello"));
        let path = "email/a/subject.txt.hbs".len() as u64;
        let expected = [
            (Quota::Destinations, 3),
            (Quota::Routes, 1),
            (Quota::FilterValues, 4),
            (Quota::TemplateBytes, path + 5),
        ];
        assert_eq!(used, expected);
    }

    #[test]
    fn only_a_change_that_increases_what_is_beyond_a_quota_is_refused() {
        let limits = Limits::new(|quota| u64::from(quota == Quota::Destinations) * 2);
        let sized = |destinations| spec(destinations, &json!({"data": {"a": ["x"]}}), "");
        let refused = |before: Option<usize>, now| {
            let over = over_quota(&limits, before.map(sized).as_ref(), &sized(now));
            over.into_iter().map(|(quota, _)| quota).collect::<Vec<_>>()
        };
        assert_eq!(refused(None, 2), []);
        assert_eq!(refused(None, 3), [Quota::Destinations]);
        assert_eq!(refused(Some(2), 3), [Quota::Destinations]);
        assert_eq!(refused(Some(5), 5), []);
        assert_eq!(refused(Some(5), 4), []);
        assert_eq!(refused(Some(5), 6), [Quota::Destinations]);
        let (_, problem) = over_quota(&limits, None, &sized(3)).remove(0);
        assert_eq!(
            problem.to_string(),
            "tenant, destinations: would be 3, and the tenant's quota `destinations` is 2; use \
             less, or ask an operator for a higher quota"
        );
    }
}
