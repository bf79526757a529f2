//! Choosing the field by which the index finds a filter.
//!
//! If an event matches, every field of an object accepts one of its values, and so does one branch of
//! each group. So each of them is a necessary condition that is cheap to test. The condition that
//! excludes most events is chosen: few exact values are better than a range.

use std::sync::Arc;

use super::{Leaf, Node, Object};

/// The extra cost of a leaf with operators, which the index cannot look up by value.
const UNINDEXED: usize = 1_000_000;

/// The guards of a pattern. At least one of them accepts a value in every event that matches.
/// `None` if an event can match without any value.
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
            let cost = leaf.exact.len() + leaf.operators.len() + extra;
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
