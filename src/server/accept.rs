//! The accept loop, the tick that enforces time limits, and the stop.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::{Shared, run};
use super::registry::{Admission, Place, Registry};
use super::{Options, Reserve};
use crate::observe::Observe;

/// How often the time limits are checked.
const TICK: Duration = Duration::from_millis(250);
/// Longest pause of a client in reading its answer while the server stops.
const AT_STOP: Duration = Duration::from_secs(2);
/// Pause after the system refused a connection, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Shortest time between two log lines about that.
const ACCEPT_WARNING: Duration = Duration::from_secs(30);

/// How long the tasks of new connections get to look at what has arrived, and how often.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
const LOOKS: usize = 250;

/// Serves `router` until `stop`, then finishes the requests in flight.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    reserve: Reserve,
    options: Options,
    observe: &Observe,
    stop: CancellationToken,
) {
    let registry = Registry::new(options, observe.metrics.connections.clone());
    let done = CancellationToken::new();
    let ticking = tokio::spawn(tick(registry.clone(), stop.clone(), done.clone()));
    let connections = TaskTracker::new();
    let shared = Shared { registry: registry.clone(), router, reserve, stop: stop.clone() };
    let shared = Arc::new(shared);
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = admit(&registry, peer.ip()).await {
                    connections.spawn(run(shared.clone(), stream, place));
                }
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                let closed = registry.close_any();
                if warned.is_none_or(|at| at.elapsed() >= ACCEPT_WARNING) {
                    warned = Some(Instant::now());
                    tracing::warn!(%error, closed, "the system refuses new connections");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // New connections go to another replica.
    drop(listener);
    connections.close();
    connections.wait().await;
    done.cancel();
    let _ = ticking.await;
}

/// Waits for a place. `None` if the connection must be closed.
async fn admit(registry: &Arc<Registry>, peer: IpAddr) -> Option<Place> {
    for _ in 0..LOOKS {
        match registry.admit(peer) {
            Admission::Admitted(place) => return Some(place),
            Admission::Refused => return None,
            Admission::Later => sleep(LOOK_PAUSE).await,
        }
    }
    None
}

/// Whether only the connection that was about to be accepted failed.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Enforces the time limits until `done`.
async fn tick(registry: Arc<Registry>, stop: CancellationToken, done: CancellationToken) {
    let began = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let options = registry.options.clone();
    let at_stop = Options { body_timeout: options.body_timeout.min(AT_STOP), ..options.clone() };
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = done.cancelled() => return,
        }
        let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        registry.tick(now, if stop.is_cancelled() { &at_stop } else { &options });
    }
}
