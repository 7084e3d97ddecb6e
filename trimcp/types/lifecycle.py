"""The introduction of client and server: `initialize` in the legacy era, `server/discover` and `_meta` after it.

Payloads keep `_meta` as a dict, since most of its keys belong to other programs.
`RevisionCodec.structure` makes one of the meta classes here of the dict, for the reserved keys: the
stateless part of the protocol does so for each request.
"""

from typing import Any

import attrs

from trimcp.types.capabilities import ClientCapabilities, ServerCapabilities
from trimcp.types.fields import Extensible, spec
from trimcp.types.jsonrpc import ProgressToken, RequestId
from trimcp.types.metadata import (
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
    PROTOCOL_VERSION,
    SERVER_INFO,
    SUBSCRIPTION_ID,
    Implementation,
)
from trimcp.types.payload import CacheableResult, RequestParams, Result
from trimcp.types.utilities import LoggingLevel


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


MetaObject = dict[str, Any]
"""Any `_meta`: its keys have the prefix of a reverse domain name, or are reserved by MCP."""


@attrs.define(eq=False, repr=False)
class RequestMetaObject(Extensible):
    """`_meta` of a request: the revision, the client and its capabilities."""

    protocol_version: str = attrs.field(metadata=spec(wire_name=PROTOCOL_VERSION))
    client_capabilities: ClientCapabilities = attrs.field(metadata=spec(wire_name=CLIENT_CAPABILITIES))
    client_info: Implementation | None = attrs.field(default=None, metadata=spec(wire_name=CLIENT_INFO))
    log_level: LoggingLevel | None = attrs.field(default=None, metadata=spec(wire_name=LOG_LEVEL))
    progress_token: ProgressToken | None = None


@attrs.define(eq=False, repr=False)
class NotificationMetaObject(Extensible):
    """`_meta` of a notification: its subscription."""

    subscription_id: RequestId | None = attrs.field(default=None, metadata=spec(wire_name=SUBSCRIPTION_ID))


@attrs.define(eq=False, repr=False)
class ResultMetaObject(Extensible):
    """`_meta` of a result: the server program."""

    server_info: Implementation | None = attrs.field(default=None, metadata=spec(wire_name=SERVER_INFO))


@attrs.define(eq=False, repr=False)
class SubscriptionsListenResultMetaObject(Extensible):
    """`_meta` of the result that ends a subscription."""

    subscription_id: RequestId = attrs.field(metadata=spec(wire_name=SUBSCRIPTION_ID))
    server_info: Implementation | None = attrs.field(default=None, metadata=spec(wire_name=SERVER_INFO))


@attrs.define(eq=False, repr=False)
class UnsupportedProtocolVersionData(Extensible):
    """The data of `UNSUPPORTED_PROTOCOL_VERSION`.

    Attributes:
        requested: the revision of the request.
        supported: the revisions that the server speaks.
    """

    requested: str
    supported: list[str]


@attrs.define(eq=False, repr=False)
class MissingRequiredClientCapabilityData(Extensible):
    """The data of `MISSING_CLIENT_CAPABILITY`: the capabilities that the client must declare."""

    required_capabilities: ClientCapabilities
