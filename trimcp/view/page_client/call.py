"""One call of a page: what a page may ask for, its progress, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import trio

from trimcp.client.client import Client
from trimcp.codec.jsontext import dumps
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, RequestFailed, TrimcpError
from trimcp.types.revisions import BY_VERSION
from trimcp.view.page_client.outbox import PageOutbox

RESULT_BYTES: Final = 4 * 2**20
"""Bytes of a result that a page gets. Of a longer one it gets an error with the size."""


class PageCall:
    """One call of a page."""

    def __init__(self, number: int, client: Client, params: Mapping[str, Any], outbox: PageOutbox) -> None:
        self.number: int = number
        self.client: Client = client
        self.params: Mapping[str, Any] = params
        self.scope: trio.CancelScope = trio.CancelScope()
        self._outbox = outbox
        self._is_settled = False

    def text(self, name: str) -> str:
        """Return a param that is a string; an empty one where it is not given."""
        value = self.params.get(name, "")
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> dict[str, Any]:
        """Return a param that is an object."""
        value = self.params.get(name)
        return value if isinstance(value, dict) else {}

    def on_progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Show progress. The newest one counts."""
        key = ("progress", self.number)
        self._outbox.post("progress", newest=key, number=self.number, progress=progress, total=total, message=message)

    async def run(self, make: Make) -> None:
        """Make the call, and show what came of it."""
        began = trio.current_time()
        try:
            result = wire_of(self.client)(await make(self))
            size = len(dumps(result))
            if size > RESULT_BYTES:
                raise InvalidPayload([f"the result has {size} bytes, and a page gets at most {RESULT_BYTES}"])
        except RequestFailed as exc:
            answer: dict[str, Any] = {"problem": str(exc), "code": exc.code, "data": exc.data}
        except TrimcpError as exc:
            answer = {"problem": f"{type(exc).__name__}: {exc}"}
        else:
            answer = {"result": result}
        self.settle({**answer, "seconds": round(trio.current_time() - began, 4)})

    def settle(self, answer: Mapping[str, Any]) -> None:
        """Show what came of the call, once."""
        if not self._is_settled:
            self._is_settled = True
            self._outbox.post("answer", number=self.number, **answer)


def wire_of(client: Client) -> Callable[[Any], Any]:
    """Return what writes an object of `trimcp.types`, or a list of them, in the revision of a client."""
    write = codec_for(BY_VERSION[client.protocol_version]).unstructure

    def written(value: Any) -> Any:
        if isinstance(value, list):
            return [write(each) for each in value]
        return None if value is None else write(value)

    return written


# --- the requests ---------------------------------------------------------------------

Make = Callable[["PageCall"], Awaitable[Any]]


async def _list_tools(call: PageCall) -> Any:
    return await call.client.list_tools(fresh=True)


async def _list_resources(call: PageCall) -> Any:
    return await call.client.list_resources(fresh=True)


async def _list_templates(call: PageCall) -> Any:
    return await call.client.list_resource_templates(fresh=True)


async def _list_prompts(call: PageCall) -> Any:
    return await call.client.list_prompts(fresh=True)


async def _call_tool(call: PageCall) -> Any:
    result = await call.client.call_tool(call.text("name"), call.texts("arguments"), on_progress=call.on_progress)
    return result.raw


async def _read(call: PageCall) -> Any:
    return (await call.client.read_resource(call.text("uri"), on_progress=call.on_progress, fresh=True)).raw


async def _get_prompt(call: PageCall) -> Any:
    return await call.client.get_prompt(call.text("name"), call.texts("arguments"), on_progress=call.on_progress)


async def _complete(call: PageCall) -> Any:
    return await call.client.complete(
        call.text("argument"),
        call.text("value"),
        prompt=call.text("prompt") or None,
        template=call.text("template") or None,
        given=call.texts("given"),
    )


async def _subscribe(call: PageCall) -> Any:
    await call.client.subscribe(call.text("uri"))


async def _unsubscribe(call: PageCall) -> Any:
    await call.client.unsubscribe(call.text("uri"))


REQUESTS: Final[Mapping[str, Make]] = {
    "tools/list": _list_tools,
    "resources/list": _list_resources,
    "resources/templates/list": _list_templates,
    "prompts/list": _list_prompts,
    "tools/call": _call_tool,
    "resources/read": _read,
    "prompts/get": _get_prompt,
    "completion/complete": _complete,
    "resources/subscribe": _subscribe,
    "resources/unsubscribe": _unsubscribe,
}
"""The methods that a page may ask for."""
