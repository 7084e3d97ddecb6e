"""A secret that goes wherever a secret can go is in nothing that the view sends."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
import trimcp.telemetry
from trimcp.observability import log
from trimcp.view.places import Watched, asked, place_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets")
CANARY = "canary-of-secrets-7734"
URI = f"stock://rye?api_key={CANARY}"
PATHS = ("/", "/processes", "/stacks", "/trace.ndjson", "/logs.ndjson")


def canary_server() -> trimcp.Server:
    server = trimcp.Server("mine", version=f"token={CANARY}")
    server.middleware(trimcp.telemetry.log_context)

    @server.tool
    async def log_in(user: str, password: str, ctx: trimcp.Context) -> dict[str, Any]:
        await ctx.progress(1, 2, f"password={password}")
        ctx.log("info", {"deep": [{"api_key": password}]})
        ctx.log("info", f"Authorization: Bearer {password}")
        logging.getLogger("shop").warning("password: %s", password)
        log.warning("request.ended", access_token=password, note=f"secret={password}")
        try:
            raise ValueError(f"token={password}")
        except ValueError as exc:
            logging.getLogger("shop").error("refused", exc_info=exc)
            log.error("handler.failed", exc_info=exc)
        return {"user": user, "secret": password, "again": f"it was {password}"}

    @server.tool
    async def wait(token: str, ctx: trimcp.Context) -> None:
        await ctx.progress(1, None, f"token={token}")
        await trio.sleep_forever()  # password="canary-of-secrets-7734"

    @server.resource(URI)
    async def stock() -> str:
        return "12"

    return server


def is_shown(watched: Watched) -> bool:
    """Whether the stream has told of the steps, and of the progress of the request that waits."""
    requests = [request for session in watched.named("session:") for request in session["requests"]]
    return "steps" in watched.sections and any(request["progress"] for request in requests)


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_the_canary_is_in_no_answer_of_the_view(version: str, tmp_path: Path) -> None:
    server = canary_server()
    async with server.running(), trio.open_nursery() as nursery:

        async def serve(task_status: Any) -> None:
            await server.serve_view(tmp_path / "v", trace=True, task_status=task_status)

        place = place_of(await nursery.start(serve))
        async with (
            trimcp.connect(server, revision=version, log_level="debug", name=f"password={CANARY}") as client,
            client.listen(uris=[URI]),
            asked(place, "/events?trace=1&steps=1") as stream,
            trio.open_nursery() as calling,
        ):
            sent = b""
            watched = Watched()
            await client.call_tool("log_in", {"user": "ada", "password": CANARY}, on_progress=lambda *_: None)
            await client.read_resource(URI)
            with pytest.raises(trimcp.RequestFailed):
                await client.request(f"made/up?token={CANARY}")
            calling.start_soon(lambda: client.call_tool("wait", {"token": CANARY}, on_progress=lambda *_: None))
            with trio.fail_after(30):
                while not is_shown(watched):
                    sent += (data := await stream.read())
                    watched.feed(data)
            answers: dict[str, bytes] = {}
            for path in PATHS:
                async with asked(place, path) as answer:
                    assert answer.status == 200
                    answers[path] = await answer.read_all()
            records = answers["/trace.ndjson"].count(b"\n")
            for number in range(1, records + 1):
                async with asked(place, f"/trace/{number}") as answer:
                    answers[f"/trace/{number}"] = await answer.read_all()
            calling.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    assert b"tools/call wait" in answers["/stacks"]
    assert b"sleep_forever" in answers["/stacks"]
    assert answers["/logs.ndjson"].count(b"\n") >= 6
    assert records >= 5
    assert {path for path, body in {**answers, "/events": sent}.items() if CANARY.encode() in body} == set()
