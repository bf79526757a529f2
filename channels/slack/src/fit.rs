//! Brings blocks within Slack's limits before they are sent. Slack refuses a whole message for one
//! character too many.
//!
//! Texts are split into further blocks if Slack has room for them. Otherwise they are shortened
//! visibly (`…`, "3 more blocks not shown"). Ids, values and URLs cannot be shortened, so they are
//! left out. Empty blocks, which Slack refuses, are dropped. Every change is noted.

mod block;
mod element;
mod notes;
mod text;

use std::collections::HashSet;

use serde_json::{Value, json};

pub use self::notes::Notes;
use crate::{cut, limits};

/// Brings the blocks within every limit of [`crate::limits`].
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
            // Dividers, and kinds that no built-in template uses. Slack checks their limits. If it
            // refuses them, the message is sent as plain text.
            _ => fitted.push(Value::Object(block)),
        }
        if fitted.len() == before {
            notes.add(match kind.as_str() {
                "" => "dropped a block without a type".to_owned(),
                kind => format!("dropped an empty {kind} block"),
            });
        }
    }
    at_most(fitted, limits::BLOCKS.max, |_| true, notes)
}

/// Cuts the blocks to a total of [`limits::BLOCKS_WEIGHT`], after Slack refused the message as too
/// long.
pub fn lighter(blocks: Vec<Value>, notes: &mut Notes) -> Vec<Value> {
    let fits = |blocks: &[Value]| blocks.iter().map(weight).sum::<usize>() <= limits::BLOCKS_WEIGHT;
    at_most(blocks, limits::BLOCKS.max, fits, notes)
}

/// The weight of a block towards [`limits::BLOCKS_WEIGHT`]: the length of its JSON, and a measured
/// amount for its container.
pub fn weight(block: &Value) -> usize {
    const CONTAINER: usize = 125;
    cut::length(&block.to_string()) + CONTAINER
}

/// As many blocks from the start as are within `max` and `fits`. If some are left out, a last block
/// says how many.
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
        // A divider right above the note has no use.
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
