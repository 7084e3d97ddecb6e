"""Compiled JSON Schemas: the only use of the validator library.

Owns the choice of the dialect, the rule that nothing is ever fetched, and the bounds on the cost of
a check. The server compiles its tools' schemas at registration; a client that checks results of
tools compiles a schema when it first meets it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from trimcp.schema.bounds import SchemaLimits, SchemaRefused, UnknownDialect, check_bounds
from trimcp.schema.problems import explain, path_text

if TYPE_CHECKING:
    import jsonschema_rs

__all__ = ["DIALECTS", "SchemaLimits", "SchemaRefused", "SchemaValidator", "UnknownDialect", "compile_schema"]

DIALECTS: Final = {
    "json-schema.org/draft/2020-12/schema": "Draft202012Validator",
    "json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "json-schema.org/draft-07/schema": "Draft7Validator",
    "json-schema.org/draft-06/schema": "Draft6Validator",
    "json-schema.org/draft-04/schema": "Draft4Validator",
}
"""The dialects that `$schema` may name → the class of the library."""

_DEFAULT_DIALECT: Final = "json-schema.org/draft/2020-12/schema"
_DEFAULT_LIMITS: Final = SchemaLimits()
_VALUES_EXPLAINED: Final = 1_000
"""The library finds all errors of a value before it returns the first, at about 12 µs each. In a value
with more values inside than this, only the first error is searched for."""


class SchemaValidator:
    """Checks JSON values against one compiled schema; make it with `compile_schema`.

    Attributes:
        schema: the schema.
        is_valid: tells whether a JSON value fits, in 0.1 µs and more. It is the bound method of the
            library, since a Python call around it would double the cost. Values of types other than
            dict, list, str, int, float, bool and None raise ValueError.
    """

    __slots__ = ("_validator", "is_valid", "schema")

    is_valid: Callable[[Any], bool]

    def __init__(self, schema: dict[str, Any] | bool, validator: jsonschema_rs.Validator) -> None:
        self.schema: dict[str, Any] | bool = schema
        self._validator = validator
        self.is_valid = validator.is_valid

    def problems(self, value: Any, *, most: int = 8) -> list[str]:
        """Return the problems of a value, `expected integer @ $.days`; empty for a valid one.

        They hold names of properties, but no values of the data. There are at most `most`; for a
        value with more than a thousand values inside, only those of the first error.
        """
        if _is_large(value, _VALUES_EXPLAINED):
            import jsonschema_rs

            try:
                self._validator.validate(value)
            except jsonschema_rs.ValidationError as error:
                return explain([error], most=most)
            return []
        return explain(self._validator.iter_errors(value), most=most)


def compile_schema(
    schema: dict[str, Any] | bool, *, limits: SchemaLimits = _DEFAULT_LIMITS, formats: bool = False
) -> SchemaValidator:
    """Compile a JSON Schema: of 2020-12, or of the dialect in its `$schema` (see `DIALECTS`).

    Args:
        schema: the schema; it must not be changed afterwards.
        limits: the bounds on the cost of the schema.
        formats: whether to check `format`; by default it is an annotation, as in 2020-12.

    Raises:
        SchemaRefused: the schema is invalid in its dialect, of an unknown dialect, beyond the
            limits, or refers to something outside itself. Nothing is ever fetched.
    """
    check_bounds(schema, limits)
    import jsonschema_rs

    validator_class: type[jsonschema_rs.Validator] = getattr(jsonschema_rs, DIALECTS[_dialect(schema)])
    try:
        validator = validator_class(schema, retriever=_refuse_retrieval, validate_formats=formats, mask="value")
    except jsonschema_rs.ValidationError as error:
        if not error.instance_path and "retriev" in error.message:
            raise SchemaRefused(
                "the schema refers to something outside itself, and nothing is fetched: put it under $defs"
            ) from None
        where = path_text(error.instance_path)
        raise SchemaRefused(f"the schema is not valid in its dialect: {error.message[:300]} @ {where}") from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise SchemaRefused(f"the schema cannot be compiled: {str(error)[:300]}") from None
    return SchemaValidator(schema, validator)


def _dialect(schema: dict[str, Any] | bool) -> str:
    if isinstance(schema, bool) or "$schema" not in schema:
        return _DEFAULT_DIALECT
    named = schema["$schema"]
    if isinstance(named, str):
        known = named.removesuffix("#").removeprefix("https://").removeprefix("http://")
        if known in DIALECTS:
            return known
    raise UnknownDialect(
        f"the schema's dialect is not supported ($schema is {str(named)[:100]!r}): use one of {', '.join(DIALECTS)}"
    )


def _refuse_retrieval(uri: str) -> Any:
    raise LookupError("nothing is retrieved")


def _is_large(value: Any, most: int) -> bool:
    count = 0
    level = [value]
    while level:
        count += len(level)
        if count > most:
            return True
        below: list[Any] = []
        for inner in level:
            if isinstance(inner, dict):
                below.extend(inner.values())
            elif isinstance(inner, list | tuple):
                below.extend(inner)
        level = below
    return False
