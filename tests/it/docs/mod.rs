//! The documentation: its links resolve, its generated parts are current, its commands and its code
//! run.

mod book;
mod cli_page;
mod generated;
mod links;
mod pages;
mod runnable;
mod settings_page;
mod snippets;
