-- Version 2: how it has gone with a lane that fails, until its next success. Without a row, well.
-- since_ms is the first failure, last_ms the latest that was told of, told how often.
CREATE TABLE failing (
    lane_id INTEGER PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    told INTEGER NOT NULL
) STRICT;
