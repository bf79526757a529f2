//! `docs/cli.md`, made of the definition of the command line.

use std::fmt::Write as _;

use clap::{Arg, Command};

const INTRO: &str = "\
# Command line

After reading this page you can find every command of `fanfare`, its options, and examples.

Every command prints the same text with `--help`. `fanfare man` prints it as a manual page, and
`fanfare completions` prints completions for your shell.
";

/// The page.
pub(super) fn render(mut root: Command) -> String {
    root.build();
    let mut page = format!("{}\n\n{INTRO}", super::generated::NOTICE);
    page.push_str("\n| Command | Purpose |\n| --- | --- |\n");
    for command in below(&root) {
        let name = command.get_name();
        let about = escaped(&command.get_about().map(ToString::to_string).unwrap_or_default());
        let _ = writeln!(page, "| [`{name}`](#fanfare-{name}) | {} |", about.replace('|', "\\|"));
    }
    let notes = root.get_after_help().map(ToString::to_string).unwrap_or_default();
    page.push_str(&paragraphs(&notes));
    for command in below(&root) {
        describe(&mut page, command, &format!("fanfare {}", command.get_name()), 2);
    }
    page
}

/// The commands of a command that people see.
fn below(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help")
}

fn describe(page: &mut String, command: &Command, path: &str, level: usize) {
    let _ = write!(page, "\n{} {path}\n", "#".repeat(level));
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n{}\n", sentence(&about));
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let _ = write!(page, "\n```text\n{usage}\n```\n");

    let shown =
        |arg: &&Arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version";
    let (arguments, options): (Vec<_>, Vec<_>) =
        command.get_arguments().filter(shown).partition(|arg| arg.is_positional());
    for (title, all) in [("Arguments", arguments), ("Options", options)] {
        if !all.is_empty() {
            let _ = write!(page, "\n**{title}**\n\n");
            for arg in all {
                page.push_str(&item(arg));
            }
        }
    }
    let help = command.get_after_long_help().or_else(|| command.get_after_help());
    page.push_str(&paragraphs(&help.map(ToString::to_string).unwrap_or_default()));
    for one in below(command) {
        describe(page, one, &format!("{path} {}", one.get_name()), level + 1);
    }
}

/// A list item about an argument.
fn item(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default().replace('\n', " ");
    // Where a default applies only without a settings file, clap does not know it.
    let (help, written) =
        match help.strip_suffix(']').and_then(|help| help.rsplit_once(" [default: ")) {
            Some((help, default)) => (help, Some(default.to_owned())),
            None => (&*help, None),
        };
    let mut facts = vec![sentence(help)];
    let mut defaults = Vec::from_iter(written);
    if arg.get_action().takes_values() {
        let values = arg.get_possible_values();
        let values = values.iter().filter(|value| !value.is_hide_set());
        let values: Vec<_> = values.map(|value| format!("`{}`", value.get_name())).collect();
        if !values.is_empty() && !arg.is_hide_possible_values_set() {
            facts.push(format!("Values: {}.", values.join(", ")));
        }
        let known = arg.get_default_values().iter().map(|one| one.to_string_lossy().into_owned());
        defaults.extend(known.filter(|_| !arg.is_hide_default_value_set()));
    }
    // Words are no value.
    let tick = |default: &String| if default.contains(' ') { "" } else { "`" };
    let default = |default: &String| format!("Default: {0}{default}{0}.", tick(default));
    facts.extend(defaults.iter().map(default));
    facts.extend(arg.get_env().map(|name| format!("Environment: `{}`.", name.to_string_lossy())));
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    format!("- `{short}{arg}`: {}\n", facts.join(" ").trim())
}

/// Help without its formatting, as a sentence.
fn sentence(help: &str) -> String {
    let stop =
        if help.is_empty() || help.ends_with(['.', ':', '!', '?', '…']) { "" } else { "." };
    format!("{}{stop}", escaped(help))
}

/// The text after the options: indented lines below a title are a block of code.
fn paragraphs(text: &str) -> String {
    let mut page = String::new();
    for paragraph in text.split("\n\n").map(str::trim_end).filter(|one| !one.is_empty()) {
        let (title, block) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let lines: Vec<_> = block.lines().map(|line| line.strip_prefix("  ")).collect();
        match lines.iter().copied().collect::<Option<Vec<_>>>() {
            Some(lines) if title.ends_with(':') && !lines.is_empty() => {
                let language = if title.starts_with("Example") { "sh" } else { "text" };
                let lines = lines.join("\n");
                let _ = write!(
                    page,
                    "\n**{}**\n\n```{language}\n{lines}\n```\n",
                    title.trim_end_matches(':')
                );
            }
            _ => {
                let _ = write!(page, "\n{}\n", wrapped(&escaped(paragraph)));
            }
        }
    }
    page
}

/// The same text in lines of at most 100 characters.
fn wrapped(text: &str) -> String {
    let mut page = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 {
            let fits = column + 1 + length <= 100;
            page.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        page.push_str(word);
        column += length;
    }
    page
}

/// Text in which Markdown changes nothing but what is between backticks.
fn escaped(text: &str) -> String {
    let mut page = String::with_capacity(text.len());
    let mut code = false;
    for c in text.chars() {
        code ^= c == '`';
        if !code && matches!(c, '*' | '_' | '<' | '>' | '[' | ']' | '\\') {
            page.push('\\');
        }
        page.push(c);
    }
    page
}
