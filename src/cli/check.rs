//! `fanfare check`: checks settings, tenant files, and templates without a store or a network. With
//! `--store`, it checks a store instead: a folder from end to end, or a live Redis.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::tenant_files::Report;
use super::{CommandResult, Failure, output, store_checkup, tenant_files};
use crate::config::{self, Config, ConfigError, Misplaced};
use crate::tenant::Problem;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare check config/tenants --development
  fanfare check --config fanfare.toml tenants/ --json
  fanfare check --print-config > fanfare.toml
  fanfare check --store ./fanfare-data
  fanfare check --store redis://127.0.0.1:6379

Reports every mistake with its file, line and field. `fanfare serve` refuses what this command \
refuses. Warnings are about what is probably not meant. The exit code is 1 if there is a mistake, 3 \
if a file cannot be read.

With --store, checks the store: of a folder, the whole file, its queues and totals, the disk and \
permissions. Of Redis, the commands that the user may run, durability, memory, connections, \
replicas, the clock, and what the keys hold. It changes nothing, and servers may run meanwhile.")]
pub(super) struct Args {
    /// Tenant files, or folders of tenant files
    #[arg(value_name = "PATH", required_unless_present_any = ["config", "print_config", "store"])]
    paths: Vec<PathBuf>,
    /// Settings file
    #[arg(long, env = "FANFARE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check this store: a folder, or the URL of a Redis
    #[arg(long, value_name = "STORE", conflicts_with_all = ["paths", "print_config"])]
    store: Option<String>,
    /// Allow http:// and loopback receivers
    #[arg(long)]
    development: bool,
    /// Print every setting with its default and a comment, and check nothing
    #[arg(long)]
    print_config: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> CommandResult {
    if args.print_config {
        output::content(config::DEFAULTS.trim_end());
        return Ok(());
    }
    if let Some(store) = &args.store {
        let mut config = Config::load(args.config.as_deref())?;
        store.clone_into(&mut config.store);
        return store_checkup::run(&config, args.json).await;
    }
    if let Some(path) = args.paths.iter().find(|path| !path.exists()) {
        return Err(Failure::unreachable(format!(
            "{} does not exist; name a tenant file, or a folder with one TOML file per tenant",
            path.display()
        )));
    }
    let mut report = Report::default();
    let mut faults = Vec::new();
    match settings(args) {
        Ok(config) => {
            report.warnings.extend(config.suspicious().into_iter().map(|fault| {
                let problem = Problem::new("", "", fault.to_string());
                match &args.config {
                    Some(file) => problem.in_file(&file.display().to_string()),
                    None => problem,
                }
            }));
            let mut paths = args.paths.clone();
            // What `serve` applies at start.
            paths.extend(config.tenants.clone().filter(|dir| !args.paths.contains(dir)));
            let tenants = tenant_files::check(&config, &paths)?;
            report.counts = tenants.counts;
            report.problems.extend(tenants.problems);
            report.warnings.extend(tenants.warnings);
        }
        Err(ConfigError::Invalid(found)) => faults = found,
        Err(error) => return Err(error.into()),
    }
    print(args, &report, &faults)
}

/// The settings, as `serve` would use them.
fn settings(args: &Args) -> Result<Config, ConfigError> {
    let mut config = Config::load(args.config.as_deref())?;
    config.development |= args.development;
    config.review(args.config.as_deref())?;
    Ok(config)
}

fn print(args: &Args, report: &Report, faults: &[Misplaced]) -> CommandResult {
    let Report { counts, problems, warnings } = report;
    let ok = problems.is_empty() && faults.is_empty();
    if args.json {
        let faults = faults.iter().map(|fault| {
            json!({
                "file": fault.file, "at": fault.at, "place": "settings", "field": fault.fault.key,
                "message": fault.fault.message,
            })
        });
        let problems: Vec<_> = faults.chain(problems.iter().map(|one| json!(one))).collect();
        output::json(&json!({
            "ok": ok, "problems": problems, "warnings": warnings, "checked": counts,
        }));
        return if ok { Ok(()) } else { Err(Failure::Reported) };
    }
    for warning in warnings {
        output::warning(&warning.to_string());
    }
    if !faults.is_empty() {
        return Err(ConfigError::Invalid(faults.to_vec()).into());
    }
    if !problems.is_empty() {
        return Err(tenant_files::report(problems));
    }
    let settings = args.config.as_ref().map(|path| path.display().to_string());
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let files = (counts.files > 0 || settings.is_none()).then(|| {
        format!(
            "{} ({}, {}, {})",
            many(counts.files, "tenant file"),
            many(counts.destinations, "destination"),
            many(counts.routes, "route"),
            many(counts.templates, "template"),
        )
    });
    let checked: Vec<String> = settings.into_iter().chain(files).collect();
    output::line(format!("{}: no problems found", checked.join(" and ")));
    Ok(())
}
