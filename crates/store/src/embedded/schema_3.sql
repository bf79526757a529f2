-- Version 3: small documents beside the tenants' tables.

-- `version` moves with every change of a collection, and is the revision of what was changed. It
-- stays when all of a collection is removed, so that no revision is given twice.
CREATE TABLE collections (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- expires_ms: from then on the row is as if it were not there; tidying removes it.
CREATE TABLE records (
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    expires_ms INTEGER,
    doc BLOB NOT NULL,
    PRIMARY KEY (collection, id)
) STRICT;

CREATE INDEX records_by_expiry ON records (expires_ms) WHERE expires_ms IS NOT NULL;
