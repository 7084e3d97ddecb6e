"""From what a tool's function returned to the result of `tools/call`.

Compiled from the return annotation when the tool is registered: a type that says what the data
is gets an output schema, and each result is checked against it, unless its exact type leaves
nothing to check. Everything else becomes content alone. The tool registry owns the shaper.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast, final

import orjson

from trimcp.codec.validation import SchemaValidator, compile_schema
from trimcp.errors import InvalidResult, UsageError
from trimcp.server.media import Audio, File, Image
from trimcp.server.schema import RESULT_PROPERTY, output_shape
from trimcp.server.signature import MISSING
from trimcp.shapes.dump import OPTIONS, NotJson, dump
from trimcp.types.fields import ABSENT

if TYPE_CHECKING:
    from trimcp.types.content import ContentBlock
    from trimcp.types.tools import CallToolResult

_MEDIA: Final = (Image, Audio, File)
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
"""The integers that the JSON encoder can write."""
_LONG_TEXT: Final = 8192
"""Characters from which on it pays to write a string once for both of its places."""
_LARGE: Final = 512
"""Bytes of JSON from which on it pays not to read it again."""
_SAMPLE: Final = 1024
"""Characters at the beginning of a long string that tell whether it is slow to write."""
_QUOTE: Final = ord('"')
_NOT_PLAIN: Final = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What validator, JSON writer and attributes raise for a value that is not as its annotation says."""
_MINDS_NULL: Final = frozenset({"not", "if", "oneOf", "contains", "uniqueItems"})
"""Keywords by which a null may be refused where a NaN is not: the validator meets the NaN, and the text says null."""
_UNTYPED: Final = (MISSING, Any, None, type(None), object, typing.NoReturn, typing.Never)
"""Annotations that say nothing about the data, or that there is none."""


@final
class ResultShaper:
    """Makes the results of one tool.

    Attributes:
        output_schema: the schema to publish, or None; it must not be changed.
        wrapped: whether structured content is `{"result": value}`, since the value need not be an
            object. It is the same in every revision.
        shape: turns a value that the function returned into a `CallToolResult`. A whole
            `CallToolResult`, or any other result of the protocol, is handed on as it is. Raises
            `InvalidResult`, with words for the tool's author, if the value does not fit the
            output schema or has no JSON form.
    """

    __slots__ = (
        "_annotation",
        "_any_result",
        "_as_blocks",
        "_content_types",
        "_encoded_result",
        "_is_valid",
        "_minds_null",
        "_owner",
        "_plain",
        "_result",
        "_text",
        "_validator",
        "output_schema",
        "shape",
        "wrapped",
    )

    output_schema: dict[str, Any] | None
    wrapped: bool
    shape: Callable[[Any], CallToolResult]

    def __init__(
        self,
        returns: Any,
        *,
        owner: str,
        structured: bool | None = None,
        schema: dict[str, Any] | None = None,
    ) -> None:
        """Compile the shaper of a function.

        Args:
            returns: the resolved return annotation; `MISSING` if there is none.
            owner: the function's name for messages, `forecast()`.
            structured: False for content alone, whatever the annotation; True if an annotation
                that gives no schema is an error; None lets the annotation decide.
            schema: a hand-written output schema instead of the one from the annotation. Unless
                its root is `"type": "object"`, results are wrapped.

        Raises:
            UsageError: a return annotation without a JSON form, or a schema that cannot be used.
        """
        from trimcp.codec.encoded_results import EncodedToolResult
        from trimcp.types import content, payload, tools

        self._encoded_result = EncodedToolResult
        self._any_result = payload.Result
        self._result = tools.CallToolResult
        self._text = content.TextContent
        self._content_types = (*typing.get_args(content.ContentBlock), *_MEDIA)
        self._owner = owner
        annotation = self._data_type(returns)
        self._annotation = annotation
        self._as_blocks = self._names_content(annotation)
        self._plain: Callable[[Any], Any] | None = None
        self.output_schema, self.wrapped = self._published(annotation, structured, schema)
        self.shape = self._shape_content
        if self.output_schema is not None:
            self._validator: SchemaValidator = compile_schema(self.output_schema)
            self._is_valid = self._validator.is_valid
            self._minds_null = _mentions(self.output_schema, _MINDS_NULL)
            exact = self._exact_shapes().get(annotation) if schema is None else None
            self.shape = exact or self._shape_structured

    def _data_type(self, annotation: Any) -> Any:
        """The type of the data: of `Annotated[CallToolResult, T]` it is T, which the tool fills in.

        `T | CallToolResult`, too, says T.
        """
        if annotation is self._result:
            return MISSING
        if typing.get_origin(annotation) is typing.Annotated and annotation.__origin__ is self._result:
            data_type, *more = annotation.__metadata__
            return typing.Annotated[(data_type, *more)] if more else data_type
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            arms = typing.get_args(annotation)
            data_types = [arm for arm in arms if not (isinstance(arm, type) and issubclass(arm, self._any_result))]
            if len(data_types) != len(arms):
                return typing.Union[tuple(data_types)] if data_types else MISSING  # noqa: UP007
        return annotation

    def _published(
        self, annotation: Any, structured: bool | None, schema: dict[str, Any] | None
    ) -> tuple[dict[str, Any] | None, bool]:
        if structured is False and schema is None:
            return None, False
        if schema is not None:
            if schema.get("type") == "object":
                return schema, False
            definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
            inner = {key: value for key, value in schema.items() if key != "$defs"}
            wrapper = {"type": "object", "properties": {RESULT_PROPERTY: inner}, "required": [RESULT_PROPERTY]}
            return {**wrapper, **definitions}, True
        if any(annotation is untyped for untyped in _UNTYPED) or self._as_blocks:
            if structured:
                raise UsageError(f"{self._owner} has no return annotation that says what its data is; add one")
            return None, False
        shape = output_shape(annotation, f"{self._owner}, its return annotation")
        self._plain = shape.plain
        return shape.schema, shape.wrapped

    def _names_content(self, annotation: Any) -> bool:
        """Whether an annotation is a content block or helper, or a list or union with one in it."""
        origin = typing.get_origin(annotation)
        if origin is None:
            return isinstance(annotation, type) and issubclass(annotation, (*self._content_types, self._result))
        if origin is typing.Annotated:
            return self._names_content(annotation.__origin__)
        if origin in (typing.Union, types.UnionType) or (isinstance(origin, type) and issubclass(origin, Iterable)):
            return any(self._names_content(inner) for inner in typing.get_args(annotation))
        return False

    def _exact_shapes(self) -> dict[Any, Callable[[Any], CallToolResult]]:
        """Ways for results whose exact type leaves nothing to check."""
        result, text, general = self._result, self._text, self._shape_structured
        encoded_result = self._encoded_result.of

        def shape_str(value: Any) -> CallToolResult:
            if type(value) is not str:
                return general(value)
            if value.isascii() and (len(value) < _LONG_TEXT or _needs_no_escape(value[:_SAMPLE])):
                return result([text(value)], {RESULT_PROPERTY: value})
            try:
                # Other text could hold lone surrogates, which only encoding it finds.
                encoded = orjson.dumps(value)
            except orjson.JSONEncodeError:
                return general(value)
            if len(encoded) < _LONG_TEXT:
                return result([text(value)], {RESULT_PROPERTY: value})
            return encoded_result(encoded, value, RESULT_PROPERTY)

        def shape_int(value: Any) -> CallToolResult:
            if type(value) is int and _LEAST <= value <= _MOST:
                return result([text(str(value))], {RESULT_PROPERTY: value})
            return general(value)

        def shape_bool(value: Any) -> CallToolResult:
            if type(value) is bool:
                return result([text("true" if value else "false")], {RESULT_PROPERTY: value})
            return general(value)

        def shape_float(value: Any) -> CallToolResult:
            if type(value) is float and math.isfinite(value):
                return result([text(orjson.dumps(value).decode())], {RESULT_PROPERTY: value})
            return general(value)

        return {str: shape_str, int: shape_int, bool: shape_bool, float: shape_float}

    def _shape_structured(self, value: Any) -> CallToolResult:
        if isinstance(value, self._any_result):
            return self._checked_whole(value)
        try:
            plain = value if self._plain is None else self._plain(value)
            fits = self._is_valid({RESULT_PROPERTY: plain} if self.wrapped else plain)
            # As deep as it will stand in the answer, since the JSON writer refuses what is nested too deep.
            if self.wrapped:
                encoded = orjson.dumps([[[plain]]], None, OPTIONS)[3:-3]
            else:
                encoded = orjson.dumps([[plain]], None, OPTIONS)[2:-2]
        except _NOT_PLAIN:
            return self._by_class(value)
        if not fits or (self._minds_null and b"null" in encoded):
            return self._by_class(value)
        if len(encoded) < _LARGE:
            return self._of_data(encoded, orjson.loads(encoded))
        # A string that is no str is that of an enumeration.
        text = encoded.decode() if encoded[0] != _QUOTE else plain if type(plain) is str else orjson.loads(encoded)
        return self._encoded_result.of(encoded, text, RESULT_PROPERTY if self.wrapped else None)

    def _by_class(self, value: Any) -> CallToolResult:
        """The result of a value that is not as its annotation says, or not finite, by the class of each value in it."""
        encoded = self._encode(value)
        data = orjson.loads(encoded)
        structured = self._structured(data)
        if not self._is_valid(structured):
            raise self._misfit(structured)
        return self._of_data(encoded, data)

    def _structured(self, data: Any) -> Any:
        return {RESULT_PROPERTY: data} if self.wrapped else data

    def _of_data(self, encoded: bytes, data: Any) -> CallToolResult:
        text = data if type(data) is str else encoded.decode()
        return self._result([self._text(text)], self._structured(data))

    def _checked_whole(self, value: Any) -> CallToolResult:
        """A result that the tool made itself must fit the schema too, unless it is an error."""
        if not isinstance(value, self._result) or value.is_error:
            return cast("CallToolResult", value)
        if value.structured_content is ABSENT:
            raise InvalidResult([f"{self._owner} has an output schema, and returned no structured_content"])
        structured = orjson.loads(self._encode(value.structured_content))
        if not self._is_valid(structured):
            raise self._misfit(structured)
        return value

    def _shape_content(self, value: Any) -> CallToolResult:
        if type(value) is str:
            return self._result([self._text(value)])
        if isinstance(value, self._any_result):
            return cast("CallToolResult", value)
        if value is None:
            return self._result([])
        if type(value) in (list, tuple) and (self._as_blocks or self._holds_content(value)):
            return self._result([self._block(item) for item in value])
        return self._result([self._block(value)])

    def _holds_content(self, values: Iterable[Any]) -> bool:
        return any(isinstance(value, self._content_types) for value in values)

    def _block(self, value: Any) -> ContentBlock:
        if isinstance(value, _MEDIA):
            return value.to_content()
        if isinstance(value, self._content_types):
            return cast("ContentBlock", value)
        return self._text(value if type(value) is str else self._encode(value).decode())

    def _encode(self, value: Any) -> bytes:
        try:
            return dump(value)
        except NotJson as error:
            raise InvalidResult([f"{self._owner} returned what cannot be sent: {error}"]) from None

    def _misfit(self, structured: Any) -> InvalidResult:
        annotation = self._annotation
        shown = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
        advice = (
            f"{self._owner} returned what its output schema (from the annotation {shown}) does not allow; "
            f"return such a value, or change the annotation"
        )
        return InvalidResult([advice, *self._validator.problems(structured)])


def _needs_no_escape(text: str) -> bool:
    """Whether writing the text as JSON costs no more than copying it."""
    return len(orjson.dumps(text)) == len(text) + 2


def _mentions(schema: Any, keywords: frozenset[str]) -> bool:
    if isinstance(schema, dict):
        return not keywords.isdisjoint(schema) or any(_mentions(inner, keywords) for inner in schema.values())
    return isinstance(schema, list) and any(_mentions(inner, keywords) for inner in schema)
