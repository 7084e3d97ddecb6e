"""The protection from DNS rebinding by Host and Origin, and CORS.

By DNS rebinding a web page has its visitor's browser talk to a server on the visitor's machine or network
(basic/transports of every revision, "Security"). CORS is off by default. `RequestGuard` judges the head of every
request, and does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

from trimcp.codec.envelope import encode_error
from trimcp.errors import UsageError
from trimcp.framing.headers import LAST_EVENT_ID, METHOD, NAME, PARAM_PREFIX, PROTOCOL_VERSION, SESSION_ID
from trimcp.http.binding import Fields, HttpRequest, Refusal
from trimcp.http.server.origins import HostPort, Origin, is_loopback, read_host, read_origin, read_patterns
from trimcp.schema.header_params import is_header_name
from trimcp.types.jsonrpc import INVALID_REQUEST

__all__ = ["Cors", "RequestGuard", "is_loopback"]

_KEPT: Final = 256
"""Verdicts that are cached."""
_LONGEST_KEPT: Final = 256
"""Bytes of fields beyond which a verdict is not cached."""

_VARY: Final = (b"vary", b"Origin")
_METHODS: Final = b"POST, GET, DELETE"
_TAKEN: Final = (
    *(b"accept", b"authorization", b"content-type", b"dpop"),
    *(PROTOCOL_VERSION, METHOD, NAME, SESSION_ID, LAST_EVENT_ID),
)
"""Request fields that MCP needs; `Mcp-Param-…` fields are allowed as they are asked for."""
_EXPOSED: Final = (SESSION_ID, PROTOCOL_VERSION, b"www-authenticate", b"dpop-nonce", b"retry-after")
_PARAM_FIELD: Final = re.compile(re.escape(PARAM_PREFIX) + rb"[!#$%&'*+.^_`|~0-9a-z-]+")


def _refusal(text: str) -> Refusal:
    # It has no id, since the body of the request is not read.
    body = encode_error(None, INVALID_REQUEST, text, null_id=False)
    return Refusal(403, ((b"content-type", b"application/json"),), body)


HOST_REFUSED: Final = _refusal("Forbidden: nothing is served under this Host")
ORIGIN_REFUSED: Final = _refusal("Forbidden: requests of this Origin are not served")


def _headers(value: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(name.lower().encode() for name in value)


@attrs.frozen(kw_only=True)
class Cors:
    """Lets web pages of other origins send requests and read the responses.

    Pages of the server's own origin need no CORS.

    Raises:
        UsageError: an origin or a header name is invalid, there is no origin, or `*` goes with credentials.
    """

    origins: Sequence[str]
    """Such as `https://app.example.com`; `*.example.com` for all below it; `*` for any."""
    allow_credentials: bool = False
    """Whether browsers send cookies."""
    max_age: int = 600
    """Seconds that a browser may cache the permissions."""
    headers: Sequence[str] = ()
    """Request fields that pages may send beside those of MCP."""

    def __attrs_post_init__(self) -> None:
        patterns = read_patterns(self.origins, of_hosts=False)
        if not patterns:
            raise UsageError("Cors has no origins: name at least one, such as https://app.example.com")
        if patterns.any and self.allow_credentials:
            raise UsageError("Cors with allow_credentials cannot have the origin *: name the origins")
        if isinstance(self.headers, str) or not all(map(is_header_name, self.headers)):
            raise UsageError(f"Invalid headers {self.headers!r} of Cors: give a list of header names")


class RequestGuard:
    """Judges the `Host` and the `Origin` of requests.

    **Host.** A server that is bound to loopback answers under the names of loopback (at any port, since ports are
    forwarded) and under `hosts`. A server that is bound elsewhere answers under `hosts`, or, without `hosts`, under any
    name. A Host that cannot be read is refused.

    **Origin.** Only browsers send it. It must be one of `origins` or of the CORS origins, or equal the Host. A server
    that is bound to loopback takes any page of loopback. A server that answers under any name takes an Origin that
    equals the Host only if they are IP addresses: equal names prove nothing, since DNS rebinding makes them equal.
    `null` is always refused.
    """

    def __init__(
        self, *, loopback: bool, hosts: Sequence[str] = (), origins: Sequence[str] = (), cors: Cors | None = None
    ) -> None:
        """
        Args:
            loopback: whether the server is bound to loopback.
            hosts: `example.com` (at any port), `example.com:8443`, `*.example.com`; `*` for any.
            origins: `https://app.example.com`, `app.example.com` (at any port), `*.example.com`; `*` for any.
            cors: pages that may read responses.

        Raises:
            UsageError: an entry is not a host or not an origin.
        """
        self._loopback = loopback
        self._hosts = read_patterns(hosts, of_hosts=True)
        self._origins = read_patterns(origins, of_hosts=False)
        self._cors = cors
        self._readers = None if cors is None else read_patterns(cors.origins, of_hosts=False)
        self._checks_host = not self._hosts.any and (loopback or bool(self._hosts))
        self._kept_hosts: dict[bytes | None, bool] = {}
        self._kept_origins: dict[tuple[bytes, bytes | None], tuple[bool, bool]] = {}
        if cors is not None:
            self._taken = (*_TAKEN, *_headers(cors.headers))

    def refuse(self, request: HttpRequest, methods: bytes = _METHODS) -> Refusal | None:
        """Judge the head of a request, and answer a CORS preflight; None lets the request in.

        `methods`: the value of `Access-Control-Allow-Methods`.
        """
        fields = request.fields
        host = fields.get(b"host")
        taken = self._kept_hosts.get(host)
        if taken is None:
            taken = self._takes_host(host)
            _keep(self._kept_hosts, host, taken, host or b"")
        if not taken:
            return HOST_REFUSED
        origin = fields.get(b"origin")
        if origin is None:
            return None
        taken, may_read = self._judge_origin(origin, host)
        if not taken:
            return ORIGIN_REFUSED
        if may_read and request.method == "OPTIONS" and b"access-control-request-method" in fields:
            asked = fields.get(b"access-control-request-headers", b"")
            return Refusal(204, self._preflight(origin, asked, methods), b"")
        return None

    def fields(self, request: HttpRequest) -> Fields:
        """Return the header fields that CORS adds to the response; none without CORS."""
        if self._cors is None:
            return ()
        origin = request.fields.get(b"origin")
        if origin is None or not self._judge_origin(origin, request.fields.get(b"host"))[1]:
            return (_VARY,)
        exposed = (b"access-control-expose-headers", b", ".join(_EXPOSED))
        return (*self._reader(self._cors, origin), exposed)

    def _takes_host(self, host: bytes | None) -> bool:
        if not host:
            return not self._checks_host
        named = read_host(host)
        if named is None:
            return False
        return not self._checks_host or (self._loopback and named.is_loopback) or self._hosts.has_host(named)

    def _judge_origin(self, origin: bytes, host: bytes | None) -> tuple[bool, bool]:
        """Return whether requests of an origin are served, and whether it may read the responses."""
        key = (origin, host)
        verdict = self._kept_origins.get(key)
        if verdict is None:
            verdict = self._takes_origin(origin, host)
            _keep(self._kept_origins, key, verdict, origin + (host or b""))
        return verdict

    def _takes_origin(self, raw: bytes, host: bytes | None) -> tuple[bool, bool]:
        origin = read_origin(raw)
        if origin is None:
            return False, False
        if self._readers is not None and self._readers.has_origin(origin):
            return True, True
        if self._origins.has_origin(origin) or (self._loopback and origin.is_web and origin.host.is_loopback):
            return True, False
        named = read_host(host) if host else None
        if named is None or not origin.is_web or not (self._checks_host or _is_fixed(named)):
            return False, False
        # Behind a proxy the scheme of the request is not the page's, so it is not compared.
        return origin.host.name == named.name and origin.port == Origin(origin.scheme, named).port, False

    def _reader(self, cors: Cors, origin: bytes) -> Fields:
        """Return the header fields that let a page of an origin read a response."""
        if self._readers is not None and self._readers.any:
            return ((b"access-control-allow-origin", b"*"),)
        allowed = ((b"access-control-allow-origin", origin), _VARY)
        return (*allowed, (b"access-control-allow-credentials", b"true")) if cors.allow_credentials else allowed

    def _preflight(self, origin: bytes, asked: bytes, methods: bytes) -> Fields:
        assert self._cors is not None
        names = (name.strip().lower() for name in asked.split(b","))
        params = dict.fromkeys(name for name in names if _PARAM_FIELD.fullmatch(name))
        return (
            *self._reader(self._cors, origin),
            (b"access-control-allow-methods", methods or _METHODS),
            (b"access-control-allow-headers", b", ".join((*self._taken, *params))),
            (b"access-control-max-age", b"%d" % self._cors.max_age),
        )


def _is_fixed(host: HostPort) -> bool:
    """Return whether no name server can point it elsewhere."""
    return host.is_address or host.is_loopback


def _keep(kept: dict[Any, Any], key: Any, verdict: Any, judged: bytes) -> None:
    if len(judged) <= _LONGEST_KEPT:
        if len(kept) >= _KEPT:
            kept.clear()
        kept[key] = verdict
