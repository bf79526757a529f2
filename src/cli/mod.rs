//! The command line. `fanfare COMMAND` runs the file of the same name in this folder.
//!
//! Commands that read or change tenants, events, and deliveries are clients of the HTTP API: over
//! HTTP with `--server`, otherwise in this process over a store. See `remote`.

mod apply;
mod audit;
mod backup;
mod changes;
mod check;
mod completions;
mod confirm;
mod deliveries;
mod demo;
mod destinations;
mod digests;
mod erase;
mod events;
mod export;
mod failure;
mod follow;
mod health;
mod help;
mod input;
mod keys;
mod logging;
mod notification_channels;
#[cfg(test)]
mod operations;
mod options;
mod output;
mod preferences;
mod progress;
mod remote;
mod render;
mod replay;
mod route;
mod routes;
mod secrets;
mod send;
mod serve;
mod server;
mod show;
mod stats;
mod store_checkup;
mod suppressions;
mod templates;
mod tenant_files;
mod tenants;
mod types;
mod verify;

use std::ffi::OsString;
use std::pin::Pin;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use failure::{CommandResult, Failure};

#[derive(Parser)]
#[command(
    name = "fanfare",
    version,
    about = "Route events to signed webhooks, templated email, and Slack messages",
    after_help = help::NOTES,
    arg_required_else_help = true,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// `help::GROUPS` decides how `fanfare --help` groups them.
#[derive(Subcommand)]
enum Command {
    /// Show the whole path on this machine with sample events
    Demo(demo::Args),
    /// Run the router and its HTTP API
    Serve(Box<serve::Args>),
    /// Check whether a server is ready
    Health(health::Args),
    /// Check settings, tenant files, and templates
    Check(check::Args),

    /// Send events from files or standard input
    Send(Box<send::Args>),
    /// List or follow events, or show one and its deliveries
    Events(Box<events::Args>),
    /// List deliveries, or show one and its attempts
    Deliveries(Box<deliveries::Args>),
    /// Show counts of events and deliveries per hour or day
    Stats(Box<stats::Args>),
    /// Send dead and suppressed deliveries again
    Replay(Box<replay::Args>),
    /// Cancel waiting deliveries
    Cancel(Box<replay::CancelArgs>),
    /// List what is collected into digests, or send one now
    Digests(digests::Args),
    /// List and enable disabled destinations and addresses
    Suppressions(suppressions::Args),

    /// Apply tenant files to a store or a server
    Apply(Box<apply::Args>),
    /// List, create, change, and delete tenants
    Tenants(tenants::Args),
    /// List, create, change, test, and pause destinations
    Destinations(Box<destinations::Args>),
    /// List, create, change, and delete routes
    Routes(Box<routes::Args>),
    /// Show or set which event types go to which destinations
    Preferences(preferences::Args),
    /// Show or set the channels that receive every event
    NotificationChannels(notification_channels::Args),
    /// List, show, set, and preview message templates
    Templates(templates::Args),
    /// List, create, change, and delete event types
    Types(types::Args),

    /// Explain where an event would go, and why
    Route(route::Args),
    /// Render the messages for an event
    Render(render::Args),
    /// Verify the signature of a webhook
    Verify(verify::Args),

    /// Show whether a server is well, and its settings
    Server(server::Args),
    /// Create, list, and revoke API keys
    Keys(keys::Args),
    /// Create, inspect, and rotate the master key
    Secrets(secrets::Args),
    /// List who changed what, and when
    Changes(changes::Args),
    /// Prove that every event is accounted for
    Audit(audit::Args),
    /// Export all data of a tenant as JSON lines
    Export(export::Args),
    /// Erase a tenant, or all events about a person
    Erase(erase::Args),
    /// Back up the embedded store while a server uses it
    Backup(backup::Args),
    /// Restore the embedded store from a backup
    Restore(backup::RestoreArgs),
    /// Repair what can be repaired in a store without guessing
    Repair(store_checkup::RepairArgs),

    /// Print the completion script of a shell
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    Man(completions::ManArgs),
}

/// The definition of the command line, from which help, manual pages, completions, and
/// documentation are made.
pub fn command() -> clap::Command {
    help::grouped(Cli::command())
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let matches = without_opposites(command(), std::env::args_os().skip(1)).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // Long-running commands log, and have no such option.
    if std::env::args_os().any(|arg| arg == "--json") {
        output::use_json();
    }
    let runtime = match runtime(&cli.command) {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::unreachable(format!("cannot start the runtime: {error}")).report();
        }
    };
    // Boxed, because the runtime's loops are compiled once for each type of future.
    let command: Pin<Box<dyn Future<Output = CommandResult>>> = Box::pin(run(cli.command));
    let result = runtime.block_on(command);
    // A blocking read of standard input must not keep the process alive.
    runtime.shutdown_background();
    result.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

/// A flag wins over the environment variable of its opposite: with `--store`, `FANFARE_SERVER` does
/// not count, and the other way round.
fn without_opposites(
    command: clap::Command,
    args: impl Iterator<Item = OsString>,
) -> clap::Command {
    let args: Vec<OsString> = args.collect();
    let is_given = |flag: &str| {
        args.iter().any(|arg| {
            let arg = arg.to_string_lossy();
            arg.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
    };
    match (is_given("--store"), is_given("--server")) {
        (true, false) => without_variable(command, "server"),
        (false, true) => without_variable(command, "store"),
        _ => command,
    }
}

/// The command and all below it, where this option has no environment variable.
fn without_variable(command: clap::Command, option: &str) -> clap::Command {
    let names: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let has = command.get_arguments().any(|arg| arg.get_id() == option);
    let command =
        if has { command.mut_arg(option, |arg| arg.env(None::<&'static str>)) } else { command };
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |below| without_variable(below, option))
    })
}

/// A runtime with few threads. The work is mostly waiting, and on few cores more threads only
/// switch.
fn runtime(command: &Command) -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = match command {
        Command::Serve(args) if args.threads() > 0 => args.threads(),
        _ => cores.min(4),
    };
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

async fn run(command: Command) -> CommandResult {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(*args).await,
        Command::Health(args) => health::run(args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Repair(args) => store_checkup::repair(&args).await,
        Command::Send(args) => send::run(*args).await,
        Command::Events(args) => events::run(*args).await,
        Command::Deliveries(args) => deliveries::run(*args).await,
        Command::Stats(args) => stats::run(*args).await,
        Command::Replay(args) => replay::run(*args).await,
        Command::Cancel(args) => replay::run_cancel(*args).await,
        Command::Digests(args) => digests::run(args).await,
        Command::Suppressions(args) => suppressions::run(args).await,
        Command::Apply(args) => apply::run(*args).await,
        Command::Tenants(args) => tenants::run(args).await,
        Command::Destinations(args) => destinations::run(*args).await,
        Command::Routes(args) => routes::run(*args).await,
        Command::Preferences(args) => preferences::run(args).await,
        Command::NotificationChannels(args) => notification_channels::run(args).await,
        Command::Templates(args) => templates::run(args).await,
        Command::Types(args) => types::run(args).await,
        Command::Route(args) => route::run(&args).await,
        Command::Render(args) => render::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Server(args) => server::run(args).await,
        Command::Keys(args) => keys::run(args).await,
        Command::Secrets(args) => secrets::run(args).await,
        Command::Changes(args) => changes::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Erase(args) => erase::run(args).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => backup::run_restore(args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => completions::run_man(&args),
    }
}
