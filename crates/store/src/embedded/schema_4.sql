-- Version 4: events of two environments. 0 live, as all were before; 1 test.
ALTER TABLE events ADD COLUMN environment INTEGER NOT NULL DEFAULT 0;
