//! Query parameters: a parameter that an operation does not have is refused, on every path.
//!
//! The names come from the description of the operations, so no handler has to check them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::answer::{ApiError, Detail};
use fanfare_routing::did_you_mean;

/// Most unknown parameters that one answer names.
const MAX_DETAILS: usize = 20;

/// The names of the query parameters of every operation.
#[derive(Default)]
pub(super) struct QueryNames(HashMap<(Method, String), Vec<String>>);

impl QueryNames {
    /// The names in a description.
    pub(super) fn of<'d>(described: impl IntoIterator<Item = &'d OpenApi>) -> Self {
        let mut all = HashMap::new();
        let paths = described.into_iter().flat_map(|api| &api.paths.paths);
        for (path, item) in paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    all.insert((method, path.clone()), names(operation));
                }
            }
        }
        Self(all)
    }

    /// The names that a request may use. `None` for a path that is not described.
    fn allowed(&self, request: &Request) -> Option<&[String]> {
        let path = request.extensions().get::<MatchedPath>()?.as_str().to_owned();
        self.0.get(&(request.method().clone(), path)).map(Vec::as_slice)
    }
}

fn names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    let in_query = parameters.filter_map(|one| match one {
        RefOr::T(one) if one.parameter_in == ParameterIn::Query => Some(one.name.clone()),
        _ => None,
    });
    in_query.collect()
}

/// Refuses a request with a parameter that its operation does not have.
pub(super) async fn layer(
    State(names): State<Arc<QueryNames>>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let Some(allowed) = names.allowed(&request).filter(|_| !query.is_empty()) else {
        return next.run(request).await;
    };
    let details = unknown(query, allowed);
    if details.is_empty() {
        next.run(request).await
    } else {
        ApiError::fields(details).into_response()
    }
}

/// The parameters that are not allowed. `match[data.user]` is the parameter `match`.
fn unknown(query: &str, allowed: &[String]) -> Vec<Detail> {
    let given = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    let is_allowed = |name: &str| {
        let base = name.split('[').next().unwrap_or_default();
        allowed.iter().any(|one| one == name || one == base)
    };
    let unknown = given.filter(|name| !is_allowed(name)).take(MAX_DETAILS);
    let message = |name: &str| {
        if allowed.is_empty() {
            return "is unknown; this operation has no query parameters".to_owned();
        }
        match did_you_mean(name, allowed.iter().map(String::as_str)) {
            hint if hint.is_empty() => {
                format!("is unknown; the query parameters are `{}`", allowed.join("`, `"))
            }
            hint => format!("is unknown{hint}"),
        }
    };
    unknown
        .map(|name| Detail::new(name.chars().take(64).collect::<String>(), message(&name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_an_operation_does_not_have_are_refused() {
        let allowed = ["state".to_owned(), "match".to_owned()];
        let found = |query: &str| unknown(query, &allowed).into_iter().map(|one| one.message);
        assert_eq!(found("state=dead&match[data.x]=1&match%5Ba%5D=2").count(), 0);
        let messages: Vec<_> = found("stat=dead&limit=1").collect();
        assert_eq!(messages[0], "is unknown; did you mean `state`?");
        assert_eq!(messages[1], "is unknown; the query parameters are `state`, `match`");
        assert!(unknown("x=1", &[])[0].message.contains("no query parameters"));
    }
}
