"""One type hint as the only parameter of a tool: its schema, what it loads, what it refuses."""

from __future__ import annotations

from typing import (
    Any,
)

import jsonschema_rs
import pytest

from trimcp.server.invocation.signature import FunctionSignature, inspect_function
from trimcp.server.invocation.tool_arguments import ArgumentBinder, InvalidArguments
from trimcp.server.invocation.tool_schema import tool_input_schema

STRING = {"type": "string"}
INTEGER = {"type": "integer"}


def signature_of(hint: Any, **default: Any) -> FunctionSignature:
    def tool(*, p: Any) -> None: ...

    if default:
        tool.__kwdefaults__ = {"p": default["default"]}
    tool.__annotations__["p"] = hint
    return inspect_function(tool, injected=lambda _: False)


def schema_of(hint: Any, **default: Any) -> dict[str, Any]:
    """The schema of one parameter with this hint; its definitions under `$defs`."""
    whole = tool_input_schema(signature_of(hint, **default)).schema
    assert_valid(whole)
    schema: dict[str, Any] = whole["properties"]["p"]
    return {**schema, "$defs": whole["$defs"]} if "$defs" in whole else schema


def load(hint: Any, value: Any) -> Any:
    return ArgumentBinder(signature_of(hint)).bind({"p": value})["p"]


def refused(hint: Any, value: Any) -> str:
    with pytest.raises(InvalidArguments) as caught:
        load(hint, value)
    return str(caught.value)


def assert_valid(schema: Any) -> None:
    jsonschema_rs.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"}).validate(schema)
