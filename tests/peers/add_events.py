"""Adds the events of an NDJSON file to a stream, as a producer that knows nothing of Fanfare would.

Prints `{"added": N, "ids": [stream ids]}`.
"""

import argparse

import redis

from wire import say

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("file", help="one event a line")
parser.add_argument("--url", required=True, help="redis://…")
parser.add_argument("--tenant", required=True)
parser.add_argument("--stream", default="fanfare:events")
opts = parser.parse_args()

client = redis.Redis.from_url(opts.url)
ids = []
# Binary, so that what is wrong in the file (bad UTF-8, say) arrives as wrong as it is.
with open(opts.file, "rb") as lines, client.pipeline(transaction=False) as pipe:
    for line in lines:
        event = line.strip()
        if event:
            pipe.xadd(opts.stream, {"tenant": opts.tenant, "event": event})
        if len(pipe) == 500:
            ids += pipe.execute()
    ids += pipe.execute()
say({"added": len(ids), "ids": [i.decode() for i in ids]})
