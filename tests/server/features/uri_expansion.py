"""Expands URI templates (RFC 6570), so that tests can match what was expanded."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from trimcp.framing.uri_syntax import Expression, Operator, read_template

RESERVED = ":/?#[]@!$&'()*+,;="
ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


def expand(template: str, values: Mapping[str, Any]) -> str:
    """The URI for these values; a variable that is None, an empty list, or not there, is left out."""
    return "".join(part if isinstance(part, str) else _expanded(part, values) for part in read_template(template))


def _expanded(expression: Expression, values: Mapping[str, Any]) -> str:
    operator = expression.operator
    written: list[str] = []
    for variable in expression.variables:
        value = values.get(variable.name)
        if value is None or value == []:
            continue
        if isinstance(value, str):
            written.append(_named(operator, variable.name, _encoded(operator, value[: variable.prefix])))
        elif variable.explode:
            written += [_named(operator, variable.name, _encoded(operator, item)) for item in value]
        else:
            written.append(_named(operator, variable.name, ",".join(_encoded(operator, item) for item in value)))
    return operator.first + operator.separator.join(written) if written else ""


def _named(operator: Operator, name: str, encoded: str) -> str:
    if not operator.named:
        return encoded
    return name if not encoded and operator.sign == ";" else f"{name}={encoded}"


def _encoded(operator: Operator, text: str) -> str:
    if not operator.reserved:
        return urllib.parse.quote(text, safe="")
    kept = ESCAPE.findall(text)
    pieces = [urllib.parse.quote(piece, safe=RESERVED) for piece in ESCAPE.split(text)]
    return "".join(part for pair in zip(pieces, [*kept, ""], strict=True) for part in pair)
