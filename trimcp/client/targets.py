"""The targets that `trimcp.connect` takes, other than URLs of HTTP: `opener_of` returns how to open one.

Each connection is good for one session; where a server ends it after a probe, `connect` opens another.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeGuard

import trio

from trimcp.actors.containment import unwrapped
from trimcp.errors import UsageError
from trimcp.observability import events, log
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.http.client.authorization import Authorization

Opener = Callable[[], AbstractAsyncContextManager[Duplex]]

COMPLAINT: Final = re.compile(
    r"error|fail|invalid|unknown|not found|not supported|exception|warn|traceback", re.IGNORECASE
)
"""Begins what a server writes about a request that it does not know."""
COMPLAINT_LINES: Final = 10
"""Lines in which a complaint comes to its subject."""
INTERPRETERS: Final[dict[str, str | None]] = {".py": None, ".js": "node", ".mjs": "node", ".cjs": "node", ".sh": "sh"}
"""The program that runs a script, by the suffix of its name; None: the Python that runs us."""


_HOST_AND_PORT: Final = re.compile(r"[\w.-]+:\d+(/|$)|\[[\da-fA-F:]+\](:\d+)?(/|$)|localhost(/|$)|[\w-]+(\.[\w-]+)+/")
"""What looks like a URL without its scheme."""


class Serves(Protocol):
    """A server in this process, as `connect` sees it."""

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve one connection."""
        ...


def opener_of(
    target: object,
    *,
    env: Mapping[str, str] | None,
    inherit_env: bool,
    cwd: str | os.PathLike[str] | None,
    on_stderr: Callable[[str], None] | None,
    limit: int,
    headers: Mapping[str, str] | None = None,
    authorization: Authorization | None = None,
) -> Opener:
    """Return a function that opens the target.

    Raises:
        UsageError: the target is not of a kind that can be connected to.
    """
    if isinstance(target, Duplex):
        return lambda: _as_it_is(target)
    if _serves(target):
        return lambda: _in_memory(target, limit)
    if isinstance(target, str) and target.startswith(("tcp://", "unix:")):
        return lambda: _socket(target, limit)
    if isinstance(target, str) and target.startswith(("ws://", "wss://")):
        return lambda: _websocket(target, headers, limit, authorization)
    if isinstance(target, str) and "://" in target:
        raise UsageError(
            f"cannot connect to {target}: give a URL (http(s)://, ws(s)://), tcp://HOST:PORT, unix:PATH, a command or "
            "a script"
        )
    command = _command(target)

    def spawn() -> AbstractAsyncContextManager[Duplex]:
        from trimcp.transports.subprocess import server_process, to_our_stderr

        return server_process(
            command,
            env=env,
            inherit_env=inherit_env,
            cwd=cwd,
            on_stderr=to_our_stderr if on_stderr is None else on_stderr,
            worth_showing=without_probe_errors if on_stderr is None else None,
            limit=limit,
        )

    return spawn


def without_probe_errors(lines: list[str]) -> list[str]:
    """Leave out what an older server writes about the probe, which it does not know: up to ninety lines.

    Args:
        lines: those that were written at once.
    """
    about = [number for number, line in enumerate(lines) if "server/discover" in line]
    if not about:
        return lines
    window = range(about[0], max(about[0] - COMPLAINT_LINES, -1), -1)
    complaints = [number for number in window if COMPLAINT.search(lines[number])]
    if not complaints:
        return lines
    first = next((number for number in complaints if not lines[number][:1].isspace()), complaints[-1])
    last = about[-1] + 1
    while last < len(lines) and lines[last][:1].isspace():
        last += 1
    log.debug(events.MESSAGE_IGNORED, method="server/discover", why="\n".join(lines[first:last]))
    return lines[:first] + lines[last:]


def is_command(target: object) -> bool:
    """Return whether a target is a server that is started: a command, or the path of a script."""
    return isinstance(target, Sequence | os.PathLike) and not (
        isinstance(target, str) and ("://" in target or target.startswith("unix:"))
    )


def _serves(target: object) -> TypeGuard[Serves]:
    return callable(getattr(target, "serve", None))


def _command(target: object) -> list[str]:
    """Return the command of a target that is a command or the path of a script."""
    if isinstance(target, str | os.PathLike):
        path = os.fspath(target)
        if not isinstance(path, str):
            raise UsageError(f"Invalid path {path!r}: give it as text, not bytes")
        suffix = os.path.splitext(path)[1].lower()
        if suffix in INTERPRETERS:
            if not os.path.exists(path):
                raise UsageError(f"there is no script {path}: check the path")
            return [INTERPRETERS[suffix] or sys.executable, path]
        if shutil.which(path) is not None:
            return [path]
        raise UsageError(f"{path!r} is neither a script nor a command; {_advice(path)}")
    if isinstance(target, Sequence) and target and all(isinstance(part, str | os.PathLike) for part in target):
        return [os.fspath(part) for part in target]
    raise UsageError(
        "connect to a command (a list of strings), the path of a script, tcp://HOST:PORT, unix:PATH, "
        f"a Duplex or a Server; not to {type(target).__name__}"
    )


def _advice(text: str) -> str:
    if _HOST_AND_PORT.match(text):
        return f"write http://{text} if it is an address"
    return "a command with arguments is a list"


@asynccontextmanager
async def _as_it_is(duplex: Duplex) -> AsyncIterator[Duplex]:
    yield duplex


@asynccontextmanager
async def _in_memory(server: Serves, limit: int) -> AsyncIterator[Duplex]:
    """Serve in this process, for as long as the connection lasts."""
    from trimcp.transports.memory import memory_pair

    ours, theirs = memory_pair(limit=limit)
    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, theirs)
            with block:
                yield ours
            await ours.aclose()
            nursery.cancel_scope.cancel()


def _websocket(
    url: str, headers: Mapping[str, str] | None, limit: int, authorization: Authorization | None
) -> AbstractAsyncContextManager[Duplex]:
    from trimcp.http.websocket.connections import open_authorized_websocket, open_websocket_duplex

    if authorization is None:
        return open_websocket_duplex(url, headers=headers, message_bytes=limit)
    return open_authorized_websocket(url, authorization, headers=headers or {}, message_bytes=limit)


@asynccontextmanager
async def _socket(target: str, limit: int) -> AsyncIterator[Duplex]:
    from trimcp.transports.socket import connect_tcp, connect_unix

    if target.startswith("unix:"):
        duplex = await connect_unix(target.removeprefix("unix:").removeprefix("//"), limit=limit)
    else:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(f"Invalid address {target}: write tcp://HOST:PORT")
        duplex = await connect_tcp(host.strip("[]"), int(port), limit=limit)
    try:
        yield duplex
    finally:
        with trio.move_on_after(1, shield=True):
            await duplex.aclose()
