"""Converts the value that the function of a tool returned to the result of `tools/call`.

A converter is compiled from the return annotation when the tool is declared. An annotation that describes the data
gives an output schema, and each value is checked against it, unless its exact type leaves nothing to check. Values
without an output schema become content alone.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast, final

import orjson

from trimcp.codec.jsontext import MAX_DEPTH, writable_depth
from trimcp.errors import InvalidResult
from trimcp.schema.containers import SEQUENCES
from trimcp.schema.dump import ITERABLES, OPTIONS, dump, text_of
from trimcp.schema.exact_json import NotJson, decode, encode
from trimcp.schema.validation import SchemaValidator, compile_schema
from trimcp.server.invocation.media import Audio, File, Image
from trimcp.server.invocation.signature import MISSING
from trimcp.server.invocation.tool_schema import RESULT_PROPERTY, tool_output_schema
from trimcp.types.fields import ABSENT

if TYPE_CHECKING:
    from trimcp.types.content import ContentBlock
    from trimcp.types.tools import CallToolResult

_MEDIA: Final = (Image, Audio, File)
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
"""Integers that the JSON encoder can write."""
_LONG_TEXT: Final = 8192
"""Characters from which it pays to encode a string once for both of its places."""
_SAMPLE: Final = 1024
"""Characters at the start of a long string that show whether it is slow to encode."""
_SHALLOW: Final = 2 * (MAX_DEPTH - 3)
"""Bytes of JSON below which a value cannot be nested too deep: a level takes two."""
_NOT_PLAIN: Final = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""The exceptions of validator, JSON encoder and attributes for a value that does not fit its annotation."""
_UNTYPED: Final = (MISSING, Any, None, type(None), object, typing.NoReturn, typing.Never)
"""Annotations that do not describe the data."""


@final
class ToolResultConverter:
    """Converts the values of one tool to results.

    Attributes:
        output_schema: the schema to publish, or None. A list of anything has none, since it may hold content: a
            value that does is content alone, and another is structured content too. Do not change the schema.
        wrapped: whether structured content is `{"result": value}`, since the value may be no object. It is the same
            in every revision.
        convert: converts a value to a `CallToolResult`. A whole `CallToolResult`, or another result of the protocol,
            is returned unchanged. Raises `InvalidResult`, with words for the author of the tool, if the value does
            not fit the output schema or has no JSON form.
    """

    __slots__ = (
        "_annotation",
        "_any_result",
        "_as_blocks",
        "_content_types",
        "_depth",
        "_encoded_result",
        "_is_given",
        "_is_valid",
        "_owner",
        "_plain",
        "_result",
        "_text",
        "_validator",
        "convert",
        "output_schema",
        "wrapped",
    )

    output_schema: dict[str, Any] | None
    wrapped: bool
    convert: Callable[[Any], CallToolResult]

    def __init__(
        self,
        returns: Any,
        *,
        owner: str,
        schema: dict[str, Any] | None = None,
    ) -> None:
        """Compile the converter of a tool.

        Args:
            returns: the resolved return annotation; `MISSING` if there is none.
            owner: the name of the function in messages, such as `forecast()`.
            schema: an output schema to use in place of the annotation. If its root is not `"type": "object"`, values
                are wrapped.

        Raises:
            UsageError: the annotation has no JSON form, or the schema is invalid.
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
        self._is_given = schema is not None
        self._as_blocks = self._names_content(annotation)
        self._plain: Callable[[Any], Any] | None = None
        data_schema, self.wrapped = self._schema_of_data(annotation, schema)
        is_loose = schema is None and _is_list_of_anything(annotation)
        self.output_schema = None if is_loose else data_schema
        self.convert = self._convert_content
        if data_schema is not None:
            self._validator: SchemaValidator = compile_schema(data_schema)
            self._is_valid = self._validator.is_valid
            self._depth = _DepthLimit(self.wrapped) if _is_unbounded(data_schema) else None
            exact = self._exact_converters().get(annotation) if schema is None else None
            self.convert = self._convert_loose if is_loose else exact or self._convert_structured

    def _data_type(self, annotation: Any) -> Any:
        """Return the type of the data: T for `T`, `Annotated[CallToolResult, T]` and `T | CallToolResult`."""
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

    def _schema_of_data(self, annotation: Any, schema: dict[str, Any] | None) -> tuple[dict[str, Any] | None, bool]:
        """Return the schema of structured content, if there is any, and whether values are wrapped."""
        if schema is not None:
            if schema.get("type") == "object":
                return schema, False
            definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
            inner = {key: value for key, value in schema.items() if key != "$defs"}
            wrapper = {"type": "object", "properties": {RESULT_PROPERTY: inner}, "required": [RESULT_PROPERTY]}
            return {**wrapper, **definitions}, True
        if any(annotation is untyped for untyped in _UNTYPED) or self._as_blocks:
            return None, False
        output = tool_output_schema(annotation, f"{self._owner}, its return annotation")
        self._plain = output.plain
        return output.schema, output.wrapped

    def _names_content(self, annotation: Any) -> bool:
        """Whether an annotation is a content block, `Image` or the like, or a list or union that contains one."""
        origin = typing.get_origin(annotation)
        if origin is None:
            return isinstance(annotation, type) and issubclass(annotation, (*self._content_types, self._result))
        if origin is typing.Annotated:
            return self._names_content(annotation.__origin__)
        if origin in (typing.Union, types.UnionType) or (isinstance(origin, type) and issubclass(origin, Iterable)):
            return any(self._names_content(inner) for inner in typing.get_args(annotation))
        return False

    def _exact_converters(self) -> dict[Any, Callable[[Any], CallToolResult]]:
        """Return the converters of types that leave nothing to check."""
        general, result_of = self._convert_structured, self._encoded_result.of

        def convert_str(value: Any) -> CallToolResult:
            if type(value) is not str:
                return general(value)
            if value.isascii() and (len(value) < _LONG_TEXT or _needs_no_escape(value[:_SAMPLE])):
                return result_of(value, value, RESULT_PROPERTY)
            try:
                # Other text can contain lone surrogates, which only the encoder finds.
                encoded = orjson.dumps(value)
            except orjson.JSONEncodeError:
                return general(value)
            return result_of(value if len(encoded) < _LONG_TEXT else encoded, value, RESULT_PROPERTY)

        def convert_int(value: Any) -> CallToolResult:
            if type(value) is int and _LEAST < value < _MOST:
                return result_of(value, str(value), RESULT_PROPERTY)
            return general(value)

        def convert_bool(value: Any) -> CallToolResult:
            if type(value) is bool:
                return result_of(value, "true" if value else "false", RESULT_PROPERTY)
            return general(value)

        def convert_float(value: Any) -> CallToolResult:
            if type(value) is float and math.isfinite(value):
                return result_of(value, orjson.dumps(value).decode(), RESULT_PROPERTY)
            return general(value)

        return {str: convert_str, int: convert_int, bool: convert_bool, float: convert_float}

    def _convert_structured(self, value: Any) -> CallToolResult:
        if isinstance(value, self._any_result):
            return self._checked_whole(value)
        try:
            plain = value if self._plain is None else self._plain(value)
            fits = self._is_valid({RESULT_PROPERTY: plain} if self.wrapped else plain)
            # As deep as in the answer, since the JSON encoder refuses values that are nested too deep.
            if self._depth is not None:
                encoded = self._depth.encode(plain)
            elif self.wrapped:
                encoded = encode([[[plain]]], None, OPTIONS)[3:-3]
            else:
                encoded = encode([[plain]], None, OPTIONS)[2:-2]
        except _NOT_PLAIN:
            return self._by_class(value)
        if not fits:
            return self._by_class(value)
        text = plain if type(plain) is str else text_of(encoded)
        return self._encoded_result.of(encoded, text, RESULT_PROPERTY if self.wrapped else None)

    def _by_class(self, value: Any) -> CallToolResult:
        """Convert a value that does not fit its annotation by the class of each value in it."""
        encoded = self._encode(value)
        data = decode(encoded)
        self._check_depth(data)
        structured = self._structured(data)
        if not self._is_valid(structured):
            raise self._misfit(structured)
        return self._of_data(encoded, data)

    def _check_depth(self, data: Any) -> None:
        if self._depth is None:
            return
        try:
            self._depth.encode(data)
        except TypeError:
            most = MAX_DEPTH - self._depth.above
            advice = f"{self._owner} returned a value that is nested deeper than {most} levels: clients refuse it"
            raise InvalidResult([advice]) from None

    def _structured(self, data: Any) -> Any:
        return {RESULT_PROPERTY: data} if self.wrapped else data

    def _of_data(self, encoded: bytes, data: Any) -> CallToolResult:
        text = data if type(data) is str else encoded.decode()
        return self._result([self._text(text)], self._structured(data))

    def _checked_whole(self, value: Any) -> CallToolResult:
        """Check the structured content of a result that the tool made itself, unless it is an error."""
        if not isinstance(value, self._result) or value.is_error:
            return cast("CallToolResult", value)
        if value.structured_content is ABSENT:
            raise InvalidResult([f"{self._owner} has an output schema: return a result with structured_content"])
        structured = decode(self._encode(value.structured_content))
        if not self._is_valid(structured):
            raise self._misfit(structured)
        self._check_depth(structured[RESULT_PROPERTY] if self.wrapped else structured)
        return value

    def _convert_content(self, value: Any) -> CallToolResult:
        if type(value) is str:
            return self._result([self._text(value)])
        if isinstance(value, self._any_result):
            return cast("CallToolResult", value)
        if value is None:
            return self._result([])
        if type(value) in ITERABLES and (self._as_blocks or self._holds_content(value)):
            return self._result([self._block(item) for item in value])
        return self._result([self._block(value)])

    def _convert_loose(self, value: Any) -> CallToolResult:
        if isinstance(value, (self._any_result, *self._content_types)) or self._holds_content(value):
            return self._convert_content(value)
        return self._convert_structured(value)

    def _holds_content(self, value: Any) -> bool:
        return type(value) in ITERABLES and any(isinstance(item, self._content_types) for item in value)

    def _block(self, value: Any) -> ContentBlock:
        if isinstance(value, _MEDIA):
            return value.to_content()
        if isinstance(value, self._content_types):
            return cast("ContentBlock", value)
        return self._text(value if type(value) is str else text_of(self._encode(value)))

    def _encode(self, value: Any) -> bytes:
        try:
            return dump(value)
        except NotJson as error:
            raise InvalidResult([f"{self._owner} returned a value that cannot be sent: {error}"]) from None

    def _misfit(self, structured: Any) -> InvalidResult:
        annotation = self._annotation
        shown = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
        source = "output_schema" if self._is_given else f"the annotation {shown}"
        advice = (
            f"{self._owner} returned a value that does not fit its output schema (from {source}): "
            f"return another value, or change {source.removesuffix(f' {shown}')}"
        )
        return InvalidResult([advice, *self._validator.problems(structured)])


class _DepthLimit:
    """Encodes values of any depth, and refuses values that are nested too deep for clients.

    A short text cannot be deep. A longer value is encoded inside of lists: as many as make the bound of the JSON
    encoder on depth the bound of the clients. The next value is expected to be as long as the last one, so that most
    values are encoded once.
    """

    def __init__(self, wrapped: bool) -> None:
        self.above: int = 3 if wrapped else 2
        """The levels of the message above the value."""
        self._is_long = False
        self._lists = writable_depth() - MAX_DEPTH + self.above
        self._innermost: list[Any] = [None]
        self._outermost = self._innermost
        for _ in range(self._lists - 1):
            self._outermost = [self._outermost]

    def encode(self, value: Any) -> bytes:
        """Encode a value; raises TypeError if it is nested too deep."""
        if not self._is_long:
            encoded = encode(value, None, OPTIONS)
            if len(encoded) < _SHALLOW:
                return encoded
        self._innermost[0] = value
        try:
            encoded = encode(self._outermost, None, OPTIONS)[self._lists : -self._lists]
        finally:
            self._innermost[0] = None
        self._is_long = len(encoded) >= _SHALLOW
        return encoded


def _is_unbounded(schema: dict[str, Any]) -> bool:
    """Whether values that fit a schema can be nested without a bound."""
    definitions = schema.get("$defs", {})
    known: dict[str, bool] = {}

    def refers(reference: str) -> bool:
        name = reference.removeprefix("#/$defs/")
        if name not in known:
            known[name] = True  # a reference from inside leads back, without a bound
            known[name] = name not in definitions or unbounded(definitions[name])
        return known[name]

    def unbounded(part: Any) -> bool:
        if not isinstance(part, dict):
            return part is not False
        if "$ref" in part:
            return refers(str(part["$ref"]))
        if "enum" in part or "const" in part:
            return False
        inner = [*part.get("anyOf", ()), *part.get("oneOf", ()), *part.get("allOf", ())]
        types = part.get("type", ())
        if "object" in types:
            inner += part.get("properties", {}).values()
            inner.append(part.get("additionalProperties", "properties" not in part))
        if "array" in types:
            inner += part.get("prefixItems", ())
            inner.append(part.get("items", "prefixItems" not in part))
        return not (inner or types) or any(unbounded(each) for each in inner)

    return unbounded(schema)


def _is_list_of_anything(annotation: Any) -> bool:
    """Whether an annotation, or a member of a union, is a list, tuple or the like of any items."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _is_list_of_anything(annotation.__origin__)
    if origin in (typing.Union, types.UnionType):
        return any(_is_list_of_anything(member) for member in arguments)
    cls = origin or annotation
    is_list = isinstance(cls, type) and (cls is tuple or cls in SEQUENCES)
    return is_list and all(item in (Any, object, Ellipsis) for item in arguments)


def _needs_no_escape(text: str) -> bool:
    """Whether to encode a text as JSON costs no more than to copy it."""
    return len(orjson.dumps(text)) == len(text) + 2
