//! `fanfare secrets`: the master key that encrypts the secrets in the store.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::options::StoreArgs;
use super::{CommandResult, Failure, output, tenant_files};
use crate::agenda::Clock;
use crate::app::{self, Purpose};
use crate::audit;
use crate::secrets::{Inspected, MasterKey, Rewritten, Secrets};
use crate::tenant::DestinationSpec;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare secrets new-key
  fanfare secrets status
  fanfare secrets rotate

To replace the master key:
  1. Restart every server with the new key last:  FANFARE_MASTER_KEY=old,new
  2. Restart every server with the new key first: FANFARE_MASTER_KEY=new,old
  3. Run `fanfare secrets rotate`
  4. Remove the old key once `fanfare secrets status` does not list it

A server also encrypts all secrets with its first key, in the background after its start.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a new master key without storing it
    #[command(after_help = "Example:\n  fanfare secrets new-key")]
    NewKey,
    /// Show how many secrets are encrypted with which key
    #[command(after_help = "Example:
  fanfare secrets status

The exit code is 1 if a secret is unencrypted, or not encrypted with the current key.")]
    Status(KeyArgs),
    /// Encrypt all secrets with the current key: the first of those configured
    #[command(after_help = "Example:\n  fanfare secrets rotate")]
    Rotate(KeyArgs),
}

#[derive(ClapArgs)]
struct KeyArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::NewKey => {
            let key = MasterKey::generate().map_err(|error| Failure::Unreachable(error.into()))?;
            output::line(key.reveal());
            output::note(format!(
                "This is master key {}. Store it now: Fanfare does not keep it.",
                key.id()
            ));
            Ok(())
        }
        Command::Status(args) => {
            let secrets = open(&args).await?;
            report(&secrets, Rewritten::default(), args.json).await
        }
        Command::Rotate(args) => {
            let secrets = open(&args).await?;
            if secrets.current().is_none() {
                return Err(Failure::refused(
                    "there is no master key; set FANFARE_MASTER_KEY or secrets.key_file",
                ));
            }
            let rewritten = secrets.reseal().await?;
            mask_trail(&args).await?;
            report(&secrets, rewritten, args.json).await
        }
    }
}

/// Masks entries of the audit trail in which an earlier version left parts of URLs in the clear.
async fn mask_trail(args: &KeyArgs) -> CommandResult {
    let (config, store) = args.store.open_existing().await?;
    let channels = tenant_files::offline_channels(&config)?;
    let masking = |one: &DestinationSpec| {
        let chosen = channels.get(&one.channel);
        chosen.map(|chosen| chosen.channel.masked(&one.fields)).unwrap_or_default()
    };
    let masked = audit::mask_all(&store, Clock::System.now_ms(), &masking).await?;
    if masked > 0 {
        output::note(format!("{masked} entries of the audit trail masked"));
    }
    Ok(())
}

async fn open(args: &KeyArgs) -> Result<Secrets, Failure> {
    // Fails if there is no store, which `open_sealed` would create.
    let (config, store) = args.store.open_existing().await?;
    drop(store);
    Ok(app::open_sealed(&config, Purpose::Tool).await?.1)
}

/// Prints the state. A failure while a secret is not encrypted with the current key.
async fn report(secrets: &Secrets, rewritten: Rewritten, as_json: bool) -> CommandResult {
    let Inspected { left, secrets: by_key, plain } = &secrets.inspect().await?;
    let documents = &rewritten.documents;
    if as_json {
        output::json(&json!({
            "current": secrets.current(), "secrets": by_key, "plain": plain,
            "rewritten": documents, "left": left,
        }));
    } else {
        if *documents > 0 {
            output::line(format!("{documents} tenants re-encrypted"));
        }
        for (id, count) in by_key {
            let current = if secrets.current() == Some(id) { " (current)" } else { "" };
            output::line(format!("{count} secrets encrypted with key {id}{current}"));
        }
        if *plain > 0 {
            output::line(format!("{plain} secrets unencrypted"));
        }
        if by_key.is_empty() && *plain == 0 {
            output::line("there are no secrets");
        }
    }
    if *left == 0 { Ok(()) } else { Err(Failure::Reported) }
}
