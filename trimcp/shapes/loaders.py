"""Compiled loaders of classes: an instance, or a dict, of a JSON object that fits the schema.

A loop over the properties takes twice as long. Whatever is out of the ordinary, an error above all, is
left to the loader that has the loop and finds out where it happened; so a class that refuses its
arguments is asked twice. `classes` compiles them.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from trimcp.shapes.scalars import as_float, as_int
from trimcp.shapes.shape import LOAD_ERRORS

Load = Callable[[Any], Any]

_INLINE: Final[dict[Load | None, str]] = {
    None: "{}",
    as_int: "(int(x) if type(x := {}) is float else x)",
    as_float: "(float(x) if type(x := {}) is int else x)",
}
_IN_PLACE: Final[dict[Load, str]] = {
    as_int: "if type(x := made.get({0!r})) is float: made[{0!r}] = int(x)",
    as_float: "if type(x := made.get({0!r})) is int: made[{0!r}] = float(x)",
}


def compiled_loader(cls: Any, loads: Mapping[str, Load | None], general: Load, *, closed: bool) -> Load:
    """What does the same as `general`, faster.

    Args:
        cls: what to make of the properties; None: a dict.
        loads: all properties that there may be, with what makes their values.
        general: the loader for everything out of the ordinary.
        closed: whether the JSON object has no other properties.
    """
    made: dict[str, Any] = {"cls": cls, "general": general, "errors": (*LOAD_ERRORS, KeyError), "names": loads.keys()}
    made |= {f"load_{number}": load for number, load in enumerate(loads.values())}
    lines = []
    if cls is not None and all(name.isidentifier() and not keyword.iskeyword(name) for name in loads):
        is_whole = f"len(value) == {len(loads)}" if closed else "value.keys() == names"
        lines += [f"if {is_whole}: return cls({', '.join(_arguments(cls, loads))})"]
    if closed or cls is None:
        lines += ["made = value.copy()"]
        for number, (name, load) in enumerate(loads.items()):
            if load is not None:
                otherwise = f"if {{0!r}} in made: made[{{0!r}}] = load_{number}(made[{{0!r}}])"
                lines.append(_IN_PLACE.get(load, otherwise).format(name))
        lines.append("return made" if cls is None else "return cls(**made)")
    body = "\n        ".join(lines)
    # As dataclasses and attrs do it. Nothing is in the source but names that are identifiers, and literals.
    exec(f"def load(value):\n    try:\n        {body}\n    except errors: pass\n    return general(value)", made)  # noqa: S102
    compiled: Load = made["load"]
    return compiled


def _arguments(cls: Any, loads: Mapping[str, Load | None]) -> list[str]:
    positional = _positional(cls)
    arguments = []
    for number, (name, load) in enumerate(loads.items()):
        given = _INLINE.get(load, f"load_{number}({{}})").format(f"value[{name!r}]")
        by_position = number < len(positional) and positional[number] == name
        if not by_position:
            positional = ()
        arguments.append(given if by_position else f"{name}={given}")
    return arguments


def _positional(cls: Any) -> Sequence[str]:
    """The parameters that the class certainly takes by position, which is twice as fast as by name."""
    if type(cls).__call__ is not type.__call__ or cls.__new__ is not object.__new__:
        return ()
    try:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    except (ValueError, TypeError):  # written in C, without a signature
        return ()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
