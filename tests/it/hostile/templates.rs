//! Templates and schemas that recurse, loop or expand.

use std::thread;

use serde_json::{Value, json};

use super::beside::Beside;
use super::client::Client;
use crate::scene::{SOON, event, said};
use crate::support::until;

/// Templates that overflow a stack, if something parses them recursively.
fn deep() -> Vec<(&'static str, String)> {
    let open = |open: &str, n: usize, close: &str| {
        [open.repeat(n), "x".to_owned(), close.repeat(n)].concat()
    };
    vec![
        (
            "text",
            format!("{{{{default {}data.x{} 1}}}}", "(default ".repeat(1_500), " 1)".repeat(1_500)),
        ),
        ("text", open("{{#if data}}", 3_000, "{{/if}}")),
        ("text", format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if a}}x".repeat(5_000))),
        (
            "html",
            format!("<mjml><mj-body>{}</mj-body></mjml>", open("<mj-raw>", 8_000, "</mj-raw>")),
        ),
        ("html", open("<mj-section>", 8_000, "</mj-section>")),
        ("slack", open("{{#if data}}", 4_000, "{{/if}}")),
    ]
}

fn preview(client: &Client, part: &str, template: &str, data: &Value) -> (u16, String) {
    let body = json!({
        "event": {"type": "kyc.session.processed", "data": data},
        "parts": [part],
        "templates": {part: template},
    });
    let reply = client.post("/v1/tenants/mallory/templates/preview", &body);
    (reply.status, reply.body.to_string())
}

/// Inputs 1 and 2.
pub(super) fn deep_drafts_are_refused(beside: &Beside) {
    for (part, template) in deep() {
        let (status, body) = preview(&beside.as_("admin"), part, &template, &json!({}));
        assert_eq!(status, 422, "{part}: {body}");
        let (status, body) = preview(&beside.as_("reader"), part, &template, &json!({}));
        assert_eq!(status, 403, "only an admin tries drafts: {body}");
    }
}

/// Input 3.
pub(super) fn deep_templates_are_not_stored(beside: &Beside) {
    for (part, template) in deep() {
        let path = format!("/v1/tenants/mallory/templates/kyc.session.processed/{part}");
        let reply = beside.as_("admin").put(&path, &json!({"source": template}));
        assert_eq!(reply.status, 422, "{part}: {}", reply.body);
    }
    let deep = "{{#if data}}".repeat(4_000) + &"{{/if}}".repeat(4_000);
    let file = beside.scene.file(
        "deep.toml",
        format!("[tenant]\nid = \"deep\"\n[templates]\n\"email/x/body.txt.hbs\" = '{deep}'\n"),
    );
    let refused = said(&["check", &file]);
    assert_eq!(refused.code, Some(1), "{}{}", refused.out, refused.err);
    assert!(
        refused.err.contains("64") || refused.out.contains("64"),
        "the limit is named: {refused:?}"
    );
}

/// Six loops over a list, each inside of the one before.
fn loops(inner: &str) -> String {
    "{{#each @root.data.a}}".repeat(6) + inner + &"{{/each}}".repeat(6)
}

fn ones() -> Value {
    json!({"a": vec![1; 1_000]})
}

/// Inputs 4 and 7.
pub(super) fn endless_drafts_are_interrupted(beside: &Beside) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (status, body) = preview(&beside.as_("admin"), "text", &loops("x"), &ones());
                assert_eq!(status, 422, "{body}");
                let large =
                    "{{#each @root.data.a}}".repeat(3) + &"x".repeat(32) + &"{{/each}}".repeat(3);
                let data = json!({"a": vec![1; 250]});
                let (status, body) = preview(&beside.as_("admin"), "text", &large, &data);
                assert_eq!(status, 422, "{}", &body[..body.len().min(300)]);
            });
        }
    });
}

/// Input 5.
pub(super) fn endless_templates_end_the_delivery(beside: &Beside) {
    let admin = beside.as_("admin");
    let text = format!("{{{{#if (has (opt data.a))}}}}{}{{{{/if}}}}", loops("x"));
    let slack = json!({"text": text}).to_string();
    let path = "/v1/tenants/mallory/templates/kyc.loops/slack";
    let stored = admin.put(path, &json!({"source": slack}));
    assert!(matches!(stored.status, 200 | 201), "{}", stored.body);
    for n in 0..3 {
        let url = format!("https://hooks.slack.com/services/T000/B000/{n:024}");
        let slack = json!({"channel": "slack", "settings": {"url": url}});
        let put = admin.put(&format!("/v1/tenants/mallory/destinations/slack-{n}"), &slack);
        assert!(matches!(put.status, 200 | 201), "{}", put.body);
    }
    let route = json!({"events": ["kyc.loops"], "to": ["slack-0", "slack-1", "slack-2"]});
    admin.post("/v1/tenants/mallory/routes", &route).is(201);
    let id = beside.id("loops");
    beside.as_("publisher").send("POST", "/v1/events", &event(&id, "kyc.loops", &ones())).is(202);
    let ended = until(SOON, || {
        let found = admin.get(&format!("/v1/tenants/mallory/events/{id}"));
        let deliveries = found.body["data"]["deliveries"].as_array()?.clone();
        let ended = deliveries.len() == 3 && deliveries.iter().all(|one| one["state"] == "dead");
        ended.then_some(deliveries)
    });
    for delivery in ended.expect("each delivery ends") {
        assert_eq!(delivery["reason"], "render_failed", "{delivery}");
    }
    admin.delete(path);
}

/// Input 6.
pub(super) fn exponential_partials_are_refused(beside: &Beside) {
    let mut document =
        beside.as_("admin").get("/v1/tenants/mallory/document").is(200)["data"].clone();
    let templates = document["templates"].as_object_mut().expect("templates");
    for n in 1..=8 {
        let source =
            if n == 8 { String::new() } else { format!("{{{{> p{}}}}}", n + 1).repeat(60) };
        templates.insert(format!("email/partials/p{n}.txt.hbs"), source.into());
    }
    templates.insert("email/kyc.session.processed/body.txt.hbs".to_owned(), "{{> p1}}".into());
    let reply = beside.as_("admin").put("/v1/tenants/mallory/document?dry_run=true", &document);
    assert_eq!(reply.status, 422, "{}", reply.body);
}

/// Input 21.
pub(super) fn exponential_schemas_are_bounded(beside: &Beside) {
    let mut schema = json!({"type": "object"});
    for _ in 0..28 {
        schema = json!({"anyOf": [
            {"allOf": [schema.clone(), {"required": ["missing"]}]},
            {"allOf": [{"$ref": "#/$defs/again"}, {"required": ["absent"]}]},
        ]});
        if schema.to_string().len() > 40_000 {
            break;
        }
    }
    schema["$defs"] = json!({"again": {"type": "object"}});
    // The same by reference: each level tries the next one twice.
    let level = |n: usize| {
        json!({"anyOf": [
            {"allOf": [{"$ref": format!("#/$defs/l{}", n + 1)}, {"required": ["missing"]}]},
            {"allOf": [{"$ref": format!("#/$defs/l{}", n + 1)}, {"required": ["absent"]}]},
        ]})
    };
    let mut defs: serde_json::Map<_, _> = (0..28).map(|n| (format!("l{n}"), level(n))).collect();
    defs.insert("l28".to_owned(), json!({"type": "object"}));
    let by_reference = json!({"$defs": defs, "$ref": "#/$defs/l0"});
    for (n, schema) in [schema, by_reference].into_iter().enumerate() {
        let kind = format!("test.schema{n}");
        let body = json!({"schema": schema, "check": "reject"});
        let put = beside.as_("operator").put(&format!("/v1/event-types/{kind}"), &body);
        assert!(matches!(put.status, 200 | 201 | 422), "{}", put.body);
        let id = beside.id("schema");
        let publish =
            beside.as_("publisher").send("POST", "/v1/events", &event(&id, &kind, &json!({})));
        assert!(matches!(publish.status, 202 | 422 | 503), "{}", publish.body);
        beside.as_("operator").delete(&format!("/v1/event-types/{kind}"));
    }
}
