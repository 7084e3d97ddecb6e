"""What a client takes and what it sends: `Accept` and `Content-Type`, as far as they matter here.

Owns the reading of media types and their weights (RFC 9110, sections 8.3 and 12.5.1). What follows
from them, 406 or 415 or the form of an answer, is the endpoint's business.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

_LONGEST_KEPT: Final = 256
"""Bytes of a field whose meaning is remembered; a longer one is read each time."""
_KEPT: Final = 128
_WILD: Final = ("*", "*")


class Accepted(NamedTuple):
    """What a client takes for an answer."""

    json: bool
    """`application/json`."""
    sse: bool
    """`text/event-stream`."""


EVERYTHING: Final = Accepted(json=True, sse=True)


def accepted(value: bytes | None) -> Accepted:
    """Read an `Accept` field. Without one, or with an empty one, a client takes everything.

    The most specific range that fits a type decides, and a weight of 0 refuses it. A range that
    cannot be read is passed over.
    """
    if not value:
        return EVERYTHING
    return _kept_accepted(value) if len(value) <= _LONGEST_KEPT else _read_accepted(value)


def is_json(value: bytes | None) -> bool:
    """Whether a `Content-Type` field says JSON: `application/json`, in UTF-8 if it names a charset."""
    if not value:
        return False
    return _kept_is_json(value) if len(value) <= _LONGEST_KEPT else _read_is_json(value)


def _read_accepted(value: bytes) -> Accepted:
    weights: dict[tuple[str, str], bool] = {}
    for part in value.decode("latin-1").lower().split(","):
        name, *parameters = part.split(";")
        kind, slash, subtype = name.strip().partition("/")
        weight = _weight(parameters)
        if slash and kind and subtype and weight is not None:
            # The same range twice: what is taken once is taken.
            weights[kind, subtype] = weights.get((kind, subtype), False) or weight > 0
    return Accepted(_takes(weights, "application", "json"), _takes(weights, "text", "event-stream"))


def _takes(weights: dict[tuple[str, str], bool], kind: str, subtype: str) -> bool:
    for media_range in ((kind, subtype), (kind, "*"), _WILD):
        if media_range in weights:
            return weights[media_range]
    return False


def _weight(parameters: list[str]) -> float | None:
    """The weight of a range; None where it cannot be read."""
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip() == "q":
            text = text.strip()
            # `float` takes far more: signs, exponents, infinity.
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
