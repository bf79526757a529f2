//! `fanfare secrets`: the master key that encrypts secrets in the store.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::settings::Settings;
use super::{Done, Failure, output};
use crate::app::{self, Purpose};
use crate::secrets::{MasterKey, Resealed, Secrets};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  FANFARE_MASTER_KEY=$(fanfare secrets new-key) fanfare serve --store redis://127.0.0.1:6379
  fanfare secrets status
  fanfare secrets rotate

To replace a key: start every server with the new one after the old (FANFARE_MASTER_KEY=old,new),
then with the new one first (new,old). Each start encrypts anew in the background; `rotate` does it
at once. When `status` says that nothing is left under the old one, leave it out.")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Prints a new key; it is kept nowhere
    #[command(after_help = "Example:\n  fanfare secrets new-key")]
    NewKey,
    /// Says how many secrets are encrypted with which key
    #[command(after_help = "Example:\n  fanfare secrets status")]
    Status(Of),
    /// Encrypts everything with the first of the keys that are given
    #[command(after_help = "Example:\n  fanfare secrets rotate")]
    Rotate(Of),
}

#[derive(ClapArgs)]
struct Of {
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::NewKey => {
            let key = MasterKey::generate().map_err(|error| Failure::Unreachable(error.into()))?;
            output::line(key.reveal());
            output::note(format!("master key {}; it is kept nowhere: store it well", key.id()));
            Ok(())
        }
        What::Status(of) => {
            let secrets = open(&of).await?;
            tell(&secrets, &secrets.inspect().await?, of.json)
        }
        What::Rotate(of) => {
            let secrets = open(&of).await?;
            if secrets.current().is_none() {
                return Err(Failure::Because(
                    "there is no master key here: give it as FANFARE_MASTER_KEY or [secrets] key_file"
                        .to_owned(),
                ));
            }
            tell(&secrets, &secrets.reseal().await?, of.json)
        }
    }
}

async fn open(of: &Of) -> Result<Secrets, Failure> {
    // Looking must not make a store.
    let (config, store) = of.settings.open_existing().await?;
    drop(store);
    Ok(app::open_sealed(&config, Purpose::Tool).await?.1)
}

/// The exit code is 1 while something is in the clear or under another key.
fn tell(secrets: &Secrets, state: &Resealed, as_json: bool) -> Done {
    let Resealed { documents, left, secrets: by_key, plain } = state;
    if as_json {
        output::json(&json!({
            "current": secrets.current(), "secrets": by_key, "plain": plain,
            "rewritten": documents, "left": left,
        }));
    } else {
        if *documents > 0 {
            output::line(format!("{documents} tenants encrypted anew"));
        }
        for (id, count) in by_key {
            let current = if secrets.current() == Some(id) { ", the current one" } else { "" };
            output::line(format!("{count} secrets under key {id}{current}"));
        }
        if *plain > 0 {
            output::line(format!("{plain} secrets in the clear"));
        }
        if by_key.is_empty() && *plain == 0 {
            output::line("there are no secrets");
        }
    }
    if *left == 0 { Ok(()) } else { Err(Failure::No) }
}
