//! Every template on every sample, for people to read in `snapshots/`.

use std::sync::Arc;

use fanfare_contract::{Part, Templates};

use crate::render::{Engine, samples};

const PARTS: [Part; 4] = [Part::Subject, Part::Html, Part::Text, Part::Slack];

#[test]
fn dump() {
    let engine = match Engine::builtin() { Ok(e) => e, Err(errors) => { for e in errors { println!("{e}"); } panic!() } };
    std::fs::create_dir_all("/tmp/out").unwrap();
    for event in samples::all() {
        let id = event.id.to_string();
        let out = engine.render(&samples::delivery(Arc::new(event)), &PARTS).unwrap();
        for (text, ext) in out.iter().zip(["subject", "html", "txt", "json"]) {
            std::fs::write(format!("/tmp/out/{id}.{ext}"), text).unwrap();
        }
    }
}
