"""URI templates (RFC 6570, all levels), in both directions: expanded, and matched against a URI.

Matching is not in the RFC. Here it takes time in proportion to the URI's length times the number
of parts, whatever the template: first, from the end to the start, which places of the URI the
rest of the template can begin at; then, from the start, each variable as long as that allows.

What a match hands out is safe to build a path from: nothing climbs (`..`), encoded slashes do not
turn into new segments, and a path below a place cannot become an absolute one.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from trimcp.server.uri_syntax import Expression, Operator, Variable, encode, normal_uri, read_template

Value = str | list[str]
"""What a variable stands for."""

_DRIVE: Final = re.compile(r"[A-Za-z]:[/\\]")
_SLASHES: Final = re.compile(r"[/\\]")
_HALF_ESCAPE: Final = re.compile(r"%(?![0-9A-F]{2})")


class UriTemplate:
    """One template.

    Attributes:
        text: as it was written.
        names: of its variables, in their order.
        exploded: the variables whose values are lists by the template itself.
        lists: those whose values are lists in a match.
    """

    def __init__(
        self, text: str, *, optional: frozenset[str] = frozenset(), lists: frozenset[str] = frozenset()
    ) -> None:
        """
        Args:
            text: the template.
            optional: variables that a URI need not have; it matches without them.
            lists: variables whose values are lists, besides the exploded ones.

        Raises:
            UsageError: it is no template, or has no fixed scheme.
        """
        self.text = text
        self._parts = read_template(text)
        variables = [v for part in self._parts if isinstance(part, Expression) for v in part.variables]
        self.names = tuple(dict.fromkeys(variable.name for variable in variables))
        self.exploded = frozenset(variable.name for variable in variables if variable.explode)
        self.lists = lists | self.exploded
        self._optional = optional & frozenset(self.names)
        self._tokens = _tokens(self._parts, self._optional)
        first = self._parts[0]
        self._start = first if isinstance(first, str) else ""

    def expand(self, values: Mapping[str, Value | None]) -> str:
        """The URI for these values; a variable that is None, an empty list, or not there, is left out."""
        return "".join(part if isinstance(part, str) else _expanded(part, values) for part in self._parts)

    def match(self, uri: str) -> dict[str, Value] | None:
        """The values of the variables in a URI, without those it leaves out; None where it does not match.

        Several ways to read a URI are possible where variables touch: then the earlier variable
        gets as much as it can, as long as the others still have something.
        """
        normal = normal_uri(uri)
        return None if normal is None else self.match_normal(normal)

    def match_normal(self, uri: str) -> dict[str, Value] | None:
        """`match` for a URI that `normal_uri` returned."""
        if not uri.startswith(self._start):
            return None
        found = self._values(uri, sparse=False)
        if found is None and self._optional:
            found = self._values(uri, sparse=True)
        return found

    def _values(self, uri: str, *, sparse: bool) -> dict[str, Value] | None:
        """`sparse`: whether optional variables may be left out."""
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
        """Add what one run of characters says; False where it does not fit after all."""
        pieces = _named(run, raw) if run.operator.named else _unnamed(run, raw, self.lists)
        if pieces is None:
            return False
        for variable, texts in pieces:
            value: Value | None
            if variable.name in self.lists:
                if not variable.explode:
                    texts = texts[0].split(",") if len(texts) == 1 else [","]
                items = [_decoded(text, run, first=index == 0) for index, text in enumerate(texts)]
                value = None if None in items else [item for item in items if item is not None]
            else:
                value = _decoded(texts[0], run, first=True) if len(texts) == 1 else None
            if value is None:
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
    """Text that stands in every URI of the template."""

    text: str

    def places(self, uri: str, reach: int, sparse: bool) -> int:
        """Where the text can begin, as bits, given where what follows can."""
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
    refuses_absolute: bool
    """Whether the value continues a path, so that a slash at its front would start another."""

    def _least(self, sparse: bool) -> int:
        # After a sign of its own an empty value is one too; without one it cannot be told from none.
        return 0 if self.operator.first or (sparse and self.optional) else 1

    def places(self, uri: str, reach: int, sparse: bool) -> int:
        """See `_Literal.places`."""
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
        """The longest run from a place on that lets the rest match, and where it ends; None where it is left out."""
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
    before = ""
    for part in parts:
        if isinstance(part, str):
            tokens.append(_Literal(part))
            before = part
            continue
        # Segments are told apart while matching, everything else when the values are read.
        groups = [(v,) for v in part.variables] if part.operator.sign == "/" else [part.variables]
        for group in groups:
            characters = part.operator.characters + ("/" if part.operator.sign == "/" and group[0].explode else "")
            tokens.append(
                _Run(
                    part.operator,
                    group,
                    optional.issuperset(variable.name for variable in group),
                    re.compile(f"[{characters}]+"),
                    # In file://{+path} the path is absolute because its author says so.
                    before.endswith(("/", ":")) and before != "file://",
                )
            )
        before = ""
    return tokens


def _unnamed(run: _Run, raw: str, lists: frozenset[str]) -> list[tuple[Variable, list[str]]] | None:
    separator, variables = run.operator.separator, run.variables
    if len(variables) == 1:
        return [(variables[0], raw.split(separator) if variables[0].explode else [raw])]
    # What is too much goes to the last: its value may have separators in it.
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


def _decoded(raw: str, run: _Run, *, first: bool) -> str | None:
    """The text of a value; None where it is not to be handed out."""
    if _HALF_ESCAPE.search(raw):
        return None  # the rest of the escape was taken for literal text
    try:
        text = urllib.parse.unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None
    operator = run.operator
    if "\0" in text or any(segment.strip(" ") == ".." for segment in _SLASHES.split(text)):
        return None
    if operator.reserved:
        absolute = text.startswith("\\") or _DRIVE.match(text) or (text.startswith("/") and run.refuses_absolute)
        return None if first and absolute else text
    if operator.sign == "/" and first and run.variables[0].explode and (not text or _DRIVE.match(text + "/")):
        return None  # an empty first segment, or a drive, would make an absolute path of them
    if not operator.named and _SLASHES.search(text):
        return None
    return text


# --- expanding ------------------------------------------------------------------------


def _expanded(expression: Expression, values: Mapping[str, Value | None]) -> str:
    operator = expression.operator
    written: list[str] = []
    for variable in expression.variables:
        value = values.get(variable.name)
        if value is None or value == []:
            continue
        if isinstance(value, str):
            written.append(_one(operator, variable.name, value[: variable.prefix]))
        elif variable.explode:
            written += [_one(operator, variable.name, item) for item in value]
        else:
            joined = ",".join(encode(item, reserved=operator.reserved) for item in value)
            written.append(_with_name(operator, variable.name, joined))
    return operator.first + operator.separator.join(written) if written else ""


def _one(operator: Operator, name: str, text: str) -> str:
    return _with_name(operator, name, encode(text, reserved=operator.reserved))


def _with_name(operator: Operator, name: str, encoded: str) -> str:
    if not operator.named:
        return encoded
    return f"{name}={encoded}" if encoded else name + operator.if_empty
