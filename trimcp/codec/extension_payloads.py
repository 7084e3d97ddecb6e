"""Params and results of extensions ↔ objects: classes of the extension, or raw JSON objects (`dict`).

The hooks of the revision decode and encode the classes, as they do those of the core. Called when
the routes of a server, or the calls of a client, are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from trimcp.codec.classes import RESULT_TYPE
from trimcp.codec.payloads import INPUT_REQUIRED, Decoder, Encoder, ParamsDecoder
from trimcp.codec.revisions import RevisionCodec
from trimcp.errors import InvalidPayload, InvalidResult, UsageError
from trimcp.schema.problems import at
from trimcp.types.extensions import ExtensionMethod, ExtensionResult
from trimcp.types.methods import resolve


def check_payload(cls: Any, parent: type, what: str) -> None:
    """Check that a declared payload is `dict`, or an attrs class derived from the parent.

    Raises:
        UsageError: it is neither.
    """
    if cls is dict or (isinstance(cls, type) and issubclass(cls, parent) and attrs.has(cls)):
        return
    raise UsageError(f"{what} must be an attrs class derived from trimcp.types.{parent.__name__}, or dict; not {cls!r}")


def params_decoder(codec: RevisionCodec, cls: Any) -> ParamsDecoder:
    """Return the decoder of params, which raises `InvalidPayload`; missing params are empty params."""
    if cls is dict:
        return lambda params: {} if params is None else dict(params)
    decode = codec.hooks.decoder(cls, InvalidPayload)
    return lambda params: decode({} if params is None else params)


def params_encoder(codec: RevisionCodec, cls: Any) -> Encoder:
    """Return the encoder of params; it raises `InvalidPayload`."""
    return _raw if cls is dict else codec.hooks.encoder(cls)


def result_decoder(codec: RevisionCodec, method: ExtensionMethod[Any, Any]) -> Decoder:
    """Return the decoder of a result; it raises `InvalidResult`."""
    decode: Decoder = _untagged if method.result is dict else codec.hooks.decoder(method.result, InvalidResult)
    if not codec.revision.result_type:
        return decode
    return codec.hooks.tagged_result_decoder(method.row(), decode)


def result_encoder(codec: RevisionCodec, method: ExtensionMethod[Any, Any]) -> Encoder:
    """Return the encoder of a result, with `resultType` where the revision has it; it raises `InvalidPayload`."""
    tagged = codec.revision.result_type
    if method.result is not dict:
        return codec.hooks.encoder(method.result, [INPUT_REQUIRED] if tagged and method.asks else None)
    if not tagged:
        return _raw
    encode_input_required = codec.hooks.encoder(resolve(INPUT_REQUIRED)) if method.asks else None

    def encode(value: Any) -> dict[str, Any]:
        if encode_input_required is not None and type(value) is not dict:
            return encode_input_required(value)
        return {RESULT_TYPE: "complete", **_raw(value)}

    return encode


def polymorphic_decoder(codec: RevisionCodec, decode: Decoder, results: Iterable[ExtensionResult[Any]]) -> Decoder:
    """Return a decoder of a core method's result that also reads the results which extensions add."""
    others = {result.tag: codec.hooks.decoder(result.result, InvalidResult) for result in results}

    def decode_any(raw: Mapping[str, Any]) -> Any:
        tag = raw.get(RESULT_TYPE)
        other = others.get(tag) if type(tag) is str else None
        return decode(raw) if other is None else other(raw)

    return decode_any


def polymorphic_encoder(codec: RevisionCodec, encode: Encoder, results: Iterable[ExtensionResult[Any]]) -> Encoder:
    """Return an encoder of a core method's result that also writes the results which extensions add."""
    others: list[tuple[type, Callable[[Any], dict[str, Any]]]] = [
        (result.result, codec.hooks.encoder(result.result)) for result in results
    ]

    def encode_any(value: Any) -> dict[str, Any]:
        for cls, other in others:
            if isinstance(value, cls):
                return other(value)
        return encode(value)

    return encode_any


def _raw(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidPayload([at(f"expected object, found {type(value).__name__}", ())])
    return dict(value)


def _untagged(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name != RESULT_TYPE}
