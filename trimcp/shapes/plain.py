"""Functions that make JSON's own types of values of declared types: dict, list, str, int, float, bool, None.

`dump` goes by the class of each value that it meets; this goes by the annotation, which is much
faster for many objects, and gives a value that a validator can check before it is written. Each
function keeps one promise: what it returns, orjson writes exactly as `dump` writes the value, or
else validator or orjson refuse it. So a value of any other class than the declared one is returned
as it is: where it is no JSON, it is refused, and the caller takes the long way. No function
changes the value, or uses up an iterator in it. A type that needs no function has None.

`builder`, `classes`, `containers`, `unions`, `scalars` and `foreign` put the functions into the
shapes of results; `server.results` calls them.
"""

from __future__ import annotations

import collections
import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

Plain = Callable[[Any], Any]

_ITERABLES: Final = frozenset({list, tuple, set, frozenset, collections.deque})
_LEAVES: Final = frozenset({type(None), str, int, float, bool})


def plain_object(cls: Any, parts: Mapping[str, Plain | None]) -> Plain | None:
    """For a dataclass or attrs class: a dict of the attributes that `parts` names."""
    if not all(name.isidentifier() and not keyword.iskeyword(name) for name in parts):
        return None  # attributes that only `make_class` can make
    return _compiled(cls, [(name, f"value.{name}", plain) for name, plain in parts.items()], "")


def plain_members(cls: type, parts: Sequence[tuple[str, str, Plain | None]]) -> Plain:
    """For a class whose instances have all in their `__dict__`: a dict of some of it, by other names."""
    return _compiled(
        cls, [(name, f"members[{key!r}]", plain) for name, key, plain in parts], "and [members := value.__dict__]"
    )


def _compiled(cls: type, parts: Sequence[tuple[str, str, Plain | None]], first: str) -> Plain:
    made: dict[str, Any] = {"cls": cls}
    entries = []
    for number, (name, source, plain) in enumerate(parts):
        if plain is not None:
            made[f"plain_{number}"] = plain
            source = f"plain_{number}({source})"
        entries.append(f"{name!r}: {source}")
    # As dataclasses and attrs do it, since a loop over the names takes three times as long. Nothing
    # is in the source but identifiers and literals.
    function: Plain = eval(  # noqa: S307
        f"lambda value: {{{', '.join(entries)}}} if type(value) is cls {first} else value", made
    )
    return function


def plain_named_tuple(cls: Any, parts: Mapping[str, Plain | None]) -> Plain:
    """For a NamedTuple: a dict of its fields."""
    changes = _changes(parts)

    def plain(value: Any) -> Any:
        if type(value) is not cls:
            return value
        made: dict[str, Any] = value._asdict()
        for name, change in changes:
            made[name] = change(made[name])
        return made

    return plain


def plain_typed_dict(parts: Mapping[str, Plain | None]) -> Plain | None:
    """For a TypedDict: a copy in which some values are changed."""
    changes = _changes(parts)
    if not changes:
        return None

    def plain(value: Any) -> Any:
        if type(value) is not dict:
            return value
        made = value.copy()
        for name, change in changes:
            if name in made:
                made[name] = change(made[name])
        return made

    return plain


def _changes(parts: Mapping[str, Plain | None]) -> tuple[tuple[str, Plain], ...]:
    return tuple((name, plain) for name, plain in parts.items() if plain is not None)


def plain_items(item: Plain | None, *, is_array: bool) -> Plain | None:
    """For a list, a set or another row of items; `is_array` says that orjson writes it by itself."""
    if item is None:
        return None if is_array else lambda values: list(values) if type(values) in _ITERABLES else values

    def plain(values: Any) -> Any:
        return [item(value) for value in values] if type(values) in _ITERABLES else values

    return plain


def plain_tuple(items: Sequence[Plain | None]) -> Plain | None:
    """For a tuple with a type for each place."""
    if not any(items):
        return None
    count = len(items)

    def plain(values: Any) -> Any:
        if type(values) is not tuple or len(values) != count:
            return values
        return [value if change is None else change(value) for change, value in zip(items, values, strict=True)]

    return plain


def plain_mapping(value: Plain | None) -> Plain | None:
    """For a mapping: a dict with changed values."""
    if value is None:
        return None

    def plain(entries: Any) -> Any:
        return {name: value(entry) for name, entry in entries.items()} if type(entries) is dict else entries

    return plain


def plain_union(members: Sequence[Plain | None]) -> Plain | None:
    """For a union: the way of the first member that changes the value."""
    ways = [plain for plain in members if plain is not None]
    if not ways:
        return None
    if len(ways) == 1:
        only = ways[0]
        return lambda value: value if type(value) in _LEAVES else only(value)

    def plain(value: Any) -> Any:
        if type(value) not in _LEAVES:
            for way in ways:
                made = way(value)
                if made is not value:
                    return made
        return value

    return plain


def plain_text(cls: Any, text: Callable[[Any], str]) -> Plain:
    """For a class whose values are JSON strings."""
    return lambda value: text(value) if type(value) is cls else value


def written_text(value: Any) -> str:
    """The text that orjson writes for a value which it writes as a string."""
    return str(orjson.dumps(value)[1:-1], "ascii")
