"""Results of tools whose structured content is JSON text already, so that it is not encoded again.

The value that a tool returned is written once, when it is checked; the text form is that text, and
the answer takes it over as it stands. For all other code the result is a `CallToolResult`, whose
structured content is decoded when it is first read. `server.results` makes these results, and
`payloads` encodes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import orjson

from trimcp.types.content import TextContent
from trimcp.types.tools import CallToolResult

Encode = Callable[[CallToolResult], dict[str, Any]]


@final
class EncodedToolResult(CallToolResult):
    """A result made of one value whose JSON text is known; make it with `of`."""

    # The slot of `structured_content` stays empty until the attribute is read: Python calls
    # `__getattr__` for an attribute that is not there.
    __slots__ = ("_json", "_property", "_string")

    _json: bytes
    _property: str | None
    _string: str | None

    @classmethod
    def of(cls, json: bytes, text: str, property: str | None) -> EncodedToolResult:
        """Make the result of one value.

        Args:
            json: the value as compact JSON.
            text: what the content says: the same JSON; of a string, the string itself.
            property: where the value stands in the structured content; None: it is the structured content.
        """
        result = cls([TextContent(text)])
        del result.structured_content
        result._json = json
        result._property = property
        result._string = text if json[0] == _QUOTE else None
        return result

    def __getattr__(self, name: str) -> Any:
        if name != "structured_content":
            raise AttributeError(name)
        value = orjson.loads(self._json)
        self.structured_content = value if self._property is None else {self._property: value}
        return self.structured_content

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CallToolResult):
            return NotImplemented
        return _whole(self, self.structured_content) == _whole(other, other.structured_content)

    __hash__ = None  # like every result, since it can be changed

    def encode(self, encode: Encode) -> dict[str, Any]:
        """The wire form, by the encoder of a revision for `CallToolResult`.

        Structured content that was read may have been changed, and is encoded like any other.
        """
        if _holds_structured(self):
            return encode(self)
        fragment: Any = orjson.Fragment(self._json)
        wire = encode(_whole(self, fragment if self._property is None else {self._property: fragment}))
        if self._string is not None and self.content and wire["content"][0].get("text") is self._string:
            wire["content"][0]["text"] = fragment
        return wire


_QUOTE: Final = ord('"')
_SLOT: Final[Any] = CallToolResult.__dict__["structured_content"]


def _holds_structured(result: CallToolResult) -> bool:
    try:
        _SLOT.__get__(result)
    except AttributeError:
        return False
    return True


def _whole(result: CallToolResult, structured: Any) -> CallToolResult:
    return CallToolResult(result.content, structured, result.is_error, meta=result.meta, extra=result.extra)
