"""Two floors for servers on HTTP and Trio, which answer every request with the same result.

python benchmarks/peers/http_floor.py PORT               # Trio, and hardly a look at what was sent
python benchmarks/peers/http_floor.py PORT --hypercorn   # an empty ASGI application on hypercorn
"""

from __future__ import annotations

import functools
import sys
from contextlib import suppress
from typing import Any

import hypercorn.config
import hypercorn.trio
import trio

BODY = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"3"}],"resultType":"complete"}}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
LENGTH = b"content-length: "


async def answer(stream: trio.SocketStream) -> None:
    """Answer each request of a connection when its body is there. It relies on the format of the driver."""
    unfinished = b""
    with suppress(trio.BrokenResourceError):  # the driver has closed it
        async for data in stream:
            unfinished += data
            head, end, body = unfinished.partition(b"\r\n\r\n")
            if end and len(body) >= int(head[head.index(LENGTH) + len(LENGTH) :].partition(b"\r\n")[0]):
                unfinished = b""
                await stream.send_all(HEAD + BODY)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """As little as an ASGI application can do: read the body, answer."""
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def main() -> None:
    """Serve as the arguments say."""
    port = int(sys.argv[1])
    if "--hypercorn" not in sys.argv:
        await trio.serve_tcp(answer, port, host="127.0.0.1")
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.loglevel = "ERROR"
    config.keep_alive_max_requests = 10**9
    forever = functools.partial(trio.sleep_forever)
    await hypercorn.trio.serve(app, config, shutdown_trigger=forever, mode="asgi")


if __name__ == "__main__":
    trio.run(main)
