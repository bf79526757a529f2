//! The text of `fanfare --help`: commands in groups, and exit codes.

use std::fmt::Write as _;

use clap::Command;

/// What every command's exit code means, and where options come from.
pub(super) const NOTES: &str = "\
Exit codes:
  0  Success
  1  The answer is no: a problem was found, or something was refused
  2  The command line is wrong
  3  The store, the server, or a file could not be reached

An option with [env: NAME] can also be set by that environment variable. `fanfare COMMAND --help` \
shows examples. `fanfare check --print-config` prints all settings.";

/// The exit codes, for manual pages.
pub(super) const EXIT_CODES: [(&str, &str); 4] = [
    ("0", "Success"),
    ("1", "The answer is no: a problem was found, or something was refused"),
    ("2", "The command line is wrong"),
    ("3", "The store, the server, or a file could not be reached"),
];

/// Headings, and the commands below each of them.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Run", &["demo", "serve", "health", "check"]),
    (
        "Events",
        &["send", "events", "deliveries", "stats", "replay", "cancel", "digests", "suppressions"],
    ),
    (
        "Tenants",
        &[
            "apply",
            "tenants",
            "destinations",
            "routes",
            "preferences",
            "notification-channels",
            "templates",
            "types",
        ],
    ),
    ("Preview and verify", &["route", "render", "verify"]),
    (
        "Administration",
        &[
            "server", "keys", "secrets", "changes", "audit", "export", "erase", "backup",
            "restore", "repair",
        ],
    ),
    ("Shell", &["completions", "man", "help"]),
];

/// Puts the commands of the top level into groups, which clap does not offer.
pub(super) fn grouped(command: Command) -> Command {
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let names = GROUPS.iter().flat_map(|(_, names)| *names);
    let width = names.map(|name| name.len()).max().unwrap_or_default();
    let mut sections = String::new();
    for (heading, names) in GROUPS {
        let _ = write!(sections, "\n{header}{heading}:{header:#}\n");
        for name in names {
            let about = about(&command, name);
            let _ = writeln!(sections, "  {literal}{name:width$}{literal:#}  {about}");
        }
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{sections}\n\
         {header}Options:{header:#}\n{{options}}{{after-help}}"
    ))
}

fn about(command: &Command, name: &str) -> String {
    // clap adds this command when it parses.
    if name == "help" {
        return "Print the help of a command".to_owned();
    }
    let about = command.find_subcommand(name).and_then(Command::get_about);
    about.map(ToString::to_string).unwrap_or_default()
}

/// An example, and a note below it.
pub(super) fn example(command: &str, note: &str) -> String {
    format!("Example:\n  {command}\n\n{note}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli;

    /// The narrowest terminal that help is written for.
    const COLUMNS: usize = 80;

    fn below(command: &Command) -> impl Iterator<Item = &Command> {
        command.get_subcommands().filter(|below| !below.is_hide_set())
    }

    #[test]
    fn every_command_is_in_one_group() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let unique: BTreeSet<&str> = grouped.iter().copied().collect();
        assert_eq!(unique.len(), grouped.len(), "a command is in two groups");
        let root = cli::command();
        let all: BTreeSet<&str> = below(&root).map(Command::get_name).chain(["help"]).collect();
        assert_eq!(unique, all);
    }

    #[test]
    fn the_list_of_commands_fits_a_narrow_terminal() {
        let help = cli::command().render_help().to_string();
        let (commands, _) = help.split_once("\nOptions:").expect("a list of commands");
        for line in commands.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }

    /// Each command below this one has an example of its own, which is not wrapped.
    fn check_examples(command: &Command, path: &str) {
        for below in below(command) {
            let path = format!("{path} {}", below.get_name());
            let help = below.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&path), "no example of `{path}`");
            for line in help.lines().filter(|line| line.starts_with("  ")) {
                assert!(line.chars().count() <= COLUMNS, "too long: {line}");
            }
            check_examples(below, &path);
        }
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        cli::command().debug_assert();
        check_examples(&cli::command(), "fanfare");
    }
}
