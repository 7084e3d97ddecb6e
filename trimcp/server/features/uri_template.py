"""URI templates (RFC 6570, all levels): matches a URI against a template, and returns the values of its variables.

The RFC does not define matching. Here the time is at most proportional to the length of the URI times the number of
parts. The first pass goes from the end to the start, and finds the places of the URI at which the rest of the
template can begin. The second pass goes from the start, and makes each variable as long as the first pass allows.

It is safe to build a path from the values: they are relative, and contain no `..`, drive, backslash or NUL. An encoded
slash makes no new segment. A template with `path_safe=False` gives all values as they are.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Sequence
from typing import Final

import attrs

from trimcp.framing.uri_syntax import Expression, Operator, Variable, normal_uri, read_template

Value = str | list[str]
"""The value of a variable."""

_ABSOLUTE: Final = re.compile(r"/|[A-Za-z]:")
"""The start of a path that is absolute, or on a drive."""
_HALF_ESCAPE: Final = re.compile(r"%(?![0-9A-F]{2})")


class UriTemplate:
    """A URI template.

    Attributes:
        text: the text of the template.
        names: the names of the variables, in their order.
        exploded: the variables whose values are lists by a `*` in the template.
        lists: the variables whose values are lists in a match.
        start: the text before the first variable.
    """

    def __init__(
        self,
        text: str,
        *,
        optional: frozenset[str] = frozenset(),
        lists: frozenset[str] = frozenset(),
        path_safe: bool = True,
    ) -> None:
        """
        Args:
            text: the text of the template.
            optional: variables that a URI can leave out.
            lists: variables whose values are lists, besides the exploded variables.
            path_safe: whether a URI with a value from which no path should be built does not match.

        Raises:
            UsageError: the text is no template, or does not begin with a scheme.
        """
        self.text: str = text
        self._parts = read_template(text)
        variables = [v for part in self._parts if isinstance(part, Expression) for v in part.variables]
        self.names: tuple[str, ...] = tuple(dict.fromkeys(variable.name for variable in variables))
        self.exploded: frozenset[str] = frozenset(variable.name for variable in variables if variable.explode)
        self.lists: frozenset[str] = lists | self.exploded
        self._optional = optional & frozenset(self.names)
        self._path_safe = path_safe
        self._tokens = _tokens(self._parts, self._optional)
        first = self._parts[0]
        self.start: str = first if isinstance(first, str) else ""

    def match(self, uri: str) -> dict[str, Value] | None:
        """Return the values of the variables that a URI contains; None if the URI does not match.

        If variables touch, a URI can be read in several ways. Then an earlier variable takes as much as it can, and
        leaves at least one character for each later variable.
        """
        normal = normal_uri(uri)
        return None if normal is None else self.match_normal(normal)

    def match_normal(self, uri: str) -> dict[str, Value] | None:
        """Match a URI in normal form; see `match`."""
        if not uri.startswith(self.start):
            return None
        found = self._values(uri, sparse=False)
        if found is None and self._optional:
            found = self._values(uri, sparse=True)
        return found

    def _values(self, uri: str, *, sparse: bool) -> dict[str, Value] | None:
        """Return the values of the variables; `sparse`: whether optional variables can be left out."""
        reach = [1 << len(uri)]
        for token in reversed(self._tokens):
            reach.append(token.places(uri, reach[-1], sparse))
            if not reach[-1]:
                return None
        reach.reverse()
        if not reach[0] & 1:
            return None
        values: dict[str, Value] = {}
        prefixes: list[tuple[str, str]] = []
        place = 0
        for token, following in zip(self._tokens, reach[1:], strict=True):
            if isinstance(token, _Literal):
                place += len(token.text)
                continue
            raw, place = token.take(uri, place, following, sparse)
            if raw is not None and not self._read(token, raw, values, prefixes):
                return None
        for name, prefix in prefixes:
            whole = values.setdefault(name, prefix)
            if not isinstance(whole, str) or not whole.startswith(prefix):
                return None
        return values if self._optional.issuperset(name for name in self.names if name not in values) else None

    def _read(self, run: _Run, raw: str, values: dict[str, Value], prefixes: list[tuple[str, str]]) -> bool:
        """Add the values of one run of characters; return False if they do not fit."""
        pieces = _named(run, raw) if run.operator.named else _unnamed(run, raw, self.lists)
        if pieces is None:
            return False
        for variable, texts in pieces:
            value: Value | None
            if variable.name in self.lists:
                if not variable.explode:
                    texts = texts[0].split(",") if len(texts) == 1 else [","]
                items = [text for text in map(_decoded, texts) if text is not None]
                value = items if len(items) == len(texts) else None
            else:
                value = _decoded(texts[0]) if len(texts) == 1 else None
            if value is None or (self._path_safe and not _is_path_safe(value, run.operator)):
                return False
            if variable.prefix is not None:
                if not isinstance(value, str) or len(value) > variable.prefix:
                    return False
                prefixes.append((variable.name, value))
            elif values.setdefault(variable.name, value) != value:
                return False
        return True


# --- matching -------------------------------------------------------------------------


@attrs.frozen
class _Literal:
    """Text that each URI of the template contains."""

    text: str

    def places(self, uri: str, reach: int, sparse: bool) -> int:
        """Return the places at which the text can begin, as bits; `reach` holds those of the following token."""
        places, size = 0, len(self.text)
        at = uri.find(self.text)
        while at >= 0:
            if reach >> (at + size) & 1:
                places |= 1 << at
            at = uri.find(self.text, at + 1)
        return places


@attrs.frozen
class _Run:
    """A run of characters: the values of an expression, or of one of its variables."""

    operator: Operator
    variables: tuple[Variable, ...]
    optional: bool
    pattern: re.Pattern[str]

    def _least(self, sparse: bool) -> int:
        # Behind a sign an empty value can be seen; without a sign it looks like no value.
        return 0 if self.operator.first or (sparse and self.optional) else 1

    def places(self, uri: str, reach: int, sparse: bool) -> int:
        """Return the places at which the run can begin; see `_Literal.places`."""
        least = self._least(sparse)
        values = 0 if least else reach
        for found in self.pattern.finditer(uri):
            start, end = found.span()
            ends = (reach >> start) & ((1 << (end - start + 1)) - 1)
            latest = ends.bit_length() - 1 - least
            if latest >= 0:
                values |= ((1 << (latest + 1)) - 1) << start
        first = self.operator.first
        if not first:
            return values
        places = reach if sparse and self.optional else 0
        at = uri.find(first)
        while at >= 0:
            if values >> (at + 1) & 1:
                places |= 1 << at
            at = uri.find(first, at + 1)
        return places

    def take(self, uri: str, place: int, reach: int, sparse: bool) -> tuple[str | None, int]:
        """Return the longest run that lets the rest match, and its end; None if it is left out."""
        start = place
        if first := self.operator.first:
            if not uri.startswith(first, place):
                return None, place
            start += 1
        run = self.pattern.match(uri, start)
        end = start if run is None else run.end()
        ends = (reach >> start) & ((1 << (end - start + 1)) - 1)
        size = ends.bit_length() - 1
        if size < self._least(sparse):
            return None, place
        raw = uri[start : start + size]
        return (raw if first or raw else None), start + size


def _tokens(parts: Sequence[str | Expression], optional: frozenset[str]) -> list[_Literal | _Run]:
    tokens: list[_Literal | _Run] = []
    for part in parts:
        if isinstance(part, str):
            tokens.append(_Literal(part))
            continue
        # Path segments are separated while matching, all other values when they are read.
        groups = [(v,) for v in part.variables] if part.operator.sign == "/" else [part.variables]
        for group in groups:
            characters = part.operator.characters + ("/" if part.operator.sign == "/" and group[0].explode else "")
            tokens.append(
                _Run(
                    part.operator,
                    group,
                    optional.issuperset(variable.name for variable in group),
                    re.compile(f"[{characters}]+"),
                )
            )
    return tokens


def _unnamed(run: _Run, raw: str, lists: frozenset[str]) -> list[tuple[Variable, list[str]]] | None:
    separator, variables = run.operator.separator, run.variables
    if len(variables) == 1:
        return [(variables[0], raw.split(separator) if variables[0].explode else [raw])]
    # The last variable takes the rest: its value can contain separators.
    texts = raw.split(separator, len(variables) - 1)
    pieces = [(variable, [text]) for variable, text in zip(variables, texts, strict=False)]
    last, written = pieces[-1]
    if last.explode:
        pieces[-1] = (last, written[0].split(separator))
    return pieces


def _named(run: _Run, raw: str) -> list[tuple[Variable, list[str]]] | None:
    variables = {variable.name: variable for variable in run.variables}
    texts: dict[str, list[str]] = {}
    for piece in raw.split(run.operator.separator) if raw else ():
        name, _, text = piece.partition("=")
        variable = variables.get(name)
        if variable is None or (name in texts and not variable.explode):
            return None
        texts.setdefault(name, []).append(text)
    return [(variables[name], found) for name, found in texts.items()]


def _decoded(raw: str) -> str | None:
    """Decode a value; return None if it is not valid."""
    if _HALF_ESCAPE.search(raw):
        return None  # the rest of the escape matched literal text
    try:
        return urllib.parse.unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None


def _is_path_safe(value: Value, operator: Operator) -> bool:
    """Whether a path below a directory can be built from a value, or from its items joined by slashes."""
    if isinstance(value, str):
        return _leads_nowhere_else(value, operator)
    if operator.sign == "/" and not value[0]:
        return False  # joined, an empty first segment makes an absolute path
    return all(_leads_nowhere_else(text, operator) for text in value)


def _leads_nowhere_else(text: str, operator: Operator) -> bool:
    if "\\" in text or "\0" in text or _ABSOLUTE.match(text):
        return False
    segments = text.split("/")
    may_have_slashes = operator.reserved or operator.named
    return (may_have_slashes or len(segments) == 1) and all(segment.strip(" ") != ".." for segment in segments)
