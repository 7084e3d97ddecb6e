"""Where a client connects to: what `trimcp.connect` takes, made into a connection.

A `Target` opens connections, each good for one session; a server that is gone after a probe is
opened once more.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeGuard

import trio

from trimcp.errors import UsageError
from trimcp.session.containment import is_interrupt
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.transports.http.authorization import Authorization

Opener = Callable[[], AbstractAsyncContextManager[Duplex]]

INTERPRETERS: Final[dict[str, str | None]] = {".py": None, ".js": "node", ".mjs": "node", ".cjs": "node", ".sh": "sh"}
"""What runs a script, by its suffix; None is the Python that runs us."""


class Serves(Protocol):
    """A server in this process, as far as connecting to it goes."""

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[Any] = ...) -> None: ...


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
    """How to open the target.

    Raises:
        UsageError: it is nothing that can be connected to.
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
            f"cannot connect to {target}: there are http(s)://, ws(s)://, tcp://HOST:PORT and unix:PATH, commands "
            "and scripts"
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
            limit=limit,
        )

    return spawn


def _serves(target: object) -> TypeGuard[Serves]:
    return callable(getattr(target, "serve", None))


def _command(target: object) -> list[str]:
    """The command of a target that is a command or the path of a script."""
    if isinstance(target, str | os.PathLike):
        path = os.fspath(target)
        if not isinstance(path, str):
            raise UsageError("a path must be text, not bytes")
        suffix = os.path.splitext(path)[1].lower()
        if suffix in INTERPRETERS:
            if not os.path.exists(path):
                raise UsageError(f"there is no script {path}")
            return [INTERPRETERS[suffix] or sys.executable, path]
        if shutil.which(path) is not None:
            return [path]
        raise UsageError(f"{path!r} is neither a script nor a command; a command with arguments is a list")
    if isinstance(target, Sequence) and target and all(isinstance(part, str | os.PathLike) for part in target):
        return [os.fspath(part) for part in target]
    raise UsageError(
        "connect to a command (a list of strings), the path of a script, tcp://HOST:PORT, unix:PATH, "
        f"a Duplex or a Server; not to {type(target).__name__}"
    )


@asynccontextmanager
async def _as_it_is(duplex: Duplex) -> AsyncIterator[Duplex]:
    yield duplex


@asynccontextmanager
async def _in_memory(server: Serves, limit: int) -> AsyncIterator[Duplex]:
    """Serve in this process, for as long as the connection lasts."""
    from trimcp.transports.memory import memory_pair

    ours, theirs = memory_pair(limit=limit)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, theirs)
            try:
                yield ours
            except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001
                failure = exc  # leaves below as itself, rather than in a group
            await ours.aclose()
            nursery.cancel_scope.cancel()
    finally:
        # Not lost either where the scope around it is cancelled.
        if failure is not None and not is_interrupt(sys.exception()):
            raise failure


def _websocket(
    url: str, headers: Mapping[str, str] | None, limit: int, authorization: Authorization | None
) -> AbstractAsyncContextManager[Duplex]:
    from trimcp.transports.websocket import open_authorized_websocket, open_websocket_duplex

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
            raise UsageError(f"{target} is no address: write tcp://HOST:PORT")
        duplex = await connect_tcp(host.strip("[]"), int(port), limit=limit)
    try:
        yield duplex
    finally:
        with trio.move_on_after(1, shield=True):
            await duplex.aclose()
