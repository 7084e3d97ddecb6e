"""Hooks that refuse instead of converting: what is a string, a number or a list in JSON is one here, or nothing.

cattrs' own hooks would make 5 of "5", 1 of True and a list of "abc". These are registered
first, in every converter. `trimcp.codec.converters` calls `register_strict_hooks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from cattrs import BaseConverter
from cattrs.cols import list_structure_factory
from cattrs.gen import make_mapping_structure_fn

StructureHook = Callable[[Any, Any], Any]


class Refused(Exception):
    """A value does not fit; internal to the codec, which turns it into a problem of an `InvalidPayload`.

    Attributes:
        words: what was expected.
        steps: where, below the value that the hook was given.
        subject: while encoding, the object in which it happened; see `climb`.
    """

    def __init__(self, words: str, steps: tuple[str | int, ...] = (), subject: Any = None) -> None:
        super().__init__(words, steps)
        self.words = words
        self.steps = steps
        self.subject = subject

    def climb(self, step: str | int, subject: Any) -> None:
        """Say that `subject` holds, at `step`, the object in which it happened."""
        self.steps = (step, *self.steps)
        self.subject = subject


def text(value: Any, _: Any = None) -> str:
    """A JSON string."""
    if type(value) is str:
        return value
    raise Refused("expected string")


def integer(value: Any, _: Any = None) -> int:
    """A JSON number without a fraction; 1.0 is none, and neither is true."""
    if type(value) is int:
        return value
    raise Refused("expected integer")


def number(value: Any, _: Any = None) -> int | float:
    """A JSON number; integers stay integers."""
    if type(value) is float or type(value) is int:
        return value
    raise Refused("expected number")


def boolean(value: Any, _: Any = None) -> bool:
    """`true` or `false`."""
    if type(value) is bool:
        return value
    raise Refused("expected boolean")


def identifier(value: Any, _: Any = None) -> int | str:
    """A request id or progress token, which keeps its JSON type: 7 is not "7"."""
    if type(value) is int or type(value) is str:
        return value
    raise Refused("expected string or integer")


def json_object(value: Any, _: Any = None) -> dict[str, Any]:
    """A JSON object, taken as it is."""
    if type(value) is dict:
        return value
    raise Refused("expected object")


def register_strict_hooks(converter: BaseConverter) -> None:
    """Make a converter refuse what it would otherwise convert."""
    converter.register_structure_hook(str, text)
    converter.register_structure_hook(int, integer)
    converter.register_structure_hook(float, number)
    converter.register_structure_hook(bool, boolean)
    converter.register_structure_hook_func(lambda cls: cls == int | str, identifier)
    converter.register_structure_hook_factory(origin_is(Literal), _literal)
    converter.register_structure_hook_factory(origin_is(list), _list_of)
    converter.register_structure_hook_factory(origin_is(dict), _dict_of)


def origin_is(origin: Any) -> Callable[[Any], bool]:
    """Whether a type is `origin[...]`, as a predicate for cattrs."""
    return lambda cls: get_origin(cls) is origin


def _literal(cls: Any) -> StructureHook:
    allowed = frozenset(get_args(cls))
    words = "expected " + " or ".join(f'"{name}"' for name in get_args(cls))

    def literal(value: Any, _: Any = None) -> Any:
        # The type first: a list cannot be looked up in a set.
        if type(value) is str and value in allowed:
            return value
        raise Refused(words)

    return literal


def _list_of(cls: Any, converter: BaseConverter) -> StructureHook:
    items = list_structure_factory(cls, converter)

    def array(value: Any, _: Any = None) -> Any:
        if type(value) is list:
            return items(value, cls)
        raise Refused("expected array")

    return array


def _dict_of(cls: Any, converter: BaseConverter) -> StructureHook:
    if get_args(cls)[1] is Any:
        return json_object
    members = make_mapping_structure_fn(cls, converter, detailed_validation=converter.detailed_validation)

    def mapping(value: Any, _: Any = None) -> Any:
        if type(value) is dict:
            return members(value, cls)
        raise Refused("expected object")

    return mapping
