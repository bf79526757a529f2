//! The embedded store: SQLite in one folder.
