-- The clock of the node that has the heartbeats.
-- KEYS: any key there
return redis.call('TIME')
