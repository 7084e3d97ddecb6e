"""The syntax of URIs (RFC 3986) and of URI templates (RFC 6570): characters, expressions and operators."""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

import attrs

from trimcp.errors import UsageError

URI_LENGTH: Final = 8192
"""The most characters of a URI that is accepted."""
TEMPLATE_LENGTH: Final = 2048
"""The most characters of a template."""

UNRESERVED: Final = r"A-Za-z0-9._~\-"
SUB_DELIMITERS: Final = "!$&'()*+,;="

SEGMENT: Final = rf"{UNRESERVED}%:@{re.escape(SUB_DELIMITERS)}"
"""The characters of a path segment. Clients may write more of them unencoded than an expansion does."""
QUERY: Final = SEGMENT + "/?"
ANY: Final = SEGMENT + r"/?#\[\]"

_AUTHORITY: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)(?:(//(?:[^/?#@{]*@)?)([^/?#@{]*))?", re.ASCII)
_URI: Final = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:(?:[{ANY.replace('%', '')}]|%[0-9A-Fa-f]{{2}})*", re.ASCII)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_TRIPLET: Final = re.compile(r"%[0-9A-Fa-f]{2}", re.ASCII)
_NAME: Final = r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*"
_VARIABLE: Final = re.compile(rf"(?P<name>{_NAME})(?::(?P<prefix>[1-9][0-9]{{0,3}})|(?P<explode>\*))?", re.ASCII)
_NO_LITERAL: Final = re.compile(r"[\x00-\x20\x7f\"<>\\^`|{}]|%(?![0-9A-Fa-f]{2})")


def normal_uri(uri: str) -> str | None:
    """Return a URI in normal form: ASCII, with escapes in capitals. None if the text is no URI."""
    if len(uri) > URI_LENGTH:
        return None
    if not uri.isascii():
        try:
            uri = "".join(c if c.isascii() else urllib.parse.quote(c) for c in uri)
        except UnicodeEncodeError:  # a lone surrogate
            return None
    if _URI.fullmatch(uri) is None or len(uri) > URI_LENGTH:
        return None
    return _TRIPLET.sub(lambda triplet: triplet[0].upper(), uri) if "%" in uri else uri


def fold(uri: str) -> tuple[str, int]:
    """Return a URI with scheme and host in lower case, and the place where they end.

    They are the parts whose case does not matter (RFC 3986, section 6.2.2.1). The text may be the begin of a template.
    """
    begin = _AUTHORITY.match(uri)
    if begin is None:
        return uri, 0
    scheme, user, host = (part or "" for part in begin.groups())
    return scheme.lower() + user + host.lower() + uri[begin.end() :], begin.end()


@attrs.frozen
class Operator:
    """The operator of an expression (RFC 6570, appendix A)."""

    sign: str
    first: str
    """The text before the first value."""
    separator: str
    named: bool
    """Whether the name stands before each value."""
    reserved: bool
    """Whether values can contain reserved characters."""
    characters: str
    """The characters of values and separators, as the inside of a class in a pattern."""


OPERATORS: Final = {
    operator.sign: operator
    for operator in (
        Operator("", "", ",", False, False, SEGMENT),
        Operator("+", "", ",", False, True, ANY),
        Operator("#", "#", ",", False, True, ANY),
        Operator(".", ".", ".", False, False, SEGMENT),
        Operator("/", "/", "/", False, False, SEGMENT),
        Operator(";", ";", ";", True, False, SEGMENT),
        Operator("?", "?", "&", True, False, QUERY),
        Operator("&", "&", "&", True, False, QUERY),
    )
}


@attrs.frozen
class Variable:
    """One variable of an expression."""

    name: str
    prefix: int | None = None
    """The number in `:3`: the value is the first characters of the variable."""
    explode: bool = False
    """Whether there is a `*`: each item of a list stands alone."""


@attrs.frozen
class Expression:
    """The text in braces: an operator and variables."""

    operator: Operator
    variables: tuple[Variable, ...]


def read_template(text: str) -> list[str | Expression]:
    """Read a template into its parts: literal text in normal form, and expressions.

    Raises:
        UsageError: the text is no template, or does not begin with a scheme.
    """
    if len(text) > TEMPLATE_LENGTH:
        raise UsageError(f"URI template too long, {len(text)} characters: use at most {TEMPLATE_LENGTH}")
    parts: list[str | Expression] = []
    rest = text
    while rest:
        literal, brace, rest = rest.partition("{")
        if literal:
            parts.append(_literal(literal, text))
        if brace:
            inner, closed, rest = rest.partition("}")
            if not closed:
                raise UsageError(f"Open brace in the URI template {text!r}: close it")
            parts.append(_expression(inner, text))
    if not parts or not isinstance(parts[0], str) or _SCHEME.match(parts[0]) is None:
        raise UsageError(f"No scheme in the URI template {text!r}: begin with one, such as weather://")
    return parts


def _literal(literal: str, text: str) -> str:
    if found := _NO_LITERAL.search(literal):
        raise UsageError(f"Invalid character {found[0]!r} in the URI template {text!r}: percent-encode it")
    encoded = "".join(c if c.isascii() else urllib.parse.quote(c) for c in literal)
    return _TRIPLET.sub(lambda triplet: triplet[0].upper(), encoded)


def _expression(inner: str, text: str) -> Expression:
    operator = OPERATORS[inner[0]] if inner and inner[0] in OPERATORS else OPERATORS[""]
    variables: list[Variable] = []
    for written in inner[len(operator.sign) :].split(","):
        found = _VARIABLE.fullmatch(written)
        if found is None:
            raise UsageError(f"Invalid expression {{{inner}}} in the URI template {text!r}: see RFC 6570")
        prefix = found["prefix"]
        variables.append(Variable(found["name"], None if prefix is None else int(prefix), bool(found["explode"])))
    return Expression(operator, tuple(variables))
