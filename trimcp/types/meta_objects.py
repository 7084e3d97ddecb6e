"""The reserved keys of `_meta`, and the data of the errors about them (basic/index of 2026-07-28).

Payloads keep `_meta` as a dict, since most of its keys belong to other programs. `RevisionCodec.structure` makes one of
these classes of the dict.
"""

from typing import Any

import attrs

from trimcp.types.capabilities import ClientCapabilities
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
from trimcp.types.utilities import LoggingLevel

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
