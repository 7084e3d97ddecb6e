"""Masks secrets in values that are shown: by the names of members, and by JSON Schema."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

MASK: Final = "••••••"
_DEEPEST: Final = 32
"""Levels of a value, or references in a row, that are followed; deeper values are masked."""
_WORDS: Final = frozenset(
    (
        *("password", "passwd", "passphrase", "passcode", "pwd", "passwort", "kennwort"),
        *("secret", "secrets", "token", "credential", "credentials", "bearer", "authorization", "cookie"),
        *("apikey", "privatekey", "secretkey", "accesskey", "mnemonic"),
        *("pin", "otp", "totp", "cvv", "cvc", "ssn"),
    )
)
_PAIRS: Final = frozenset(
    (first, second)
    for first, seconds in {
        "api": ("key",),
        "private": ("key",),
        "access": ("key",),
        "secret": ("key",),
        "signing": ("key",),
        "encryption": ("key",),
        "recovery": ("code", "phrase"),
        "seed": ("phrase",),
        "security": ("code",),
        "verification": ("code",),
        "authentication": ("code",),
        "auth": ("code",),
        "login": ("code",),
        "time": ("code",),  # one-time code
        "factor": ("code",),
        "pass": ("phrase", "word", "code", "key"),
        "card": ("number",),
        "account": ("number",),
        "social": ("security",),
    }.items()
    for second in seconds
)
_ENDINGS: Final = ("password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey")
"""Ends of words that are written together: `dbpassword`, `CLIENTSECRET`."""
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words_of(text: str) -> list[str]:
    """Return the words of a name or a phrase, in small letters: of `apiKey`, `api` and `key`."""
    return [word.lower() for word in _WORD.findall(text)]


def looks_secret(text: str) -> bool:
    """Whether a name or a phrase has words that stand for a secret: `apiKey`, `db_password`, "Your PIN"."""
    words = words_of(text)
    return (
        not _WORDS.isdisjoint(words)
        or any(word.endswith(_ENDINGS) for word in words)
        or any(pair in _PAIRS for pair in itertools.pairwise(words))
    )


def is_secret_schema(schema: Mapping[str, Any]) -> bool:
    """Whether a JSON Schema marks its values as secret, by `writeOnly` or the format `password`."""
    return schema.get("writeOnly") is True or schema.get("format") == "password"


def masked(value: Any, schema: Mapping[str, Any] | None = None) -> Any:
    """Return a JSON value with secrets replaced, by the names of members and by its schema."""
    root = schema if isinstance(schema, Mapping) else {}
    return _masked(value, [root], root, 0)


def masked_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command, with the values of options whose names look like secrets replaced."""
    shown: list[str] = []
    follows_secret = False
    for word in words:
        name, equals, _ = word.partition("=")
        is_option = word.startswith("-")
        if follows_secret and not is_option:
            shown.append(MASK)
        else:
            shown.append(f"{name}={MASK}" if equals and looks_secret(name) else word)
        follows_secret = is_option and not equals and looks_secret(name)
    return shown


def _masked(value: Any, schemas: list[Mapping[str, Any]], root: Mapping[str, Any], depth: int) -> Any:
    if depth > _DEEPEST:
        return MASK
    parts = [part for schema in schemas for part in _parts(schema, root, 0)]
    if value is not None and any(is_secret_schema(part) for part in parts):
        return MASK
    if isinstance(value, Mapping):
        return {
            name: MASK
            if each is not None and looks_secret(str(name))
            else _masked(each, list(_of_member(parts, name)), root, depth + 1)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(each, list(_of_item(parts, at)), root, depth + 1) for at, each in enumerate(value)]
    return value


def _parts(schema: Any, root: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and all that it refers to, or is made of: any of them may mark the value."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST // 4:
        return
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield from _parts(_resolved(reference, root), root, depth + 1)
    for key in ("allOf", "anyOf", "oneOf"):
        several = schema.get(key)
        for each in several if isinstance(several, list) else ():
            yield from _parts(each, root, depth + 1)
    for key in ("if", "then", "else"):
        yield from _parts(schema.get(key), root, depth + 1)


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in reference.split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _of_member(parts: list[Mapping[str, Any]], name: str) -> Iterator[Any]:
    for part in parts:
        properties = part.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            yield properties[name]
        yield part.get("additionalProperties")
        patterns = part.get("patternProperties")
        yield from patterns.values() if isinstance(patterns, Mapping) else ()


def _of_item(parts: list[Mapping[str, Any]], at: int) -> Iterator[Any]:
    for part in parts:
        yield part.get("items")
        first = part.get("prefixItems")
        if isinstance(first, list) and at < len(first):
            yield first[at]
