"""How client and server learn of each other: `initialize` in the legacy era, `server/discover` after it."""

from __future__ import annotations

import attrs

from trimcp.types.capabilities import ClientCapabilities, ServerCapabilities
from trimcp.types.metadata import Implementation
from trimcp.types.payload import CacheableResult, RequestParams, Result


@attrs.define
class InitializeRequestParams(RequestParams):
    """The first message of a legacy session (basic/lifecycle).

    Attributes:
        protocol_version: the latest revision that the client wants to speak.
        capabilities: what the client is able to do.
        client_info: what program it is.
    """

    protocol_version: str
    capabilities: ClientCapabilities
    client_info: Implementation


@attrs.define
class InitializeResult(Result):
    """The server's answer to `initialize`.

    Attributes:
        protocol_version: the revision that the session is in; the client ends it if that is none of its own.
        capabilities: what the server is able to do.
        server_info: what program it is.
        instructions: how to use the server, for a model to read.
    """

    protocol_version: str
    capabilities: ServerCapabilities
    server_info: Implementation
    instructions: str | None = None


@attrs.define
class DiscoverResult(CacheableResult):
    """What a server of 2026-07-28 says of itself (server/discover). Its program is in `meta`.

    Attributes:
        supported_versions: the revisions it speaks.
        capabilities: what it is able to do.
        instructions: how to use it, for a model to read.
    """

    supported_versions: list[str]
    capabilities: ServerCapabilities
    instructions: str | None = None
