//! A few connections, used again and again.
//!
//! At most so many are open at once, whatever the load: a permit is held for each exchange, and an
//! idle connection is one that nobody holds. A connection is owned by the exchange it serves and
//! comes back only when it is in sync, or goes over to the mail that was announced on it; a dropped
//! future drops it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::connection::Connection;
use super::line::Line;
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
    /// One mail on its way and one behind it for each connection.
    places: Semaphore,
    /// The right to one connection.
    permits: Arc<Semaphore>,
    line: Line,
    idle_timeout: Duration,
    idle: Mutex<Idle>,
}

/// A connection, and the right to it.
pub(super) struct Held {
    connection: Box<Connection>,
    permit: OwnedSemaphorePermit,
}

/// Why an exchange failed, with the right to another connection unless that was passed on.
struct Failed {
    error: SmtpError,
    permit: Option<OwnedSemaphorePermit>,
}

/// What a mail is to be sent on.
enum Turn {
    /// The connection on which it has been announced.
    Announced(Held),
    /// One of its own.
    Free(OwnedSemaphorePermit),
}

/// Connections that nobody uses, the one used last at the end.
#[derive(Default)]
struct Idle {
    connections: Vec<(Box<Connection>, Instant)>,
    /// Whether a task looks after them.
    watched: bool,
}

impl Pool {
    pub(crate) fn new(dialer: Dialer, connections: usize, idle_timeout: Duration) -> Self {
        let shared = Shared {
            dialer: Arc::new(dialer),
            places: Semaphore::new(2 * connections),
            permits: Arc::new(Semaphore::new(connections)),
            line: Line::default(),
            idle_timeout,
            idle: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The right to send, as soon as a connection is free or will be after the mail before.
    pub(crate) async fn place(&self) -> Place<'_> {
        let permit = self.shared.places.acquire().await;
        Place { pool: self, _permit: permit.expect("the semaphore is never closed") }
    }

    async fn send(&self, mail: &Outgoing) -> Result<Reply, SmtpError> {
        let mut permit = match self.turn(mail).await {
            Turn::Announced(held) => match self.exchange(held, mail, true).await {
                Err(Failed { error, permit: Some(permit) }) if error.is_stale() => permit,
                outcome => return outcome.map_err(|failed| failed.error),
            },
            Turn::Free(permit) => permit,
        };
        if let Some(connection) = self.kept().await {
            permit = match self.exchange(Held { connection, permit }, mail, false).await {
                Err(Failed { error, permit: Some(permit) }) if error.is_stale() => permit,
                outcome => return outcome.map_err(|failed| failed.error),
            };
        }
        let connection = Box::new(Connection::open(Arc::clone(&self.shared.dialer)).await?);
        let outcome = self.exchange(Held { connection, permit }, mail, false).await;
        outcome.map_err(|failed| failed.error)
    }

    /// Whatever comes first: a free connection, or one that is busy, on which the mail is announced.
    async fn turn(&self, mail: &Outgoing) -> Turn {
        if let Ok(permit) = Arc::clone(&self.shared.permits).try_acquire_owned() {
            return Turn::Free(permit);
        }
        let (spot, mut offered) = self.shared.line.join(&mail.announcement);
        let offer = tokio::select! {
            biased;
            offer = &mut offered => offer,
            permit = self.permit() => {
                if spot.leave() {
                    return Turn::Free(permit);
                }
                drop(permit);
                offered.await
            }
        };
        match offer {
            Ok(held) => Turn::Announced(held),
            // That connection broke. Nothing of this mail was sent.
            Err(_) => Turn::Free(self.permit().await),
        }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.shared.permits).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// Sends the mail, and passes the connection on: to the mail announced behind it, or to whoever comes.
    async fn exchange(
        &self,
        mut held: Held,
        mail: &Outgoing,
        announced: bool,
    ) -> Result<Reply, Failed> {
        let outcome = held.connection.deliver(mail, announced, &self.shared.line).await;
        let permit = match held.connection.take_next() {
            Some(next) => {
                next.take(held);
                None
            }
            None => {
                self.give_back(held.connection);
                Some(held.permit)
            }
        };
        outcome.map_err(|error| Failed { error, permit })
    }

    /// The idle connection used last, if it is still alive.
    async fn kept(&self) -> Option<Box<Connection>> {
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

    fn give_back(&self, connection: Box<Connection>) {
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

/// The right to send one mail. Given back by drop.
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
        let fresh = |(_, since): &(Box<Connection>, Instant)| since.elapsed() < self.idle_timeout;
        let first_fresh = idle.connections.iter().position(fresh);
        let end = first_fresh.unwrap_or(idle.connections.len());
        let outworn = idle.connections.drain(..end).map(|(connection, _)| *connection).collect();
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
