"""Parses and builds the challenges of `WWW-Authenticate` (RFC 9110, section 11.6.1).

One field may hold several challenges, and a response several fields, joined with commas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER: Final = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",=][^\s",]*))', re.DOTALL)
"""A value without quotes is a token, but servers leave them out around URLs as well."""
_SCHEME: Final = re.compile(rf"({_TOKEN})(?:[ \t]+|(?=,|$))")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))")
_SPACE: Final = re.compile(r"[ \t,]*")
_LONGEST: Final = 16 * 1024
"""Characters of the field that are read; the rest is ignored."""


@attrs.frozen
class Challenge:
    """One challenge: a scheme and its parameters."""

    scheme: str
    """In lower case, such as `bearer` or `dpop`."""
    parameters: Mapping[str, str]
    """By names in lower case. Of a doubled parameter the first."""


def parse_challenges(field: str | None) -> list[Challenge]:
    """Parse the value of `WWW-Authenticate`; several fields joined with commas.

    Reads up to the first text that is no challenge. Never raises.
    """
    text = (field or "")[:_LONGEST]
    challenges: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = _end(_SPACE, text, 0)
    while at < len(text):
        if challenges and (parameter := _PARAMETER.match(text, at)):
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            parameters.setdefault(name.lower(), value)
            at = parameter.end()
        elif scheme := _SCHEME.match(text, at):
            parameters = {}
            challenges.append(Challenge(scheme[1].lower(), MappingProxyType(parameters)))
            at = scheme.end()
            if _PARAMETER.match(text, at) is None and (token := _TOKEN68.match(text, at)) and token[0]:
                at = token.end()  # such as `Negotiate abc==`
        else:
            break
        at = _end(_SPACE, text, at)
    return challenges


def token_challenge(field: str | None) -> Challenge | None:
    """Return the first challenge for an access token (Bearer or DPoP); None if there is none."""
    return next((found for found in parse_challenges(field) if found.scheme in ("bearer", "dpop")), None)


def format_challenge(scheme: str, parameters: Mapping[str, str | None]) -> str:
    """Build a challenge; parameters that are None are left out.

    Characters that a quoted string cannot hold are replaced, so a text of another party cannot add a field.
    """
    parts = [f'{name}="{_quoted(value)}"' for name, value in parameters.items() if value is not None]
    return f"{scheme} {', '.join(parts)}" if parts else scheme


def _quoted(value: str) -> str:
    printable = "".join(char if " " <= char <= "~" else "?" for char in value)
    return printable.replace("\\", "\\\\").replace('"', '\\"')


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
