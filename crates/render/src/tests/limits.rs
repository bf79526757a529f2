//! No template and no event takes more than its share: depth, expansion, steps, and output.

use std::time::{Duration, Instant};

use super::*;
use crate::limits::{BRIEF, RENDER, STACK};

/// A text with a subject that is never empty.
const TEXT: &str = "email/kyc.session.created/body.txt.hbs";

fn repeated(open: &str, count: usize, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(count), close.repeat(count))
}

fn page(inner: &str) -> String {
    format!(
        "<mjml><mj-body><mj-section><mj-column><mj-text>{inner}</mj-text></mj-column></mj-section>\
         </mj-body></mjml>"
    )
}

/// A template of each part that is nested `count` levels deep in some way.
fn nested(count: usize) -> Vec<(&'static str, String)> {
    let defaults = repeated("(default ", count - 1, "data.x", " 1)");
    let call = format!("{{{{default {defaults} 1}}}}");
    let ifs = repeated("{{#if true}}", count, "x", "{{/if}}");
    let chain = format!("{{{{#if false}}}}{}x{{{{/if}}}}", "{{else if false}}".repeat(count - 1));
    let carets = format!("{{{{#if false}}}}{}x{{{{/if}}}}", "{{^if false}}".repeat(count - 1));
    let withs = repeated("{{#with @root.tenant}}", count, "x", "{{/with}}");
    let list = format!("{{{{len {}}}}}", repeated("[", count, "", "]"));
    let object = format!("{{{{len {}}}}}", repeated("{\"a\":", count, "1", "}"));
    let mut all: Vec<_> = [call, ifs, chain, carets, withs, list, object]
        .into_iter()
        .flat_map(|source| {
            let message = |text: &str| {
                format!("{{\"text\": \"x{text}\", \"blocks\": [{{\"type\": \"divider\"}}]}}")
            };
            [
                (SUBJECT, format!("x{source}")),
                (TEXT, source.clone()),
                (SLACK, message(&source)),
                (BODY, page(&source)),
            ]
        })
        .collect();
    let elements = count.saturating_sub(3);
    let raw = |name: &str| repeated(&format!("<{name}>"), elements, "x", &format!("</{name}>"));
    all.push((BODY, format!("<mjml><mj-body><mj-raw>{}</mj-raw></mj-body></mjml>", raw("div"))));
    all.push((BODY, format!("<mjml><mj-body>{}</mj-body></mjml>", raw("mj-wrapper"))));
    all.push((BODY, format!("<mjml><mj-body>{}</mj-body></mjml>", raw("mj-raw"))));
    all
}

#[test]
fn what_is_nested_too_deeply_is_refused_with_its_line() {
    for count in [68, 1_500, 8_000] {
        for (path, source) in nested(count) {
            let shown = &source[..source.len().min(60)];
            let errors = with(&[(path, &source)]).expect_err(shown);
            let error = errors[0].to_string();
            let closed = error.contains("64") || error.contains("MJML");
            assert!(errors.len() == 1 && closed, "{shown}: {error}");
            assert!(error.contains("line 1"), "{shown}: {error}");
        }
    }
}

#[test]
fn what_is_accepted_needs_less_than_a_fourth_of_the_stack() {
    let run = || {
        for (path, source) in nested(64) {
            let overrides = BTreeMap::from([(path.to_owned(), source.clone())]);
            let tenant = Tenant { overrides, ..Tenant::default() };
            let tenants = BTreeMap::from([("acme".to_owned(), tenant)]);
            let sources = Sources { tenants, ..Sources::default() };
            // Not `load`, which would start a thread of its own.
            let (engine, errors) = Engine::loaded(&sources);
            let shown = &source[..source.len().min(60)];
            let only_mjml = errors.iter().all(|error| error.message.contains("MJML"));
            assert!(only_mjml, "{shown}: {errors:?}");
            let delivery = samples::delivery(Arc::new(samples::all().remove(0)));
            engine.render(&delivery, &PARTS).unwrap();
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK / 4).spawn(run).unwrap();
    thread.join().unwrap();
}

#[test]
fn partials_that_multiply_are_refused() {
    let mut files = vec![(SUBJECT.to_owned(), "x{{> p1}}".to_owned())];
    for level in 1..8 {
        let body = format!("{{{{> p{}}}}}", level + 1).repeat(60);
        files.push((format!("email/partials/p{level}.txt.hbs"), body));
    }
    files.push(("email/partials/p8.txt.hbs".to_owned(), String::new()));
    let errors =
        Engine::with_overrides(BTreeMap::from([("acme".to_owned(), files.into_iter().collect())]));
    let error = errors.unwrap_err().remove(0).to_string();
    assert!(error.contains("more than 50000 pieces"), "{error}");
}

#[test]
fn the_templates_of_one_owner_have_a_limit_together() {
    let load = |partial: &str, body: &str, count: usize| {
        let mut files =
            BTreeMap::from([("email/partials/p.txt.hbs".to_owned(), partial.to_owned())]);
        for number in 0..count {
            files.insert(format!("email/a.{number:03}/body.txt.hbs"), body.to_owned());
        }
        Engine::with_overrides(BTreeMap::from([("acme".to_owned(), files)]))
    };
    assert!(load("x", &"{{> p}}".repeat(100), 20).is_ok());
    let too_many = load("", &"{{> p}}".repeat(10_000), 6).unwrap_err();
    assert!(too_many[0].message.contains("more than 50000 pieces"), "{too_many:?}");
    let too_long = load(&"x".repeat(200_000), "{{> p}}{{> p}}", 30).unwrap_err();
    assert!(too_long[0].message.contains("more than 8388608 bytes"), "{too_long:?}");
}

#[test]
fn a_template_that_takes_long_to_parse_is_refused() {
    for source in ["{{data.status}}".repeat(17_000), "{{#if data}}{{/if}}\n".repeat(13_000)] {
        for (path, source) in [(TEXT, source.clone()), (BODY, page(&source))] {
            let error = refused(path, &source);
            assert!(error.message.contains("too many expressions"), "{error}");
        }
    }
    assert!(with(&[(TEXT, &"{{data.status}} and some text\n".repeat(500))]).is_ok());
}

/// A template, with its text `{{…}}`, that would run for hours or fill the memory.
fn endless() -> Vec<String> {
    let loops = repeated("{{#each @root.data.a}}", 6, "", "{{/each}}");
    let shown =
        repeated("{{#each @root.data.a}}", 3, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "{{/each}}");
    let comments = format!(
        "{{{{#each data.a}}}}{}{{{{/each}}}}",
        repeated("{{#each @root.data.a}}", 2, &"{{!}}".repeat(1_000), "{{/each}}")
    );
    let copies = repeated("{{#with (list this)}}", 60, "", "{{/with}}");
    let doubled = repeated("{{#with (concat this this)}}", 40, "{{this}}", "{{/with}}");
    let computed = format!(
        "{{{{#with (list data)}}}}{}{{{{/with}}}}",
        repeated(
            "{{#each @root.data.a}}",
            2,
            "{{#if (has (lookup ../../this 0))}}{{/if}}",
            "{{/each}}"
        )
    );
    let compared = repeated(
        "{{#each @root.data.a}}",
        3,
        "{{#if (eq @root.data.a @root.data.b)}}{{/if}}",
        "{{/each}}",
    );
    let counted = repeated(
        "{{#each @root.data.a}}",
        3,
        "{{#if (gt (len (facts @root.data)) 1)}}{{/if}}",
        "{{/each}}",
    );
    let keys = repeated("{{#each @root.data.keys}}", 3, "{{#with this}}{{/with}}", "{{/each}}");
    let long = format!(
        "{}{{{{join @root.data.a \"{}\"}}}}{}",
        "{{#each @root.data.a}}".repeat(2),
        "y".repeat(100),
        "{{/each}}".repeat(2)
    );
    let names = repeated("{{#each @root.data.a}}", 3, "{{(concat \"rule\" \"\")}}", "{{/each}}");
    let tests = repeated("{{#each @root.data.a}}", 3, "{{#eq 1 2}}{{else}}{{/eq}}", "{{/each}}");
    let params = repeated(
        "{{#each @root.data.a as |v k|}}",
        3,
        "{{#if (has (first v k @index ../this @root.data.b))}}{{/if}}",
        "{{/each}}",
    );
    let raw = repeated(
        "{{#each @root.data.a}}",
        3,
        "{{#raw}}{{#unless 1}}{{/unless}}{{/raw}}",
        "{{/each}}",
    );
    let nothing = repeated("{{#each @root.data.a}}", 4, "{{@root.data.empty}}", "{{/each}}");
    vec![
        loops, shown, comments, doubled, computed, compared, counted, keys, long, names, tests,
        params, raw, nothing, copies,
    ]
}

fn large_data() -> Value {
    let keys: serde_json::Map<String, Value> = (0..200)
        .map(|number| (format!("{number}{}", "k".repeat(600)), json!({ "x": 1 })))
        .collect();
    json!({
        "session_id": "s",
        "a": vec![1; 1_000],
        "b": vec![1; 1_000],
        "text": "t".repeat(10_000),
        "keys": keys,
        "empty": "",
    })
}

#[test]
fn a_rendering_ends_at_its_budget_with_the_template_and_the_line() {
    let delivery = event("acme", "kyc.session.created", &large_data());
    for source in endless() {
        // Samples do not have the list, so that the template is accepted.
        let guarded = format!("x\n{{{{#if (has (opt data.a))}}}}\n{source}\n{{{{/if}}}}");
        let message = format!(
            "{{\"text\": \"x\",\n \"blocks\": [{{\"type\": \"divider\", \"x\": \"{guarded}\"}}]}}"
        );
        let body = page(&guarded);
        for (path, part, source) in [
            (TEXT, Part::Text, &guarded),
            (SLACK, Part::Slack, &message),
            (BODY, Part::Html, &body),
        ] {
            let engine = with(&[(path, source)]).unwrap_or_else(|errors| panic!("{errors:?}"));
            let began = Instant::now();
            let result = one(&engine, &delivery, part);
            // The budget is about 100 ms when optimized. Tests are not, and machines are busy.
            assert!(began.elapsed() < Duration::from_secs(20), "{source}: {:?}", began.elapsed());
            match result {
                Err(error) => {
                    let known = error.message.contains("steps") || error.message.contains("bytes");
                    assert!(known && error.line.is_some(), "{source}: {error}");
                    assert!(engine.render_in_place(&delivery, &[part]).is_none(), "{source}");
                }
                Ok(text) => {
                    assert!(guarded.contains("(list this)"), "{source}");
                    assert!(text.len() <= RENDER.bytes);
                }
            }
        }
    }
}

#[test]
fn the_output_has_a_limit() {
    let source = "{{#if (has (opt data.a))}}{{#each data.a}}{{line @root.data.text limit=9000}}\
                  {{/each}}{{/if}}x";
    let engine = with(&[(TEXT, source)]).unwrap();
    let delivery = event("acme", "kyc.session.created", &large_data());
    let error = one(&engine, &delivery, Part::Text).unwrap_err();
    assert!(error.message.contains("more than 1048576 bytes"), "{error}");
    assert_eq!(error.line, Some(1));
}

#[test]
fn checking_on_the_samples_has_a_limit_for_all_templates_together() {
    // About half of the budget of one rendering, for each of the samples.
    let slow = repeated("{{#each [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]}}", 5, "x", "{{/each}}");
    let message = format!("{{\"text\": \"{slow}\", \"blocks\": [{{\"type\": \"divider\"}}]}}");
    let files = BTreeMap::from([
        ("email/_default/body.txt.hbs".to_owned(), slow.clone()),
        ("email/_default/body.mjml.hbs".to_owned(), page(&slow)),
        ("email/_default/subject.txt.hbs".to_owned(), slow),
        ("slack/_default.json.hbs".to_owned(), message),
    ]);
    let result = Engine::with_overrides(BTreeMap::from([("acme".to_owned(), files)]));
    let errors = result.unwrap_err();
    assert!(errors.iter().all(|error| error.message.contains("20000000 steps")), "{errors:?}");
    assert!(errors.len() < 4, "the first ones are fine: {errors:?}");
}

/// Events of the largest size, in shapes that cost the most.
fn largest() -> Vec<Value> {
    let flat: serde_json::Map<String, Value> =
        (0..20_000).map(|number| (format!("k{number}"), json!(1))).collect();
    let deep = (0..55).fold(
        json!({ "x": "y".repeat(1_000) }),
        |inner, level| json!({ "inner": inner, "items": vec![level; 1_500] }),
    );
    let lists: Vec<Value> = (0..12_000).map(|number| json!({ "n": number })).collect();
    vec![
        json!({ "ones": vec![1; 120_000] }),
        Value::Object(flat),
        deep,
        json!({ "list": lists }),
        json!({ "text": "t ".repeat(120_000) }),
        json!({ "k".repeat(120_000): { "k".repeat(100_000): 1 } }),
        json!({ "k".repeat(100_000): (0..10_000).map(|n| (n.to_string(), json!(1)))
            .collect::<serde_json::Map<_, _>>() }),
    ]
}

#[test]
fn every_event_fits_the_budget_of_the_built_in_templates() {
    let samples = samples::all();
    for (at, data) in largest().into_iter().enumerate() {
        parts(&ENGINE, &event("acme", "any.thing", &data));
        // Two types for each shape, so that all types have their turn.
        for sample in samples.iter().skip(2 * at).take(2) {
            let Value::Object(mut fields) = data_of(sample) else { unreachable!() };
            fields.insert("metadata".to_owned(), data.clone());
            fields.insert("checks".to_owned(), data.clone());
            let delivery = event("acme", &sample.kind, &Value::Object(fields));
            for part in PARTS {
                if let Err(error) = one(&ENGINE, &delivery, part) {
                    assert!(!error.message.contains("steps"), "{error}");
                }
            }
        }
    }
}

#[test]
fn the_built_in_templates_are_rendered_in_place() {
    let deliveries = samples::all().into_iter().map(|event| samples::delivery(Arc::new(event)));
    let many = samples::digest("acme", samples::all().into_iter().map(Arc::new).collect());
    for delivery in deliveries.chain([many]) {
        let rendered = ENGINE.render_in_place(&delivery, &PARTS);
        assert_eq!(rendered, Some(ENGINE.render(&delivery, &PARTS)));
    }
    const { assert!(BRIEF.steps * 30 < RENDER.steps * 2, "in place is a small part of the budget") };
}

#[test]
fn a_template_that_cannot_be_used_is_set_aside_alone() {
    let deep = repeated("{{#if data}}", 4_000, "", "{{/if}}");
    let overrides = BTreeMap::from([
        (TEXT.to_owned(), deep),
        (SUBJECT.to_owned(), "Mine".to_owned()),
        ("not/a/template".to_owned(), String::new()),
    ]);
    let tenants = BTreeMap::from([
        ("acme".to_owned(), Tenant { overrides, ..Tenant::default() }),
        (
            "other".to_owned(),
            Tenant {
                overrides: BTreeMap::from([(SUBJECT.to_owned(), "Theirs".to_owned())]),
                ..Tenant::default()
            },
        ),
    ]);
    let sources = Sources { tenants, ..Sources::default() };
    assert_eq!(Engine::load(&sources).unwrap_err().len(), 2);
    let (engine, errors) = Engine::load_usable(&sources).unwrap();
    assert!(errors.iter().all(|error| error.tenant.as_deref() == Some("acme")), "{errors:?}");
    assert_eq!(errors.len(), 2);
    let data = json!({ "session_id": "s" });
    let acme = event("acme", "kyc.session.created", &data);
    assert_eq!(one(&engine, &acme, Part::Subject).unwrap(), "Mine");
    assert!(one(&engine, &acme, Part::Text).unwrap().contains("Session"), "the built-in one");
    let other = event("other", "kyc.session.created", &data);
    assert_eq!(one(&engine, &other, Part::Subject).unwrap(), "Theirs");
}

#[test]
fn data_cannot_add_css() {
    let body = "<mjml><mj-head><mj-style>.x { color: {{data.status}} }</mj-style></mj-head><mj-body>\
                <mj-section background-url=\"{{data.status}}\"><mj-column>\
                <mj-text color=\"{{data.status}}\" font-size=\"{{upper data.status}}\">\
                <span style=\"color:{{~ data.status ~}}\" title=\"{{data.status}}\">x</span></mj-text>\
                </mj-column></mj-section></mj-body></mjml>";
    let engine = with(&[(BODY, body)]).unwrap();
    let html = |status: &str| {
        let delivery = event("acme", "kyc.session.created", &json!({ "status": status }));
        one(&engine, &delivery, Part::Html).unwrap()
    };
    // Characters that begin a rule, a function, or a comment, in all CSS of the page.
    let rules = |html: &str| {
        let styles = html.split("style=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let sheets = html.split("<style").skip(1).filter_map(|rest| rest.split("</style").next());
        let css: Vec<_> = styles.chain(sheets).collect();
        ["{", "}", "(", ")", "'"]
            .map(|part| css.iter().map(|css| css.matches(part).count()).sum::<usize>())
    };
    let calm = rules(&html("red"));
    for hostile in [
        "red;background:url(//evil.example/x)",
        "red}body{display:none",
        "x');color:red;('",
        "red/*",
        "expression(alert(1))",
        "\\3b color:red",
        "\"><script>",
    ] {
        let html = html(hostile);
        assert_eq!(rules(&html), calm, "{hostile}: {html}");
        let size = hostile.to_uppercase();
        for declared in
            [format!("color:{hostile}"), format!("color: {hostile}"), format!("size:{size}")]
        {
            assert!(!html.contains(&declared), "{html}");
        }
    }
    assert!(html("#9b1c1c").contains("color:#9b1c1c"), "{}", html("#9b1c1c"));
    assert!(html("https://x.example/a.png").contains("url('https://x.example/a.png')"));
}
