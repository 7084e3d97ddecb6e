"""The profile of a client: given once for a legacy session, and with each modern request.

`basic/index` of 2026-07-28, "Per-request protocol fields"; `basic/lifecycle` before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import orjson

from trimcp.codec.jsontext import dumps
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.jsonrpc import INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION, ErrorData
from trimcp.types.metadata import (
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
    PROTOCOL_VERSION,
    Implementation,
)
from trimcp.types.revisions import BY_VERSION, Era, Revision
from trimcp.types.utilities import LOGGING_LEVELS, LoggingLevel
from trimcp.values import Value


@attrs.define(eq=False, repr=False)
class ClientProfile(Value):
    """Holds what the client has told the server about itself."""

    revision: Revision
    """The revision that the request is served in."""
    capabilities: ClientCapabilities
    info: Implementation | None = None
    """The name that the client gives itself: for display and logs, never for decisions."""
    log_level: LoggingLevel | None = None
    """The least severe level of `notifications/message` that it wants; None: none at all."""

    @property
    def name(self) -> str | None:
        """The name and the version that the client gives itself, for display."""
        return None if self.info is None else f"{self.info.name} {self.info.version}"


class ProfileReader:
    """Reads the profile that each modern request carries. One for each connection.

    A client sends the same profile with every request, so the last one is kept and compared.
    """

    __slots__ = ("_last", "_last_meta", "_modern")

    def __init__(self, offered: Sequence[Revision]) -> None:
        """`offered`: the revisions of this side, of both eras."""
        # The legacy ones are left out of what is advertised here: a request's metadata cannot
        # choose them, and a client that tried would be refused for ever.
        self._modern = {r.version: r for r in offered if r.era is Era.MODERN}
        self._last_meta: bytes | None = None
        self._last: ClientProfile | None = None

    def concerns(self, meta: Any) -> bool:
        """Whether a request with this `_meta` is of the modern era.

        A server that speaks no modern revision is a legacy server, to which the key means nothing.
        """
        return type(meta) is dict and PROTOCOL_VERSION in meta and bool(self._modern)

    def profile(self, meta: dict[str, Any]) -> ClientProfile | ErrorData:
        """Return the profile in the `_meta` of a request, or the error to answer."""
        get = meta.get
        members = (get(PROTOCOL_VERSION), get(CLIENT_CAPABILITIES), get(CLIENT_INFO), get(LOG_LEVEL))
        # By its text, since to `==` a true is a 1, which the schema would refuse. JSON that was read holds no NaN.
        try:
            text = orjson.dumps(members)
        except TypeError:  # an integer beyond 64 bits
            text = dumps(members)
        if text == self._last_meta and self._last is not None:
            return self._last
        version, capabilities, info, level = members
        if type(version) is not str:
            return _wrong(PROTOCOL_VERSION, "a string")
        revision = self._modern.get(version)
        if revision is None:
            return ErrorData(
                UNSUPPORTED_PROTOCOL_VERSION,
                f"Unsupported protocol version {version!r}"
                + (" in a request's metadata: that revision opens with initialize" if version in BY_VERSION else ""),
                {"supported": list(self._modern), "requested": version},
            )
        if type(capabilities) is not dict:
            return _wrong(CLIENT_CAPABILITIES, "an object")
        if level is not None and level not in LOGGING_LEVELS:
            return _wrong(LOG_LEVEL, "one of " + ", ".join(LOGGING_LEVELS))
        codec = codec_for(revision)
        try:
            profile = ClientProfile(
                revision,
                codec.structure(capabilities, ClientCapabilities),
                None if info is None else codec.structure(info, Implementation),
                level,
            )
        except InvalidPayload as exc:
            return ErrorData(
                INVALID_PARAMS, "The request's metadata does not fit the schema", {"problems": exc.problems}
            )
        self._last_meta, self._last = text, profile
        return profile


def _wrong(key: str, expected: str) -> ErrorData:
    return ErrorData(
        INVALID_PARAMS,
        f"Every request must carry {key} in params._meta, as {expected}",
        {"problems": [f"expected {expected} @ $._meta['{key}']"]},
    )
