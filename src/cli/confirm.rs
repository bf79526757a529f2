//! Asks before something is deleted.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args as ClapArgs;

use super::Failure;

/// Whether to ask.
#[derive(ClapArgs, Clone)]
pub(super) struct Confirm {
    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Confirm {
    /// Fails unless a person at the terminal, or `--yes`, agrees.
    pub(super) fn ask(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::refused(
                "nothing was deleted, because there is no terminal to ask at; pass --yes",
            ));
        }
        let mut terminal = anstream::stderr();
        let _ = write!(terminal, "{question} [y/N] ");
        let _ = terminal.flush();
        let mut answer = String::new();
        let _ = io::stdin().lock().read_line(&mut answer);
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::refused("nothing was deleted")),
        }
    }
}
