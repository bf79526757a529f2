//! `fanfare check`: checks settings, tenant files, and templates without a store or a network. With
//! `--store`, it checks a store instead: a folder from end to end, or a live Redis.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::{CommandResult, Failure, output, store_checkup, tenant_files};
use crate::app;
use crate::config::{self, Config};
use crate::tenant::{self, Problem};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare check config/tenants --development
  fanfare check --config fanfare.toml tenants/ --json
  fanfare check --print-config > fanfare.toml
  fanfare check --store ./fanfare-data
  fanfare check --store redis://127.0.0.1:6379

Reports every mistake with its file and field. The exit code is 1 if there is one.

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
    let mut config = Config::load(args.config.as_deref())?;
    if let Some(store) = &args.store {
        store.clone_into(&mut config.store);
        return store_checkup::run(&config, args.json).await;
    }
    config.development |= args.development;
    let (files, problems) = check(&config, &args.paths)?;
    if args.json {
        output::json(&json!({"ok": problems.is_empty(), "problems": problems}));
        return if problems.is_empty() { Ok(()) } else { Err(Failure::Reported) };
    }
    if !problems.is_empty() {
        return Err(tenant_files::report(&problems));
    }
    let settings = args.config.as_ref().map(|path| path.display().to_string());
    let files = (!args.paths.is_empty()).then(|| match files {
        1 => "1 tenant file".to_owned(),
        count => format!("{count} tenant files"),
    });
    let checked: Vec<String> = settings.into_iter().chain(files).collect();
    output::line(format!("{}: no problems found", checked.join(" and ")));
    Ok(())
}

/// Checks the files. Returns how many there are, and all problems.
fn check(config: &Config, paths: &[PathBuf]) -> Result<(usize, Vec<Problem>), Failure> {
    let specs = match tenant_files::read(paths) {
        Ok(specs) => specs,
        Err(problems) => return Ok((0, problems)),
    };
    let channels = tenant_files::offline_channels(config)?;
    let engines = app::tenant_engines(config)?;
    let count = specs.len();
    let mut problems = Vec::new();
    for (path, mut spec) in specs {
        let file = path.display().to_string();
        tenant_files::complete_for_check(&mut spec, &channels);
        let compiled = tenant::compile(&spec, 0, &channels, None);
        problems.extend(compiled.err().into_iter().flatten().map(|p| p.in_file(&file)));
        let over = tenant_files::quota_problems(config, None, &spec);
        problems.extend(over.map(|p| p.in_file(&file)));
        let reviewed = tenant::review(&spec, None, &channels);
        problems.extend(reviewed.into_iter().map(|p| p.in_file(&file)));
        let templates = tenant_files::template_problems(&engines, &spec);
        problems.extend(templates.into_iter().map(|p| p.in_file(&file)));
    }
    Ok((count, problems))
}
