"""The `$defs` of one schema, and the work that waits until they are all known.

`builder` makes one `Definitions` for each schema; the readers of hints add to it. Parts of the
schema can be compiled only after `complete`, since they may refer to any definition.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from typing import Any, Final

import attrs

from trimcp.schema.dump import dump
from trimcp.schema.exact_json import NotJson, decode
from trimcp.schema.inlining import POINTER, inlined, standardised
from trimcp.schema.type_schema import ANY_TYPE, NO_DEFAULT, TypeSchema
from trimcp.schema.validation import SchemaValidator, compile_schema

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]+")


@attrs.define(eq=False, repr=False)
class _Definition:
    """Holds one named type under `$defs`; its `schema` is None while its parts are being read."""

    name: str
    schema: TypeSchema | None = None

    def load(self, value: Any) -> Any:
        """Load a value of a recursive reference."""
        load = None if self.schema is None else self.schema.load
        return value if load is None else load(value)

    def to_builtins(self, value: Any) -> Any:
        """Convert a value of a recursive reference to JSON's own types."""
        convert = None if self.schema is None else self.schema.to_builtins
        return value if convert is None else convert(value)


class Definitions:
    """Collects the definitions of one schema.

    Attributes:
        output: whether the schema is for results: then every part of a class is always present.
        closed: whether unknown properties of a class are refused; otherwise they are ignored.
        by_name: the content of `$defs`.
    """

    def __init__(self, *, output: bool, closed: bool) -> None:
        self.output: bool = output
        self.closed: bool = closed and not output
        self.by_name: dict[str, dict[str, Any]] = {}
        self._named: dict[Any, _Definition] = {}
        self._waiting: list[Callable[[], object]] = []

    def named(
        self, annotation: Any, read: Callable[[], TypeSchema], json_types: frozenset[str] = ANY_TYPE
    ) -> TypeSchema:
        """Return a reference to a named type, which may contain itself; see `whole` for what becomes of it.

        Args:
            annotation: the type.
            read: reads its schema, the first time.
            json_types: the JSON types of its values, as far as they are known before its parts are read.
        """
        definition = self._named.get(annotation)
        if definition is None:
            definition = self._named[annotation] = _Definition(self._free_name(_name_of(annotation)))
            self.by_name[definition.name] = {}  # reserves the name and its place in the order
            found = read()
            self.by_name[definition.name] = found.schema
            definition.schema = attrs.evolve(found, schema={"$ref": f"{POINTER}{definition.name}"})
        if definition.schema is not None:
            return attrs.evolve(definition.schema, schema=dict(definition.schema.schema))
        convert = definition.to_builtins if self.output else None  # a recursive reference
        reference = {"$ref": f"{POINTER}{definition.name}"}
        return TypeSchema(reference, definition.load, json_types, to_builtins=convert)

    def _free_name(self, name: str) -> str:
        free, number = name, 2
        while free in self.by_name:
            free, number = f"{name}_{number}", number + 1
        return free

    def property(self, found: TypeSchema, default: Any, description: str | None) -> dict[str, Any]:
        """Return the schema of one property, with its description, and with its default if JSON can write it."""
        schema = dict(found.schema)
        if description and "description" not in schema:
            schema["description"] = description
        if default is NO_DEFAULT or self.output:
            return schema
        try:
            value = decode(dump(default))
        except NotJson:
            return schema
        self.when_complete(lambda: self._add_default(schema, value))
        return schema

    def _add_default(self, schema: dict[str, Any], value: Any) -> None:
        # A default that the schema refuses (a marker for "not given") would only mislead.
        if self.validator(schema).is_valid(value):
            schema["default"] = value

    def adopt(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Take over the definitions of another library's schema, renamed where a name is taken; return the rest.

        Formats that only that library knows are left out.
        """
        schema = standardised(schema)
        theirs: dict[str, Any] = schema.pop("$defs", {})
        if all(self.by_name.get(name, definition) == definition for name, definition in theirs.items()):
            self.by_name.update(theirs)
            return schema
        # One taken name is enough to rename all, since the others may refer to it.
        names: dict[str, str] = {}
        for name in theirs:
            names[name] = self._free_name(name)
            self.by_name[names[name]] = {}
        references = {f"{POINTER}{old}": f"{POINTER}{new}" for old, new in names.items()}
        for name, definition in theirs.items():
            self.by_name[names[name]] = _with_references(definition, references)
        result: dict[str, Any] = _with_references(schema, references)
        return result

    def json_types(self, schema: dict[str, Any]) -> frozenset[str]:
        """Return the JSON types that a schema admits, as far as its root tells."""
        reference = schema.get("$ref", "")
        if reference.startswith(POINTER):
            schema = self.by_name.get(reference.removeprefix(POINTER), {})
        types = schema.get("type", ANY_TYPE)
        found = frozenset({types} if isinstance(types, str) else types)
        return found | {"integer"} if "number" in found else found

    def when_complete(self, step: Callable[[], object]) -> None:
        """Run a step once all definitions are known."""
        self._waiting.append(step)

    def complete(self) -> None:
        """Run the steps that waited until all definitions are known."""
        while self._waiting:
            self._waiting.pop(0)()

    def whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema to publish, with the definitions that it needs; only after `complete`."""
        return inlined(schema, self.by_name)

    def validator(self, schema: dict[str, Any]) -> SchemaValidator:
        """Compile a part of the schema; only after `complete`, or in a step given to `when_complete`."""
        return compile_schema({**schema, "$defs": self.by_name} if self.by_name else schema)


def _name_of(annotation: Any) -> str:
    arguments = typing.get_args(annotation)
    name = getattr(typing.get_origin(annotation) or annotation, "__name__", "Value")
    shown = "_".join([name, *(getattr(argument, "__name__", str(argument)) for argument in arguments)])
    return _NOT_IN_NAMES.sub("_", shown).strip("_") or "Value"


def _with_references(value: Any, references: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: references.get(inner, inner)
            if key == "$ref" and isinstance(inner, str)
            else _with_references(inner, references)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_references(inner, references) for inner in value]
    return value
