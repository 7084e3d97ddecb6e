"""One codec for each revision: JSON values ↔ objects of `trimcp.types`, as that revision has them.

Everything is made when it is first needed and kept: the converters, the hooks of each class,
the decoders and encoders of each method. Callers hoist those out of their loops.
JSON text and envelopes are `jsontext` and `envelope`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from trimcp.errors import InvalidPayload
from trimcp.types.revisions import Revision

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


class RevisionCodec:
    """The payloads of one revision.

    Decoding coerces nothing. A field that the revision does not have is an unknown one, even if
    another revision knows it: it is kept in `extra` and not interpreted. Encoding leaves out
    what the object has and the revision has not, and refuses content blocks it has no form for.
    """

    # cattrs and the code that uses it are imported inside, when the first payload is met: a
    # program that only imports trimcp does not pay for them.

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self._made: dict[tuple[str, Any], Callable[[Any], Any]] = {}

    @functools.cached_property
    def fast(self) -> Converter:
        """The converter that only knows that something is wrong."""
        from trimcp.codec.converters import build_converter

        return build_converter(self.revision, detailed=False)

    @functools.cached_property
    def detailed(self) -> Converter:
        """The converter that is asked what, once something is."""
        from trimcp.codec.converters import build_converter

        return build_converter(self.revision, detailed=True)

    def params_decoder(self, method: str) -> Callable[[Mapping[str, Any] | None], Any]:
        """What makes an object of the JSON params of a method; it raises `InvalidPayload`.

        Whether `_meta` is there and what is in it is not checked, but for the progress token: in the
        modern era that is done before, with errors of its own.

        Raises:
            UsageError: the revision has no such method.
        """
        from trimcp.codec import payloads

        decode: Callable[[Mapping[str, Any] | None], Any] = self._once("params in", method, payloads.params_decoder)
        return decode

    def params_encoder(self, method: str) -> Callable[[Any], dict[str, Any]]:
        """What makes JSON params of an object; it raises `InvalidPayload`.

        Raises:
            UsageError: the revision has no such method.
        """
        from trimcp.codec import payloads

        encode: Callable[[Any], dict[str, Any]] = self._once("params out", method, payloads.params_encoder)
        return encode

    def result_decoder(self, method: str) -> Callable[[Mapping[str, Any]], Any]:
        """What makes an object of the JSON result of a method; it raises `InvalidResult`.

        From 2026-07-28 on `resultType` decides: `complete`, or none at all, is the method's own result,
        `input_required` an `InputRequiredResult` where the method may ask, anything else is refused.
        In 2025-11-25 a method that may be made a task may give a `CreateTaskResult`.

        Raises:
            UsageError: the revision has no such method, or it is a notification.
        """
        from trimcp.codec import payloads

        decode: Callable[[Mapping[str, Any]], Any] = self._once("result in", method, payloads.result_decoder)
        return decode

    def result_encoder(self, method: str) -> Callable[[Any], dict[str, Any]]:
        """What makes the JSON result of a method of an object; it raises `InvalidPayload`.

        It takes the same classes as the decoder gives, and adds what the revision requires.

        Raises:
            UsageError: the revision has no such method, or it is a notification.
        """
        from trimcp.codec import payloads

        encode: Callable[[Any], dict[str, Any]] = self._once("result out", method, payloads.result_encoder)
        return encode

    def structure(self, value: Any, cls: type[T]) -> T:
        """A JSON value as an instance of a class, or of a union, of `trimcp.types`.

        Raises:
            InvalidPayload: it is none.
        """
        from trimcp.codec import payloads

        decode = self._once("structure", cls, lambda codec, cls: payloads.decoder(codec, cls, InvalidPayload))
        instance: T = decode(value)
        return instance

    def unstructure(self, value: Any) -> Any:
        """An instance of a class of `trimcp.types` as a JSON value.

        Raises:
            InvalidPayload: the revision has no form for it, or it was built wrongly.
        """
        from trimcp.codec import payloads

        return self._once("unstructure", type(value), payloads.encoder)(value)

    def _once(self, what: str, key: Any, make: Callable[[RevisionCodec, Any], Callable[[Any], Any]]) -> Any:
        made = self._made.get((what, key))
        if made is None:
            made = self._made[what, key] = make(self, key)
        return made


@functools.cache
def codec_for(revision: Revision) -> RevisionCodec:
    """The codec of a revision; there is one of each in a process."""
    return RevisionCodec(revision)
