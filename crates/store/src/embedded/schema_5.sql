-- Version 5: what each tenant holds. A write that changes one of the numbers changes this row in
-- the same transaction (see usage.rs), so no reader has to add anything up.
CREATE TABLE usage (
    tenant_id INTEGER PRIMARY KEY,
    stored_bytes INTEGER NOT NULL,
    waiting INTEGER NOT NULL
) STRICT;

INSERT INTO usage
    SELECT e.tenant_id, sum(length(b.body)), 0 FROM bodies b JOIN events e USING (seq) GROUP BY 1;

INSERT INTO usage
    SELECT tenant_id, 0, count(*) FROM deliveries WHERE state = 1 GROUP BY 1
    ON CONFLICT (tenant_id) DO UPDATE SET waiting = excluded.waiting;
