//! Bringing blocks within Slack's limits before they are sent, because Slack refuses a whole
//! message for one letter too many.
//!
//! What is for people is split into further blocks where Slack has room for them, and else
//! shortened where everybody sees it (`…`, "3 more blocks not shown"). What is for machines (ids,
//! values, addresses) cannot be shortened: it is left out. What Slack is known to refuse and says
//! nothing (an empty section) is dropped. Everything that was changed is noted.

mod block;
mod element;
mod text;

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use crate::{cut, limits};

type Object = Map<String, Value>;

/// What was changed, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<String, usize>);

impl Notes {
    /// Notes one change.
    pub fn add(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line for a receipt; `None` when nothing was changed.
    pub fn line(&self) -> Option<String> {
        let line = self.0.iter().map(|(what, count)| match count {
            1 => what.clone(),
            count => format!("{what} (×{count})"),
        });
        let line: Vec<String> = line.collect();
        (!line.is_empty()).then(|| line.join(", "))
    }
}

/// The blocks within every limit of [`crate::limits`].
pub fn blocks(given: Vec<Value>, notes: &mut Notes) -> Vec<Value> {
    let mut fitted = Vec::with_capacity(given.len());
    let mut ids = HashSet::new();
    let mut markdown_left = limits::MARKDOWN_TEXT.max;
    for block in given {
        let Value::Object(mut block) = block else {
            notes.add("dropped something that is not a block");
            continue;
        };
        let duplicate = block
            .get("block_id")
            .and_then(Value::as_str)
            .is_some_and(|id| cut::length(id) > limits::BLOCK_ID.max || !ids.insert(id.to_owned()));
        if duplicate || block.get("block_id").is_some_and(|id| !id.is_string()) {
            block.shift_remove("block_id");
            notes.add("left out a block_id (too long, or used twice)");
        }
        let kind = block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let before = fitted.len();
        match kind.as_str() {
            "section" => block::section(block, &mut fitted, notes),
            "header" => fitted.extend(block::header(block, notes)),
            "image" => fitted.extend(element::image_element(block, notes)),
            "context" => block::context(block, &mut fitted, notes),
            "actions" => block::actions(block, &mut fitted, notes),
            "markdown" => fitted.extend(block::markdown(block, &mut markdown_left, notes)),
            "" => {}
            // Dividers, and kinds that no template of ours makes: their own limits are Slack's to
            // check, and a refusal ends in plain text, not in a loss.
            _ => fitted.push(Value::Object(block)),
        }
        if fitted.len() == before {
            notes.add(format!("dropped {} with nothing to show", article(&kind)));
        }
    }
    at_most(fitted, limits::BLOCKS.max, |_| true, notes)
}

fn article(kind: &str) -> String {
    match kind {
        "" => "a block without a type".to_owned(),
        "image" | "actions" => format!("an {kind} block"),
        _ => format!("a {kind} block"),
    }
}

/// Blocks that together weigh no more than [`limits::BLOCKS_WEIGHT`], for a message that Slack
/// refused as too long.
pub fn lighter(blocks: Vec<Value>, notes: &mut Notes) -> Vec<Value> {
    let fits = |blocks: &[Value]| blocks.iter().map(weight).sum::<usize>() <= limits::BLOCKS_WEIGHT;
    at_most(blocks, limits::BLOCKS.max, fits, notes)
}

/// What a block counts against [`limits::BLOCKS_WEIGHT`]: its JSON, and what was measured for its
/// container.
pub fn weight(block: &Value) -> usize {
    const CONTAINER: usize = 125;
    cut::length(&block.to_string()) + CONTAINER
}

/// The longest beginning of the blocks that is within `max` and `fits`, with a last block that
/// says how many are not shown.
fn at_most(
    mut blocks: Vec<Value>,
    max: usize,
    fits: impl Fn(&[Value]) -> bool,
    notes: &mut Notes,
) -> Vec<Value> {
    if blocks.len() <= max && fits(&blocks) {
        return blocks;
    }
    let all = blocks.len();
    blocks.truncate(max);
    while let Some(_dropped) = blocks.pop() {
        // A divider above the note would divide it from nothing.
        while blocks.last().is_some_and(|block| block["type"] == "divider") {
            blocks.pop();
        }
        let hidden = all - blocks.len();
        blocks.push(not_shown(hidden));
        if fits(&blocks) {
            notes.add(format!("{hidden} blocks not shown"));
            return blocks;
        }
        blocks.pop();
    }
    blocks
}

fn not_shown(hidden: usize) -> Value {
    let text = match hidden {
        1 => "… 1 more block not shown".to_owned(),
        hidden => format!("… {hidden} more blocks not shown"),
    };
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
}
