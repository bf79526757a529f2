//! The ratios as a picture.

use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::prelude::*;

use crate::report::Report;

/// One ratio a bar, beside the reqwest loop of the same round.
pub(crate) fn plot(report: &Report, file: &Path) -> anyhow::Result<()> {
    let of_reqwest = |(name, ratio): (&String, &f64)| {
        Some((name.strip_suffix("/limit_reqwest")?.to_owned(), *ratio))
    };
    let mut bars: Vec<_> = report.ratios.iter().filter_map(of_reqwest).collect();
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    if bars.is_empty() {
        return Err(anyhow!("there is no ratio to draw: `limit_reqwest` was not measured"));
    }
    draw(&bars, file).with_context(|| format!("{} cannot be drawn", file.display()))
}

const ROW: u32 = 34;
const TEXT: RGBColor = RGBColor(60, 64, 72);
const BAR: RGBColor = RGBColor(46, 110, 158);

fn draw(bars: &[(String, f64)], file: &Path) -> anyhow::Result<()> {
    let rows = u32::try_from(bars.len())?;
    let area = SVGBackend::new(file, (860, 110 + ROW * rows)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("{error}");
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let most = bars.iter().map(|bar| bar.1).fold(1.0, f64::max) * 1.1;
    let count = f64::from(rows);
    let mut chart = ChartBuilder::on(&area)
        .caption("deliveries a second, beside a bare reqwest loop = 1", ("sans-serif", 18))
        .margin(12)
        .margin_left(150)
        .x_label_area_size(36)
        .build_cartesian_2d(0.0..most, 0.0..count)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(8)
        .label_style(("sans-serif", 13).into_font().color(&TEXT))
        .draw()
        .map_err(|error| failed(&error))?;
    for (place, (name, ratio)) in (0_u32..).zip(bars) {
        let top = count - f64::from(place) - 0.15;
        let bar = Rectangle::new([(0.0, top - 0.7), (*ratio, top)], BAR.filled());
        chart.draw_series([bar]).map_err(|error| failed(&error))?;
        let style = ("sans-serif", 14).into_font().color(&TEXT);
        let label =
            Text::new(format!("{ratio:.2}"), (*ratio + most * 0.008, top - 0.12), style.clone());
        chart.draw_series([label]).map_err(|error| failed(&error))?;
        let y = i32::try_from(46 + ROW * place)?;
        area.draw(&Text::new(name.clone(), (14, y), style)).map_err(|error| failed(&error))?;
    }
    area.present().map_err(|error| failed(&error))
}
