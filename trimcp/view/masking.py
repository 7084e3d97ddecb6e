"""Masks secrets in messages: by the names of members, by the schemas of tools, and by their form.

The view sends no message that has not passed a `Mask`. A value that is masked once in an exchange is masked in all
strings of that exchange, so a tool that repeats its password does not give it away.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

from trimcp.observability.masking import is_secret_schema, looks_secret, words_of

MASKED: Final = "•••"
"""Stands for a secret."""
SHORTEST: Final = 4
"""Characters from which on a masked value is also looked for in other strings."""
MOST_SECRETS: Final = 64
"""Masked values of one exchange that are looked for, the newest; older ones are masked in their own place only."""
LONGEST_TEXT: Final = 200
"""Characters of a name or another text of a peer that a list shows."""
DEEPEST: Final = 64
"""Nesting beyond which a value is masked as a whole."""

_ON_THE_WIRE: Final = frozenset({"jwt", "signature", "assertion"})
"""Words that stand for a secret in messages, beside those of forms and arguments."""
_HARMLESS: Final = frozenset({"progressToken"})
"""Members of the protocol that only sound secret."""
_IN_TEXT: Final = re.compile(
    r"(?i)\b(bearer|basic|dpop)\s+[\w.~+/=-]{6,}"
    r"|(\b[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|credential)s?[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&}\"']+)"
)
_KNOWN_FORMS: Final = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|\b(?:sk|pk|ghp|gho|ghs|github_pat|xox[abp]|glpat)[-_][\w-]{10,}|\bAKIA[A-Z0-9]{16}\b"
)


def is_secret_name(name: str) -> bool:
    """Return whether a member of that name holds a secret."""
    if name in _HARMLESS:
        return False
    words = words_of(name)
    return looks_secret(name) or not _ON_THE_WIRE.isdisjoint(words) or ("session", "id") in itertools.pairwise(words)


class Mask:
    """Masks the messages of one exchange, or of a session."""

    def __init__(self, most: int = MOST_SECRETS) -> None:
        """`most`: how many masked values are looked for in other strings, the newest."""
        self._most = most
        self._secrets: dict[str, None] = {}

    def masked(self, value: Any, schema: Any = None, *, parts: Mapping[tuple[str, ...], Any] | None = None) -> Any:
        """Return a copy of a value without its secrets.

        Args:
            value: JSON.
            schema: the JSON Schema of the value, if it has one.
            parts: the JSON Schemas of values within it, by the names of the members that lead there.
        """
        for path, inner in (parts or {}).items():
            value = self._part_masked(value, path, inner)
        found = self._walk(value, _Schema(schema, schema) if isinstance(schema, Mapping) else None, 0)
        # The longest first: one secret may begin with another.
        return self._without(sorted(self._secrets, key=len, reverse=True), found) if self._secrets else found

    def _part_masked(self, value: Any, path: tuple[str, ...], schema: Any) -> Any:
        if not path:
            return self._walk(value, _Schema(schema, schema), 0) if isinstance(schema, Mapping) else value
        if not isinstance(value, Mapping) or path[0] not in value:
            return value
        return {**value, path[0]: self._part_masked(value[path[0]], path[1:], schema)}

    def _walk(self, value: Any, schema: _Schema | None, depth: int) -> Any:
        if schema is not None and schema.says_secret:
            return self._hide(value)
        if depth > DEEPEST:
            return MASKED
        if isinstance(value, Mapping):
            return {
                key: self._hide(item)
                if is_secret_name(key) and not isinstance(item, Mapping | bool | None)
                else self._walk(item, None if schema is None else schema.member(key), depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            items = None if schema is None else schema.items()
            return [self._walk(item, items, depth + 1) for item in value]
        return mask_text(value) if isinstance(value, str) else value

    def _hide(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            for item in value.values():
                self._hide(item)
        elif isinstance(value, list | tuple):
            for item in value:
                self._hide(item)
        elif value is not None and not isinstance(value, bool):
            text = str(value)
            if len(text) >= SHORTEST:
                self._secrets[text] = None
                if len(self._secrets) > self._most:
                    del self._secrets[next(iter(self._secrets))]
        return MASKED

    def _without(self, secrets: list[str], value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._without(secrets, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._without(secrets, item) for item in value]
        if isinstance(value, str):
            for secret in secrets:
                value = value.replace(secret, MASKED)
        return value


class _Schema:
    """Reads as much of a JSON Schema as says where secrets are."""

    __slots__ = ("_root", "_schemas")

    def __init__(self, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
        self._root = root
        self._schemas: list[Mapping[str, Any]] = []
        self._add(schema, 0)

    def _add(self, schema: Any, depth: int) -> None:
        """Add a schema with all that it refers to and combines: a secret in one alternative is a secret."""
        if not isinstance(schema, Mapping) or depth > DEEPEST or len(self._schemas) > DEEPEST:
            return
        self._schemas.append(schema)
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            target: Any = self._root
            for part in reference[2:].split("/"):
                target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
            self._add(target, depth + 1)
        for combined in ("anyOf", "oneOf", "allOf"):
            for each in schema.get(combined) or ():
                self._add(each, depth + 1)

    @property
    def says_secret(self) -> bool:
        return any(is_secret_schema(schema) for schema in self._schemas)

    def member(self, name: str) -> _Schema | None:
        found = [
            properties[name] if name in properties else schema.get("additionalProperties")
            for schema in self._schemas
            if isinstance(properties := schema.get("properties") or {}, Mapping)
        ]
        return self._joined(found)

    def items(self) -> _Schema | None:
        return self._joined([schema.get("items") for schema in self._schemas])

    def _joined(self, found: list[Any]) -> _Schema | None:
        schemas = [schema for schema in found if isinstance(schema, Mapping)]
        return _Schema({"allOf": schemas}, self._root) if schemas else None


def cut(text: str | None) -> str | None:
    """Return a text of a peer for a list: masked, and not too long."""
    if text is None:
        return None
    text = mask_text(text[: 2 * LONGEST_TEXT])
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def mask_text(text: str) -> str:
    """Mask what has the form of a secret within a text."""
    text = _IN_TEXT.sub(lambda match: f"{match[1]} {MASKED}" if match[1] else f"{match[2]}{MASKED}", text)
    return _KNOWN_FORMS.sub(MASKED, text)
