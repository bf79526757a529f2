//! Standard error for log lines.

use std::io::{self, Write};

use super::escape;

/// Writes log lines. The formatter of text has escaped the sequences in them and added colors of
/// its own, so only what it leaves is escaped here: the controls of bidirectional text.
pub(in crate::cli) struct LogWriter {
    is_json: bool,
}

impl LogWriter {
    /// A writer for lines of JSON, or of text.
    pub(in crate::cli) fn new(is_json: bool) -> Self {
        Self { is_json }
    }
}

impl Write for LogWriter {
    /// The formatter writes each line with one call.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut to = io::stderr().lock();
        match std::str::from_utf8(bytes) {
            Ok(text) if self.is_json => to.write_all(escape::json(text).as_bytes())?,
            Ok(text) => to.write_all(escape::text_with_colors(text).as_bytes())?,
            Err(_) => to.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
