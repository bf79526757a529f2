//! Thousands of random templates, valid and broken, on random events: nothing panics, overflows a
//! stack, or exceeds the limits. The seed is fixed, so a failure repeats itself.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_contract::{Event, Part};
use fanfare_render::{Engine, samples};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

const CASES: usize = 2_000;
const SEED: u64 = 0x5eed;

/// Pieces that are well formed by themselves. `%` stands for more of them.
const WHOLE: &[&str] = &[
    "text",
    " ",
    "\n",
    "{{data.x}}",
    "{{this}}",
    "{{@index}}",
    "{{@root.data.list}}",
    "{{../x}}",
    "{{line data.x limit=9}}",
    "{{default (opt data.y) \"z\"}}",
    "{{number (len data.list)}}",
    "{{concat data.x \"}}\" '\\''}}",
    "{{join data.list \", \"}}",
    "{{text data}}",
    "{{#if (has (opt data.x))}}%{{/if}}",
    "{{#if false}}%{{else if true}}%{{else}}%{{/if}}",
    "{{#each data.list}}%{{/each}}",
    "{{#each @root.data.list as |item at|}}%{{item}}{{/each}}",
    "{{#each @root.data}}%{{@key}}{{else}}%{{/each}}",
    "{{#with @root.data.inner}}%{{/with}}",
    "{{#with (list this)}}%{{/with}}",
    "{{#unless data.no}}%{{^}}%{{/unless}}",
    "{{#eq data.x 1}}%{{/eq}}",
    "{{! note }}",
    "{{!-- {{#if}} --}}",
    "{{~data.x~}}",
    "\\{{data.x}}",
    "{{> part}}",
    "{{> part name=(upper data.x)}}",
    "{{lookup data.list 0}}",
    "{{facts data}}",
    "{{#each (facts data)}}{{label}}%{{/each}}",
    "{{(concat \"ru\" \"le\")}}",
    "{{#raw}}%{{/raw}}",
    "{{#each (entries [1, {\"a\": [2]}, \"]}}\"] limit=2)}}%{{/each}}",
    "{{data.[x]}}",
    "{{url data.x}}",
];

/// Pieces that are not.
const BROKEN: &[&str] = &[
    "{{",
    "}}",
    "{",
    "}",
    "{{{",
    "}}}",
    "{{{{",
    "\\",
    "\\\\",
    "{{#if",
    "{{/if}}",
    "{{else}}",
    "{{^}}",
    "{{#",
    "{{/",
    "{{>",
    "{{#> part}}",
    "{{#*inline \"x\"}}",
    "{{* x}}",
    "{{!",
    "{{!--",
    "--}}",
    "\"",
    "'",
    "(",
    ")",
    "[",
    "]",
    "|",
    "{{data.",
    "{{#if a}}",
    "{{#each",
    "{{else if",
    "{{~",
    "~}}",
    "{{&x}}",
    "\u{0}",
    "é",
    "{{@",
    "{{../",
    "{{#with}}",
    "{{$css:value x}}",
    "{{count steps}}",
    "=",
    "as |x|",
    "FanfareExpression0Z",
];

const ELEMENTS: &[&str] = &[
    "<mj-section>%</mj-section>",
    "<mj-column>%</mj-column>",
    "<mj-text>%</mj-text>",
    "<mj-raw>%</mj-raw>",
    "<mj-text color=\"%\">%</mj-text>",
    "<mj-section background-url=\"%\">%</mj-section>",
    "<br>",
    "<div>%",
    "<b style='a:%'>%</b>",
    "<mj-wrapper>%</mj-wrapper>",
    "<mj-button href=\"%\">%</mj-button>",
    "<!-- % -->",
    "<mj-carousel><mj-carousel-image src=\"%\"/></mj-carousel>",
    "<mj-table>%</mj-table>",
    "</div>",
    "<",
    ">",
    "<mj-attributes><mj-all color=\"%\"/></mj-attributes>",
    "<mj-style>%</mj-style>",
    "<![endif]-->",
    "<!--[if mso]>",
    "<mj-include path=\"x\"/>",
    "<mj-hero>%</mj-hero>",
    "<mj-navbar>%</mj-navbar>",
    "<![CDATA[%]]>",
    "<?x?>",
];

/// Random templates and data.
struct Author {
    random: StdRng,
    /// Out of 100 pieces, how many are broken.
    broken: u32,
}

impl Author {
    fn source(&mut self, pieces: &[&[&str]], size: usize) -> String {
        let mut source = String::from("%");
        for _ in 0..size {
            let Some(at) = source.find('%') else { break };
            let mut more = String::new();
            for _ in 0..self.random.random_range(0..4) {
                more.push_str(self.piece(pieces));
            }
            // A piece inside of itself, many times.
            if self.random.random_range(0..200) == 0 {
                let (open, close) =
                    self.piece(pieces).split_once('%').unwrap_or(("{{#if true}}", "{{/if}}"));
                let count = self.random.random_range(1..200);
                let close = close.replace('%', "");
                more = format!("{}{more}{}", open.repeat(count), close.repeat(count));
            }
            source.replace_range(at..=at, &more);
            if source.len() > 20_000 {
                break;
            }
        }
        source.replace('%', "")
    }

    fn piece<'p>(&mut self, pieces: &[&[&'p str]]) -> &'p str {
        let broken = self.random.random_range(0..100) < self.broken;
        let from = if broken { &BROKEN } else { pieces.choose(&mut self.random).expect("some") };
        from.choose(&mut self.random).copied().expect("some")
    }

    fn data(&mut self, depth: usize) -> Value {
        match self.random.random_range(0..if depth > 3 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.random.random_range(-5..5)),
            2 => json!(self.random.random::<f64>() * 1e20),
            3 => json!("<b>{{x}}\u{202e}".repeat(self.random.random_range(0..50))),
            4 => json!(self.random.random_range(0..2) == 0),
            5 => (0..self.random.random_range(0..60)).map(|_| self.data(depth + 1)).collect(),
            _ => {
                let keys = ["x", "y", "list", "inner", "data", "label", "a b"];
                let fields = keys.into_iter().take(self.random.random_range(0..8));
                let fields = fields.map(|key| (key.to_owned(), self.data(depth + 1)));
                Value::Object(fields.collect())
            }
        }
    }
}

fn delivery(data: &Value) -> fanfare_contract::Delivery {
    let body = json!({ "id": "evt_1", "type": "a.b", "created": 1_735_228_800, "data": data });
    let event = Event::new(
        "acme".into(),
        "evt_1".into(),
        "a.b".into(),
        1_735_228_800,
        0,
        body.to_string().into(),
    );
    samples::delivery(Arc::new(event))
}

#[test]
fn random_templates_neither_panic_nor_exceed_their_limits() {
    let (mut accepted, mut rendered, mut ended) = (0, 0, 0);
    for case in 0..CASES {
        let seed = SEED + u64::try_from(case).expect("it is small");
        let broken = [0, 0, 1, 10][case % 4];
        let mut author = Author { random: StdRng::seed_from_u64(seed), broken };
        let size = author.random.random_range(1..120);
        let text = author.source(&[WHOLE], size);
        let html = author.source(&[WHOLE, ELEMENTS], size);
        let files = BTreeMap::from([
            (
                "email/a.b/body.txt.hbs".to_owned(),
                format!("{{{{#if (has (opt data))}}}}{text}{{{{/if}}}}"),
            ),
            (
                "email/a.b/body.mjml.hbs".to_owned(),
                format!("<mjml><mj-body>{html}</mj-body></mjml>"),
            ),
            (
                "slack/a.b.json.hbs".to_owned(),
                format!("{{\"text\": \"x\", \"blocks\": [{{\"x\": \"{text}\"}}]}}"),
            ),
            (
                "email/partials/part.txt.hbs".to_owned(),
                author.source(&[WHOLE], 3).replace("{{> part", "{{upper \"x\""),
            ),
        ]);
        let sources = fanfare_render::Sources {
            tenants: BTreeMap::from([(
                "acme".to_owned(),
                fanfare_render::Tenant { overrides: files.clone(), ..Default::default() },
            )]),
            ..Default::default()
        };
        let data: Value =
            [("list".to_owned(), json!(vec![1; 50])), ("x".to_owned(), author.data(0))]
                .into_iter()
                .chain(author.data(0).as_object().cloned().unwrap_or_default())
                .collect::<serde_json::Map<_, _>>()
                .into();
        let began = Instant::now();
        let run = || {
            let (engine, refused) =
                Engine::load_usable(&sources).expect("only tenants have mistakes");
            accepted += 3 - refused.len().min(3);
            let delivery = delivery(&data);
            for part in [Part::Text, Part::Html, Part::Slack] {
                match engine.render(&delivery, &[part]) {
                    Ok(parts) => {
                        rendered += 1;
                        assert!(parts[0].len() <= 1024 * 1024);
                    }
                    Err(error) => ended += usize::from(error.message.contains("steps")),
                }
                let _ = engine.render_in_place(&delivery, &[part]);
            }
        };
        let result = catch_unwind(AssertUnwindSafe(run));
        assert!(result.is_ok(), "case {case} panics: {files:#?}\n{data}");
        // A case takes milliseconds. This bound is for machines that are busy with other tests.
        assert!(began.elapsed() < Duration::from_secs(30), "case {case}: {files:#?}");
    }
    // The generator must not have become one that is always refused.
    assert!(accepted > CASES / 4, "{accepted} accepted");
    assert!(rendered > CASES / 4 && ended > 0, "{rendered} rendered, {ended} ended");
}
