"""What a message of JSON-RPC is, and which message answers which."""

from __future__ import annotations

import json
from typing import Any, Literal

Sender = Literal["client", "server"]
Kind = Literal["request", "notification", "result", "error", "other"]


def other_side(sender: Sender) -> Sender:
    """Return the peer of a side."""
    return "server" if sender == "client" else "client"


def kind_of(message: Any) -> Kind:
    """Return the kind of a message; `other` for a batch, and for what is no message."""
    if not isinstance(message, dict):
        return "other"
    if "method" in message:
        if not isinstance(message["method"], str):
            return "other"
        return "request" if "id" in message else "notification"
    return "error" if "error" in message else "result" if "result" in message else "other"


def id_key(id: Any) -> str:
    """Return an id as a key: 7 and "7" are two ids."""
    return json.dumps(id)


def params_of(message: Any) -> dict[str, Any]:
    """Return the params of a message; an empty object where it has none."""
    params = message.get("params") if isinstance(message, dict) else None
    return params if isinstance(params, dict) else {}
