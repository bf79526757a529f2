//! A text template that is accepted, on any data: the rendering ends within its limits. The input is
//! the data as JSON, a zero byte, and the template.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_contract::{Event, Part};
use fanfare_render::{Engine, samples};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let Some((data, source)) = input.split_once('\0') else { return };
    let Ok(data) = serde_json::from_str::<Value>(data) else { return };
    let files = BTreeMap::from([("email/a.b/body.txt.hbs".to_owned(), source.to_owned())]);
    let engine = Engine::with_overrides(BTreeMap::from([("acme".to_owned(), files)]));
    let Ok(engine) = engine else { return };
    let body = json!({ "id": "evt_1", "type": "a.b", "created": 0, "data": data }).to_string();
    let event = Event::new("acme".into(), "evt_1".into(), "a.b".into(), 0, 0, body.into());
    let delivery = samples::delivery(Arc::new(event));
    if let Ok(parts) = engine.render(&delivery, &[Part::Text]) {
        assert!(parts[0].len() <= 1024 * 1024 + 1);
    }
    let _ = engine.render_in_place(&delivery, &[Part::Text]);
});
