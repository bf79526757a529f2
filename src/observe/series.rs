//! Creates metrics with labels, with a handle for each value of a label.

use std::array;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// A label: its name and all of its values.
pub(super) type Label<'a> = (&'static str, &'a [&'static str]);

/// A counter for each value of a label.
pub(super) fn row<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    (label, words): (&'static str, &[&'static str; N]),
) -> [Counter; N] {
    let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
    registry.register(name, help, family.clone());
    array::from_fn(|at| family.get_or_create_owned(&[(label, words[at])]))
}

/// A counter for each pair of values of two labels.
pub(super) fn table<const N: usize, const M: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    (outer, rows): (&'static str, &[&'static str; N]),
    (inner, columns): (&'static str, &[&'static str; M]),
) -> [[Counter; M]; N] {
    let family = Family::<[(&'static str, &'static str); 2], Counter>::default();
    registry.register(name, help, family.clone());
    array::from_fn(|row| {
        array::from_fn(|column| {
            family.get_or_create_owned(&[(outer, rows[row]), (inner, columns[column])])
        })
    })
}

/// A histogram for each value of a label, with these upper bounds of buckets.
pub(super) fn histograms(
    registry: &mut Registry,
    (name, unit): (&str, Option<Unit>),
    help: &str,
    (label, words): Label<'_>,
    bounds: &'static [f64],
) -> Vec<Histogram> {
    let make = move || Histogram::new(bounds.iter().copied());
    let family =
        Family::<[(&'static str, &'static str); 1], Histogram, _>::new_with_constructor(make);
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, family.clone()),
        None => registry.register(name, help, family.clone()),
    }
    words.iter().map(|word| family.get_or_create_owned(&[(label, *word)])).collect()
}

/// A number of items as a metric's value.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
pub(super) fn count(items: usize) -> f64 {
    items as f64
}
