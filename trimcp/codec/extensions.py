"""Params and results that extensions add ↔ objects: their own classes, or raw JSON objects.

Classes are read and written by the revision's converters, as those of the core are; `dict` passes
a JSON object through. Called when the routes of a server, or the calls of a client, are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.codec.classes import RESULT_TYPE
from trimcp.codec.payloads import INPUT_REQUIRED, Decoder, Encoder, decoder, encoder, tagged_result_decoder
from trimcp.codec.schema_problems import at
from trimcp.errors import InvalidPayload, InvalidResult, UsageError
from trimcp.types.extensions import ExtensionMethod, ExtensionResult

if TYPE_CHECKING:
    from trimcp.codec.revisions import RevisionCodec

OBJECT: Final = "expected object"


def check_payload(cls: Any, parent: type, what: str) -> None:
    """
    Raises:
        UsageError: it is neither `dict` nor an attrs class derived from the parent.
    """
    if cls is dict or (isinstance(cls, type) and issubclass(cls, parent) and attrs.has(cls)):
        return
    raise UsageError(f"{what} must be an attrs class derived from trimcp.types.{parent.__name__}, or dict; not {cls!r}")


def params_decoder(codec: RevisionCodec, cls: Any) -> Callable[[Mapping[str, Any] | None], Any]:
    """JSON params → object. Missing params are empty ones; it raises `InvalidPayload`."""
    if cls is dict:
        return lambda params: {} if params is None else dict(params)
    decode = decoder(codec, cls, InvalidPayload)
    return lambda params: decode({} if params is None else params)


def params_encoder(codec: RevisionCodec, cls: Any) -> Encoder:
    """Params object → JSON; it raises `InvalidPayload`."""
    return _raw if cls is dict else encoder(codec, cls)


def result_decoder(codec: RevisionCodec, method: ExtensionMethod[Any, Any]) -> Decoder:
    """JSON result → object; it raises `InvalidResult`."""
    decode: Decoder = _untagged if method.result is dict else decoder(codec, method.result, InvalidResult)
    if not codec.revision.result_type:
        return decode
    return tagged_result_decoder(codec, method.row(), decode)


def result_encoder(codec: RevisionCodec, method: ExtensionMethod[Any, Any]) -> Encoder:
    """Result object → JSON, with its `resultType` where the revision has that; it raises `InvalidPayload`."""
    if method.result is not dict:
        asks = codec.revision.result_type and method.asks
        return encoder(codec, method.result, [INPUT_REQUIRED] if asks else None)
    if not codec.revision.result_type:
        return _raw
    ask = _asking(codec) if method.asks else None

    def encode(value: Any) -> dict[str, Any]:
        if ask is not None and type(value) is not dict:
            return ask(value)
        return {RESULT_TYPE: "complete", **_raw(value)}

    return encode


def polymorphic_decoder(codec: RevisionCodec, decode: Decoder, results: Iterable[ExtensionResult[Any]]) -> Decoder:
    """The decoder of a method of the core, for what extensions answer it with as well."""
    others = {result.tag: decoder(codec, result.result, InvalidResult) for result in results}

    def decode_any(raw: Mapping[str, Any]) -> Any:
        tag = raw.get(RESULT_TYPE)
        other = others.get(tag) if type(tag) is str else None
        return decode(raw) if other is None else other(raw)

    return decode_any


def polymorphic_encoder(codec: RevisionCodec, encode: Encoder, results: Iterable[ExtensionResult[Any]]) -> Encoder:
    """The encoder of a method of the core, for what extensions answer it with as well."""
    others = [(result.result, encoder(codec, result.result)) for result in results]

    def encode_any(value: Any) -> dict[str, Any]:
        for cls, other in others:
            if isinstance(value, cls):
                return other(value)
        return encode(value)

    return encode_any


def _asking(codec: RevisionCodec) -> Encoder:
    from trimcp.types.input_required import InputRequiredResult

    return encoder(codec, InputRequiredResult)


def _raw(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidPayload([at(f"{OBJECT}, found {type(value).__name__}", ())])
    return dict(value)


def _untagged(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name != RESULT_TYPE}
