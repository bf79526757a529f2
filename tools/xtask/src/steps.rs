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
    ended: Ended,
}

/// How a step ended.
enum Ended {
    Passed,
    Failed,
    /// It could not be run, for this reason, which is no fault of the change that is tested.
    NotRun(String),
}

impl Steps {
    /// Runs `work` under a heading; `rerun` is the command to type when it fails.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        rerun: &str,
        work: impl FnOnce() -> Result<()>,
    ) {
        self.run_if_possible(name, rerun, || work().map(|()| None));
    }

    /// As [`Steps::run`], for work that can be impossible here: it then answers why.
    pub(crate) fn run_if_possible(
        &mut self,
        name: &'static str,
        rerun: &str,
        work: impl FnOnce() -> Result<Option<String>>,
    ) {
        println!("\n==> {name}: {rerun}");
        // The step's own output goes around our buffer.
        let _ = std::io::stdout().flush();
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        let time = seconds(took);
        let ended = match result {
            Ok(None) => {
                println!("    {name} ok, {time}");
                Ended::Passed
            }
            Ok(Some(reason)) => {
                println!("    {name} NOT RUN, {time}: {reason}");
                Ended::NotRun(reason)
            }
            Err(error) => {
                println!("    {name} FAILED, {time}: {error:#}");
                Ended::Failed
            }
        };
        self.done.push(Step { name, rerun: rerun.to_owned(), took, ended });
    }

    /// Prints the summary; `true` if every step passed.
    pub(crate) fn finish(self) -> bool {
        let total: Duration = self.done.iter().map(|step| step.took).sum();
        println!("\n==> summary");
        let (mut failed, mut not_run) = (false, false);
        for Step { name, rerun, took, ended } in &self.done {
            let took = seconds(*took);
            match ended {
                Ended::Passed => println!("    ok      {took:>8}  {name}"),
                Ended::NotRun(reason) => {
                    not_run = true;
                    println!("    NOT RUN {took:>8}  {name}: {reason}");
                }
                Ended::Failed => {
                    failed = true;
                    println!("    FAILED  {took:>8}  {name}: run `{rerun}` again");
                }
            }
        }
        let verdict = match (failed, not_run) {
            (true, _) => "not all steps passed",
            (false, true) => "all steps that could be run passed",
            (false, false) => "all steps passed",
        };
        println!("    {verdict}, {}", seconds(total));
        !failed
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
