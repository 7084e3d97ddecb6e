"""The redirect of a sign-in: a listener on loopback for one flow, or the callback URL that a person pastes.

RFC 8252, section 7.3: the listener takes one GET on its path, and shows no parameter of it.
"""

from __future__ import annotations

import errno
import hmac
import html
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import attrs
import trio

from trimcp.actors.containment import unwrapped
from trimcp.auth.client.urls import is_loopback
from trimcp.auth.errors import AuthorizationFailed
from trimcp.errors import UsageError

_HEAD_BYTES: Final = 16 * 1024
_HEAD_TIME: Final = 10.0
_CONNECTIONS: Final = 16
"""Connections that the listener serves at once: browsers open several. For one more, the oldest is closed."""

_PARAMETERS: Final = 50

ReadCallback = Callable[[str], Awaitable[str]]
"""An async function that is given the authorization URL and returns the URL of the redirect."""


@attrs.frozen(repr=False)
class Callback:
    """The parameters of a redirect. They are secrets until they are used."""

    parameters: dict[str, str]

    @classmethod
    def of_url(cls, url: str) -> Callback:
        """Read the parameters of a redirect's URL.

        Raises:
            AuthorizationFailed: it is no URL, or a parameter comes twice.
        """
        try:
            query = urlsplit(url.strip()).query
        except ValueError:
            query = ""
        if not query:
            raise AuthorizationFailed("The address has no parameters: paste all of the address that the browser shows")
        return cls.of_query(query)

    @classmethod
    def of_query(cls, query: str) -> Callback:
        """Read the parameters of a query; raises as `of_url`."""
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_PARAMETERS)
        except ValueError:
            raise AuthorizationFailed("The redirect of the authorization server has too many parameters") from None
        parameters = dict(pairs)
        if len(parameters) != len(pairs):
            raise AuthorizationFailed("The redirect of the authorization server has a parameter twice")
        return cls(parameters)


class CallbackListener:
    """Listens for the redirect of one flow. Made by `open_callback_listener`."""

    def __init__(self, redirect_uri: str, path: str, receive: trio.MemoryReceiveChannel[Callback]) -> None:
        self.redirect_uri = redirect_uri
        """Where the browser is sent: with the port that is listened at."""
        self._path = path
        self._receive = receive

    async def wait(self) -> Callback:
        """Wait for the redirect with the state of this flow. Redirects of other flows get an error page."""
        return await self._receive.receive()


def check_redirect(redirect: str) -> str:
    """Return a redirect URI for loopback.

    Raises:
        UsageError: it is no http URL of 127.0.0.1, [::1] or localhost.
    """
    try:
        parts = urlsplit(redirect)
        is_url = parts.scheme == "http" and is_loopback(parts.hostname or "") and parts.port != -1
        is_valid = is_url and not parts.query and not parts.fragment
    except ValueError:  # no URL, or no port
        is_valid = False
    if not is_valid:
        raise UsageError(f"Invalid redirect {redirect!r}: give http://127.0.0.1:0/callback or the like, on loopback")
    return redirect


@asynccontextmanager
async def open_callback_listener(
    redirect: str, state: str, *, port: int | None = None
) -> AsyncIterator[CallbackListener]:
    """Listen on loopback until the block ends.

    Args:
        redirect: the URI; port 0 means a free one.
        state: of the flow: a redirect with another one is refused, and the wait goes on.
        port: preferred where `redirect` has port 0, such as that of an earlier registration.

    Raises:
        AuthorizationFailed: the port is in use.
    """
    parts = urlsplit(redirect)
    host, path = parts.hostname or "127.0.0.1", parts.path or "/"
    listeners = await _listeners(host, parts.port or 0, port)
    bound = listeners[0].socket.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    send, receive = trio.open_memory_channel[Callback](1)
    served: OrderedDict[trio.SocketStream, trio.CancelScope] = OrderedDict()
    answers = _Answers(path, state, send)

    async def serve(stream: trio.SocketStream) -> None:
        if len(served) >= _CONNECTIONS:  # so that pages that open connections and say nothing keep no browser out
            served.popitem(last=False)[1].cancel()
        async with stream:
            try:
                with trio.move_on_after(_HEAD_TIME) as served[stream]:
                    await answers.answer(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                served.pop(stream, None)

    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, serve, listeners)
            with block:
                yield CallbackListener(f"http://{name}:{bound}{path}", path, receive)
            nursery.cancel_scope.cancel()


async def _listeners(host: str, port: int, preferred: int | None) -> list[trio.SocketListener]:
    for candidate in [preferred, 0, 0, 0] if port == 0 and preferred else [port, *([0, 0] if port == 0 else [])]:
        try:
            return await _listen(host, candidate or 0)
        except OSError:
            pass
    raise AuthorizationFailed(
        f"Port {port} of {host} is in use: end the other program, or give a redirect with port 0"
        if port
        else f"No port of {host} is free for the redirect of the browser"
    )


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    """Listen at all that a host means: a browser that goes to `localhost` tries ::1 and 127.0.0.1."""
    if host.lower() != "localhost":
        return await trio.open_tcp_listeners(port, host=host)
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    try:
        bound = listeners[0].socket.getsockname()[1]
        listeners += await trio.open_tcp_listeners(bound, host="::1")
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:  # another program would get the redirect
            await listeners[0].aclose()
            raise
    return listeners


class _Answers:
    """What the listener answers to browsers, and to all else that finds its port."""

    def __init__(self, path: str, state: str, send: trio.MemorySendChannel[Callback]) -> None:
        self._path = path
        self._state = state
        self._send = send
        self._is_over = False

    async def answer(self, stream: trio.SocketStream) -> None:
        """Read one request and answer it."""
        head = bytearray()
        while b"\r\n\r\n" not in head:
            piece = await stream.receive_some(4096)
            if not piece:
                return
            head += piece
            if len(head) > _HEAD_BYTES:
                await stream.send_all(_page(431, "The request is too long."))
                return
        words = bytes(head).split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            await stream.send_all(_page(400, "This is not a request of a browser."))
            return
        path, _, query = words[1].decode("ascii", "replace").partition("?")
        if path != self._path:
            await stream.send_all(_page(404, "There is nothing at this address."))
        elif words[0] != b"GET":
            await stream.send_all(_page(405, "This address takes GET requests."))
        elif (callback := self._callback(query)) is None:
            await stream.send_all(_page(400, "This page belongs to another sign-in. Close it."))
        else:
            self._is_over = True
            try:
                # First the page: the listener ends when the sign-in goes on.
                await stream.send_all(_page(200, "You can close this page and go back to the program."))
            finally:
                self._send.send_nowait(callback)

    def _callback(self, query: str) -> Callback | None:
        """The redirect of this flow, once; None for another one."""
        try:
            callback = Callback.of_query(query)
        except AuthorizationFailed:
            return None
        given = callback.parameters.get("state", "").encode()
        return callback if not self._is_over and hmac.compare_digest(given, self._state.encode()) else None


def _page(status: int, text: str) -> bytes:
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>trimcp</title>'
        f'<body style="font-family:system-ui;margin:4em auto;max-width:30em"><p>{html.escape(text)}</p></body></html>'
    ).encode()
    reason = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 431: "Too Large"}[status]
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'; "
        "style-src 'unsafe-inline'\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
