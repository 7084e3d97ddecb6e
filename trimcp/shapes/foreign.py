"""Shapes of types that another library reads: pydantic's and msgspec's own classes.

Their library writes the schema and builds the values; this file fits both into ours. Neither
library is imported unless an annotation has done so already.
"""

from __future__ import annotations

import functools
import sys
import typing
from typing import TYPE_CHECKING, Any, Final

import orjson

from trimcp.errors import UsageError
from trimcp.shapes.models import plain_model, reads_values
from trimcp.shapes.shape import ANY_KIND, LoadFailed, Shape

if TYPE_CHECKING:
    from trimcp.shapes.builder import ShapeBuilder

_REF: Final = "#/$defs/{name}"


def is_pydantic(annotation: Any) -> bool:
    """Whether pydantic says itself what the type is (models, its dataclasses, its own types)."""
    if "pydantic" not in sys.modules:
        return False
    return hasattr(annotation, "__get_pydantic_core_schema__") or hasattr(annotation, "__pydantic_core_schema__")


def pydantic_shape(annotation: Any, where: str, build: ShapeBuilder) -> Shape:
    """The shape of anything that pydantic understands."""
    import pydantic

    try:
        adapter: Any = pydantic.TypeAdapter(annotation)
        schema = adapter.json_schema(
            mode="serialization" if build.output else "validation",
            ref_template="#/$defs/{model}",
            schema_generator=_untitled_generator(),
        )
    except pydantic.errors.PydanticUserError as error:
        raise UsageError(f"{where}: pydantic cannot make a schema of it: {error.message}") from None
    schema = build.adopt(schema)

    def load(value: Any) -> Any:
        # As JSON, since pydantic's strict types take a date from a JSON string but from no other.
        try:
            return adapter.validator.validate_json(orjson.dumps(value))
        except pydantic.ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            raise LoadFailed([(problem["msg"], list(problem["loc"])) for problem in problems]) from None

    def load_value(value: Any) -> Any:
        try:
            return adapter.validator.validate_python(value)
        except pydantic.ValidationError:
            return load(value)

    is_class = isinstance(annotation, type) and hasattr(annotation, "__pydantic_serializer__")
    plain = plain_model(annotation) if build.output and is_class else None
    loader = load_value if reads_values(adapter.core_schema) else load
    return Shape(schema, loader, build.kinds_of(schema), opaque=True, plain=plain)


@functools.cache
def _untitled_generator() -> Any:
    """pydantic's generator without the titles that it makes from the names of fields."""
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return Untitled


def is_msgspec(annotation: Any) -> bool:
    """Whether the class is a `msgspec.Struct`."""
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def msgspec_shape(annotation: Any, where: str, build: ShapeBuilder) -> Shape:
    """The shape of a `msgspec.Struct`."""
    import msgspec

    try:
        (schema,), definitions = msgspec.json.schema_components((annotation,), ref_template=_REF)
    except TypeError as error:
        raise UsageError(f"{where}: msgspec cannot make a schema of it: {error}") from None
    schema = build.adopt({**schema, "$defs": definitions})

    def load(value: Any) -> Any:
        try:
            return msgspec.convert(value, annotation)
        except msgspec.ValidationError as error:
            words, _, path = str(error).partition(" - at ")
            raise LoadFailed([(f"{words} ({path.strip('`')} in it)" if path else words, [])]) from None

    def plain(value: Any) -> Any:
        return msgspec.to_builtins(value) if type(value) is cls else value

    cls = typing.get_origin(annotation) or annotation
    return Shape(schema, load, build.kinds_of(schema), opaque=True, plain=plain)


def kinds_of_schema(schema: dict[str, Any], definitions: dict[str, Any]) -> frozenset[str]:
    """The JSON types that a schema admits, as far as its root says."""
    reference = schema.get("$ref", "")
    if reference.startswith("#/$defs/"):
        schema = definitions.get(reference.removeprefix("#/$defs/"), {})
    types = schema.get("type", ANY_KIND)
    kinds = frozenset({types} if isinstance(types, str) else types)
    return kinds | {"integer"} if "number" in kinds else kinds
