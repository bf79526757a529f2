//! Steps with a heading, a time and a place in the closing summary.
//!
//! A failed step does not hide what the next ones have to say.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What has been run so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: &'static str,
    rerun: String,
    took: Duration,
    passed: bool,
}

impl Steps {
    /// Runs `work` under a heading; `rerun` is the command to type when it fails.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        rerun: &str,
        work: impl FnOnce() -> Result<()>,
    ) {
        println!("\n==> {name}: {rerun}");
        // The step's own output goes around our buffer.
        let _ = std::io::stdout().flush();
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        match &result {
            Ok(()) => println!("    {name} ok, {}", seconds(took)),
            Err(error) => println!("    {name} FAILED, {}: {error:#}", seconds(took)),
        }
        self.done.push(Step { name, rerun: rerun.to_owned(), took, passed: result.is_ok() });
    }

    /// Prints the summary; `true` if every step passed.
    pub(crate) fn finish(self) -> bool {
        let total: Duration = self.done.iter().map(|step| step.took).sum();
        println!("\n==> summary");
        for Step { name, rerun, took, passed } in &self.done {
            let took = seconds(*took);
            if *passed {
                println!("    ok      {took:>8}  {name}");
            } else {
                println!("    FAILED  {took:>8}  {name}: run `{rerun}` again");
            }
        }
        let failed = self.done.iter().filter(|step| !step.passed).count();
        let verdict = if failed == 0 { "all steps passed" } else { "not all steps passed" };
        println!("    {verdict}, {}", seconds(total));
        failed == 0
    }
}

/// Runs a command line as a person would type it, in `dir`: `NAME=value` words at its start set
/// variables, the rest is split at spaces. The line is also what is shown for running it again.
pub(crate) fn shell(dir: &Path, line: &str, env: &[(&str, &Path)]) -> Result<()> {
    let status =
        command(dir, line, env)?.status().with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}

/// As [`shell`], but gives the standard output back; what it says on standard error is shown only
/// when it fails.
pub(crate) fn output(dir: &Path, line: &str) -> Result<String> {
    let output = command(dir, line, &[])?
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}`: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn command(dir: &Path, line: &str, env: &[(&str, &Path)]) -> Result<Command> {
    let mut words = line.split(' ').peekable();
    let mut variables = Vec::new();
    while let Some(pair) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push(pair);
        words.next();
    }
    let program = words.next().context("an empty command line")?;
    let mut command = match (program, std::env::var_os("CARGO")) {
        // The very cargo that runs us.
        ("cargo", Some(cargo)) => Command::new(cargo),
        _ => Command::new(program),
    };
    command.args(words).current_dir(dir).envs(variables).envs(env.iter().copied());
    Ok(command)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
