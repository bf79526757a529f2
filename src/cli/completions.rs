//! `fanfare completions` and `fanfare man`, made from the definition of the command line.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args as ClapArgs, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{CommandResult, help, output};

/// Options of `completions`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare completions bash > /etc/bash_completion.d/fanfare
  fanfare completions zsh > \"${fpath[1]}/_fanfare\"
  fanfare completions fish > ~/.config/fish/completions/fanfare.fish")]
pub(super) struct Args {
    /// Shell that completes
    shell: Shell,
}

/// Options of `man`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare man | man -l -
  fanfare man --out /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write a page for each command to this folder, instead of printing the first page
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[expect(clippy::unnecessary_wraps, reason = "as every command")]
pub(super) fn run(args: &Args) -> CommandResult {
    let mut script = Vec::new();
    generate(args.shell, &mut super::command(), "fanfare", &mut script);
    output::content(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}

pub(super) fn run_man(args: &ManArgs) -> CommandResult {
    let mut command = super::command();
    command.build();
    let Some(dir) = &args.out else {
        output::content(page(&command)?.trim_end());
        return Ok(());
    };
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot create the folder {}", dir.display()))?;
    let count = write(dir, &command)?;
    output::line(format!("{count} pages written to {}", dir.display()));
    Ok(())
}

fn page(command: &Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let plain = command.clone().after_help(None::<&'static str>);
    Man::new(plain).render(&mut page).context("cannot render the manual page")?;
    sections(&notes).to_writer(&mut page).context("cannot render the manual page")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// The sections below those of clap: notes, examples, and exit codes.
fn sections(notes: &str) -> Roff {
    let mut roff = Roff::new();
    let (mut examples, mut texts) = (Vec::new(), Vec::new());
    let mut in_examples = false;
    for line in notes.lines() {
        match line {
            "Example:" | "Examples:" => in_examples = true,
            _ if line.starts_with("  ") && in_examples => {
                examples.push(line.get(2..).unwrap_or_default());
            }
            "" => in_examples = false,
            _ if !line.starts_with("  ") && !line.starts_with("Exit codes:") => texts.push(line),
            _ => {}
        }
    }
    if !texts.is_empty() {
        roff.control("SH", ["NOTES"]);
        for text in texts {
            roff.control("PP", []);
            roff.text([roman(text)]);
        }
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for example in examples {
            roff.text([roman(example)]);
        }
        roff.control("fi", []);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in help::EXIT_CODES {
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("fanfare"), roman("(1)")]);
    roff
}

/// Writes the page of a command and of each command below it. Returns their number.
fn write(dir: &Path, command: &Command) -> anyhow::Result<usize> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    let below = below.filter(|below| below.get_name() != "help");
    below.map(|below| write(dir, below)).sum::<anyhow::Result<usize>>().map(|count| count + 1)
}
