"""What the errors of MCP carry as `data`, as objects; their codes are in `trimcp.types.jsonrpc`."""

from __future__ import annotations

from typing import Any

import attrs

from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.elicitation import ElicitRequestURLParams


@attrs.define
class UnsupportedProtocolVersionData:
    """Of `UNSUPPORTED_PROTOCOL_VERSION`.

    Attributes:
        requested: the revision that the request was written in.
        supported: those that the server speaks.
    """

    requested: str
    supported: list[str]
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class MissingRequiredClientCapabilityData:
    """Of `MISSING_CLIENT_CAPABILITY`: what the client would have had to declare."""

    required_capabilities: ClientCapabilities
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class URLElicitationRequiredData:
    """Of `URL_ELICITATION_REQUIRED` (2025-11-25): the pages to visit before the request is sent again."""

    elicitations: list[ElicitRequestURLParams]
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)
