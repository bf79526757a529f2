//! `docs/delivery-states.md` names every reason, and no reason that does not exist.

use std::collections::BTreeSet;

use fanfare_store::{Reason, StateKind};

const PAGE: &str = include_str!("../../docs/delivery-states.md");

/// The words in the first column of the table under a heading of the third level.
fn words_under(heading: &str) -> BTreeSet<&'static str> {
    let (_, rest) = PAGE.split_once(&format!("### {heading}\n")).expect("the heading is there");
    let table = rest.split("\n#").next().unwrap_or_default();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

#[test]
fn the_page_lists_every_reason_under_its_state() {
    for (kind, heading) in [
        (StateKind::Waiting, "Waiting"),
        (StateKind::Suppressed, "Suppressed"),
        (StateKind::Dead, "Dead"),
    ] {
        let known = Reason::words().filter(|(of, _)| *of == kind).map(|(_, word)| word);
        let mut known: BTreeSet<_> = known.collect();
        if kind == StateKind::Suppressed {
            known.insert("disabled: CODE");
        }
        assert_eq!(words_under(heading), known, "{heading}");
    }
}
