"""What a URI and a URI template are made of: RFC 3986 characters, RFC 6570 expressions.

Owns reading a template's text into its parts, and what each operator writes. `uri_template`
puts the parts to use; the registry of resources checks and normalises URIs by it.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

import attrs

from trimcp.errors import UsageError

URI_LENGTH: Final = 8192
"""The longest URI that is looked at, in characters."""
TEMPLATE_LENGTH: Final = 2048
"""The longest template."""

UNRESERVED: Final = r"A-Za-z0-9._~\-"
SUB_DELIMITERS: Final = "!$&'()*+,;="
RESERVED: Final = ":/?#[]@" + SUB_DELIMITERS

SEGMENT: Final = rf"{UNRESERVED}%:@{re.escape(SUB_DELIMITERS)}"
"""What may stand in a segment of a path: more than templates write, since clients write URIs by hand too."""
QUERY: Final = SEGMENT + "/?"
ANY: Final = SEGMENT + r"/?#\[\]"

_URI: Final = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:(?:[{ANY.replace('%', '')}]|%[0-9A-Fa-f]{{2}})*", re.ASCII)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_TRIPLET: Final = re.compile(r"%[0-9A-Fa-f]{2}", re.ASCII)
_NAME: Final = r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*"
_VARIABLE: Final = re.compile(rf"(?P<name>{_NAME})(?::(?P<prefix>[1-9][0-9]{{0,3}})|(?P<explode>\*))?", re.ASCII)
_NO_LITERAL: Final = re.compile(r"[\x00-\x20\x7f\"<>\\^`|{}]|%(?![0-9A-Fa-f]{2})")


def normal_uri(uri: str) -> str | None:
    """A URI with everything beyond ASCII percent-encoded and the escapes in capitals; None if it is no URI."""
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


def encode(text: str, *, reserved: bool) -> str:
    """Percent-encode a value: all but unreserved characters, or reserved ones and escapes left too."""
    if not reserved:
        return urllib.parse.quote(text, safe="")
    kept = _TRIPLET.findall(text)
    pieces = [urllib.parse.quote(piece, safe=RESERVED) for piece in _TRIPLET.split(text)]
    return "".join(part for pair in zip(pieces, [*kept, ""], strict=True) for part in pair)


@attrs.frozen
class Operator:
    """What the sign at the front of an expression means (RFC 6570, appendix A)."""

    sign: str
    first: str
    """Written before the first value, if there is any."""
    separator: str
    named: bool
    """Whether each value is written with its name."""
    if_empty: str
    """Written after the name of an empty value."""
    reserved: bool
    """Whether values keep reserved characters."""
    characters: str
    """What values and what stands between them may be made of, as the inside of a class of a pattern."""


OPERATORS: Final = {
    operator.sign: operator
    for operator in (
        Operator("", "", ",", False, "", False, SEGMENT),
        Operator("+", "", ",", False, "", True, ANY),
        Operator("#", "#", ",", False, "", True, ANY),
        Operator(".", ".", ".", False, "", False, SEGMENT),
        Operator("/", "/", "/", False, "", False, SEGMENT),
        Operator(";", ";", ";", True, "", False, SEGMENT),
        Operator("?", "?", "&", True, "=", False, QUERY),
        Operator("&", "&", "&", True, "=", False, QUERY),
    )
}


@attrs.frozen
class Variable:
    """One variable of an expression."""

    name: str
    prefix: int | None = None
    """`:3`: the first characters alone are written."""
    explode: bool = False
    """`*`: the items of a list are written apart."""


@attrs.frozen
class Expression:
    """What stands in braces."""

    operator: Operator
    variables: tuple[Variable, ...]


def read_template(text: str) -> list[str | Expression]:
    """The parts of a template: literal text, as URIs have it, and expressions.

    Raises:
        UsageError: it is no template, or has no scheme that is fixed.
    """
    if len(text) > TEMPLATE_LENGTH:
        raise UsageError(f"a URI template has at most {TEMPLATE_LENGTH} characters; this one has {len(text)}")
    parts: list[str | Expression] = []
    rest = text
    while rest:
        literal, brace, rest = rest.partition("{")
        if literal:
            parts.append(_literal(literal, text))
        if brace:
            inner, closed, rest = rest.partition("}")
            if not closed:
                raise UsageError(f"the URI template {text!r} has a brace that is not closed")
            parts.append(_expression(inner, text))
    if not parts or not isinstance(parts[0], str) or _SCHEME.match(parts[0]) is None:
        raise UsageError(f"the URI template {text!r} must begin with a scheme, such as weather://")
    return parts


def _literal(literal: str, text: str) -> str:
    if found := _NO_LITERAL.search(literal):
        raise UsageError(f"the URI template {text!r} has a {found[0]!r}, which no URI has: percent-encode it")
    encoded = "".join(c if c.isascii() else urllib.parse.quote(c) for c in literal)
    return _TRIPLET.sub(lambda triplet: triplet[0].upper(), encoded)


def _expression(inner: str, text: str) -> Expression:
    operator = OPERATORS[inner[0]] if inner and inner[0] in OPERATORS else OPERATORS[""]
    variables: list[Variable] = []
    for written in inner[len(operator.sign) :].split(","):
        found = _VARIABLE.fullmatch(written)
        if found is None:
            raise UsageError(f"the URI template {text!r} has {{{inner}}}, which is no expression of RFC 6570")
        prefix = found["prefix"]
        variables.append(Variable(found["name"], None if prefix is None else int(prefix), bool(found["explode"])))
    return Expression(operator, tuple(variables))
