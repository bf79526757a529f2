-- Version 8: search keys (see search.rs). An epoch is 4,096 positions in the log, so that what is
-- written together is stored together. `place` is the position within its epoch.
CREATE TABLE search (
    epoch INTEGER NOT NULL,
    hash INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (epoch, hash, place)
) STRICT, WITHOUT ROWID;

-- The paths that are indexed, and the position from which on all events have their keys. Written
-- when a router starts. Tools that append events read it.
CREATE TABLE search_paths (
    path TEXT PRIMARY KEY,
    since_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
