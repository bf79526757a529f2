//! A bounded pool of connections to one mail server.
//!
//! Each exchange holds a permit, so the number of open connections is bounded under any load. The
//! exchange owns its connection and returns it only if it is in sync. If the exchange is dropped,
//! the connection is dropped with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::connection::Connection;
use super::{Dialer, Reply, SmtpError};
use crate::compose::Outgoing;

/// A connection that was idle for longer is probed before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// Longest wait for the reply to the probe.
const PROBE: Duration = Duration::from_secs(5);

/// The connections to one mail server.
pub(crate) struct Pool {
    dialer: Arc<Dialer>,
    permits: Semaphore,
    idle: Arc<IdleList>,
}

/// The right to use one connection. Released by drop.
pub(crate) struct Slot<'p> {
    pool: &'p Pool,
    _permit: SemaphorePermit<'p>,
}

/// The connections that no exchange uses.
struct IdleList {
    timeout: Duration,
    state: Mutex<IdleState>,
}

#[derive(Default)]
struct IdleState {
    /// Each with the start of its idle time. The most recently used is the last.
    connections: Vec<(Connection, Instant)>,
    /// Whether a task closes expired connections.
    reaper_runs: bool,
}

impl Pool {
    pub(crate) fn new(dialer: Dialer, connections: usize, idle_timeout: Duration) -> Self {
        let idle = Arc::new(IdleList { timeout: idle_timeout, state: Mutex::default() });
        Self { dialer: Arc::new(dialer), permits: Semaphore::new(connections), idle }
    }

    /// Waits for the right to use a connection.
    pub(crate) async fn slot(&self) -> Slot<'_> {
        let permit = self.permits.acquire().await.expect("the semaphore is never closed");
        Slot { pool: self, _permit: permit }
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        mail: &Outgoing,
    ) -> Result<Reply, SmtpError> {
        let outcome = connection.deliver(mail).await;
        if connection.is_in_sync() {
            self.idle.put(connection);
        }
        outcome
    }
}

impl Slot<'_> {
    /// Sends one mail, on an idle connection or on a new one.
    pub(crate) async fn send(self, mail: &Outgoing) -> Result<Reply, SmtpError> {
        if let Some(connection) = self.pool.idle.take().await {
            match self.pool.exchange(connection, mail).await {
                Err(error) if error.is_stale() => {}
                outcome => return outcome,
            }
        }
        let connection = Connection::open(Arc::clone(&self.pool.dialer)).await?;
        self.pool.exchange(connection, mail).await
    }
}

impl IdleList {
    /// The most recently used connection, if it is still alive.
    async fn take(&self) -> Option<Connection> {
        let (mut connection, since) = {
            let mut state = self.lock();
            let last = state.connections.pop()?;
            if last.1.elapsed() >= self.timeout {
                // The others have been idle for longer.
                state.connections.clear();
                return None;
            }
            last
        };
        if since.elapsed() > TRUSTED_IDLE && !connection.reset(PROBE).await {
            self.lock().connections.clear();
            return None;
        }
        Some(connection)
    }

    fn put(self: &Arc<Self>, connection: Connection) {
        let mut state = self.lock();
        state.connections.push((connection, Instant::now()));
        if !state.reaper_runs {
            state.reaper_runs = true;
            tokio::spawn(reap(Arc::downgrade(self), self.timeout));
        }
    }

    /// Removes the expired connections. Also returns the time until the next one expires, or `None`
    /// if no connection is left. The reaper ends then.
    fn take_expired(&self) -> (Vec<Connection>, Option<Duration>) {
        let mut state = self.lock();
        let fresh = |(_, since): &(Connection, Instant)| since.elapsed() < self.timeout;
        let end = state.connections.iter().position(fresh).unwrap_or(state.connections.len());
        let expired = state.connections.drain(..end).map(|(connection, _)| connection).collect();
        let idle_for = state.connections.first().map(|(_, since)| since.elapsed());
        state.reaper_runs = idle_for.is_some();
        (expired, idle_for.map(|idle_for| self.timeout.saturating_sub(idle_for)))
    }

    fn lock(&self) -> MutexGuard<'_, IdleState> {
        // No code under the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes idle connections when they expire, until none is left or the pool is gone.
async fn reap(idle: Weak<IdleList>, timeout: Duration) {
    let mut wait = Some(timeout);
    while let Some(time) = wait {
        tokio::time::sleep(time).await;
        let Some(idle) = idle.upgrade() else { return };
        let (expired, next) = idle.take_expired();
        drop(idle);
        for connection in expired {
            connection.quit().await;
        }
        wait = next;
    }
}
