//! Tests of whole templates: rendering, overriding, errors, and hostile events.

mod all_templates;
mod digests;
mod errors;
mod hostile;
mod limits;
mod numbers;
mod overrides;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use fanfare_contract::{Delivery, Event, Part, RenderError};
use serde_json::{Value, json};

use super::{Engine, Links, Sources, TemplateError, Tenant, samples};

const PARTS: [Part; 4] = [Part::Subject, Part::Html, Part::Text, Part::Slack];

/// The built-in templates, for a tenant with a name and links.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let address = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    let links = Links::parse(&BTreeMap::from([
        address("dashboard", "https://backoffice.acme.example/?from=mail&to=kyc"),
        address("session", "https://backoffice.acme.example/sessions/{data.session_id}"),
    ]));
    let acme = Tenant {
        name: Some("Acme Bank".to_owned()),
        links: links.expect("the links are valid"),
        overrides: BTreeMap::new(),
    };
    let tenants = BTreeMap::from([("acme".to_owned(), acme)]);
    load(&Sources { tenants, ..Sources::default() }).unwrap_or_else(|errors| panic!("{errors:#?}"))
});

/// Paths of one type's templates.
const SUBJECT: &str = "email/kyc.session.created/subject.txt.hbs";
const BODY: &str = "email/kyc.session.created/body.mjml.hbs";
const SLACK: &str = "slack/kyc.session.created.json.hbs";

/// The tenant `acme` with these templates of its own.
fn with(files: &[(&str, &str)]) -> Result<Engine, Vec<TemplateError>> {
    let files = files.iter().map(|&(path, source)| (path.to_owned(), source.to_owned())).collect();
    Engine::with_overrides(BTreeMap::from([("acme".to_owned(), files)]))
}

/// The one error of a template of the tenant `acme`.
#[track_caller]
fn refused(path: &str, source: &str) -> TemplateError {
    let mut errors = with(&[(path, source)]).expect_err("it is refused");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].tenant.as_deref(), Some("acme"));
    errors.remove(0)
}

fn load(sources: &Sources) -> Result<Engine, Vec<TemplateError>> {
    Engine::load(sources)
}

/// A delivery of an event of `tenant`.
fn event(tenant: &str, kind: &str, data: &Value) -> Delivery {
    let envelope = json!({ "id": "evt_1", "type": kind, "created": 1_735_228_800, "data": data });
    let event = samples::parse(tenant, &envelope.to_string()).expect("it is an envelope");
    samples::delivery(Arc::new(event))
}

fn parts(engine: &Engine, delivery: &Delivery) -> [String; 4] {
    engine.render(delivery, &PARTS).expect("it renders").try_into().expect("four parts")
}

fn one(engine: &Engine, delivery: &Delivery, part: Part) -> Result<String, RenderError> {
    engine.render(delivery, &[part]).map(|mut parts| parts.remove(0))
}

/// A copy of the event's data.
fn data_of(event: &Event) -> Value {
    event.data().clone()
}

/// The text that a reader of the HTML sees, with one line for each row.
fn visible(html: &str) -> String {
    let body = html.split("<body").nth(1).unwrap_or_default();
    let mut text = String::new();
    let mut rest = body.split_once('>').map_or("", |(_, rest)| rest);
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let end = if tag.starts_with("!--") { "-->" } else { ">" };
        let name = tag.split(['>', ' ']).next().unwrap_or_default();
        if matches!(name, "/tr" | "/div" | "/h1" | "/h2" | "br" | "/p") {
            text.push('\n');
        } else if matches!(name, "/th" | "/td" | "span") {
            text.push_str("  ");
        }
        rest = tag.split_once(end).map_or("", |(_, rest)| rest);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "&#8202;");
    lines.collect::<Vec<_>>().join("\n").replace("&ldquo;", "“").replace("&rdquo;", "”")
}
