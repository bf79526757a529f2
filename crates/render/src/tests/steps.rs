//! Templates as steps give what handlebars gives.

use handlebars::{Context, Template};
use proptest::prelude::*;

use super::super::compile::REGISTRIES;
use super::super::program::Program;
use super::super::sources::Format;
use super::super::table::BUILTIN;
use super::*;

/// What a field may be instead of what the sample has.
fn odd_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(""),
        json!("  "),
        json!([]),
        json!({}),
        json!(0),
        json!(-1.5),
        json!(true),
        json!("<b onclick='x'>&\u{202e}`=\" \r\n大"),
        json!(["a", 1, null, { "b": [2, { "c": "d" }] }]),
        json!({ "key one": "x", "1": { "result": "pass", "confidence": 0.5 }, "z": ["q"] }),
        json!("word ".repeat(400)),
    ]
}

/// The sample as it is, and with each of its fields missing or odd.
fn variants(sample: &Event) -> Vec<Delivery> {
    let Value::Object(fields) = data_of(sample) else { panic!("data is an object") };
    let mut all = vec![fields.clone()];
    for key in fields.keys() {
        let mut without = fields.clone();
        without.shift_remove(key);
        all.push(without);
        for odd in odd_values() {
            let mut with = fields.clone();
            with.insert(key.clone(), odd);
            all.push(with);
        }
    }
    all.into_iter().map(|data| event("acme", &sample.kind, &Value::Object(data))).collect()
}

#[test]
fn every_built_in_template_is_steps_and_says_the_same() {
    let (mut rendered, mut refused, mut declined) = (0, 0, 0);
    let digests =
        [samples::digest("acme", samples::all_of("acme")), samples::digest("acme", Vec::new())];
    for slot in BUILTIN.iter() {
        let name = slot.name.display();
        let compiled = BUILTIN.compiled(slot).unwrap_or_else(|error| panic!("{error}"));
        let is_of = |event: &&Event| slot.name.kind == event.kind.as_ref();
        let samples: Vec<Event> = match slot.name.kind.as_str() {
            "_digest" => Vec::new(),
            "_default" => samples::all(),
            _ => samples::all().into_iter().filter(|event| is_of(&event)).collect(),
        };
        let events = samples.iter().flat_map(variants);
        let deliveries: Vec<Delivery> =
            if samples.is_empty() { digests.to_vec() } else { events.collect() };
        assert!(!deliveries.is_empty(), "{name} has no sample");
        let mut was_quick = false;
        for delivery in &deliveries {
            let context = ENGINE.context(delivery);
            let (quick, slow) = (compiled.quickly(&context), compiled.by_handlebars(&context).ok());
            match (&quick, &slow) {
                (Some(quick), Some(slow)) => {
                    assert!(quick == slow, "{name} differs for {}", context.data());
                    rendered += 1;
                    was_quick = true;
                }
                (Some(_), None) => panic!("{name} is refused for {}", context.data()),
                (None, Some(_)) => declined += 1,
                (None, None) => refused += 1,
            }
        }
        assert!(was_quick, "{name} is left to handlebars");
    }
    assert!(rendered > 4_000 && refused > 10, "{rendered} rendered, {refused} refused");
    assert!(declined * 50 < rendered, "{declined} left to handlebars of {rendered}");
}

/// In steps and by handlebars; none where it is not in steps, or refused.
fn both(source: &str, data: &Value) -> (Option<String>, Option<String>) {
    let template = Template::compile(source).unwrap();
    let context = json!({ "data": data, "tenant": { "name": "Acme <Bank>" }, "a": "top" });
    let quick = Program::compile(&template, Format::Html).and_then(|program| program.run(&context));
    let (context, mut state) = (Context::from(context), handlebars::RenderContext::new(None));
    let registry = &REGISTRIES[Format::Html as usize];
    let slow = handlebars::Renderable::renders(&template, registry, &context, &mut state);
    (quick, slow.ok())
}

#[test]
fn steps_do_what_templates_use() {
    let data = json!({ "a": { "b": "<x>" }, "list": ["p", { "c": 2 }, []], "n": 3, "t": true });
    for source in [
        "{{data.a.b}}|{{opt data.none}}|{{default data.none \"d\"}}|{{a}}",
        "{{#if data.t}}yes{{else}}no{{/if}}{{#unless data.t}}no{{else}}yes{{/unless}}",
        "{{#if (eq data.n 4)}}4{{else if (gt data.n 2)}}more{{else}}less{{/if}}",
        "{{#each data.list}}{{@index}}{{#if @first}}first{{/if}}{{#if @last}}last{{/if}} {{/each}}",
        "{{#each data.a}}{{@key}}={{this}} {{@root.data.n}} {{@root.tenant.name}}{{/each}}",
        "{{#each (list data.a.b)}}{{upper this}}{{line @root.data.a.b}}{{/each}}",
        "{{#each (opt data.none)}}x{{else}}nothing{{/each}}",
        "{{first (opt data.none) data.a.b \"z\"}} {{choose data.t \"x\" data.none2}}",
        "{{number 5000.25}} {{join data.list \"; \"}} {{lookup data.list 0}} {{and data.t data.none}}",
        "{{truncate \"ein langer Text\" limit=5}} {{date 1735228800 zone=\"Europe/Madrid\"}}",
    ] {
        let (quick, slow) = both(source, &data);
        assert_eq!(quick, slow, "{source}");
        if !source.contains("none2") {
            assert!(quick.is_some(), "{source}");
        }
    }
}

#[test]
fn what_is_not_in_steps_is_left_to_handlebars() {
    let data = json!({ "a": { "b": "x" }, "list": [1] });
    for source in [
        "{{#each data.list}}{{../a}}{{/each}}",
        "{{#with data.a}}{{b}}{{/with}}",
        "{{#each data.list as |item|}}{{item}}{{/each}}",
        "{{len data.list}}",
        "{{{data.a.b}}}",
    ] {
        let (quick, slow) = both(source, &data);
        assert!(quick.is_none() && slow.is_some(), "{source}: {quick:?} {slow:?}");
    }
    for source in
        ["{{data.none}}", "{{line data.none}}", "{{#if data.none}}{{/if}}", "{{opt data.list.x}}"]
    {
        assert_eq!(both(source, &data), (None, None), "{source}");
    }
}

fn path() -> BoxedStrategy<String> {
    let paths = [
        "data",
        "data.a",
        "data.b",
        "data.a.b",
        "data.list",
        "data.list.0",
        "data.list.x",
        "this",
        "this.a",
        "a",
        "b",
        "@key",
        "@index",
        "@first",
        "@last",
        "@root.data.a",
        "@root.data.list",
        "@../key",
        "../data",
        "data.[a]",
        "tenant.name",
        "missing",
        "data.missing.more",
    ];
    prop::sample::select(paths.to_vec()).prop_map(str::to_owned).boxed()
}

fn parameter() -> BoxedStrategy<String> {
    let literals = ["\"word\"", "\"\"", "3", "-2.5", "true", "null", "\"<a> & b\""];
    let leaf = prop_oneof![3 => path(), 1 => prop::sample::select(literals.to_vec()).prop_map(str::to_owned)];
    leaf.boxed()
        .prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                4 => call(inner.clone()).prop_map(|call| format!("({call})")),
                1 => inner,
            ]
        })
        .boxed()
}

fn call(inner: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let names = [
        "opt",
        "default",
        "has",
        "list",
        "entries",
        "text",
        "line",
        "date",
        "day",
        "humanize",
        "upper_first",
        "upper",
        "truncate",
        "short",
        "number",
        "percent",
        "duration_ms",
        "plural",
        "join",
        "humanize_all",
        "tone",
        "badge",
        "icon",
        "facts",
        "chunk",
        "pad",
        "url",
        "first",
        "choose",
        "concat",
        "outcome",
        "of100",
        "sum",
        "rule",
        "slack_date",
        "eq",
        "ne",
        "gt",
        "gte",
        "lt",
        "lte",
        "and",
        "or",
        "not",
        "lookup",
        "len",
        "unknown",
    ];
    let named = prop_oneof![
        4 => Just(String::new()),
        1 => inner.clone().prop_map(|value| format!(" limit={value}")),
        1 => Just(" limit=5".to_owned()),
        1 => Just(" zone=\"Europe/Madrid\"".to_owned()),
    ];
    (prop::sample::select(names.to_vec()), prop::collection::vec(inner, 0..4), named)
        .prop_map(|(name, all, named)| format!("{name} {}{named}", all.join(" ")))
        .boxed()
}

fn source() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        2 => prop::sample::select(vec!["text ", "\n", "  \n<p>", "é &amp; ", "{{! note }}"]).prop_map(str::to_owned),
        2 => path().prop_map(|path| format!("{{{{{path}}}}}")),
        5 => call(parameter()).prop_map(|call| format!("{{{{{call}}}}}")),
        1 => call(parameter()).prop_map(|call| format!("{{{{~{call}~}}}}")),
    ];
    leaf.boxed().prop_recursive(3, 24, 4, |inner| {
        let body = prop::collection::vec(inner, 0..4).prop_map(|all| all.concat());
        let block = prop::sample::select(vec!["if", "unless", "each", "with", "eq"]);
        prop_oneof![
            2 => (block.clone(), parameter(), body.clone())
                .prop_map(|(block, over, body)| format!("{{{{#{block} {over}}}}}{body}{{{{/{block}}}}}")),
            1 => (block, parameter(), body.clone(), body.clone()).prop_map(|(block, over, body, other)| {
                format!("{{{{#{block} {over}}}}}{body}{{{{else}}}}{other}{{{{/{block}}}}}")
            }),
            1 => (parameter(), parameter(), body.clone(), body.clone()).prop_map(|(one, two, body, other)| {
                format!("{{{{#if {one}}}}}{body}\n{{{{else if {two}}}}}\n{other}{{{{/if}}}}")
            }),
            1 => body,
        ]
    })
    .boxed()
}

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![json!(0), json!(1), json!(-7), json!(2.5), json!(1_735_228_800)]),
        prop::sample::select(vec![
            "",
            "x",
            "IN_REVIEW",
            "2024-12-26",
            "<i>&",
            "https://a.example/?b=1&c"
        ])
        .prop_map(Value::from),
    ];
    leaf.boxed()
        .prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(
                    (prop::sample::select(vec!["a", "b", "list", "key one"]), inner),
                    0..4
                )
                .prop_map(|fields| fields
                    .into_iter()
                    .map(|(key, v)| (key.to_owned(), v))
                    .collect()),
            ]
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_template_in_steps_says_what_handlebars_says(
        source in prop::collection::vec(source(), 1..4).prop_map(|all| all.concat()),
        data in value(),
        format in prop::sample::select(vec![Format::Text, Format::Html, Format::Slack]),
    ) {
        let Ok(template) = Template::compile(&source) else { return Ok(()) };
        let Some(program) = Program::compile(&template, format) else { return Ok(()) };
        let context = json!({ "data": data, "tenant": { "name": "Acme <Bank>" }, "a": "top" });
        if let Some(text) = program.run(&context) {
            let registry = &REGISTRIES[format as usize];
            let context = Context::from(context);
            let mut state = handlebars::RenderContext::new(None);
            let expected = handlebars::Renderable::renders(&template, registry, &context, &mut state);
            prop_assert_eq!(Some(text), expected.ok(), "{}", source);
        }
    }
}
