-- All documents with the version that they are of.
-- KEYS: documents, version
return { redis.call('GET', KEYS[2]) or '0', redis.call('HGETALL', KEYS[1]) }
