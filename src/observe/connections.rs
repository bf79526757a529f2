//! Counts the connections of clients.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::series::row;

/// Why a connection was refused or closed by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// Its address had too many connections.
    AddressLimit,
    /// All connections were taken, also those of the reserve.
    Full,
    /// It was in the reserve, and its request was not for the reserve.
    Reserved,
    /// It had sent no request and made room for a new one.
    Spared,
    /// The head of its request did not arrive in time.
    HeaderTimeout,
    /// The body of its request arrived too slowly.
    BodyTimeout,
    /// It did not read its answer in time.
    AnswerTimeout,
    /// It had sent no further request for too long. This is not counted: it is the usual end.
    Idle,
}

/// The labels of what is counted, in the order of [`ConnectionEnd`].
const REASONS: [&str; 7] = [
    "address_limit",
    "full",
    "reserved",
    "spared",
    "header_timeout",
    "body_timeout",
    "answer_timeout",
];

/// The metrics of connections. A clone counts into the same series.
#[derive(Clone)]
pub struct ConnectionMetrics {
    open: Gauge,
    accepted: Counter,
    refused: [Counter; REASONS.len()],
}

impl ConnectionMetrics {
    pub(super) fn new(all: &mut Registry) -> Self {
        let (open, accepted) = (Gauge::default(), Counter::default());
        all.register("http_connections_open", "Open connections of clients", open.clone());
        let help = "Connections of clients that were accepted";
        all.register("http_connections", help, accepted.clone());
        let help =
            "Connections that were refused or closed before their request was answered, by reason";
        let refused = row(all, "http_connections_refused", help, ("reason", &REASONS));
        Self { open, accepted, refused }
    }

    pub(crate) fn opened(&self) {
        self.open.inc();
        self.accepted.inc();
    }

    pub(crate) fn closed(&self) {
        self.open.dec();
    }

    pub(crate) fn refused(&self, why: ConnectionEnd) {
        if let Some(counter) = self.refused.get(why as usize) {
            counter.inc();
        }
    }
}
