//! How a server stops: at the first signal it finishes what is in flight, at the second it stops at
//! once.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CommandResult, Failure};

/// Waits for a signal, then for `work` to end within the grace time.
pub(super) async fn run_until_stopped(
    grace: Duration,
    stop: CancellationToken,
    work: impl Future<Output = ()>,
) -> CommandResult {
    let mut term = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    tokio::pin!(work);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = &mut work => {
            return Err(Failure::unreachable("the router stopped without a signal; see the log"));
        }
    }
    tracing::info!("stopping: nothing new is read; a second signal stops at once");
    stop.cancel();
    tokio::select! {
        () = &mut work => tracing::info!("stopped; all attempts in flight were recorded"),
        () = tokio::time::sleep(grace) => {
            tracing::warn!("stopped after the grace time; attempts in flight will be repeated");
        }
        _ = term.recv() => tracing::warn!("stopped at once; attempts in flight will be repeated"),
        _ = int.recv() => tracing::warn!("stopped at once; attempts in flight will be repeated"),
    }
    Ok(())
}
