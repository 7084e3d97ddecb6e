"""Value objects: attrs classes that inherit equality and `repr` instead of generating them.

attrs compiles both methods anew for each class, at each start of a program. For the classes of trimcp that took longer
than the import of Trio. A derived class takes `eq=False, repr=False`. Comparing takes longer than with generated
methods, so keys of dicts that each request needs are no such classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import attrs


class Value:
    """An attrs class whose instances are equal if their fields are. It has no hash."""

    __slots__ = ()

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it may be mutable

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(mine == others for mine, others in zip(_compared(self), _compared(other), strict=True))

    def __repr__(self) -> str:
        shown = (field.name for field in _fields(self) if field.repr)
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


class FrozenValue(Value):
    """A `Value` that does not change, and has a hash."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash((type(self), *_compared(self)))


def _compared(instance: object) -> Iterator[Any]:
    return (getattr(instance, field.name) for field in _fields(instance) if field.eq)


def _fields(instance: Any) -> tuple[attrs.Attribute[Any], ...]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(instance))
    return fields
