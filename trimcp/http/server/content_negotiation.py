"""Content negotiation: reads `Accept`, `Content-Type` and `Content-Encoding` (RFC 9110, sections 8.3, 8.4, 12.5.1).

Knows the two media types of MCP, JSON and event streams. The callers answer 406 or 415.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final, NamedTuple

_LONGEST_KEPT: Final = 256
"""Bytes of a field beyond which its meaning is not cached."""
_KEPT: Final = 128
_WILD: Final = ("*", "*")


class AcceptedTypes(NamedTuple):
    """The media types that a client accepts."""

    json: bool
    """`application/json`."""
    sse: bool
    """`text/event-stream`."""


EVERYTHING: Final = AcceptedTypes(json=True, sse=True)


def accepted(value: bytes | None) -> AcceptedTypes:
    """Read an `Accept` field. A client without one, or with an empty one, accepts everything.

    The most specific range that fits a type decides, and a weight of 0 refuses it. An invalid range is ignored.
    """
    if not value:
        return EVERYTHING
    return _kept_accepted(value) if len(value) <= _LONGEST_KEPT else _read_accepted(value)


def is_json(value: bytes | None) -> bool:
    """Return whether a `Content-Type` is `application/json`, in UTF-8 if it names a charset."""
    if not value:
        return False
    return _kept_is_json(value) if len(value) <= _LONGEST_KEPT else _read_is_json(value)


def is_encoded(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether a body is compressed, by its `Content-Encoding`."""
    return fields.get(b"content-encoding", b"").lower() not in (b"identity", b"")


def _read_accepted(value: bytes) -> AcceptedTypes:
    weights: dict[tuple[str, str], bool] = {}
    for part in value.decode("latin-1").lower().split(","):
        name, *parameters = part.split(";")
        kind, slash, subtype = name.strip().partition("/")
        weight = _weight(parameters)
        if slash and kind and subtype and weight is not None:
            # A range that occurs twice is accepted if one of the two is.
            weights[kind, subtype] = weights.get((kind, subtype), False) or weight > 0
    return AcceptedTypes(_takes(weights, "application", "json"), _takes(weights, "text", "event-stream"))


def _takes(weights: dict[tuple[str, str], bool], kind: str, subtype: str) -> bool:
    for media_range in ((kind, subtype), (kind, "*"), _WILD):
        if media_range in weights:
            return weights[media_range]
    return False


def _weight(parameters: list[str]) -> float | None:
    """Return the weight of a range; None if it is invalid."""
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip() == "q":
            text = text.strip()
            # `float` takes more than RFC 9110 allows: signs, exponents, infinity.
            if not text.isascii() or not text.replace(".", "", 1).isdigit():
                return None
            return float(text) if text[0] in "01" and float(text) <= 1 else None
    return 1.0


def _read_is_json(value: bytes) -> bool:
    name, *parameters = value.decode("latin-1").lower().split(";")
    if name.strip() != "application/json":
        return False
    for parameter in parameters:
        key, _, text = parameter.partition("=")
        if key.strip() == "charset" and text.strip().strip('"') not in ("utf-8", "utf8"):
            return False
    return True


_kept_accepted = functools.lru_cache(maxsize=_KEPT)(_read_accepted)
_kept_is_json = functools.lru_cache(maxsize=_KEPT)(_read_is_json)
