"""The checks of what a program declares: each option has its type, and a decorator gets what it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from trimcp.errors import UsageError
from trimcp.types.metadata import Icon

Kinds = type | tuple[type, ...]


def check_option(value: object, name: str, kinds: Kinds, advice: str) -> None:
    """Check the type of an option that was given.

    Raises:
        UsageError: the value has another type.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in _each(kinds)):
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"a {type(value).__name__}"
        raise UsageError(f"Invalid {name}={shown}: give {advice}")


def _each(kinds: Kinds) -> tuple[type, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def typed(kinds: Kinds, advice: str) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """Make the attrs validator of an option that is None, or of one of these types."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            check_option(value, attribute.name, kinds, advice)

    return check


def check_icons(icons: Sequence[object] | None) -> None:
    """Check the icons of a declaration or a server.

    Raises:
        UsageError: they are no list of `Icon`.
    """
    for icon in (icons,) if isinstance(icons, str) else icons or ():
        check_option(icon, "icons", Icon, "a list of trimcp.types.Icon")


def _check_icons(instance: object, attribute: attrs.Attribute[Any], value: Sequence[object] | None) -> None:
    check_icons(value)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class DefinitionOptions:
    """The options that tools, prompts and resources have in common."""

    name: str | None = attrs.field(default=None, validator=typed(str, "a string"))
    title: str | None = attrs.field(default=None, validator=typed(str, "a string"))
    description: str | None = attrs.field(default=None, validator=typed(str, "a string"))
    icons: Sequence[Icon] | None = attrs.field(default=None, validator=_check_icons)
    meta: dict[str, Any] | None = attrs.field(default=None, validator=typed(dict, "a dict"))
    scopes: Sequence[str] = ()
    """Scopes that an access token must have."""


def check_text(given: object, use: str) -> None:
    """Check the text that a decorator takes first; `use` shows how it is written.

    Raises:
        UsageError: it is no text. Mostly it is the function, since the parentheses are missing.
    """
    if not isinstance(given, str):
        name = getattr(given, "__name__", repr(given))
        raise UsageError(f"{name} is no text: write {use}")
