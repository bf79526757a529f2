//! Child processes that never outlive this process.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::wait::{until, until_async};

/// A running child. Dropping it kills it and waits for its end.
pub struct Process(Child);

/// A command whose process the kernel kills when this process dies, where util-linux offers that.
pub fn command(program: &Path) -> Command {
    static SETPRIV: LazyLock<bool> = LazyLock::new(|| {
        let mut probe = Command::new("setpriv");
        probe.args(["--pdeathsig", "KILL", "--", "true"]);
        probe.stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    if !*SETPRIV {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    // It becomes the program, so the process id is the program's own.
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

impl Process {
    /// Starts a command made by [`command`].
    pub fn spawn(command: Command) -> Self {
        Self::try_spawn(command).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// As [`Self::spawn`], without the panic.
    pub fn try_spawn(command: Command) -> Result<Self> {
        let name = format!("{command:?}");
        spawn(command).map(Self).with_context(|| format!("cannot run {name}"))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Sends a signal, if the process still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            let id = Pid::from_raw(self.id().try_into().expect("process ids are positive i32"));
            signal::kill(id, signal).expect("our own child can be signalled");
        }
    }

    /// `kill -9`, and waits for the end.
    pub fn kill9(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("our own child can be waited for")
    }

    /// Closes its standard input, waits for the end, and returns what it has written to its pipes.
    pub fn output(mut self) -> Output {
        drop(self.0.stdin.take());
        let (mut out, mut err) = (self.0.stdout.take(), self.0.stderr.take());
        // Both at once: a full pipe would stop it.
        let (stderr, stdout) = thread::scope(|scope| {
            let stdout = scope.spawn(move || rest(&mut out));
            (rest(&mut err), stdout.join().expect("reading does not panic"))
        });
        let status = self.0.wait().expect("our own child can be waited for");
        Output { status, stdout, stderr }
    }

    /// Waits for the end, but not longer than `within`.
    pub fn wait_exit(&mut self, within: Duration) -> Option<ExitStatus> {
        until(within, || self.exited())
    }

    /// Sends SIGTERM and waits for the end. `None` if it still runs after `within`.
    pub async fn stop_async(&mut self, within: Duration) -> Option<ExitStatus> {
        self.signal(Signal::SIGTERM);
        until_async(within, || self.exited()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// A file for a child's output. It grows if it is there already.
pub fn log_file(path: &Path) -> Result<Stdio> {
    let file = File::options().create(true).append(true).open(path);
    Ok(file.with_context(|| format!("{} cannot be written", path.display()))?.into())
}

/// The last lines of a log, for an error.
pub fn tail(path: &Path) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Everything that is still to be read from a pipe.
fn rest(pipe: &mut Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// Starts a child from a thread that lives as long as this process: the kernel sends the death
/// signal when the *thread* that started the child ends, and threads of tests and runtimes end
/// before the process does.
fn spawn(command: Command) -> io::Result<Child> {
    type Job = (Command, SyncSender<io::Result<Child>>);
    static SPAWNER: LazyLock<Sender<Job>> = LazyLock::new(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, reply) in jobs {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, answer) = mpsc::sync_channel(1);
    SPAWNER.send((command, reply)).expect("the spawner lives as long as the process");
    answer.recv().expect("the spawner answers every job")
}
