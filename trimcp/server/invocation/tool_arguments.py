"""Binds the arguments of a `tools/call` to the parameters of the tool's function.

A binder is compiled when the tool is declared. A call costs one check against the published schema, and the
conversions that its parameters need: none for the types of JSON.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any, final

from trimcp.errors import InvalidPayload, UsageError
from trimcp.schema.problems import at
from trimcp.schema.type_schema import LOAD_ERRORS, located
from trimcp.schema.validation import SchemaValidator, compile_schema
from trimcp.server.invocation.signature import FunctionSignature, Parameter
from trimcp.server.invocation.tool_schema import tool_input_schema


class InvalidArguments(InvalidPayload):
    """The arguments of a call do not fit the input schema of the tool.

    The text is for the model, so it becomes a result with `isError` (server/tools, "Error Handling"): a model can
    correct its call by it.
    """


@final
class ArgumentBinder:
    """Checks and converts the arguments of one tool.

    Attributes:
        schema: the input schema to publish. Do not change it.
    """

    __slots__ = ("_by_hand", "_integers", "_is_valid", "_loads", "_makers", "_validator", "schema")

    def __init__(self, signature: FunctionSignature, *, schema: dict[str, Any] | None = None) -> None:
        """Compile the binder of a function.

        Args:
            signature: the signature of the function.
            schema: an input schema in place of the schema from the type hints. It decides alone which arguments pass;
                its `format`s are checked too. Arguments that are no parameters are dropped then, and values that a
                parameter needs as another type, such as a date, are converted or refused.

        Raises:
            UsageError: a type hint has no JSON form, or the schema is invalid.
        """
        compiled = tool_input_schema(signature)
        self.schema: dict[str, Any] = compiled.schema if schema is None else schema
        self._loads = compiled.loads
        self._by_hand: tuple[Parameter, ...] | None = None
        """The parameters, for a schema that was written by hand, and so may not fit them."""
        if schema is not None:
            if schema.get("type") != "object":
                raise UsageError(f'Invalid input schema of {signature.name}(): add "type": "object" at its root')
            self._by_hand = signature.parameters
            self._loads = tuple((name, _checked(name, load, compiled.schema)) for name, load in compiled.loads)
        self._validator: SchemaValidator = compile_schema(self.schema, formats=schema is not None)
        self._is_valid = self._validator.is_valid
        self._integers = compiled.integers
        made = ((parameter.name, default_maker(parameter)) for parameter in signature.parameters)
        self._makers = tuple((name, make) for name, make in made if make is not None)

    def bind(self, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the keyword arguments for the function, in a new dict.

        Args:
            arguments: decoded JSON; None means no arguments. The dict is not changed, but its values of JSON types
                are passed on.

        Raises:
            InvalidArguments: the arguments do not fit the schema.
        """
        if arguments is None:
            arguments = {}
        is_valid = self._is_valid
        try:
            valid = is_valid(arguments)
        except ValueError:  # the validator accepts only dicts as objects
            return self._bind_unusual(arguments)
        if not valid:
            raise InvalidArguments(self._validator.problems(arguments))
        kwargs = dict(arguments)
        if self._by_hand is not None:
            kwargs = _of_parameters(self._by_hand, kwargs)
        if self._integers and float in map(type, kwargs.values()):  # 3.0 is an integer to JSON Schema
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


def _of_parameters(parameters: tuple[Parameter, ...], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that the function takes.

    Raises:
        InvalidArguments: one that the function cannot be called without is missing.
    """
    if missing := [each.name for each in parameters if each.required and each.name not in arguments]:
        raise InvalidArguments([at("required property missing", [name]) for name in missing])
    return {each.name: arguments[each.name] for each in parameters if each.name in arguments}


def _checked(name: str, load: Callable[[Any], Any], schema: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a conversion that refuses values of other types, which the conversion itself does not expect."""
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    validator = compile_schema({**schema["properties"][name], **definitions})

    def load_checked(value: Any) -> Any:
        if not validator.is_valid(value):
            raise InvalidArguments([f" @ $.{name}".join(p.rsplit(" @ $", 1)) for p in validator.problems(value)])
        return load(value)

    return load_checked


def default_maker(parameter: Parameter) -> Callable[[], Any] | None:
    """Return the maker of a default value; None if the default of the function itself is safe."""
    if parameter.make_default is not None:
        return parameter.make_default
    if type(parameter.default) in (list, dict, set):
        # Python shares a mutable default between calls, and so between clients and threads.
        return functools.partial(copy.deepcopy, parameter.default)
    return None
