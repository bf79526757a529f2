//! Progress bars, on a terminal only.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, drawn by an indicatif template. Hidden unless that is a terminal.
pub(super) fn bar(length: u64, template: &str) -> ProgressBar {
    if !is_shown() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// A spinner for work of unknown length.
pub(super) fn spinner() -> ProgressBar {
    if is_shown() { ProgressBar::new_spinner() } else { ProgressBar::hidden() }
}

/// Whether progress is drawn at all.
pub(super) fn is_shown() -> bool {
    std::io::stderr().is_terminal()
}
