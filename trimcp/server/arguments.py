"""From the arguments of a `tools/call` to the keyword arguments of the tool's function.

Everything is compiled when the tool is registered; a call costs one check against the published
schema and the conversions that its parameters really need, which for JSON's own types is none.
The tool registry owns the binder and decides how `InvalidArguments` is answered. What does
the same for a single value, `value_builder`, is in `shapes.values`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any, final

from trimcp.codec.validation import SchemaValidator, compile_schema
from trimcp.errors import InvalidPayload, UsageError
from trimcp.server.schema import InputShape, input_shape
from trimcp.server.signature import Parameter, ToolSignature
from trimcp.shapes.shape import LOAD_ERRORS, located
from trimcp.shapes.values import value_builder

__all__ = ["ArgumentBinder", "InvalidArguments", "value_builder"]


class InvalidArguments(InvalidPayload):
    """The arguments of a call do not fit the tool's input schema; the text is for the model.

    It is to be answered as a tool execution error (`server/tools`, "Error Handling"), since a
    model can correct itself by it.
    """


@final
class ArgumentBinder:
    """Checks and converts the arguments of one tool.

    Attributes:
        schema: the input schema to publish; it must not be changed.
    """

    __slots__ = ("_checks", "_integers", "_is_valid", "_loads", "_makers", "_validator", "schema")

    def __init__(self, signature: ToolSignature, *, schema: dict[str, Any] | None = None) -> None:
        """Compile the binder of a function.

        Args:
            signature: of the function.
            schema: a hand-written schema to publish instead of the one from the type hints. Calls
                are then checked against both, `format` included, so that the function gets the
                types it declares.

        Raises:
            UsageError: a type hint without a JSON form, or a schema that cannot be used.
        """
        shape = input_shape(signature)
        self.schema = shape.schema if schema is None else schema
        if schema is None:
            self._validator = compile_schema(shape.schema)
            self._checks: tuple[SchemaValidator, ...] = (self._validator,)
        else:
            if schema.get("type") != "object":
                raise UsageError(f'{signature.name}(): an input schema needs "type": "object" at its root')
            self._validator = compile_schema(schema, formats=True)
            self._checks = (self._validator, compile_schema(shape.schema))
        self._is_valid = self._validator.is_valid if schema is None else self._is_valid_by_all
        self._set_loads(shape, signature)

    def _set_loads(self, shape: InputShape, signature: ToolSignature) -> None:
        self._integers = shape.integers
        self._loads = shape.loads
        made = ((parameter.name, default_maker(parameter)) for parameter in signature.parameters)
        self._makers = tuple((name, make) for name, make in made if make is not None)

    def bind(self, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        """The keyword arguments for the function: a new dict, without what the caller left out.

        Args:
            arguments: parsed JSON; None is no arguments. It is not changed, but the values of
                JSON's own types are handed on as they are.

        Raises:
            InvalidArguments: they do not fit.
        """
        try:
            valid = self._is_valid({} if arguments is None else arguments)
        except ValueError:  # the validator takes nothing but dicts for objects
            return self._bind_unusual(arguments)
        if not valid:
            raise self._refusal(arguments)
        kwargs = {} if arguments is None else dict(arguments)
        for name in self._integers:
            if type(kwargs.get(name)) is float:
                kwargs[name] = int(kwargs[name])
        if self._loads:
            self._load(kwargs)
        for name, make in self._makers:
            if name not in kwargs:
                kwargs[name] = make()
        return kwargs

    def _load(self, kwargs: dict[str, Any]) -> None:
        problems: list[str] = []
        for name, load in self._loads:
            if name in kwargs:
                try:
                    kwargs[name] = load(kwargs[name])
                except LOAD_ERRORS as error:
                    problems += located(error, name).texts()
        if problems:
            raise InvalidArguments(problems)

    def _bind_unusual(self, arguments: Any) -> dict[str, Any]:
        if isinstance(arguments, Mapping) and type(arguments) is not dict:
            return self.bind(dict(arguments))
        raise InvalidArguments(["expected JSON values, and names that are strings @ $"])

    def _is_valid_by_all(self, arguments: Any) -> bool:
        return all(check.is_valid(arguments) for check in self._checks)

    def _refusal(self, arguments: Any) -> InvalidArguments:
        arguments = {} if arguments is None else arguments
        failed = (check.problems(arguments) for check in self._checks)
        return InvalidArguments(next(filter(None, failed), []))


def default_maker(parameter: Parameter) -> Callable[[], Any] | None:
    """What to pass where the caller gave nothing; None leaves it to the function's own default."""
    if parameter.make_default is not None:
        return parameter.make_default
    if type(parameter.default) in (list, dict, set):
        # Python would share it between calls, and here between threads and clients too.
        return functools.partial(copy.deepcopy, parameter.default)
    return None
