-- Version 6: the change feed of the directory. `changed` is the version of the directory at the last
-- change of the tenant, or 0 if that was before this version.
ALTER TABLE directory ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;

CREATE INDEX directory_by_change ON directory (changed);

-- How many tenants have a document. Every change of it changes this number.
INSERT INTO numbers SELECT 'tenants', count(*) FROM directory WHERE doc IS NOT NULL;
