"""Compiled JSON Schemas: the one door to the validator library.

Owns the choice of dialect, the promise that nothing is ever fetched, and the bounds on what a
check may cost. Which schema a tool has is not decided here. The server's `arguments` and
`results` compile with it at registration, and a client that checks results of tools does so
when it first sees their schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from trimcp.codec.schema_bounds import SchemaLimits, SchemaRefused, UnknownDialect, check_bounds
from trimcp.codec.schema_problems import explain, path_text

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
"""The dialects that `$schema` may name, and the library's class for each."""

_DEFAULT_DIALECT: Final = "json-schema.org/draft/2020-12/schema"
_DEFAULT_LIMITS: Final = SchemaLimits()
_VALUES_EXPLAINED: Final = 1_000
"""The library lists every error of a value before it gives the first, at some 12 µs each: beyond
so many values inside the one that is checked, only the first error is looked for."""


class SchemaValidator:
    """One compiled schema; make it with `compile_schema`.

    Attributes:
        schema: the schema as it was given.
        is_valid: whether a JSON value fits, in 0.1 µs and more. The library's own bound method,
            since a Python call round it would cost as much again. Values that are not JSON
            (of other types than dict, list, str, int, float, bool, None) raise ValueError.
    """

    __slots__ = ("_validator", "is_valid", "schema")

    is_valid: Callable[[Any], bool]

    def __init__(self, schema: dict[str, Any] | bool, validator: jsonschema_rs.Validator) -> None:
        self.schema = schema
        self._validator = validator
        self.is_valid = validator.is_valid

    def problems(self, value: Any, *, most: int = 8) -> list[str]:
        """What is wrong with a value, `expected integer @ $.days`; empty if nothing is.

        Holds names of properties, but no values of the data. At most `most` problems, and of a
        value with more than a thousand values inside only those of the first error.
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
    """Compile a JSON Schema: 2020-12 unless its `$schema` says otherwise (see `DIALECTS`).

    Args:
        schema: the schema; it must not be changed afterwards.
        limits: what the schema may cost.
        formats: whether `format` is checked; by default it is an annotation, as in 2020-12.

    Raises:
        SchemaRefused: the schema is invalid in its dialect, of an unknown dialect, beyond the
            limits, or refers to something outside itself. Nothing is ever fetched.
    """
    check_bounds(schema, limits)
    import jsonschema_rs

    validator_class: type[jsonschema_rs.Validator] = getattr(jsonschema_rs, DIALECTS[_dialect(schema)])
    try:
        validator = validator_class(schema, retriever=_refuse_retrieval, validate_formats=formats)
    except jsonschema_rs.ValidationError as error:
        if not error.instance_path and "retriev" in error.message:
            raise SchemaRefused("the schema refers to something outside itself; nothing is fetched") from None
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
        f"the schema's dialect is not supported ($schema is {str(named)[:100]!r}); supported are {', '.join(DIALECTS)}"
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
