//! Choosing the field by which a pattern is looked up.
//!
//! In a match, every field of an object accepts some value of the event, and so does one branch
//! of each group. Any of these is therefore a cheap necessary condition; the one that rules out
//! most is chosen: few exact values, rather than a range.

use std::sync::Arc;

use super::{Leaf, Node, Object};

/// What a leaf that is no list of exact values costs more than one that is.
const UNINDEXED: usize = 1_000_000;

/// The guards of a pattern: at least one accepts a value in every event that matches. None when
/// a match needs no value at all.
pub(super) fn guards(pattern: &Object) -> Option<Vec<Arc<Leaf>>> {
    choose(pattern).map(|chosen| chosen.leaves)
}

struct Chosen {
    leaves: Vec<Arc<Leaf>>,
    cost: usize,
}

fn choose(pattern: &Object) -> Option<Chosen> {
    let fields = pattern.fields.iter().filter_map(|field| match &field.node {
        Node::Leaf(leaf) if leaf.accepts_missing => None,
        Node::Leaf(leaf) => {
            let extra = if leaf.is_exact() { 0 } else { UNINDEXED };
            let cost = leaf.exact.len() + leaf.tests.len() + extra;
            Some(Chosen { leaves: vec![Arc::clone(leaf)], cost })
        }
        Node::Object(inner) => choose(inner),
    });
    let groups = pattern.groups.iter().filter_map(|branches| {
        branches.iter().map(choose).try_fold(
            Chosen { leaves: Vec::new(), cost: 0 },
            |mut all, branch| {
                let branch = branch?;
                all.leaves.extend(branch.leaves);
                all.cost = all.cost.saturating_add(branch.cost);
                Some(all)
            },
        )
    });
    fields.chain(groups).min_by_key(|chosen| chosen.cost)
}
