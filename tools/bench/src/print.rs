//! Figures as tables, and as JSON.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cases::CASES;
use crate::isolation::{Isolated, RUNS};
use crate::report::{Figures, Report};

/// One JSON object.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// The table of cases, and what does not fit into its columns.
pub(crate) fn report(report: &Report) {
    let head =
        ["case", "per second", "of reqwest", "p50 ms", "p99 ms", "CPU s/1,000", "MiB", "what"];
    let mut table = table(&head, 1..=6);
    for case in &CASES {
        let Some(figures) = report.cases.get(case.name) else { continue };
        let ratio = report.ratios.get(&format!("{}/limit_reqwest", case.name));
        let measured = ["fanfare", "sender"];
        let of =
            |what: &str| measured.iter().find_map(|name| figures.get(&format!("{what}_{name}")));
        table.add_row([
            case.name.to_owned(),
            number(figures.get("per_s"), 0),
            number(ratio.copied(), 2),
            number(figures.get("p50_ms"), 2),
            number(figures.get("p99_ms"), 2),
            number(of("cpu_s_per_1000"), 3),
            number(of("peak_mib"), 0),
            case.about.to_owned(),
        ]);
    }
    println!();
    print(&table);
    open_loops(report);
    at_rest(report);
    many(report);
    for why in &report.skipped {
        println!("skipped: {why}");
    }
    println!("\nMedians of {} rounds. --json has every figure.", report.rounds);
}

/// The table of the four isolation runs.
pub(crate) fn isolated(isolated: &Isolated) {
    let head = ["run", "healthy", "p50 ms", "p99 ms", "p99.9 ms", "p99 ×", "MiB"];
    let mut table = table(&head, 1..=6);
    for (name, ..) in RUNS {
        let Some(figures) = isolated.cases.get(name) else { continue };
        table.add_row([
            name.replace('_', " "),
            number(figures.get("measured"), 0),
            number(figures.get("p50_ms"), 2),
            number(figures.get("p99_ms"), 2),
            number(figures.get("p999_ms"), 2),
            number(isolated.ratios.get(name).copied(), 2),
            number(figures.get("peak_mib_fanfare"), 0),
        ]);
    }
    print(&table);
}

/// A plain table; the columns `numbers` are aligned to the right.
fn table(head: &[&str], numbers: std::ops::RangeInclusive<usize>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head.to_vec());
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if numbers.contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn print(table: &Table) {
    for row in table.to_string().lines() {
        println!("{}", row.trim_end());
    }
}

fn open_loops(report: &Report) {
    let lines = report.cases.iter().flat_map(|(name, figures)| {
        ["100", "1000"].into_iter().filter_map(|rate| open_loop(name, rate, figures))
    });
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        println!("\nFrom ingest to arrival\n{}", lines.join("\n"));
    }
}

fn open_loop(name: &str, rate: &str, figures: &Figures) -> Option<String> {
    let of = |what: &str| figures.get(&format!("open_{rate}_{what}_ms"));
    let (p50, p99, p999) = (of("p50")?, of("p99")?, of("p999")?);
    Some(format!(
        "  {name:<14} at {rate:>4}/s   p50 {p50:.2} ms   p99 {p99:.2} ms   p99.9 {p999:.2} ms"
    ))
}

fn at_rest(report: &Report) {
    let lines = report.cases.iter().filter_map(|(name, figures)| rest(name, figures));
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        println!("\nWith nothing to do\n{}", lines.join("\n"));
    }
}

fn rest(name: &str, figures: &Figures) -> Option<String> {
    let of = |what: &str| figures.get(what);
    let (idle, binary) = (of("idle_cpu_percent")?, of("binary_mib")?);
    let (ready, resident) = (of("ready_ms")?, of("resident_mib")?);
    let (tenants, ready_many) = (of("tenants_many")?, of("ready_many_ms")?);
    let (new, resident_many) = (of("ready_many_new_ms")?, of("resident_many_mib")?);
    Some(format!(
        "  {name:<14} ready in {ready:.0} ms, {resident:.0} MiB, {idle:.2} % of a core; with {tenants:.0} \
         tenants {ready_many:.0} ms ({new:.0} when they are new), {resident_many:.0} MiB; the binary \
         has {binary:.1} MiB"
    ))
}

fn many(report: &Report) {
    let Some(figures) = report.cases.get("tenants_100k") else { return };
    println!("\nWith many tenants");
    for (name, value) in &figures.0 {
        println!("  {name:<34} {value:>10.2}");
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map(|value| format!("{value:.digits$}")).unwrap_or_default()
}
