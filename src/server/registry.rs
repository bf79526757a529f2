//! The open connections, and which of them make room for a new one.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Options;
use super::connection::{Clock, Connection, Phase};
use crate::observe::{ConnectionEnd, ConnectionMetrics};

/// Shortest time between two log lines about addresses with too many connections.
const ADDRESS_WARNING_MS: u64 = 60_000;
/// How long there must be room before the log says so. During one attack the cap is reached many
/// times, which is one warning.
const ROOM_MS: u64 = 5_000;

/// All open connections.
pub(super) struct Registry {
    pub(super) options: Options,
    pub(super) clock: Arc<Clock>,
    metrics: ConnectionMetrics,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next_id: u64,
    connections: HashMap<u64, Arc<Connection>>,
    per_address: HashMap<IpAddr, usize>,
    /// How many of the connections are reserved ones.
    reserved: usize,
    /// Whether the cap was reached and the warning was logged.
    full: bool,
    /// Since when there is room again.
    room_since: Option<u64>,
    /// Connections that were refused or closed for others since then.
    turned_away: u64,
    address_warned: Option<u64>,
}

/// What happens to a new connection.
pub(super) enum Admission {
    /// It has a place.
    Admitted(Place),
    /// It must be closed.
    Refused,
    /// The server must first look at the connections that it has accepted. Any of them may hold a
    /// health check.
    Later,
}

/// A place for a new connection.
enum Room {
    Free,
    Reserved,
    None,
    Later,
}

/// An open connection. It is free again when this is dropped.
pub(super) struct Place {
    pub(super) connection: Arc<Connection>,
    registry: Arc<Registry>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        if open.remove(&self.connection) {
            self.registry.metrics.closed();
        }
    }
}

impl Registry {
    pub(super) fn new(options: Options, metrics: ConnectionMetrics) -> Arc<Self> {
        let (clock, open) = (Arc::default(), Mutex::default());
        Arc::new(Self { options, clock, metrics, open })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a new connection a place, possibly that of another one.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Admission {
        let (now, address) = (self.clock.now(), counted(peer));
        let mut open = self.lock();
        let of_address = open.per_address.get(&address).copied().unwrap_or(0);
        if self.options.max_per_address.is_some_and(|max| of_address >= max) {
            self.metrics.refused(ConnectionEnd::AddressLimit);
            self.warn_of_address(&mut open, peer, now);
            return Admission::Refused;
        }
        let reserved = match self.make_room(&mut open, now) {
            Room::Free => false,
            Room::Reserved => true,
            Room::Later => return Admission::Later,
            Room::None => {
                self.metrics.refused(ConnectionEnd::Full);
                open.turned_away += 1;
                return Admission::Refused;
            }
        };
        let id = open.next_id;
        open.next_id += 1;
        let connection = Arc::new(Connection::new(id, address, reserved, now));
        open.connections.insert(id, connection.clone());
        *open.per_address.entry(address).or_default() += 1;
        open.reserved += usize::from(reserved);
        self.metrics.opened();
        Admission::Admitted(Place { connection, registry: self.clone() })
    }

    /// Finds room for a connection.
    fn make_room(&self, open: &mut Open, now: u64) -> Room {
        let options = &self.options;
        if open.connections.len() - open.reserved < options.max_connections {
            return Room::Free;
        }
        open.room_since = None;
        if !open.full {
            open.full = true;
            tracing::warn!(
                "all {} connections of http.max_connections are in use; connections without a \
                 request are closed for new ones, and otherwise only health checks, metrics and \
                 operators are served",
                options.max_connections
            );
        }
        if self.close_one(open, now, false, false) {
            return Room::Free;
        }
        if open.reserved < options.reserved_connections || self.close_one(open, now, true, true) {
            return Room::Reserved;
        }
        let mut reserved = open.connections.values().filter(|one| one.reserved);
        let unseen = reserved.any(|one| one.phase().0 == Phase::New);
        if unseen { Room::Later } else { Room::None }
    }

    /// Closes the connection that can best be spared. The address with the most connections makes
    /// room first, so that a flood does not displace the few connections of others.
    fn close_one(&self, open: &mut Open, now: u64, reserved: bool, at_once: bool) -> bool {
        let of_kind = open.connections.values().filter(|one| one.reserved == reserved);
        let spare = of_kind.filter_map(|one| {
            let (rank, since, id) = one.spare(now, at_once)?;
            let of_address = open.per_address.get(&one.address).copied().unwrap_or(0);
            Some(((rank, Reverse(of_address), since, id), one))
        });
        let Some(chosen) = spare.min_by_key(|(order, _)| *order).map(|(_, one)| one.clone()) else {
            return false;
        };
        open.turned_away += 1;
        self.end(open, &chosen, ConnectionEnd::Spared);
        true
    }

    fn end(&self, open: &mut Open, connection: &Connection, why: ConnectionEnd) {
        if open.remove(connection) {
            self.metrics.closed();
            self.metrics.refused(why);
        }
        connection.close();
    }

    /// Closes the connections that exceed a time limit. `limits` replace those of the settings
    /// during a stop.
    pub(super) fn tick(&self, now: u64, limits: &Options) {
        self.clock.set(now);
        let mut open = self.lock();
        let overdue = |one: &Arc<Connection>| Some((one.overdue(now, limits)?, one.clone()));
        let overdue: Vec<_> = open.connections.values().filter_map(overdue).collect();
        for (why, connection) in overdue {
            self.end(&mut open, &connection, why);
        }
        let normal = open.connections.len() - open.reserved;
        if normal > self.options.max_connections / 10 * 9 {
            open.room_since = None;
        } else if open.full && now - *open.room_since.get_or_insert(now) >= ROOM_MS {
            open.full = false;
            open.room_since = None;
            let turned_away = std::mem::take(&mut open.turned_away);
            tracing::warn!(turned_away, "there is room for new connections again");
        }
    }

    /// Closes one connection because the system has no more file descriptors.
    pub(super) fn close_any(&self) -> bool {
        let mut open = self.lock();
        let now = self.clock.now();
        self.close_one(&mut open, now, false, true) || self.close_one(&mut open, now, true, true)
    }

    /// Counts a request that a reserved connection refused.
    pub(super) fn refused_by_reserve(&self) {
        self.metrics.refused(ConnectionEnd::Reserved);
        self.lock().turned_away += 1;
    }

    /// Counts a body that arrived too slowly.
    pub(super) fn slow_body(&self) {
        self.metrics.refused(ConnectionEnd::BodyTimeout);
    }

    fn warn_of_address(&self, open: &mut Open, peer: IpAddr, now: u64) {
        if open.address_warned.is_some_and(|at| now.saturating_sub(at) < ADDRESS_WARNING_MS) {
            return;
        }
        open.address_warned = Some(now);
        tracing::warn!(
            "connections from {peer} are refused: it has {} of them, the most that \
             http.max_connections_per_address allows",
            self.options.max_per_address.unwrap_or(0)
        );
    }
}

impl Open {
    /// Returns false if the connection is already removed.
    fn remove(&mut self, connection: &Connection) -> bool {
        if self.connections.remove(&connection.id).is_none() {
            return false;
        }
        self.reserved -= usize::from(connection.reserved);
        if let Some(count) = self.per_address.get_mut(&connection.address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&connection.address);
            }
        }
        true
    }
}

/// The address that counts a connection. One customer of a provider has a whole /64 of IPv6.
fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests;
