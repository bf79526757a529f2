//! Why a template does not render on an event, in the words of its author: the field, what is wrong
//! with it, and what to write instead.

use handlebars::RenderErrorReason;
use serde_json::Value;

/// The field that is missing or wrong, if known, and the message.
pub(super) struct Explanation {
    pub(super) field: Option<String>,
    pub(super) message: String,
}

/// Explains handlebars' `reason` at `expression`, the source of the call that failed.
pub(super) fn explain(
    reason: &RenderErrorReason,
    expression: &str,
    context: &Value,
) -> Explanation {
    let absent = || absent_field(expression, context);
    let (field, message) = match reason {
        RenderErrorReason::MissingVariable(path) => {
            let field = path.clone().filter(|path| !path.is_empty()).or_else(absent);
            let message = match &field {
                Some(field) if leads(field, context) => unusable(field, expression),
                field => missing(field.as_deref(), expression),
            };
            (field, message)
        }
        RenderErrorReason::InvalidJsonIndex(key) => {
            let field = absent().unwrap_or_else(|| key.clone());
            let message = format!(
                "the event has a list where the template expects an object with the field \
                 `{key}`; loop over the list with `{{{{#each}}}}`"
            );
            (Some(field), message)
        }
        RenderErrorReason::ParamNotFoundForIndex(helper, _)
        | RenderErrorReason::ParamNotFoundForName(helper, _) => match absent() {
            Some(field) => (Some(field.clone()), missing(Some(&field), expression)),
            None => (None, format!("`{expression}`: `{helper}` needs another parameter")),
        },
        RenderErrorReason::HelperNotFound(name) => {
            (None, format!("there is no helper `{name}`; check its name in {expression}"))
        }
        RenderErrorReason::InvalidParamType(expected) => {
            let field = first_path(expression).map(str::to_owned);
            (field, format!("`{expression}` needs a value of the type {expected}"))
        }
        RenderErrorReason::Other(message) => {
            (first_path(expression).map(str::to_owned), message.clone())
        }
        reason => (None, format!("`{expression}` cannot be rendered: {reason}")),
    };
    Explanation { field, message }
}

fn missing(field: Option<&str>, expression: &str) -> String {
    match field {
        Some(field) => format!(
            "`{field}` is missing in the event; if it is optional, write `(opt {field})`, and \
             `(has (opt {field}))` in a condition"
        ),
        None => {
            format!("a field that `{expression}` needs is missing in the event; check its name")
        }
    }
}

/// Handlebars also reports a present field as missing, if a block cannot use its value.
fn unusable(field: &str, expression: &str) -> String {
    if expression.contains("#each") {
        format!("`{field}` is not a list or an object; write `{{{{#each (list {field})}}}}`")
    } else {
        format!("`{field}` is empty; write `{{{{#if (has {field})}}}}` around `{expression}`")
    }
}

/// The names with which a path into the context begins.
const ROOTS: [&str; 7] = ["event", "data", "tenant", "title", "delivery", "links", "digest"];

fn paths(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']' | '@')))
        .map(|word| word.trim_start_matches("@root."))
        .filter(|word| ROOTS.contains(&word.split('.').next().unwrap_or_default()))
}

fn first_path(expression: &str) -> Option<&str> {
    paths(expression).next()
}

/// The first path in the expression that leads to no value.
fn absent_field(expression: &str, context: &Value) -> Option<String> {
    paths(expression).find(|path| !leads(path, context)).map(str::to_owned)
}

/// Whether the path leads to a value.
fn leads(path: &str, context: &Value) -> bool {
    let mut keys = path.split('.').map(|key| key.trim_matches(['[', ']']));
    let value = keys.try_fold(context, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    });
    value.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_present_field_is_not_called_missing() {
        let context = json!({ "data": { "count": 0, "name": "x" } });
        let message = |field: &str, expression| {
            let reason = RenderErrorReason::MissingVariable(Some(field.to_owned()));
            explain(&reason, expression, &context).message
        };
        assert_eq!(
            message("data.count", "{{#with data.count}}"),
            "`data.count` is empty; write `{{#if (has data.count)}}` around `{{#with data.count}}`"
        );
        assert_eq!(
            message("data.name", "{{#each data.name}}"),
            "`data.name` is not a list or an object; write `{{#each (list data.name)}}`"
        );
        assert!(message("data.nope", "{{data.nope}}").contains("is missing in the event"));
    }
}
