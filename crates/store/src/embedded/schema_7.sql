-- Version 7: hourly rollups (see rollups.rs). Tenant 0 adds up all tenants, without destinations
-- and types. `hour` counts hours since 1970. `class` is the class of latency of what was delivered.
CREATE TABLE rollups (
    tenant_id INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    environment INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    class INTEGER NOT NULL,
    destination TEXT NOT NULL,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, hour, environment, outcome, class, destination, channel, kind)
) STRICT, WITHOUT ROWID;
