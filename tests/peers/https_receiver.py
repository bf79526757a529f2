"""An HTTPS receiver that answers 200 to every POST, over connections that stay open.

It prints one line per request: the event's id, and when the request had arrived, in Unix seconds.
`ready` names the file of the authority behind its certificate.
"""

import asyncio
import os
import ssl
import time

import trustme
from wire import ready, say


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(headers.get("content-length", 0)))
            say({"id": headers.get("webhook-id"), "at": time.time()})
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path = os.path.abspath("ca.pem")
    authority.cert_pem.write_to_path(path)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    ready(server.sockets[0].getsockname()[1], ca=path)
    await server.serve_forever()


asyncio.run(main())
