"""`_meta` of 2026-07-28 as objects.

Payloads keep `_meta` as the dict it came in, since most of its keys are other people's.
Whoever needs the reserved keys of one structures it into a class of these by
`RevisionCodec.structure`: the stateless part of the protocol does, for each request.
"""

from __future__ import annotations

from typing import Any

import attrs

from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.fields import spec
from trimcp.types.jsonrpc import ProgressToken, RequestId
from trimcp.types.logging import LoggingLevel
from trimcp.types.metadata import (
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
    PROTOCOL_VERSION,
    SERVER_INFO,
    SUBSCRIPTION_ID,
    Implementation,
)

MetaObject = dict[str, Any]
"""Any `_meta`: keys are prefixed by a reverse domain name, or reserved by MCP."""


@attrs.define
class RequestMetaObject:
    """`_meta` of a request: who asks, in which revision, and what they are able to do."""

    protocol_version: str = attrs.field(metadata=spec(wire_name=PROTOCOL_VERSION))
    client_capabilities: ClientCapabilities = attrs.field(metadata=spec(wire_name=CLIENT_CAPABILITIES))
    client_info: Implementation | None = attrs.field(default=None, metadata=spec(wire_name=CLIENT_INFO))
    log_level: LoggingLevel | None = attrs.field(default=None, metadata=spec(wire_name=LOG_LEVEL))
    progress_token: ProgressToken | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class NotificationMetaObject:
    """`_meta` of a notification: the subscription that it belongs to."""

    subscription_id: RequestId | None = attrs.field(default=None, metadata=spec(wire_name=SUBSCRIPTION_ID))
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ResultMetaObject:
    """`_meta` of a result: who answered."""

    server_info: Implementation | None = attrs.field(default=None, metadata=spec(wire_name=SERVER_INFO))
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class SubscriptionsListenResultMetaObject:
    """`_meta` of the result that ends a subscription."""

    subscription_id: RequestId = attrs.field(metadata=spec(wire_name=SUBSCRIPTION_ID))
    server_info: Implementation | None = attrs.field(default=None, metadata=spec(wire_name=SERVER_INFO))
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)
