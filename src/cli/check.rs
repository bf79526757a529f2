//! `fanfare check`: settings, tenant files and templates, without a store or a network.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use super::{Done, Failure, output, tenant_files};
use crate::config::{self, Config};
use crate::tenant::{self, Problem};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  fanfare check config/tenants --development
  fanfare check --config fanfare.toml tenants/ --json
  fanfare check --print-config > fanfare.toml")]
pub(super) struct Args {
    /// Tenant files, or folders of them
    paths: Vec<PathBuf>,
    /// Settings file
    #[arg(long, env = "FANFARE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Allow http:// and loopback receivers
    #[arg(long)]
    development: bool,
    /// Print every setting with its default and a comment, and end
    #[arg(long)]
    print_config: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    if args.print_config {
        output::line(config::DEFAULTS.trim_end());
        return Ok(());
    }
    let mut config = Config::load(args.config.as_deref())?;
    config.development |= args.development;
    let problems = problems(&config, &args.paths)?;
    if args.json {
        output::json(&json!({"ok": problems.is_empty(), "problems": problems}));
        return if problems.is_empty() { Ok(()) } else { Err(Failure::No) };
    }
    if !problems.is_empty() {
        return Err(tenant_files::told(&problems));
    }
    output::line(format!("{} of {} checked: no problem", args.paths.len(), args.paths.len()));
    Ok(())
}

fn problems(config: &Config, paths: &[PathBuf]) -> Result<Vec<Problem>, Failure> {
    let specs = match tenant_files::read(paths) {
        Ok(specs) => specs,
        Err(problems) => return Ok(problems),
    };
    let channels = tenant_files::offline_channels(config)?;
    let mut problems = Vec::new();
    for (path, mut spec) in specs {
        let file = path.display().to_string();
        tenant_files::complete_for_check(&mut spec, &channels);
        let compiled = tenant::compile(&spec, 0, &channels, None);
        problems.extend(compiled.err().into_iter().flatten().map(|p| p.in_file(&file)));
        let templates = tenant_files::template_problems(config, &spec);
        problems.extend(templates.into_iter().map(|p| p.in_file(&file)));
    }
    Ok(problems)
}
