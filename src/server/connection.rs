//! What one connection is doing, and since when.
//!
//! The state is a few atomics, so a request on a busy connection costs no lock and no timer. The
//! server's tick compares them with the limits.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::Options;
use crate::observe::ConnectionEnd;

/// A silent connection can make room for a new one after this time. A client that means to send a
/// request has begun by then.
const SILENT_SPARE_MS: u64 = 1_000;
/// An idle connection can make room for a new one after this time.
const IDLE_SPARE_MS: u64 = 5_000;
/// Bits of the time in [`Connection::state`]. The rest is the phase.
const TIME_BITS: u32 = 56;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It was accepted, and the server has not yet looked at what it sent.
    New = 0,
    /// It has sent nothing yet.
    Silent = 1,
    /// It has sent a part of a request's head.
    Head = 2,
    /// It waits for its next request.
    Idle = 3,
    /// Its request is being served.
    Request = 4,
}

/// How readily a connection makes room for a new one: a smaller value goes first. It holds the rank
/// of its phase, the start of the phase and the id.
pub(super) type Spare = (u8, u64, u64);

/// One connection. Times are milliseconds of the server's clock.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: u64,
    /// The address that counts it.
    pub(super) address: IpAddr,
    /// Whether it is one of the reserve.
    pub(super) reserved: bool,
    /// The phase, and since when.
    state: AtomicU64,
    /// Since when the client does not take what was sent. 0 if it does.
    blocked_since: AtomicU64,
    /// How long the client took nothing of the current answer, and how many bytes it took.
    blocked_ms: AtomicU64,
    answered: AtomicU64,
    /// Whether a part of the last request's body was not read.
    unread: AtomicBool,
    close: Notify,
}

impl Connection {
    pub(super) fn new(id: u64, address: IpAddr, reserved: bool, now: u64) -> Self {
        Self {
            id,
            address,
            reserved,
            state: AtomicU64::new(pack(Phase::New, now)),
            blocked_since: AtomicU64::new(0),
            blocked_ms: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            close: Notify::new(),
        }
    }

    /// The phase, and since when.
    pub(super) fn phase(&self) -> (Phase, u64) {
        unpack(self.state.load(Ordering::Relaxed))
    }

    fn enter(&self, phase: Phase, now: u64) {
        self.state.store(pack(phase, now), Ordering::Relaxed);
    }

    /// Notes that bytes have arrived.
    pub(super) fn received(&self, now: u64) {
        if matches!(self.phase().0, Phase::New | Phase::Silent | Phase::Idle) {
            self.enter(Phase::Head, now);
        }
    }

    /// Notes that the server looked for bytes and found none.
    pub(super) fn silent(&self) {
        let (phase, since) = self.phase();
        if phase == Phase::New {
            self.enter(Phase::Silent, since);
        }
    }

    /// Notes that the client has taken this many bytes.
    pub(super) fn sent(&self, bytes: usize, now: u64) {
        self.answered.fetch_add(bytes as u64, Ordering::Relaxed);
        let since = self.blocked_since.load(Ordering::Relaxed);
        if since != 0 {
            self.blocked_since.store(0, Ordering::Relaxed);
            self.blocked_ms.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
        }
    }

    /// Notes that the client takes no more bytes at the moment.
    pub(super) fn blocked(&self, now: u64) {
        let since = now.max(1);
        let _ = self.blocked_since.compare_exchange(0, since, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Begins to serve a request, until the guard is dropped.
    pub(super) fn serve(self: &Arc<Self>, clock: &Arc<Clock>) -> Serving {
        self.enter(Phase::Request, clock.now());
        Serving { connection: self.clone(), clock: clock.clone() }
    }

    /// Notes that the handler did not read the body to its end.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending a body that is not read.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Whether a stop must wait for it.
    pub(super) fn is_busy(&self) -> bool {
        self.phase().0 == Phase::Request || self.blocked_since.load(Ordering::Relaxed) != 0
    }

    /// How readily it makes room for a new connection. `None` if it does not. `at_once` ignores how
    /// long it has been silent.
    pub(super) fn spare(&self, now: u64, at_once: bool) -> Option<Spare> {
        let (phase, since) = self.phase();
        let (rank, after) = match phase {
            Phase::Silent | Phase::Head => (0, if at_once { 0 } else { SILENT_SPARE_MS }),
            Phase::Idle => (1, IDLE_SPARE_MS),
            // A request may already be in the socket's buffer.
            Phase::New | Phase::Request => return None,
        };
        (now.saturating_sub(since) >= after).then_some((rank, since, self.id))
    }

    /// Why it must be closed now, if a limit is exceeded.
    pub(super) fn overdue(&self, now: u64, options: &Options) -> Option<ConnectionEnd> {
        let pause = millis(options.body_timeout);
        let blocked = self.blocked_since.load(Ordering::Relaxed);
        if blocked != 0 {
            let stalled = now.saturating_sub(blocked);
            let all = self.blocked_ms.load(Ordering::Relaxed).saturating_add(stalled);
            let answered = self.answered.load(Ordering::Relaxed);
            let slow = answered < least(all.saturating_sub(pause), options.min_body_rate);
            return (stalled > pause || slow).then_some(ConnectionEnd::AnswerTimeout);
        }
        let (phase, since) = self.phase();
        let (limit, end) = match phase {
            Phase::New | Phase::Silent | Phase::Head => {
                (options.header_timeout, ConnectionEnd::HeaderTimeout)
            }
            Phase::Idle => (options.idle_timeout, ConnectionEnd::Idle),
            Phase::Request => return None,
        };
        (now.saturating_sub(since) > millis(limit)).then_some(end)
    }

    /// Closes it, whatever it is doing.
    pub(super) fn close(&self) {
        self.close.notify_one();
    }

    /// Returns when it must be closed.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }
}

/// A request that is being served. Dropped when its answer has been handed over.
pub(super) struct Serving {
    connection: Arc<Connection>,
    clock: Arc<Clock>,
}

impl Serving {
    /// Notes that the answer begins.
    pub(super) fn answer(&self) {
        self.connection.answered.store(0, Ordering::Relaxed);
        self.connection.blocked_ms.store(0, Ordering::Relaxed);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.connection.enter(Phase::Idle, self.clock.now());
    }
}

/// The server's clock: milliseconds since its start, as of its last tick. Reading it is one load.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }
}

/// The least number of bytes in a time.
fn least(ms: u64, per_second: u64) -> u64 {
    ms.saturating_mul(per_second) / 1_000
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn pack(phase: Phase, ms: u64) -> u64 {
    ((phase as u64) << TIME_BITS) | (ms & ((1 << TIME_BITS) - 1))
}

fn unpack(state: u64) -> (Phase, u64) {
    let phase = match state >> TIME_BITS {
        0 => Phase::New,
        1 => Phase::Silent,
        2 => Phase::Head,
        3 => Phase::Idle,
        _ => Phase::Request,
    };
    (phase, state & ((1 << TIME_BITS) - 1))
}
