//! `fanfare completions` and `fanfare man`: made of the command line's own description, so they are
//! never behind it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args as ClapArgs, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use super::{Done, output};

/// Options of `completions`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare completions bash > /etc/bash_completion.d/fanfare
  fanfare completions zsh > \"${fpath[1]}/_fanfare\"
  fanfare completions fish > ~/.config/fish/completions/fanfare.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// Options of `man`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare man | man -l -
  fanfare man --out /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write a page for every command into this folder, instead of the first to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args, mut command: Command) {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "fanfare", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
}

pub(super) fn run_man(args: &ManArgs, mut command: Command) -> Done {
    command.build();
    let Some(dir) = &args.out else {
        output::line(page(&command)?.trim_end());
        return Ok(());
    };
    std::fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
    let count = write(dir, &command)?;
    output::line(format!("{count} pages in {}", dir.display()));
    Ok(())
}

fn page(command: &Command) -> Result<String, anyhow::Error> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).context("the page")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Writes the page of a command and those of the commands below it.
fn write(dir: &std::path::Path, command: &Command) -> Result<usize, anyhow::Error> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    let below = below.filter(|below| below.get_name() != "help");
    below.map(|below| write(dir, below)).sum::<Result<usize, _>>().map(|count| count + 1)
}
