-- Version 1. A later version is another file; see schema.rs.
--
-- Small rows that change (events, deliveries) are apart from the bodies, which are written once:
-- a settlement then rewrites a few pages instead of every body.

-- Numbers that outlive rows: `last_seq` (no seq up to it is given again), `settled_below` (all
-- entries below are settled), `directory` (the directory's version), `pings`.
CREATE TABLE numbers (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO numbers VALUES ('last_seq', 0), ('settled_below', 1), ('directory', 0), ('pings', 0);

CREATE TABLE tenants (
    tenant_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE lanes (
    lane_id INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL,
    destination TEXT NOT NULL,
    UNIQUE (tenant_id, destination)
) STRICT;

-- The log and the ledger's head. state: 0 pending, 1 unrouted, 2 routed.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    state INTEGER NOT NULL,
    UNIQUE (tenant_id, id)
) STRICT;

CREATE INDEX events_by_time ON events (tenant_id, received_ms);

CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    body BLOB NOT NULL,
    trace TEXT
) STRICT;

-- state: 0 delivered, 1 waiting, 2 suppressed, 3 dead. attempts: one JSON object a line.
-- tenant_id and received_ms repeat the event's, for deliveries_by_state.
CREATE TABLE deliveries (
    seq INTEGER NOT NULL,
    lane_id INTEGER NOT NULL,
    tenant_id INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    channel TEXT NOT NULL,
    state INTEGER NOT NULL,
    reason TEXT,
    due_ms INTEGER,
    serve_ms INTEGER,
    updated_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    attempts TEXT NOT NULL,
    PRIMARY KEY (seq, lane_id)
) STRICT, WITHOUT ROWID;

-- The queues. What is delivered, nearly everything, is in none of these three.
CREATE INDEX deliveries_waiting ON deliveries (lane_id, due_ms, seq) WHERE state = 1;
CREATE INDEX deliveries_ended ON deliveries (lane_id, updated_ms) WHERE state >= 2;
CREATE INDEX deliveries_by_state ON deliveries (tenant_id, state, received_ms, seq, lane_id)
    WHERE state <> 0;

-- A line for every lane that has something waiting. With a token it is claimed, and at_ms is the
-- end of the lease; without, at_ms is when it may next be served. The token '!' holds it: what comes
-- meanwhile does not bring it forward.
CREATE TABLE agenda (
    lane_id INTEGER PRIMARY KEY,
    tenant_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    token TEXT
) STRICT;

CREATE INDEX agenda_by_time ON agenda (at_ms);
CREATE INDEX agenda_by_tenant ON agenda (tenant_id, at_ms);

CREATE TABLE rejected (
    n INTEGER PRIMARY KEY,
    entry TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL,
    tenant TEXT,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw TEXT NOT NULL
) STRICT;

CREATE INDEX rejected_by_time ON rejected (at_ms);

-- A removed tenant keeps its line without a document, so that its revisions go on counting.
CREATE TABLE directory (
    id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    doc BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE memo (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX memo_by_expiry ON memo (expires_ms);
