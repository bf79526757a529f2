//! What a tenant file may contain, and how mistakes are reported.

use super::*;

fn none(_: &str) -> Option<String> {
    None
}

fn problems(text: &str) -> Vec<String> {
    let problems = parse(text, &none).expect_err("must be refused");
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_sample_file_is_valid() {
    let text = include_str!("../../../config/tenants/acme.toml");
    let spec = parse(text, &none).expect("the sample is valid");
    assert_eq!((spec.id.as_str(), spec.name.as_str()), ("acme", "Acme Bank"));
    assert_eq!(spec.destinations.len(), 4);
    assert_eq!(spec.routes.len(), 4);
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<TenantSpec>(&json).unwrap(), spec);
}

#[test]
fn secrets_may_come_from_the_environment() {
    let text = "[tenant]\nid='a'\n[[destination]]\nid='x'\nchannel='webhook'\nsecret={env='S'}";
    let spec = parse(text, &|name| (name == "S").then(|| "whsec_1".to_owned())).unwrap();
    assert_eq!(spec.destinations[0].fields["secret"], "whsec_1");
    assert_eq!(
        problems(text),
        ["destination \"x\", secret: refers to the environment variable S, which is not set"]
    );
}

#[test]
fn a_mistake_in_the_toml_has_its_place_and_shows_no_text_of_the_file() {
    let text = "[tenant]\nid = 'a'\n[[destination]]\nurl = \"https://h/?token=T0KEN\" x\n";
    let found = problems(text);
    assert!(found[0].starts_with("file: is not TOML: line 4, column "), "{found:?}");
    assert!(!found[0].contains("T0KEN"), "{found:?}");
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_fixes() {
    let text = "[tenant]\nname = 'A'\nplan = 'gold'\n[[destination]]\nid = 'x'\nsince = 2024-01-01\n\
                [[route]]\nevent = ['a']\n[settings]\n[destinations]\n";
    assert_eq!(
        problems(text),
        [
            "[destinations]: is unknown; use [tenant], [[destination]], [[route]], [links], [templates] and [quotas]",
            "[settings]: is unknown; use [tenant], [[destination]], [[route]], [links], [templates] and [quotas]",
            "tenant, id: is missing; for example id = \"acme\"",
            "tenant, plan: is unknown; use `id` and `name`",
            "destination \"x\", since: is a date, which events do not have; write it as a string: \"2024-01-01\"",
            "destination \"x\", channel: is missing; use \"webhook\", \"email\", \"slack\" or \"poll\"",
            "route 1: unknown field `event`, expected one of `id`, `name`, `events`, `except`, `when`, `to`, `enabled`; a route requires events and to, such as events = [\"kyc.**\"] and to = [\"support\"]",
        ]
    );
    assert!(problems("[tenant\nid=1")[0].contains("line 1"));
}
