"""Makes forms out of classes and schemas, and objects out of the answers of users.

A form is a flat object of strings, numbers, booleans and choices, since clients draw it (client/elicitation, "Requested
Schema").
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from trimcp.errors import InvalidPayload, RequestFailed, UsageError
from trimcp.schema.builder import SchemaBuilder
from trimcp.schema.hints import class_hints
from trimcp.schema.validation import SchemaValidator, compile_schema
from trimcp.types.jsonrpc import INVALID_REQUEST
from trimcp.types.revisions import Revision

T = TypeVar("T")

_KEPT: Final = {
    "string": ("minLength", "maxLength", "format", "pattern", "default"),
    "number": ("minimum", "maximum", "default"),
    "integer": ("minimum", "maximum", "default"),
    "boolean": ("default",),
}
"""The members of a field of each type, beside title and description."""
FORMATS: Final = frozenset(("email", "uri", "date", "date-time"))


class Form(Generic[T]):
    """Holds the schema of a form, and reads the answers."""

    def __init__(self, schema: dict[str, Any], load: Callable[[Any], T]) -> None:
        self._schema = schema
        self._load = load
        self._validator: SchemaValidator | None = None

    def schema_in(self, revision: Revision) -> dict[str, Any]:
        """Return the requested schema in a revision.

        Raises:
            RequestFailed: the revision lacks the kind of a field. It is the answer, if the handler does not catch it.
        """
        if revision.titled_options:
            return self._schema
        properties = {name: _plain(name, field, revision) for name, field in self._schema["properties"].items()}
        return {**self._schema, "properties": properties}

    def read(self, content: dict[str, Any]) -> T:
        """Return the content that the user filled in, as an object with defaults for empty fields.

        Raises:
            InvalidPayload: the content does not fit the schema.
        """
        if self._validator is None:
            self._validator = compile_schema(self._schema)
        if not self._validator.is_valid(content):
            raise InvalidPayload(
                [f"the answer to the form: {problem}" for problem in self._validator.problems(content)]
            )
        try:
            return self._load(content)
        except (ValueError, TypeError) as exc:
            raise InvalidPayload([f"the answer to the form: {exc}"]) from exc


def form_of(form: type[T] | dict[str, Any]) -> Form[T]:
    """Make a form from a class, or from a schema. The answers to a schema are dicts.

    Raises:
        UsageError: a field is of a kind that forms cannot have.
    """
    if isinstance(form, dict):
        if form.get("type") != "object" or not isinstance(form.get("properties"), dict):
            raise UsageError("Invalid schema of a form: give it the type object, and properties")
        return Form(form, lambda content: cast(T, content))
    where = f"the form {form.__name__}"
    build = SchemaBuilder(output=False)
    shape = build.type_schema(form, where)
    build.definitions.complete()
    whole = _resolved(shape.schema, build.definitions.by_name)
    if whole.get("type") != "object" or "properties" not in whole:
        raise UsageError(
            f"{where} has no fields: it must be an attrs class, a dataclass, a TypedDict or a pydantic model"
        )
    hints = class_hints(form, where)
    properties: dict[str, Any] = {}
    for name, field in whole["properties"].items():
        properties[name] = _field(f"the field {name} of {where}", field, hints.get(name), build.definitions.by_name)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if whole.get("required"):
        schema["required"] = whole["required"]
    load = shape.load
    return Form(schema, (lambda content: cast(T, content)) if load is None else load)


def _field(where: str, field: dict[str, Any], hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Make the field of a form out of the schema of a field of a class."""
    texts: dict[str, Any] = {key: field[key] for key in ("title", "description") if key in field}
    default = {"default": field["default"]} if field.get("default") is not None else {}
    field = _resolved(_not_null(field), definitions)
    texts = {**{key: field[key] for key in ("title", "description") if key in field}, **texts}
    kind = field.get("type")
    if kind == "array":
        items = _resolved(field.get("items", {}), definitions)
        if "enum" not in items:
            raise UsageError(f"{where} is a list: a form has lists of enums or Literals only")
        bounds: dict[str, Any] = {key: field[key] for key in ("minItems", "maxItems") if key in field}
        return {"type": "array", **texts, **bounds, "items": _options(where, items, hint, many=True), **default}
    if "enum" in field or "const" in field:
        options = _options(where, field if "enum" in field else {"enum": [field["const"]]}, hint, many=False)
        return {"type": "string", **texts, **options, **default}
    if kind not in _KEPT:
        raise UsageError(
            f"{where} cannot be asked in a form: use str, int, float, bool, a Literal or an Enum of strings"
        )
    kept = {key: field[key] for key in _KEPT[kind] if field.get(key) is not None}
    if kept.get("format", "email") not in FORMATS:
        del kept["format"]
    return {"type": kind, **texts, **kept, **default}


def _options(where: str, field: dict[str, Any], hint: Any, *, many: bool) -> dict[str, Any]:
    """Make the options of a choice. The `title` attributes of an Enum become titles."""
    values = field["enum"]
    if not all(isinstance(value, str) for value in values):
        raise UsageError(f"{where} has options that are not strings: use strings")
    titles = _titles(hint)
    if titles is None:
        return {"type": "string", "enum": values} if many else {"enum": values}
    return {"anyOf" if many else "oneOf": [{"const": value, "title": titles[value]} for value in values]}


def _titles(hint: Any) -> dict[str, str] | None:
    """Return titles by value, for an Enum whose members have a `title`; else None."""
    for candidate in (hint, *typing.get_args(hint)):
        if isinstance(candidate, type) and issubclass(candidate, enum.Enum) and hasattr(candidate, "title"):
            titles = {str(member.value): getattr(member, "title", None) for member in candidate}
            if all(isinstance(title, str) for title in titles.values()):
                return {value: str(title) for value, title in titles.items()}
    return None


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    """Make X out of `X | None`: an empty field is left out of the answer, and never null."""
    options = field.get("anyOf")
    if options is not None:
        rest: list[dict[str, Any]] = [option for option in options if option.get("type") != "null"]
        if len(rest) == 1:
            return rest[0]
    kinds = field.get("type")
    if isinstance(kinds, list) and len(kinds) == 2 and "null" in kinds:
        return {**field, "type": next(kind for kind in kinds if kind != "null")}
    return field


def _resolved(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = field.get("$ref")
    if isinstance(reference, str):
        return {**definitions[reference.rpartition("/")[2]], **{k: v for k, v in field.items() if k != "$ref"}}
    return field


def _plain(name: str, field: dict[str, Any], revision: Revision) -> dict[str, Any]:
    """Make a field for a revision without titled options: titles go into `enumNames`."""
    if field.get("type") == "array":
        text = f"The form has a field of several choices, {name}, which clients of {revision.version} lack"
        raise RequestFailed(INVALID_REQUEST, f"{text}: ask for one choice")
    titled = field.get("oneOf")
    if titled is None:
        return field
    plain = {key: value for key, value in field.items() if key != "oneOf"}
    return {**plain, "enum": [o["const"] for o in titled], "enumNames": [o["title"] for o in titled]}
