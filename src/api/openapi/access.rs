//! Who may call each operation: `x-fanfare-roles` and `x-fanfare-environment`, and the same in words.
//!
//! A handler's annotation names the least powerful roles (`security`) and what the environment of
//! the key means for it. The checks themselves are in the handlers' arguments (`scope`). A test calls
//! every operation with every kind of key and compares.

use serde_json::{Map, Value, json};

/// Completes what an operation's annotation says about access.
pub(super) fn complete(path: &str, operation: &mut Map<String, Value>) {
    let least = operation.get("security").and_then(|security| security[0]["key"].as_array());
    let least: Vec<&str> = least.into_iter().flatten().filter_map(Value::as_str).collect();
    let roles: Vec<String> = with_more_powerful(&least).into_iter().map(str::to_owned).collect();
    let environment = operation.get("x-fanfare-environment").and_then(Value::as_str);
    let about_environment = match environment {
        Some("live") => "Requires a key of the live environment.",
        Some("shared") => "Keys of both environments get the same.",
        // The rule, which the description of keys explains.
        _ => "",
    };
    let portal = if is_for_keys(path) { " Not for the key of a portal link." } else { "" };
    let words = format!("Roles: {}. {about_environment}{portal}", roles.join(", "));
    let words = words.replace(".  ", ". ").trim_end().to_owned();
    let description = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{description}\n\n{words}").trim().to_owned();
    operation.insert("description".to_owned(), description.into());
    operation.insert("x-fanfare-roles".to_owned(), json!(roles));
}

/// The least powerful roles, and those that may do more.
fn with_more_powerful<'r>(least: &[&'r str]) -> Vec<&'r str> {
    let mut roles = vec!["operator"];
    if least != ["operator"] {
        roles.push("admin");
    }
    roles.extend(least.iter().filter(|role| !["operator", "admin"].contains(role)));
    roles
}

/// Whether an operation lists, creates or revokes keys.
fn is_for_keys(path: &str) -> bool {
    path.contains("/keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_powerful_roles_may_call_what_a_lesser_role_may() {
        assert_eq!(with_more_powerful(&["operator"]), ["operator"]);
        assert_eq!(with_more_powerful(&["admin"]), ["operator", "admin"]);
        let mailbox = with_more_powerful(&["reader", "consumer"]);
        assert_eq!(mailbox, ["operator", "admin", "reader", "consumer"]);
    }

    #[test]
    fn an_operation_says_in_words_who_may_call_it() {
        let operation = json!({
            "description": "Creates a key.", "security": [{"key": ["admin"]}],
            "x-fanfare-environment": "own",
        });
        let mut operation = operation.as_object().cloned().unwrap_or_default();
        complete("/v1/tenants/{tenant}/keys", &mut operation);
        let expected =
            "Creates a key.\n\nRoles: operator, admin. Not for the key of a portal link.";
        assert_eq!(operation["description"], expected);
        assert_eq!(operation["x-fanfare-roles"], json!(["operator", "admin"]));
    }
}
