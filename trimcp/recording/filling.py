"""Gives values to the masks of a recording: the user may know what it does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from trimcp.errors import UsageError
from trimcp.recording.differences import member, pattern_of
from trimcp.recording.format import Recording
from trimcp.recording.messages import Sender
from trimcp.view.masking import MASKED, SHORTEST

MOST_SHOWN: Final = 20
"""Masked values that an error names."""


def masks_in(value: Any, path: str = "$") -> Iterator[str]:
    """Yield where a recorded value has a mask, so that it is not what was sent."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from masks_in(each, member(path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from masks_in(each, f"{path}[{number}]")
    elif isinstance(value, str) and MASKED in value:
        yield path


class Fills:
    """Puts values in the places of masks, and takes them out of what is shown."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """`values`: by the names of members, or by paths such as `$.params.arguments.password`.

        Raises:
            UsageError: a path is not valid.
        """
        self._patterns = {name: pattern_of(name if name.startswith("$") else f"$..{name}") for name in values}
        self._values = dict(values)

    def filled(self, recording: Recording, sender: Sender) -> Recording:
        """Return a recording whose messages of one side have the values.

        Raises:
            UsageError: it has no such mask.
        """
        if not self._values:
            return recording
        used: set[str] = set()
        entries = [
            attrs.evolve(entry, message=self._filled(entry.message, "$", used)) if entry.sender == sender else entry
            for entry in recording.entries
        ]
        for name in self._values.keys() - used:
            paths = {
                path: None for entry in recording.entries if entry.sender == sender for path in masks_in(entry.message)
            }
            known = ", ".join([*paths][:MOST_SHOWN]) or "none"
            raise UsageError(f"the {sender} has sent no masked {name}. Masked are: {known}")
        return attrs.evolve(recording, entries=tuple(entries))

    def _filled(self, value: Any, path: str, used: set[str]) -> Any:
        if isinstance(value, dict):
            return {name: self._filled(each, member(path, name), used) for name, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each, f"{path}[{number}]", used) for number, each in enumerate(value)]
        if not isinstance(value, str) or MASKED not in value:
            return value
        name = next((name for name, pattern in self._patterns.items() if pattern.fullmatch(path)), None)
        if name is None:
            return value
        used.add(name)
        given = self._values[name]
        return given if value == MASKED else value.replace(MASKED, str(given))

    def hidden(self, value: Any) -> Any:
        """Return a value without the given values, to be shown."""
        if isinstance(value, dict):
            return {name: self.hidden(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.hidden(each) for each in value]
        for given in self._values.values():
            if value == given:
                return MASKED
            if isinstance(value, str) and len(str(given)) >= SHORTEST:
                value = value.replace(str(given), MASKED)
        return value
