//! `docs/settings.md`, made of the comments of `config/fanfare.toml`.
//!
//! A key belongs to the comment right above it, a section to the comment right above its header, and
//! `#= ` marks keys without a default. A comment that is followed by neither describes the file.

use std::fmt::Write as _;

use clap::{ArgAction, Command};

use super::pages::read;

const INTRO: &str = "\
# Settings

After reading this page you can find every setting of `fanfare serve`, its default, and what it does.

Command-line flags win over environment variables. Those win over the settings file (`--config`),
which wins over the defaults. An unknown key or a wrong value stops the start, with the line and the
key in the message. Times are text with a unit: `\"500ms\"`, `\"30s\"`, `\"5m\"`, `\"2h\"`, `\"30d\"`.

To get a file with every key, its default and its description, run:

```sh
fanfare check --print-config > fanfare.toml
```

In the tables, *example* marks a key that has no default.
";

/// The page.
pub(super) fn render(file: &str) -> String {
    let mut page = format!("{}\n\n{INTRO}", super::generated::NOTICE);
    for section in sections(file) {
        let title = section.name.map_or("Top level".to_owned(), |name| format!("`[{name}]`"));
        let _ = write!(page, "\n## {title}\n");
        if !section.text.is_empty() {
            let _ = write!(page, "\n{}\n", section.text);
        }
        page.push_str("\n| Key | Default | Meaning |\n| --- | --- | --- |\n");
        for Key { name, value, optional, text } in &section.keys {
            let value =
                if *optional { format!("*example:* `{value}`") } else { format!("`{value}`") };
            let cells =
                [format!("`{name}`"), value, text.clone()].map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(page, "| {} |", cells.join(" | "));
        }
    }
    page
}

struct Section<'f> {
    /// None before the first header.
    name: Option<&'f str>,
    text: String,
    keys: Vec<Key<'f>>,
}

struct Key<'f> {
    name: &'f str,
    value: &'f str,
    /// It has an example in place of a default.
    optional: bool,
    text: String,
}

fn sections(file: &str) -> Vec<Section<'_>> {
    let mut all = vec![Section { name: None, text: String::new(), keys: Vec::new() }];
    let mut comment = Vec::new();
    for line in file.lines() {
        let (line, optional) = match line.strip_prefix("#= ") {
            Some(line) => (line, true),
            None => (line, false),
        };
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        } else if line.is_empty() {
            comment.clear();
        } else {
            let text = comment.join(" ");
            comment.clear();
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                all.push(Section { name: Some(name), text, keys: Vec::new() });
            } else {
                let (name, value) = line.split_once(" = ").expect("a key and its value");
                assert!(!text.is_empty(), "config/fanfare.toml: `{name}` has no comment above it");
                let keys = &mut all.last_mut().expect("one at least").keys;
                keys.push(Key { name, value, optional, text });
            }
        }
    }
    all
}

/// What the settings file has to say of an option of `fanfare serve`.
fn mention(flag: &str, variable: &str) -> String {
    format!("Flag: `--{flag}`. Environment: `{variable}`.")
}

#[test]
fn the_settings_name_every_flag_and_variable_that_sets_them() {
    let command = fanfare::cli::command();
    let serve = command.find_subcommand("serve").expect("a command");
    // Neither is a setting: where the settings are, and a file that is written.
    let others = ["config", "ready-file"];
    let mentions = options(serve).filter(|(flag, _)| !others.contains(&flag.as_str()));
    let mut expected: Vec<_> = mentions.map(|(flag, variable)| mention(&flag, &variable)).collect();

    let file = read("config/fanfare.toml");
    let sections = sections(&file);
    let texts = sections.iter().flat_map(|section| &section.keys).map(|key| key.text.as_str());
    let mut found: Vec<_> = texts
        .filter_map(|text| text.find("Flag: `--").map(|start| text[start..].to_owned()))
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(
        found, expected,
        "the file on the left, the options of `fanfare serve` on the right"
    );
}

fn options(command: &Command) -> impl Iterator<Item = (String, String)> {
    let options =
        command.get_arguments().filter(|arg| !matches!(arg.get_action(), ArgAction::Help));
    options.filter_map(|arg| {
        let variable = arg.get_env()?.to_str().expect("a name in ASCII");
        Some((arg.get_long()?.to_owned(), variable.to_owned()))
    })
}
