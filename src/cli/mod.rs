//! The command line: parsing here, one file a command.

mod apply;
mod audit;
mod awaited;
mod backup;
mod channels;
mod check;
mod completions;
mod deliveries;
mod demo;
mod destinations;
mod erase;
mod events;
mod export;
mod follow;
mod health;
mod input;
mod keys;
mod logging;
mod mailbox;
#[cfg(test)]
mod operations;
mod output;
mod remote;
mod render;
mod replay;
mod route;
mod routes;
mod secrets;
mod send;
mod serve;
mod settings;
mod show;
mod suppressions;
mod templates;
mod tenant_files;
mod tenants;
mod types;
mod verify;

use std::pin::Pin;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use settings::Settings;

/// What every command may end with.
const EXIT_CODES: &str = "\
Exit codes:
  0  it went well
  1  it ran, and the answer is no: a problem was found, a signature is wrong, something was refused
  2  the command line is wrong
  3  the store, the server or a file could not be reached

Options that can be given by an environment variable show it as [env: …]; settings of a file are
given with --config and are listed in config/fanfare.toml.";

#[derive(Parser)]
#[command(
    name = "fanfare",
    version,
    about = "Routes events to signed webhooks, templated email and Slack, and loses none",
    after_help = EXIT_CODES,
    arg_required_else_help = true,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the whole path on this machine: sample events to real receivers over real sockets
    Demo(demo::Args),
    /// Runs the router
    Serve(Box<serve::Args>),
    /// Sends events from a file or standard input
    Send(Box<send::Args>),
    /// Writes tenant files to the store
    Apply(Box<apply::Args>),
    /// Checks settings, tenant files and templates without a store
    Check(check::Args),
    /// Explains where an event would go, and why
    Route(route::Args),
    /// Renders a template on an event
    Render(render::Args),
    /// Lists events, or shows one with its whole path
    Events(Box<events::Args>),
    /// Lists deliveries, or shows one with its attempts
    Deliveries(Box<deliveries::Args>),
    /// Sends again what ended: one delivery, or everything that was missed
    Replay(Box<replay::Args>),
    /// Ends deliveries that wait
    Cancel(Box<replay::CancelArgs>),
    /// Lists, makes, changes and removes tenants
    Tenants(tenants::Args),
    /// A tenant's destinations: lists, makes, changes, tests, pauses, recovers, removes them
    Destinations(Box<destinations::Args>),
    /// A tenant's routes: which events go to which destinations
    Routes(Box<routes::Args>),
    /// The same as a matrix of event type and destination
    Preferences(routes::Preferences),
    /// A tenant's one webhook, one list of addresses, one Slack channel, as one small resource
    NotificationChannels(channels::Channels),
    /// A tenant's templates: lists, shows, puts, removes, previews them
    Templates(templates::Args),
    /// The catalogue of event types, with examples and schemas
    Types(types::Args),
    /// What nothing is sent to any more: lists it with what was kept back, lifts it
    Suppressions(suppressions::Args),
    /// What is collected into digests; sends one now
    Digests(channels::Digests),
    /// Tells who changed what, and when
    Changes(channels::Changes),
    /// Makes, lists and revokes the keys of the HTTP API
    Keys(keys::Args),
    /// Looks after the master key that encrypts secrets in the store
    Secrets(secrets::Args),
    /// Proves that every event is accounted for
    Audit(audit::Args),
    /// Writes all there is of a tenant as lines of JSON
    Export(export::Args),
    /// Erases a tenant, or all events about somebody, for good
    Erase(erase::Args),
    /// Copies the embedded store to a file while a router serves from it
    Backup(backup::Args),
    /// Makes a store of a backup
    Restore(backup::RestoreArgs),
    /// Checks that a server is ready
    Health(health::Args),
    /// Verifies the signature of a webhook
    Verify(verify::Args),
    /// Prints the completion script of a shell
    Completions(completions::Args),
    /// Prints the manual, or writes all its pages
    Man(completions::ManArgs),
}

/// Why a command ended badly, as its exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The answer is no; what there is to say has been said.
    #[error("")]
    No,
    /// The answer is no, because of this.
    #[error("{0}")]
    Because(String),
    /// Something could not be reached or read.
    #[error("{0:#}")]
    Unreachable(#[from] anyhow::Error),
}

impl From<fanfare_store::StoreError> for Failure {
    fn from(error: fanfare_store::StoreError) -> Self {
        match error {
            fanfare_store::StoreError::BadQuery(why) | fanfare_store::StoreError::Secrets(why) => {
                Self::Because(why)
            }
            // Its words hold those of its sources already.
            other => Self::Unreachable(anyhow::anyhow!("{other}")),
        }
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Because(error.to_string())
    }
}

type Done = Result<(), Failure>;

/// The definition of the command line. `docs/cli.md` is generated from it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match runtime(&cli.command) {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&format!("the runtime cannot start: {error}"));
            return ExitCode::from(3);
        }
    };
    // Boxed, for the runtime's loops are compiled once for each type of what they run.
    let command: Pin<Box<dyn Future<Output = Done>>> = Box::pin(run(cli.command));
    let done = runtime.block_on(command);
    // Blocking reads of standard input must not keep the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::No) => ExitCode::from(1),
        Err(failure @ Failure::Because(_)) => {
            output::error(&failure.to_string());
            ExitCode::from(1)
        }
        Err(failure @ Failure::Unreachable(_)) => {
            output::error(&failure.to_string());
            ExitCode::from(3)
        }
    }
}

/// Few threads: the work is waiting, and on few cores more threads only trade places.
fn runtime(command: &Command) -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = match command {
        Command::Serve(args) if args.threads() > 0 => args.threads(),
        _ => cores.min(4),
    };
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

async fn run(command: Command) -> Done {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(*args).await,
        Command::Send(args) => send::run(*args).await,
        Command::Apply(args) => apply::run(*args).await,
        Command::Check(args) => check::run(&args),
        Command::Route(args) => route::run(&args).await,
        Command::Render(args) => render::run(&args),
        Command::Events(args) => events::run(*args).await,
        Command::Deliveries(args) => deliveries::run(*args).await,
        Command::Replay(args) => replay::run(*args).await,
        Command::Cancel(args) => replay::run_cancel(*args).await,
        Command::Tenants(args) => tenants::run(args).await,
        Command::Destinations(args) => destinations::run(*args).await,
        Command::Routes(args) => routes::run(*args).await,
        Command::Preferences(args) => routes::run_preferences(args).await,
        Command::NotificationChannels(args) => channels::run(args).await,
        Command::Templates(args) => templates::run(args).await,
        Command::Types(args) => types::run(args).await,
        Command::Suppressions(args) => suppressions::run(args).await,
        Command::Digests(args) => channels::run_digests(args).await,
        Command::Changes(args) => channels::run_changes(args).await,
        Command::Keys(args) => keys::run(args).await,
        Command::Secrets(args) => secrets::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Erase(args) => erase::run(args).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => backup::run_restore(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Verify(args) => verify::run(&args),
        Command::Completions(args) => {
            completions::run(&args, Cli::command());
            Ok(())
        }
        Command::Man(args) => completions::run_man(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command below this one has an example of itself, or below itself one each.
    fn has_examples(command: &clap::Command, path: &str) {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            let path = format!("{path} {}", below.get_name());
            let help = below.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&path), "no example of `{path}`");
            has_examples(below, &path);
        }
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        Cli::command().debug_assert();
        has_examples(&Cli::command(), "fanfare");
    }
}
