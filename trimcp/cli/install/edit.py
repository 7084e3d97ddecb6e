"""Puts an entry into the text of a configuration file, or takes it out.

The result is checked before it is used: it has exactly the data that it should have.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from trimcp.cli.install import expected
from trimcp.cli.install.entry import Wanted, inputs_of
from trimcp.cli.install.hosts import Format, Shape
from trimcp.cli.install.jsonc_tree import InvalidText
from trimcp.errors import UsageError

_LIBRARIES: Final = {"toml": "tomlkit", "yaml": "ruamel.yaml"}


class TextFormat(Protocol):
    """A module that edits one format. A path leads to a value by names."""

    def load(self, text: str) -> Any:
        """Return the data of a text."""
        ...

    def put(self, text: str, path: Sequence[str | int], value: Any) -> str:
        """Set a value."""
        ...

    def remove(self, text: str, path: Sequence[str | int]) -> str:
        """Remove a value."""
        ...


def formats(name: Format) -> TextFormat:
    """Return the module of a format.

    Raises:
        UsageError: the library that it needs is not installed.
    """
    try:
        module: Any = importlib.import_module(f"trimcp.cli.install.{name}_text")
    except ModuleNotFoundError as exc:
        raise UsageError.not_installed(_LIBRARIES.get(name, exc.name), "install") from exc
    form: TextFormat = module
    return form


@attrs.frozen
class Edit:
    """The text of a file before and after a change."""

    before: str
    after: str

    @property
    def is_change(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.after


def added(text: str, shape: Shape, wanted: Wanted, entry: Mapping[str, Any], *, replace: bool) -> Edit:
    """Put an entry in, or bring it up to date: members that it does not set stay.

    Raises:
        InvalidText: the text cannot be parsed, or not be edited.
        UsageError: another server has the name, and is not to be replaced.
    """
    form = formats(shape.format)
    data = form.load(text)
    path = shape.path_of(wanted.name)
    present = expected.at(data, path)
    if present is None:
        after = form.put(text, path, dict(entry))
        result = expected.with_value(data, path, dict(entry))
    else:
        if not replace and not _is_same_server(present, entry, shape):
            raise UsageError(f"there is another server {wanted.name}: choose a --name, or give --replace")
        after, result = _updated(form, text, data, path, entry, _others(present, entry, shape))
    for question in inputs_of(wanted, shape):
        given = expected.at(result, ["inputs"]) or []
        if question["id"] not in [each.get("id") for each in given if isinstance(each, dict)]:
            from trimcp.cli.install import jsonc_text

            after = jsonc_text.append(after, ["inputs"], question)
            result = expected.with_value(result, ["inputs"], [*given, question])
    return _checked(form, text, after, result)


def _updated(
    form: TextFormat,
    text: str,
    data: Any,
    path: list[str],
    entry: Mapping[str, Any],
    unfit: Sequence[str],
) -> tuple[str, Any]:
    for member in unfit:
        text, data = form.remove(text, [*path, member]), expected.without(data, [*path, member])
    for member, value in entry.items():
        found = expected.at(data, [*path, member])
        if isinstance(value, dict) and isinstance(found, dict):
            value = {**found, **value}  # variables that the user has added stay
        if json.dumps(found) != json.dumps(value):
            text, data = form.put(text, [*path, member], value), expected.with_value(data, [*path, member], value)
    return text, data


def _is_same_server(present: Any, entry: Mapping[str, Any], shape: Shape) -> bool:
    """Whether an entry is one of ours for the same file or URL, perhaps by another Python."""
    if not isinstance(present, dict):
        return False
    if shape.command in entry:
        return bool(present.get("args") == entry["args"])
    return shape.url is not None and bool(present.get(shape.url) == entry.get(shape.url))


def _others(present: Any, entry: Mapping[str, Any], shape: Shape) -> list[str]:
    """Return the members of the other kind of server, which would contradict the entry."""
    kinds = {shape.command, "args", shape.env, shape.names, shape.url, shape.headers}
    if not isinstance(present, dict) or (shape.command in entry) == (shape.command in present):
        return []
    return [member for member in present if member in kinds and member not in entry]


def taken_out(text: str, shape: Shape, name: str) -> Edit:
    """Take an entry out, and the questions that only it needed.

    Raises:
        InvalidText: the text cannot be parsed, or not be edited.
    """
    form = formats(shape.format)
    data = form.load(text)
    path = shape.path_of(name)
    entry = expected.at(data, path)
    if entry is None:
        return Edit(text, text)
    after, result = form.remove(text, path), expected.without(data, path)
    if shape.inputs:
        servers = json.dumps(expected.at(result, path[:-1]))
        for number, question in reversed(list(enumerate(result.get("inputs") or []))):
            place = f"${{input:{question.get('id')}}}" if isinstance(question, dict) else ""
            if place and place in json.dumps(entry) and place not in servers:
                after, result = form.remove(after, ["inputs", number]), expected.without(result, ["inputs", number])
    return _checked(form, text, after, result)


def _checked(form: TextFormat, before: str, after: str, result: Any) -> Edit:
    """Check that the edited text has exactly the data that it should have."""
    # A table of TOML is gone with its last member.
    if _without_empty(form.load(after)) != _without_empty(result):
        raise InvalidText("an edit would change other parts of the file: add the entry by hand (--print shows it)")
    return Edit(before, after)


def _without_empty(data: Any) -> Any:
    return {key: value for key, value in data.items() if value != {}} if isinstance(data, dict) else data
