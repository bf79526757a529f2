//! Bringing all conditions for one array into one place of the tree.
//!
//! Array consistency requires that one element of an array meets all conditions for its fields.
//! [`super::eval`] ensures that within one nested object. If an object and its `$or`, or an `$or`
//! inside an `$or`, have conditions for the same nested field, the branches are multiplied out.
//! EventBridge does that with every `$or`. Here it happens only where it is needed, and within a
//! budget.

use super::{Budget, Field, MAX_VALUES, Node, Object};
use crate::error::Fault;

/// The same pattern, in which every object has the conditions for a nested field in one place.
pub(super) fn join_arrays(root: Object, table: &mut Budget) -> Result<Object, Fault> {
    let mut copies = Copies { left: MAX_VALUES };
    let joined = join(root, &mut copies);
    table.take_copies(MAX_VALUES - copies.left).map_err(|message| Fault::new("when", message))?;
    joined.map_err(|TooMany| {
        Fault::new(
            "when",
            "has too many combinations of `$or` with other conditions for the same nested field; \
             move the `$or` into that field: data = { \"$or\" = [{ … }, { … }] }",
        )
    })
}

struct TooMany;

/// How many fields can still be copied.
struct Copies {
    left: usize,
}

impl Copies {
    fn spend(&mut self, object: &Object) -> Result<(), TooMany> {
        self.left = self.left.checked_sub(size(object)).ok_or(TooMany)?;
        Ok(())
    }
}

fn size(object: &Object) -> usize {
    let fields = object.fields.iter().map(|field| match &field.node {
        Node::Leaf(_) => 1,
        Node::Object(inner) => 1 + size(inner),
    });
    let branches = object.groups.iter().flatten().map(size);
    1 + fields.sum::<usize>() + branches.sum::<usize>()
}

fn join(object: Object, copies: &mut Copies) -> Result<Object, TooMany> {
    let Object { fields, groups, .. } = object;
    let (shared, own) = split_fields(fields, &groups);
    let (mixed, apart): (Vec<_>, Vec<_>) = {
        let conflicts = conflicts(&shared, &groups);
        groups.into_iter().zip(conflicts).partition(|(_, conflict)| *conflict)
    };
    let mut joined: Vec<Vec<Object>> = Vec::new();
    for (branches, _) in apart {
        joined.push(join_all(branches, copies)?);
    }
    if !mixed.is_empty() {
        let mut combinations = vec![Object::new(shared, Vec::new())];
        for (branches, _) in mixed {
            combinations = multiply(&combinations, &branches, copies)?;
        }
        joined.push(join_all(combinations, copies)?);
    }
    let mut fields = Vec::with_capacity(own.len());
    for Field { key, node } in own {
        let node = match node {
            Node::Object(inner) => Node::Object(join(inner, copies)?),
            leaf @ Node::Leaf(_) => leaf,
        };
        fields.push(Field { key, node });
    }
    Ok(Object::new(fields, joined))
}

fn join_all(branches: Vec<Object>, copies: &mut Copies) -> Result<Vec<Object>, TooMany> {
    branches.into_iter().map(|branch| join(branch, copies)).collect()
}

/// The nested fields that a group also has, and all other fields.
fn split_fields(fields: Vec<Field>, groups: &[Vec<Object>]) -> (Vec<Field>, Vec<Field>) {
    fields.into_iter().partition(|field| {
        matches!(field.node, Node::Object(_))
            && groups.iter().any(|branches| mentions(branches, &field.key))
    })
}

/// For each group, whether it shares a nested field with the object or with another group.
fn conflicts(shared: &[Field], groups: &[Vec<Object>]) -> Vec<bool> {
    let mut found = vec![false; groups.len()];
    for (i, branches) in groups.iter().enumerate() {
        let with_field = shared.iter().any(|field| mentions(branches, &field.key));
        // Several groups in one object are the result of an earlier multiplication.
        let with_group = groups.iter().enumerate().any(|(j, other)| {
            i != j && nested_keys(other).iter().any(|key| mentions(branches, key))
        });
        found[i] = with_field || with_group;
    }
    found
}

/// Whether any branch has the nested field `key` at this level of the event.
fn mentions(branches: &[Object], key: &str) -> bool {
    branches.iter().any(|branch| {
        branch
            .fields
            .iter()
            .any(|field| matches!(field.node, Node::Object(_)) && *field.key == *key)
            || branch.groups.iter().any(|inner| mentions(inner, key))
    })
}

/// The nested fields of the branches at this level of the event.
fn nested_keys(branches: &[Object]) -> Vec<&str> {
    let mut keys = Vec::new();
    for branch in branches {
        keys.extend(
            branch
                .fields
                .iter()
                .filter(|field| matches!(field.node, Node::Object(_)))
                .map(|field| &*field.key),
        );
        keys.extend(branch.groups.iter().flat_map(|inner| nested_keys(inner)));
    }
    keys
}

/// Combines every combination so far with every branch.
fn multiply(
    combinations: &[Object],
    branches: &[Object],
    copies: &mut Copies,
) -> Result<Vec<Object>, TooMany> {
    let mut product =
        Vec::with_capacity(combinations.len().saturating_mul(branches.len()).min(1024));
    for combination in combinations {
        for branch in branches {
            let both = both(combination.clone(), branch.clone());
            copies.spend(&both)?;
            product.push(both);
        }
    }
    Ok(product)
}

/// One object with the conditions of both.
fn both(a: Object, b: Object) -> Object {
    let Object { mut fields, mut groups, .. } = a;
    for Field { key, node } in b.fields {
        let same = fields.iter().position(|field| {
            field.key == key && matches!((&field.node, &node), (Node::Object(_), Node::Object(_)))
        });
        match (same, node) {
            (Some(i), Node::Object(inner)) => {
                if let Node::Object(own) = &mut fields[i].node {
                    *own = both(std::mem::take(own), inner);
                }
            }
            (_, node) => fields.push(Field { key, node }),
        }
    }
    groups.extend(b.groups);
    Object::new(fields, groups)
}
