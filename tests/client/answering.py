"""A modern server for `trimcp.connect` that answers by a table."""

from __future__ import annotations

from typing import Any

from tests.session.peer import Peer, RawServer, discovered, result


def answering(answers: dict[str, Any]) -> RawServer:
    """A modern server that answers each method with a result, or with what a function makes of the request."""

    async def serve(peer: Peer) -> None:
        while True:
            try:
                request = await peer.receive()
            except EOFError:
                return
            if request.get("method") == "server/discover" and "server/discover" not in answers:
                await peer.send(discovered(request["id"]))
            elif "id" in request:
                answer = answers[request["method"]]
                made = answer(request) if callable(answer) else result(request["id"], answer)
                await peer.send(made)

    return RawServer(serve)


HINTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
