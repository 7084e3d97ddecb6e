"""The doors that `trimcp run` opens: what its options say of them, made into what a server is served by."""

from __future__ import annotations

import argparse
import functools
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.errors import UsageError

if TYPE_CHECKING:
    import socket

    from trimcp.endpoint.options import HttpOptions
    from trimcp.server.app import Server
    from trimcp.server.process import Door

PATH: Final = "/mcp"


@attrs.frozen
class Address:
    """Where to listen."""

    host: str = "127.0.0.1"
    port: int = 8000

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT: Final = Address()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where and how to serve."""
    doors = parser.add_argument_group("where (stdio, if none of these is given)")
    http = doors.add_mutually_exclusive_group()
    address: dict[str, Any] = {"nargs": "?", "const": DEFAULT, "type": _address, "metavar": "HOST:PORT"}
    http.add_argument("--http", **address, help=f"HTTP; {DEFAULT}, if nothing else is said")
    http.add_argument("--hypercorn", **address, help="HTTP by hypercorn: TLS, HTTP/2, and WebSocket at the same path")
    doors.add_argument("--uds", metavar="PATH", help="HTTP on a Unix socket, which this user alone may connect to")
    doors.add_argument("--websocket", **address, help="WebSocket")
    how = parser.add_argument_group("how")
    how.add_argument("--path", type=_path, help=f"path of the endpoint; {PATH}, if not given")
    how.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a value of Host to serve")
    how.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help="web pages that may ask")
    how.add_argument("--sse", action="store_true", help="serve clients of 2024-11-05 too, at /sse")
    how.add_argument("--health", action="store_true", help="answer GET /health/live and /health/ready")
    how.add_argument("--certfile", metavar="FILE", help="certificate, for TLS with --hypercorn or --websocket")
    how.add_argument("--keyfile", metavar="FILE", help="its private key")
    how.add_argument(
        "--workers", type=_workers, metavar="N", help="with --hypercorn: N processes, for clients of 2026-07-28 alone"
    )


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT; the file to serve stands before it")
    return Address(host.strip("[]") or DEFAULT.host if colon else DEFAULT.host, int(port))


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with /")
    return text


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes")
    return int(text)


def check(options: argparse.Namespace) -> bool:
    """Whether there are doors to open; that the options go together.

    Raises:
        UsageError: they do not.
    """
    is_http = options.http is not None or options.hypercorn is not None or options.uds is not None
    is_any = is_http or options.websocket is not None
    needs_any = {"--path": options.path, "--allow-host": options.allow_host, "--allow-origin": options.allow_origin}
    needs_http = {"--sse": options.sse, "--health": options.health}
    for given, needs in ((is_any, needs_any), (is_http, needs_http)):
        if not given and any(needs.values()):
            names = ", ".join(name for name, value in needs.items() if value)
            raise UsageError(f"{names}: serve by HTTP for that: add --http or --hypercorn")
    if (options.certfile is None) != (options.keyfile is None):
        raise UsageError("TLS needs both, --certfile and --keyfile")
    if options.certfile is not None and options.hypercorn is None and options.websocket is None:
        raise UsageError("TLS is spoken by --hypercorn and by --websocket")
    if options.certfile is not None:
        _ssl_context(options)  # what is wrong with the files is said before anything is opened
    if options.uds is not None and not {options.http, options.hypercorn} <= {None, DEFAULT}:
        raise UsageError("HTTP is served at an address or on the Unix socket of --uds, not at both")
    if options.workers is not None and (options.hypercorn is None or options.uds or options.websocket):
        raise UsageError("--workers go with --hypercorn HOST:PORT alone")
    return is_any


def doors_of(
    server: Server, options: argparse.Namespace, *, sockets: Sequence[socket.socket] | None = None
) -> list[Door]:
    """What the options ask for, in the order in which it is opened."""
    from trimcp.server.process import Door

    doors: list[Door] = []
    http: Address | None = options.hypercorn or options.http or (DEFAULT if options.uds is not None else None)
    secure = options.certfile is not None
    if http is not None:
        further = http_options(options)
        serve: Any = functools.partial(server.serve_http, http.port, http.host, uds=options.uds, **further)
        if options.hypercorn is not None:
            serve = functools.partial(
                server.serve_hypercorn,
                http.port,
                http.host,
                uds=options.uds,
                sockets=sockets,
                certfile=options.certfile,
                keyfile=options.keyfile,
                **further,
            )
        scheme = "https" if secure and options.hypercorn is not None else "http"
        doors.append(Door(serve, functools.partial(_describe, scheme, options)))
    if options.websocket is not None:
        serve = functools.partial(
            server.serve_websocket,
            options.websocket.port,
            options.websocket.host,
            path=options.path or PATH,
            hosts=options.allow_host,
            origins=options.allow_origin,
            ssl_context=_ssl_context(options) if secure else None,
        )
        doors.append(Door(serve, functools.partial(_describe, "wss" if secure else "ws", options)))
    return doors


def http_options(options: argparse.Namespace) -> HttpOptions:
    """What of the options concerns the endpoint."""
    return {
        "path": options.path or PATH,
        "hosts": options.allow_host,
        "origins": options.allow_origin,
        "sse": options.sse,
        "health": options.health,
    }


def _ssl_context(options: argparse.Namespace) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certfile, options.keyfile)
    except OSError as exc:  # what is wrong with a certificate is one as well
        raise UsageError(f"cannot speak TLS by {options.certfile} and {options.keyfile}: {exc}") from exc
    return context


def _describe(scheme: str, options: argparse.Namespace, address: tuple[str, int] | str) -> str:
    from trimcp.server.process import url

    here = url(scheme, options.path or PATH, address)
    if options.sse and scheme.startswith("http"):
        here += f" and {url(scheme, '/sse', address)}"
    if options.workers is not None:
        here += f", by {options.workers} processes, for clients of 2026-07-28"
    return here
