"""Forms: what a user may be asked to fill in, from a class or from a schema.

A form is a flat object of strings, numbers, booleans and choices (client/elicitation, "Requested
Schema"): clients draw it, so nothing else is allowed. This file brings a class into that form and
makes an object of the class out of what was filled in.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from trimcp.codec.validation import SchemaValidator, compile_schema
from trimcp.errors import InvalidPayload, UsageError
from trimcp.shapes.builder import ShapeBuilder
from trimcp.shapes.hints import class_hints
from trimcp.types.revisions import Revision

T = TypeVar("T")

_KEPT: Final = {
    "string": ("minLength", "maxLength", "format", "pattern", "default"),
    "number": ("minimum", "maximum", "default"),
    "integer": ("minimum", "maximum", "default"),
    "boolean": ("default",),
}
"""What a field of each type may say beside its title and description."""
FORMATS: Final = frozenset(("email", "uri", "date", "date-time"))


class Form(Generic[T]):
    """One form: how it is asked in a revision, and how an answer is read."""

    def __init__(self, schema: dict[str, Any], load: Callable[[Any], T]) -> None:
        self._schema = schema
        self._load = load
        self._validator: SchemaValidator | None = None

    def schema_in(self, revision: Revision) -> dict[str, Any]:
        """The requested schema as that revision has it.

        Raises:
            UsageError: a field is of a kind that the revision does not know.
        """
        if revision.titled_options:
            return self._schema
        properties = {name: _plain(name, field, revision) for name, field in self._schema["properties"].items()}
        return {**self._schema, "properties": properties}

    def read(self, content: dict[str, Any]) -> T:
        """What was filled in, as an object; what was left out gets its default.

        Raises:
            InvalidPayload: it is not what was asked for.
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
    """A form from a class, or from a schema, whose answers are then dicts.

    Raises:
        UsageError: it has a field that no form may have.
    """
    if isinstance(form, dict):
        if form.get("type") != "object" or not isinstance(form.get("properties"), dict):
            raise UsageError("the schema of a form is of type object and lists its properties")
        return Form(form, lambda content: cast(T, content))
    where = f"the form {form.__name__}"
    build = ShapeBuilder(output=False)
    shape = build.shape(form, where)
    build.complete()
    whole = _resolved(shape.schema, build.definitions)
    if whole.get("type") != "object" or "properties" not in whole:
        raise UsageError(f"{where} must be a class with fields: attrs, a dataclass, a TypedDict or a pydantic model")
    hints = class_hints(form, where)
    properties: dict[str, Any] = {}
    for name, field in whole["properties"].items():
        properties[name] = _field(f"the field {name} of {where}", field, hints.get(name), build.definitions)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if whole.get("required"):
        schema["required"] = whole["required"]
    load = shape.load
    return Form(schema, (lambda content: cast(T, content)) if load is None else load)


def _field(where: str, field: dict[str, Any], hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """One field of a class, as a form has it."""
    said: dict[str, Any] = {key: field[key] for key in ("title", "description") if key in field}
    default = {"default": field["default"]} if field.get("default") is not None else {}
    field = _resolved(_not_null(field), definitions)
    said = {**{key: field[key] for key in ("title", "description") if key in field}, **said}
    kind = field.get("type")
    if kind == "array":
        items = _resolved(field.get("items", {}), definitions)
        if "enum" not in items:
            raise UsageError(f"{where} is a list: a form has lists of enums or Literals only")
        bounds: dict[str, Any] = {key: field[key] for key in ("minItems", "maxItems") if key in field}
        return {"type": "array", **said, **bounds, "items": _options(where, items, hint, many=True), **default}
    if "enum" in field or "const" in field:
        options = _options(where, field if "enum" in field else {"enum": [field["const"]]}, hint, many=False)
        return {"type": "string", **said, **options, **default}
    if kind not in _KEPT:
        raise UsageError(
            f"{where} cannot be asked in a form: use str, int, float, bool, a Literal or an Enum of strings"
        )
    kept = {key: field[key] for key in _KEPT[kind] if field.get(key) is not None}
    if kept.get("format", "email") not in FORMATS:
        del kept["format"]
    return {"type": kind, **said, **kept, **default}


def _options(where: str, field: dict[str, Any], hint: Any, *, many: bool) -> dict[str, Any]:
    """The options of a choice; an Enum whose names say more than its values gives them as titles."""
    values = field["enum"]
    if not all(isinstance(value, str) for value in values):
        raise UsageError(f"{where} must offer strings")
    titles = _titles(hint)
    if titles is None:
        return {"type": "string", "enum": values} if many else {"enum": values}
    return {"anyOf" if many else "oneOf": [{"const": value, "title": titles[value]} for value in values]}


def _titles(hint: Any) -> dict[str, str] | None:
    """Titles by value, for an Enum that has a `title` on its members."""
    for candidate in (hint, *typing.get_args(hint)):
        if isinstance(candidate, type) and issubclass(candidate, enum.Enum) and hasattr(candidate, "title"):
            titles = {str(member.value): getattr(member, "title", None) for member in candidate}
            if all(isinstance(title, str) for title in titles.values()):
                return {value: str(title) for value, title in titles.items()}
    return None


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    """`X | None` as X: what is not filled in is left out, and never null."""
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
    """A field for a revision whose choices are plain: titles go into `enumNames`, which it has."""
    if field.get("type") == "array":
        raise UsageError(f"the field {name} lets several options be chosen, which {revision.version} does not know")
    titled = field.get("oneOf")
    if titled is None:
        return field
    plain = {key: value for key, value in field.items() if key != "oneOf"}
    return {**plain, "enum": [o["const"] for o in titled], "enumNames": [o["title"] for o in titled]}
