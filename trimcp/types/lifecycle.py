"""The introduction of client and server: `initialize` in the legacy era, `server/discover` after it."""

import attrs

from trimcp.types.capabilities import ClientCapabilities, ServerCapabilities
from trimcp.types.metadata import Implementation
from trimcp.types.payload import CacheableResult, RequestParams, Result


@attrs.define(eq=False, repr=False)
class InitializeRequestParams(RequestParams):
    """The first message of a legacy session (basic/lifecycle).

    Attributes:
        protocol_version: the latest revision that the client wants to speak.
        capabilities: the capabilities of the client.
        client_info: name and version of the client program.
    """

    protocol_version: str
    capabilities: ClientCapabilities
    client_info: Implementation


@attrs.define(eq=False, repr=False)
class InitializeResult(Result):
    """The server's answer to `initialize`.

    Attributes:
        protocol_version: the revision of the session; the client ends the session if it does not speak it.
        capabilities: the capabilities of the server.
        server_info: name and version of the server program.
        instructions: how to use the server, for a model to read.
    """

    protocol_version: str
    capabilities: ServerCapabilities
    server_info: Implementation
    instructions: str | None = None


@attrs.define(eq=False, repr=False)
class DiscoverResult(CacheableResult):
    """The self-description of a server of 2026-07-28 (server/discover). Its `server_info` is in `meta`.

    Attributes:
        supported_versions: the revisions it speaks.
        capabilities: the capabilities of the server.
        instructions: how to use it, for a model to read.
    """

    supported_versions: list[str]
    capabilities: ServerCapabilities
    instructions: str | None = None
