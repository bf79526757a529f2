//! Names and the names that they point to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// For each name, what it imports from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Graph(pub(super) BTreeMap<String, BTreeSet<String>>);

impl Graph {
    /// What has to change here to become `truth`, a line each.
    pub(super) fn differences(&self, truth: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let names: BTreeSet<_> = self.0.keys().chain(truth.0.keys()).collect();
        for name in names {
            match (self.0.get(name), truth.0.get(name)) {
                (Some(written), Some(found)) => {
                    lines.extend(
                        found.difference(written).map(|to| format!("missing: {name} → {to}")),
                    );
                    let more = written.difference(found);
                    lines.extend(more.map(|to| format!("superfluous: {name} → {to}")));
                }
                (None, Some(_)) => lines.push(format!("missing: the line of {name}")),
                _ => lines.push(format!("superfluous: the line of {name}")),
            }
        }
        lines
    }

    /// The names of a circle, the first one again at its end.
    pub(super) fn circle(&self) -> Option<Vec<String>> {
        let mut done = BTreeSet::new();
        self.0.keys().find_map(|name| self.walk(name, &mut Vec::new(), &mut done))
    }

    fn walk<'a>(
        &'a self,
        name: &'a String,
        way: &mut Vec<&'a String>,
        done: &mut BTreeSet<&'a String>,
    ) -> Option<Vec<String>> {
        if let Some(first) = way.iter().position(|before| *before == name) {
            return Some(way[first..].iter().chain([&name]).map(|name| (*name).clone()).collect());
        }
        if !done.contains(name) {
            way.push(name);
            let next = self.0.get(name).into_iter().flatten();
            let circle = next.into_iter().find_map(|to| self.walk(to, way, done));
            way.pop();
            if circle.is_some() {
                return circle;
            }
            done.insert(name);
        }
        None
    }

    /// A line for each name, importers above what they import.
    pub(super) fn layers(&self) -> String {
        let mut lines: Vec<_> =
            self.0.iter().map(|(name, to)| (self.height(name, 0), name, to)).collect();
        lines.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let mut text = String::new();
        for (_, name, to) in lines {
            let to = to.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let to = if to.is_empty() { "{ }".to_owned() } else { format!("{{ {to} }}") };
            let _ = writeln!(text, "{name} → {to}");
        }
        text
    }

    /// The longest way down from a name. A circle has no height; it ends at the number of names.
    fn height(&self, name: &str, above: usize) -> usize {
        if above > self.0.len() {
            return 0;
        }
        let below = self.0.get(name).into_iter().flatten();
        below.map(|to| 1 + self.height(to, above + 1)).max().unwrap_or(0)
    }
}

#[test]
fn a_difference_names_the_arrow_and_a_circle_its_members() {
    let graph = |lines: &[(&str, &[&str])]| {
        let lines = lines.iter().map(|(from, to)| {
            ((*from).to_owned(), to.iter().map(|name| (*name).to_owned()).collect())
        });
        Graph(lines.collect())
    };
    let written = graph(&[("a", &["b", "c"]), ("b", &[])]);
    let found = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
    assert_eq!(
        written.differences(&found),
        ["superfluous: a → c", "missing: b → c", "missing: the line of c"]
    );
    assert_eq!(written.circle(), None);
    assert_eq!(found.circle(), Some(["b", "c", "b"].map(str::to_owned).into()));
    assert_eq!(written.layers(), "a → { b, c }\nb → { }\n");
}
