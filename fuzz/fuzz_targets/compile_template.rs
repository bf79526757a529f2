//! Any text as each kind of template: it is accepted or refused, and nothing else happens.

#![no_main]

use std::collections::BTreeMap;

use fanfare_render::Engine;
use libfuzzer_sys::fuzz_target;

/// One path for each format, and one for a partial that the first template uses.
const PATHS: [&str; 4] = [
    "email/a.b/body.txt.hbs",
    "email/a.b/body.mjml.hbs",
    "slack/a.b.json.hbs",
    "email/partials/part.txt.hbs",
];

fuzz_target!(|input: &[u8]| {
    let Some((which, source)) = input.split_first() else { return };
    let Ok(source) = std::str::from_utf8(source) else { return };
    let path = PATHS[usize::from(*which) % PATHS.len()];
    let files = BTreeMap::from([
        ("email/a.b/subject.txt.hbs".to_owned(), "x{{> part}}".to_owned()),
        (PATHS[3].to_owned(), String::new()),
        (path.to_owned(), source.to_owned()),
    ]);
    let _ = Engine::with_overrides(BTreeMap::from([("acme".to_owned(), files)]));
});
