"""The listening options of `trimcp run`: addresses, TLS, paths; and the servings that they ask for."""

from __future__ import annotations

import argparse
import functools
import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.errors import UsageError

if TYPE_CHECKING:
    import socket

    from trimcp.http.server.endpoint import HttpOptions
    from trimcp.server.app import Server
    from trimcp.server.process import Binding

PATH: Final = "/mcp"
HTTP: Final = "http"
WEBSOCKET: Final = "websocket"


@attrs.frozen
class Address:
    """Holds an address to listen on."""

    host: str = "127.0.0.1"
    port: int = 8000

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT: Final = Address()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of where and how to listen."""
    where = parser.add_argument_group("where (the default is stdio)")
    http = where.add_mutually_exclusive_group()
    listening: dict[str, Any] = {"nargs": "?", "const": DEFAULT, "type": address, "metavar": "HOST:PORT"}
    http.add_argument("--http", **listening, help=f"HTTP; the default address is {DEFAULT}")
    http.add_argument("--hypercorn", **listening, help="HTTP by hypercorn: TLS, HTTP/2, and WebSocket at the same path")
    where.add_argument("--port", type=_port, metavar="PORT", help="HTTP at this port of --http or --hypercorn")
    where.add_argument("--uds", metavar="PATH", help="HTTP on a Unix socket that only this user may connect to")
    where.add_argument("--websocket", **listening, help="WebSocket")
    how = parser.add_argument_group("how")
    how.add_argument("--path", type=_path, help=f"path of the endpoint; the default is {PATH}")
    how.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a Host value to accept")
    how.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help="an Origin to accept")
    how.add_argument("--sse", action="store_true", help="also serve clients of 2024-11-05, at /sse")
    how.add_argument(
        "--messages",
        metavar="URI",
        help="where --sse tells clients to post, behind a proxy that strips a prefix",
    )
    how.add_argument("--health", action="store_true", help="answer GET /health/live and /health/ready")
    where.add_argument(
        "--metrics",
        nargs="?",
        const=True,
        type=address,
        metavar="HOST:PORT",
        help="answer GET /metrics for Prometheus, there or at the address of HTTP",
    )
    how.add_argument("--access-log", action="store_true", help="log each HTTP request on stderr")
    how.add_argument("--certfile", metavar="FILE", help="certificate, for TLS with --hypercorn or --websocket")
    how.add_argument("--keyfile", metavar="FILE", help="its private key")
    how.add_argument("--workers", type=_workers, metavar="N", help="listen with N processes, which share a store")


def address(text: str) -> Address:
    """Parse the HOST:PORT of an option; the port alone is one of loopback."""
    host, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT: put FILE before this option")
    return Address(host.strip("[]") or DEFAULT.host if colon else DEFAULT.host, int(port))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} must begin with /")
    return text


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes")
    return int(text)


def check(options: argparse.Namespace) -> bool:
    """Check that the options go together; tell whether they ask to listen.

    Raises:
        UsageError: they contradict each other.
    """
    if options.port is not None:
        kind = "http" if options.hypercorn is None else "hypercorn"
        setattr(options, kind, attrs.evolve(getattr(options, kind) or DEFAULT, port=options.port))
    is_http = options.http is not None or options.hypercorn is not None or options.uds is not None
    is_any = is_http or options.websocket is not None
    needs_any = {"--path": options.path, "--allow-host": options.allow_host, "--allow-origin": options.allow_origin}
    needs_http = {
        "--metrics": options.metrics is not None,
        "--sse": options.sse,
        "--messages": options.messages,
        "--health": options.health,
    }
    for given, needs in ((is_any, needs_any), (is_http, needs_http)):
        if not given and any(needs.values()):
            names = ", ".join(name for name, value in needs.items() if value)
            raise UsageError(f"{names} needs HTTP: add --http or --hypercorn")
    if (options.certfile is None) != (options.keyfile is None):
        raise UsageError("TLS needs both --certfile and --keyfile: give the other one")
    if options.certfile is not None and options.hypercorn is None and options.websocket is None:
        raise UsageError("--certfile needs a server with TLS: add --hypercorn or --websocket")
    if options.certfile is not None:
        _ssl_context(options)  # reports problems with the files before anything is opened
    if options.uds is not None and not {options.http, options.hypercorn} <= {None, DEFAULT}:
        raise UsageError("HTTP listens on an address or on the Unix socket of --uds: give only one")
    if options.workers is not None and not is_any:
        raise UsageError("--workers needs an address: add --http, --hypercorn, --uds or --websocket")
    if options.workers is not None and isinstance(options.metrics, Address):
        raise UsageError("--metrics HOST:PORT needs one process: give --metrics without an address, for each worker")
    return is_any


def bindings_of(
    server: Server, options: argparse.Namespace, *, sockets: Mapping[str, Sequence[socket.socket]] | None = None
) -> list[Binding]:
    """Return the servings that the options ask for, in the order of opening.

    Args:
        server: the server.
        options: of the command line.
        sockets: to listen on, in place of the addresses: by `HTTP` and `WEBSOCKET`.
    """
    from trimcp.server.process import Binding, http_url

    bindings: list[Binding] = []
    http: Address | None = options.hypercorn or options.http or (DEFAULT if options.uds is not None else None)
    secure = options.certfile is not None
    if http is not None:
        further = http_options(options)
        where: dict[str, Any] = {"port": http.port, "host": http.host, "uds": options.uds}
        where["sockets"] = None if sockets is None else sockets[HTTP]
        serve: Any = functools.partial(server.serve_http, **where, **further)
        if options.hypercorn is not None:
            tls = {"certfile": options.certfile, "keyfile": options.keyfile}
            serve = functools.partial(server.serve_hypercorn, **where, **tls, **further)
        scheme = "https" if secure and options.hypercorn is not None else "http"
        bindings.append(Binding(serve, functools.partial(_describe, scheme, options)))
    if options.websocket is not None:
        serve = functools.partial(
            server.serve_websocket,
            options.websocket.port,
            options.websocket.host,
            path=options.path or PATH,
            sockets=None if sockets is None else sockets[WEBSOCKET],
            hosts=options.allow_host,
            origins=options.allow_origin,
            ssl_context=_ssl_context(options) if secure else None,
        )
        bindings.append(Binding(serve, functools.partial(_describe, "wss" if secure else "ws", options)))
    if isinstance(options.metrics, Address):
        serve = functools.partial(server.serve_metrics, options.metrics.port, options.metrics.host)
        bindings.append(Binding(serve, functools.partial(http_url, "http", "/metrics")))
    return bindings


def http_options(options: argparse.Namespace) -> HttpOptions:
    """Return the options of the HTTP endpoint."""
    found: HttpOptions = {
        "path": options.path or PATH,
        "hosts": options.allow_host,
        "origins": options.allow_origin,
        "sse": options.sse,
        "health": options.health,
        "metrics": options.metrics is True,
        "access_log": options.access_log,
    }
    if options.messages is not None:
        found["messages"] = options.messages
    return found


def _ssl_context(options: argparse.Namespace) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certfile, options.keyfile)
    except OSError as exc:  # ssl.SSLError is one
        raise UsageError(f"cannot use {options.certfile} and {options.keyfile} for TLS: {exc}") from exc
    return context


def _describe(scheme: str, options: argparse.Namespace, address: tuple[str, int] | str) -> str:
    from trimcp.server.process import http_url

    here = http_url(scheme, options.path or PATH, address)
    if options.sse and scheme.startswith("http"):
        here += f" and {http_url(scheme, '/sse', address)}"
    return here
