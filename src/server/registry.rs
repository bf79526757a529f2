//! The open connections, and which of them make room for a new one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Options;
use super::connection::{Clock, Connection};
use crate::observe::{ConnectionEnd, ConnectionMetrics};

/// Shortest time between two log lines about addresses with too many connections.
const ADDRESS_WARNING_MS: u64 = 60_000;

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
    /// Connections that were refused or closed for others since then.
    turned_away: u64,
    address_warned: Option<u64>,
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

    /// Gives a new connection a place, possibly that of another one. `None` if it must be closed.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let (now, address) = (self.clock.now(), counted(peer));
        let mut open = self.lock();
        let of_address = open.per_address.get(&address).copied().unwrap_or(0);
        if self.options.max_per_address.is_some_and(|max| of_address >= max) {
            self.metrics.refused(ConnectionEnd::AddressLimit);
            self.warn_of_address(&mut open, peer, now);
            return None;
        }
        let Some(reserved) = self.make_room(&mut open, now) else {
            self.metrics.refused(ConnectionEnd::Full);
            open.turned_away += 1;
            return None;
        };
        let id = open.next_id;
        open.next_id += 1;
        let connection = Arc::new(Connection::new(id, address, reserved, now));
        open.connections.insert(id, connection.clone());
        *open.per_address.entry(address).or_default() += 1;
        open.reserved += usize::from(reserved);
        self.metrics.opened();
        Some(Place { connection, registry: self.clone() })
    }

    /// Finds room for a connection, and returns whether it is in the reserve.
    fn make_room(&self, open: &mut Open, now: u64) -> Option<bool> {
        let options = &self.options;
        if open.connections.len() - open.reserved < options.max_connections {
            return Some(false);
        }
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
            return Some(false);
        }
        let has_room = open.reserved < options.reserved_connections;
        (has_room || self.close_one(open, now, true, true)).then_some(true)
    }

    /// Closes the connection that can best be spared.
    fn close_one(&self, open: &mut Open, now: u64, reserved: bool, at_once: bool) -> bool {
        let of_kind = open.connections.values().filter(|one| one.reserved == reserved);
        let spare = of_kind.filter_map(|one| Some((one.spare(now, at_once)?, one)));
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
        if open.full && normal <= self.options.max_connections / 10 * 9 {
            open.full = false;
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
