//! A few connections, used again and again.
//!
//! At most so many are open at once, whatever the load: a permit is held for each exchange, and an
//! idle connection is one that nobody holds. A connection is owned by the exchange it serves and
//! comes back only when it is in sync; a dropped future drops it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::connection::Connection;
use super::{Dialer, Reply, SmtpError};
use crate::compose::Outgoing;

/// A connection idle for longer is asked whether it is still there.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// Longest wait for that answer.
const PROBE: Duration = Duration::from_secs(5);

/// Connections to one mail server.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Arc<Dialer>,
    permits: Semaphore,
    idle_timeout: Duration,
    idle: Mutex<Idle>,
}

/// Connections that nobody uses, the one used last at the end.
#[derive(Default)]
struct Idle {
    connections: Vec<(Connection, Instant)>,
    /// Whether a task looks after them.
    watched: bool,
}

impl Pool {
    pub(crate) fn new(dialer: Dialer, connections: usize, idle_timeout: Duration) -> Self {
        let shared = Shared {
            dialer: Arc::new(dialer),
            permits: Semaphore::new(connections),
            idle_timeout,
            idle: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The right to use a connection, as soon as one is free.
    pub(crate) async fn place(&self) -> Place<'_> {
        let permit = self.shared.permits.acquire().await;
        Place { pool: self, _permit: permit.expect("the semaphore is never closed") }
    }

    async fn send(&self, mail: &Outgoing) -> Result<Reply, SmtpError> {
        if let Some(mut connection) = self.kept().await {
            let outcome = connection.deliver(mail).await;
            self.give_back(connection);
            match outcome {
                Err(error) if error.is_stale() => {}
                outcome => return outcome,
            }
        }
        let mut connection = Connection::open(Arc::clone(&self.shared.dialer)).await?;
        let outcome = connection.deliver(mail).await;
        self.give_back(connection);
        outcome
    }

    /// The idle connection used last, if it is still alive.
    async fn kept(&self) -> Option<Connection> {
        let (mut connection, since) = {
            let mut idle = self.shared.idle();
            let last = idle.connections.pop()?;
            if last.1.elapsed() >= self.shared.idle_timeout {
                // The others have been idle for longer still.
                idle.connections.clear();
                return None;
            }
            last
        };
        if since.elapsed() > TRUSTED_IDLE && !connection.reset(PROBE).await {
            self.shared.idle().connections.clear();
            return None;
        }
        Some(connection)
    }

    fn give_back(&self, connection: Connection) {
        if !connection.is_in_sync() {
            return;
        }
        let mut idle = self.shared.idle();
        idle.connections.push((connection, Instant::now()));
        if !idle.watched {
            idle.watched = true;
            tokio::spawn(watch(Arc::downgrade(&self.shared), self.shared.idle_timeout));
        }
    }
}

/// The right to one exchange. Given back by drop.
pub(crate) struct Place<'p> {
    pool: &'p Pool,
    _permit: SemaphorePermit<'p>,
}

impl Place<'_> {
    /// Sends one mail.
    pub(crate) async fn send(self, mail: &Outgoing) -> Result<Reply, SmtpError> {
        self.pool.send(mail).await
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        // Nothing that can panic runs under the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what has been idle for too long, and says when the next will have been; the watch
    /// ends when there is no next.
    fn outworn(&self) -> (Vec<Connection>, Option<Duration>) {
        let mut idle = self.idle();
        let fresh = |(_, since): &(Connection, Instant)| since.elapsed() < self.idle_timeout;
        let first_fresh = idle.connections.iter().position(fresh);
        let end = first_fresh.unwrap_or(idle.connections.len());
        let outworn = idle.connections.drain(..end).map(|(connection, _)| connection).collect();
        let next = idle.connections.first().map(|(_, since)| since.elapsed());
        idle.watched = next.is_some();
        (outworn, next.map(|elapsed| self.idle_timeout.saturating_sub(elapsed)))
    }
}

/// Closes idle connections in time, until there are none or the pool is gone.
async fn watch(pool: Weak<Shared>, idle_timeout: Duration) {
    let mut wait = Some(idle_timeout);
    while let Some(time) = wait {
        tokio::time::sleep(time).await;
        let Some(pool) = pool.upgrade() else { return };
        let (outworn, next) = pool.outworn();
        drop(pool);
        for connection in outworn {
            connection.quit().await;
        }
        wait = next;
    }
}
