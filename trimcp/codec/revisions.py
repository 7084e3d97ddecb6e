"""`RevisionCodec`: JSON values ↔ objects of `trimcp.types`, as one revision has them.

Converters, hooks of classes, decoders and encoders are made on first use and kept; callers take them
out of their loops. JSON text and envelopes are in `jsontext` and `envelope`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from trimcp.errors import InvalidPayload
from trimcp.types.revisions import Revision

if TYPE_CHECKING:
    from trimcp.codec.payloads import PayloadHooks

T = TypeVar("T")


class RevisionCodec:
    """Decodes and encodes the payloads of one revision.

    Decoding converts no value to another type. A field that the revision does not have is unknown,
    even if another revision has it: the codec keeps it in `extra` and does not read it. Encoding
    leaves out the fields that the revision does not have, and refuses content blocks that it lacks.
    """

    def __init__(self, revision: Revision) -> None:
        self.revision: Revision = revision
        self._made: dict[tuple[str, Any], Any] = {}

    @functools.cached_property
    def hooks(self) -> PayloadHooks:
        """The maker of decoders and encoders."""
        # Imported here, since a program that only imports trimcp shall not load cattrs.
        from trimcp.codec.payloads import PayloadHooks

        return PayloadHooks(self.revision)

    def params_decoder(self, method: str) -> Callable[[Mapping[str, Any] | None], Any]:
        """Return the decoder of a method's params; it raises `InvalidPayload`.

        It does not check `_meta`, apart from the progress token: in the modern era that is done
        before, with errors of its own.

        Raises:
            UsageError: the revision has no such method.
        """
        decode: Callable[[Mapping[str, Any] | None], Any] = self._once(
            "params in", method, lambda: self.hooks.params_decoder(method)
        )
        return decode

    def params_encoder(self, method: str) -> Callable[[Any], dict[str, Any]]:
        """Return the encoder of a method's params; it raises `InvalidPayload`.

        Raises:
            UsageError: the revision has no such method.
        """
        encode: Callable[[Any], dict[str, Any]] = self._once(
            "params out", method, lambda: self.hooks.params_encoder(method)
        )
        return encode

    def result_decoder(self, method: str) -> Callable[[Mapping[str, Any]], Any]:
        """Return the decoder of a method's result; it raises `InvalidResult`.

        From 2026-07-28 on `resultType` decides: `complete`, or none, is the method's own result;
        `input_required` is an `InputRequiredResult` where the method may ask; others are refused.
        In 2025-11-25 a method that may be made a task may return a `CreateTaskResult`.

        Raises:
            UsageError: the revision has no such method, or it is a notification.
        """
        decode: Callable[[Mapping[str, Any]], Any] = self._once(
            "result in", method, lambda: self.hooks.result_decoder(method)
        )
        return decode

    def result_encoder(self, method: str) -> Callable[[Any], dict[str, Any]]:
        """Return the encoder of a method's result; it raises `InvalidPayload`.

        It takes the classes that the decoder returns, and adds the fields that the revision requires.

        Raises:
            UsageError: the revision has no such method, or it is a notification.
        """
        encode: Callable[[Any], dict[str, Any]] = self._once(
            "result out", method, lambda: self.hooks.result_encoder(method)
        )
        return encode

    def structure(self, value: Any, cls: type[T]) -> T:
        """Decode a JSON value into an instance of a class, or of a union, of `trimcp.types`.

        Raises:
            InvalidPayload: the value does not fit.
        """
        instance: T = self._once("structure", cls, lambda: self.hooks.decoder(cls, InvalidPayload))(value)
        return instance

    def unstructure(self, value: Any) -> Any:
        """Encode an instance of a class of `trimcp.types` into a JSON value.

        Raises:
            InvalidPayload: the revision has no form for it, or it was built wrongly.
        """
        return self._once("unstructure", type(value), lambda: self.hooks.encoder(type(value)))(value)

    def _once(self, kind: str, key: Any, make: Callable[[], Any]) -> Any:
        made = self._made.get((kind, key))
        if made is None:
            made = self._made[kind, key] = make()
        return made


@functools.cache
def codec_for(revision: Revision) -> RevisionCodec:
    """Return the codec of a revision; a process has one for each."""
    return RevisionCodec(revision)
