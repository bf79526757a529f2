//! Tables with headings and without lines, as wide as the terminal.

use comfy_table::{ContentArrangement, presets};

use super::{escape, line};

/// The width for a terminal that does not know its own, as of a serial line.
const DEFAULT_WIDTH: u16 = 80;

/// A table. Its cells are escaped before they are laid out, so that their width is right.
pub(in crate::cli) struct Table(comfy_table::Table);

/// An empty table.
pub(in crate::cli) fn table(headings: &[&str]) -> Table {
    let mut table = comfy_table::Table::new();
    let headings = headings.iter().map(|heading| escape::text(heading).into_owned());
    table.load_preset(presets::NOTHING).set_header(headings);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if table.width() == Some(0) {
        table.set_width(DEFAULT_WIDTH);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    Table(table)
}

impl Table {
    /// Adds a row.
    pub(in crate::cli) fn add_row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.0.add_row(cells.into_iter().map(|cell| escape::text(cell.as_ref()).into_owned()));
    }
}

/// Prints a table without trailing spaces.
pub(in crate::cli) fn print_table(table: &Table) {
    for row in table.0.to_string().lines() {
        line(row.trim_end());
    }
}
