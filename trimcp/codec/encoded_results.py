"""Tool results that are made of one value, and are encoded without a `CallToolResult` in between.

The value that a tool returned is checked, and written once where it is long. The text content is that text, and the
answer takes it over as it is. For other code the result is a `CallToolResult`: its fields come into being when one of
them is read or set, and its structured content is decoded on first read. The server's result shaping makes these
results; `payloads` encodes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import orjson

from trimcp.schema.exact_json import decode
from trimcp.types.content import TextContent
from trimcp.types.tools import CallToolResult

Encode = Callable[[CallToolResult], dict[str, Any]]
Value = bytes | str | int | float | bool


@final
class EncodedToolResult(CallToolResult):
    """Holds the result of one value; make it with `of`."""

    # The slots of the fields stay empty until one of them is read: Python then calls `__getattr__`. After that the
    # slot `_given` is empty, and that of `structured_content` until it is read.
    __slots__ = ("_given", "_json", "_property", "_string")

    structured_content: Any
    _given: tuple[Value, str, str | None]
    _json: bytes
    _property: str | None
    _string: str | None

    @classmethod
    def of(cls, value: Value, text: str, property: str | None) -> EncodedToolResult:
        """Make the result of one value.

        Args:
            value: the value as compact JSON, in bytes; or a string, a number or a boolean that JSON has a form for.
            text: the text of the content: the same JSON; for a string, the string itself.
            property: the property of the structured content that holds the value; None: the value is the content.
        """
        result = _new(cls)
        _give(result, (value, text, property))
        return result

    def _fill(self) -> None:
        """Give the fields their values, if they have none yet."""
        try:
            value, text, property = _GIVEN.__get__(self)
        except AttributeError:
            return
        _GIVEN.__delete__(self)
        if type(value) is not bytes:
            CallToolResult.__init__(self, [TextContent(text)], value if property is None else {property: value})
            return
        CallToolResult.__init__(self, [TextContent(text)])
        del self.structured_content
        self._json = value
        self._property = property
        self._string = text if value[0] == _QUOTE else None

    def __getattr__(self, name: str) -> Any:
        if name in _FIELDS:
            if _is_set(self, _GIVEN):
                self._fill()
                return getattr(self, name)
            if name == "structured_content" and _is_set(self, _JSON):
                value = decode(self._json)
                self.structured_content = value if self._property is None else {self._property: value}
                return self.structured_content
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._fill()
        super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CallToolResult):
            return NotImplemented
        return _whole(self, self.structured_content) == _whole(other, other.structured_content)

    __hash__ = None  # type: ignore[assignment]  # mutable, like every result

    def encode_read(self, encode: Encode) -> dict[str, Any]:
        """Return the wire form of a result that was read, by the encoder of a revision for `CallToolResult`.

        Structured content that was read may have been changed, so it is encoded in full.
        """
        if _is_set(self, _STRUCTURED):
            return encode(self)
        fragment: Any = orjson.Fragment(self._json)
        wire = encode(_whole(self, fragment if self._property is None else {self._property: fragment}))
        if self._string is not None and self.content and wire["content"][0].get("text") is self._string:
            wire["content"][0]["text"] = fragment
        return wire


_QUOTE: Final = ord('"')
_FIELDS: Final = frozenset({"content", "structured_content", "is_error", "meta", "extra"})
_STRUCTURED: Final[Any] = CallToolResult.__dict__["structured_content"]
_GIVEN: Final[Any] = EncodedToolResult.__dict__["_given"]
_JSON: Final[Any] = EncodedToolResult.__dict__["_json"]
_new: Final = object.__new__
_give: Final = _GIVEN.__set__
_given_to: Final = _GIVEN.__get__


def result_encoder(encode: Encode) -> Encode:
    """Return the encoder of one revision for `EncodedToolResult`; `encode`: that for `CallToolResult`."""
    # The shape of the wire form is that of any other result with such content.
    shape = encode(CallToolResult([TextContent("")], {}))
    has_structured = shape.pop("structuredContent", None) is not None
    del shape["content"]

    def encode_given(result: CallToolResult) -> dict[str, Any]:
        try:
            value, text, property = _given_to(result)
        except AttributeError:
            return result.encode_read(encode)  # type: ignore[attr-defined,no-any-return]
        wire: dict[str, Any]
        if type(value) is bytes:
            fragment = orjson.Fragment(value)
            string = fragment if value[0] == _QUOTE else text
            wire = {"content": [{"text": string, "type": "text"}]}
            if has_structured:
                wire["structuredContent"] = fragment if property is None else {property: fragment}
        else:
            wire = {"content": [{"text": text, "type": "text"}]}
            if has_structured:
                wire["structuredContent"] = value if property is None else {property: value}
        if shape:
            wire.update(shape)
        return wire

    return encode_given


def _is_set(result: CallToolResult, slot: Any) -> bool:
    try:
        slot.__get__(result)
    except AttributeError:
        return False
    return True


def _whole(result: CallToolResult, structured: Any) -> CallToolResult:
    return CallToolResult(result.content, structured, result.is_error, meta=result.meta, extra=result.extra)
