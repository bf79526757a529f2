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
        [
            "destination \"x\", secret: refers to the environment variable S, which is not set; set it to the value"
        ]
    );
}

#[test]
fn a_mistake_in_the_toml_has_its_place_and_shows_no_text_of_the_file() {
    let text = "[tenant]\nid = 'a'\n[[destination]]\nurl = \"https://h/?token=T0KEN\" x\n";
    let found = problems(text);
    assert!(found[0].starts_with("is not TOML: "), "{found:?}");
    assert!(!found[0].contains("T0KEN"), "{found:?}");
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_fixes() {
    let text = "[tenant]\nname = 'A'\nplan = 'gold'\n[[destination]]\nid = 'x'\nsince = 2024-01-01\n\
                [[route]]\nevent = ['a']\n[settings]\n[destinations]\n";
    assert_eq!(
        problems(text),
        [
            "[destinations]: is unknown; did you mean `destination`?",
            "[settings]: is unknown; use [tenant], [[destination]], [[route]], [links], [templates] and [quotas]",
            "tenant, id: is missing; for example id = \"acme\"",
            "tenant, plan: is unknown; use `id` and `name`",
            "destination \"x\", since: is a date, which events do not have; write it as a string: \"2024-01-01\"",
            "destination \"x\", channel: is missing; use \"webhook\", \"email\", \"slack\" or \"poll\"",
            "route 1, event: is unknown; did you mean `events`?",
            "route 1, events: is missing; for example events = [\"kyc.**\"]",
            "route 1, to: is missing; for example to = [\"support\"]",
        ]
    );
}

#[test]
fn every_problem_of_a_file_has_its_line_and_column() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.toml");
    let text = "[tenant]\nid = 'a'\n\n[[destination]]\nid = 'x'\nchannel = 'webhook'\n\
                secret = { enviroment = 'S' }\n\n[[route]]\nname = 'r'\nevents = 'kyc.**'\nto = ['x']\n";
    std::fs::write(&path, text).expect("a file");
    let found = read(&path, &none).expect_err("it is wrong");
    let name = path.display();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected = [
        format!(
            "{name}:7:1: destination \"x\", secret: must be text or {{ env = \"NAME\" }}; \
             `enviroment` is unknown, did you mean `env`?"
        ),
        format!("{name}:11:1: route 1 \"r\", events: must be a list: [\"kyc.**\"]"),
    ];
    assert_eq!(found, expected);
    // A problem that is found later, by a channel.
    let later = vec![Problem::new("destination \"x\"", "retry[2]", "is wrong")];
    assert_eq!(in_file(later, &path)[0].at.map(|at| at.line), Some(4));
    std::fs::write(&path, b"[tenant]\nid = 'caf\xe9'\n").expect("a file");
    let found = read(&path, &none).expect_err("it is Latin-1")[0].to_string();
    assert_eq!(found, format!("{name}:2:10: is not UTF-8 at this place; save the file as UTF-8"));
}
