//! Small line charts, as paths of an SVG that a template writes.

use std::fmt::Write as _;

/// The size of the drawing. The page stretches it.
const WIDTH: f64 = 100.0;
const HEIGHT: f64 = 36.0;
/// Room above and below the line, for its stroke.
const MARGIN: f64 = 2.0;

/// A line chart.
pub(super) struct Spark {
    /// The line.
    pub(super) line: String,
    /// The area below it.
    pub(super) area: String,
    /// What it shows, for screen readers.
    pub(super) label: String,
}

impl Spark {
    /// Draws values that are equally far apart.
    pub(super) fn new(what: &str, values: &[u64]) -> Self {
        let most = values.iter().copied().max().unwrap_or(0);
        let last = values.last().copied().unwrap_or(0);
        let mut line = String::new();
        #[expect(clippy::cast_precision_loss, reason = "a drawing of 100 by 36")]
        for (at, value) in values.iter().enumerate() {
            let x = WIDTH * at as f64 / values.len().saturating_sub(1).max(1) as f64;
            let share = *value as f64 / most.max(1) as f64;
            let y = HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN);
            let _ = write!(line, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" });
        }
        let area = format!("{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z");
        let label = format!("{what} over time: at most {most}, most recently {last}");
        Self { line, area, label }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reaches_from_edge_to_edge_and_nothing_is_flat() {
        let spark = Spark::new("Events", &[0, 5, 10]);
        assert_eq!(spark.line, "M0.0 34.0L50.0 18.0L100.0 2.0");
        assert_eq!(spark.area, "M0.0 34.0L50.0 18.0L100.0 2.0L100 36L0 36Z");
        assert_eq!(spark.label, "Events over time: at most 10, most recently 10");
        assert_eq!(Spark::new("Dead", &[0, 0]).line, "M0.0 34.0L100.0 34.0");
        assert_eq!(Spark::new("Dead", &[7]).line, "M0.0 2.0");
    }
}
