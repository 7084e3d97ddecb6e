"""`${NAME}` in the strings of a configuration: what stands there, looked up once. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_PLACE: Final = re.compile(r"\$\{([^{}]*)\}")
_NAME: Final = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Variables:
    """What may stand between `${` and `}`."""

    def __init__(self, environment: Mapping[str, str], others: Mapping[str, str]) -> None:
        """
        Args:
            environment: environment variables by name.
            others: what goes before them, by all that stands between the braces.
        """
        self._environment = environment
        self._others = others

    def expanded(self, text: str) -> tuple[str, list[str]]:
        """The text with all of them replaced, and what is wrong with those that are not. What is put in is text,
        and not looked at again."""
        problems: list[str] = []

        def value(match: re.Match[str]) -> str:
            inside = match.group(1)
            if inside in self._others:
                return self._others[inside]
            named = _NAME.fullmatch(inside)
            if named is None:
                problems.append(f"nobody knows ${{{inside}}}: load_configuration(variables=…) can say what it is")
                return ""
            name, default = named.groups()
            found = self._environment.get(name)
            if default is not None:
                return found or default
            if found is None:
                problems.append(f"there is no environment variable {name}")
            return found or ""

        if "${" in _PLACE.sub("", text):  # it would reach the server to the letter
            problems.append("there is a ${ that is not closed, or that has another one in it")
        return _PLACE.sub(value, text), problems
