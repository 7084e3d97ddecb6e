"""Masks secrets in messages: by the names of members, by the schemas of tools, and by their form.

The view sends no message that has not passed a `Mask`. A value that is masked once in an exchange is masked in all
strings of that exchange, so a tool that repeats its password does not give it away.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.observability.masking import is_secret_schema, looks_secret, words_of

MASKED: Final = "•••"
"""Stands for a secret."""
SHORTEST: Final = 4
"""Characters from which on a masked value is also looked for in other strings."""
MOST_SECRETS: Final = 64
"""Masked values of one exchange that are looked for, the newest; older ones are masked in their own place only."""
LONGEST_JSON: Final = 64 * 2**10
"""Characters of a text up to which it is read as JSON, where it is some."""
LONGEST_TEXT: Final = 200
"""Characters of a name or another text of a peer that a list shows."""
DEEPEST: Final = 64
"""Nesting beyond which a value is masked as a whole."""

_ON_THE_WIRE: Final = frozenset(
    {"jwt", "signature", "assertion", "auth", "sig", "sid", "jsessionid", "dsn", "csrf", "xsrf"}
)
"""Words that stand for a secret in messages, beside those of forms and arguments."""
_PAIRS_ON_THE_WIRE: Final = frozenset(
    {("session", "id"), ("connection", "string"), ("database", "url"), ("code", "verifier")}
    | {
        (kind, "key")
        for kind in ("hmac", "ssh", "pgp", "gpg", "master", "shared", "license", "account", "subscription")
    }
)
_HARMLESS: Final = frozenset({"progressToken"})
"""Members of the protocol that only sound secret."""
_DECLARATIONS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Members of a JSON Schema whose members are schemas: a name there is that of a value elsewhere."""
_TITLES: Final = ("name", "key", "header")
"""Members that name the member `value` beside them."""

# Time grows with the length of the text alone: a name begins where no character of a name is before it, and a pattern
# that may fail far from its beginning is bounded.
_NAME: Final = (
    r"(?:passw(?:or)?d|passphrase|passcode|pwd|secret|token|signature|credential|(?:api|access|private)[_-]?key)"
    r"(?:[_-]?(?:access|key))*s?"
)
_DESCRIPTION: Final = r"(?:base|sha|utf|md|rfc|http|oauth)-?\d|\d+-(?:char|digit|byte|bit|letter|word|hour|day|minute)"
"""Beginnings of words with digits in them that describe a secret: "the token is base64-encoded"."""
_SENTENCE: Final = (
    r"\b(?:pass(?:word|phrase|code)|secret|token|credential|(?:api|access|private|secret)[ _-]?key)"
    rf"\s{{1,4}}(?:is|was|equals)\s{{1,4}}[\"'`]?(?!{_DESCRIPTION})"
)
"""Words before a secret in a sentence. The secret has 6 characters, and letters as well as digits."""
_QUOTED: Final = r""""(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|\\{1,7}"(?:(?!\\{1,7}").)*"""
_IN_TEXT: Final = re.compile(
    r"(?i)\b(bearer|basic|dpop)\s+[\w.~+/=-]{6,}"
    rf"|((?<![\w-])(?:--[\w-]*{_NAME}\s+|[\w-]*{_NAME}\\{{0,7}}[\"']?\s*[:=]\s*))"
    rf"(?:{_QUOTED}|\[[^\]]{{0,2000}}\]|[^\s,;&}}\"']+)"
    rf"|(\b(?:authorization|cookie)\\{{0,7}}[\"']?\s*[:=]\s*(?:(?:bearer|basic|dpop|token)\s+)?)(?:{_QUOTED}|[^\r\n\"']+)"
    rf"|({_SENTENCE})(?=[^\s\"'`,;]{{0,128}}\d)(?=[^\s\"'`,;]{{0,128}}[a-z])[^\s\"'`,;]{{6,}}"
    r"|([?&#][\w.-]{0,64}(?:sig|key|code|auth|sid)=)[^&\s\"'#]{12,}"
    r"|(://[^\s/:@\"']{0,128}:)[^\s/@\"']{1,256}(?=@)"
    r"|(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:[^-]|-(?!----))*"
)
_KNOWN_FORMS: Final = re.compile(
    r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
    r"|\b(?:(?:sk|pk|ghp|gho|ghs|github_pat|xox[abp]|glpat|npm|pypi|hf)[-_][\w-]{10,}|AKIA[A-Z0-9]{16}\b"
    r"|AIza[\w-]{30,}|ya29\.[\w-]{10,})"
)


def is_secret_name(name: str) -> bool:
    """Return whether a member of that name holds a secret."""
    if name in _HARMLESS:
        return False
    words = words_of(name)
    pairs = itertools.pairwise(words)
    return looks_secret(name) or not _ON_THE_WIRE.isdisjoint(words) or not _PAIRS_ON_THE_WIRE.isdisjoint(pairs)


def is_secret_member(name: str, value: Any) -> bool:
    """Return whether a member holds a secret.

    A plural such as `tokens` is one unless its value is a number, and `pass` is one if its value is a text.
    """
    if isinstance(value, bool | None):
        return False
    if is_secret_name(name) or (isinstance(value, str) and words_of(name)[-1:] == ["pass"]):
        return True
    return not isinstance(value, int | float) and is_secret_name(name.removesuffix("s"))


class Mask:
    """Masks the messages of one exchange, or of a session."""

    def __init__(self, most: int = MOST_SECRETS) -> None:
        """`most`: how many masked values are looked for in other strings, the newest."""
        self._most = most
        self._secrets: dict[str, frozenset[str]] = {}

    def copy(self) -> Mask:
        """Return a mask that knows the same secrets, and learns more by itself."""
        copied = Mask(self._most)
        copied._secrets = dict(self._secrets)
        return copied

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
        return self._without(self._forms(), found) if self._secrets else found

    def _part_masked(self, value: Any, path: tuple[str, ...], schema: Any) -> Any:
        if not path:
            return self._walk(value, _Schema(schema, schema), 0) if isinstance(schema, Mapping) else value
        if not isinstance(value, Mapping) or path[0] not in value:
            return value
        return {**value, path[0]: self._part_masked(value[path[0]], path[1:], schema)}

    def _walk(self, value: Any, schema: _Schema | None, depth: int, declares: bool = False) -> Any:
        if schema is not None and schema.says_secret:
            return self._hide(value)
        if depth > DEEPEST:
            return MASKED
        if isinstance(value, Mapping):
            return {
                key: self._hide(item)
                if is_secret_member(key, item) and not (declares and isinstance(item, Mapping))
                else self._walk(item, None if schema is None else schema.member(key), depth + 1, key in _DECLARATIONS)
                for key, item in self._named_hidden(value).items()
            }
        if isinstance(value, list | tuple):
            return [
                [item[0], self._hide(item[1])]  # such as a header field
                if _is_pair(item) and is_secret_member(*item)
                else self._walk(item, None if schema is None else schema.item(at), depth + 1)
                for at, item in enumerate(value)
            ]
        if not isinstance(value, str):
            return value
        return mask_text(self._json_masked(value, depth))

    def _named_hidden(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a mapping without its `value`, if a member beside it names a secret: `{"name": "pin", "value": 7}`."""
        titles = [title for key in _TITLES if isinstance(title := value.get(key), str)] if "value" in value else ()
        if any(is_secret_member(title, value["value"]) for title in titles):
            return {**value, "value": self._hide(value["value"])}
        return value

    def _json_masked(self, text: str, depth: int) -> str:
        """Mask the secrets of a text that is JSON. All else in it stays as it is written."""
        if text.lstrip()[:1] not in ("{", "[", '"') or len(text) > LONGEST_JSON:
            return text
        with contextlib.suppress(InvalidJson):
            self._walk(loads(text.encode(errors="replace")), None, depth + 1)
        return str(self._without(self._forms(), text)) if self._secrets else text

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
                self._secrets[text] = frozenset(_forms(text))
                if len(self._secrets) > self._most:
                    del self._secrets[next(iter(self._secrets))]
        return MASKED

    def _forms(self) -> list[str]:
        """Return all forms of the known secrets, the longest first: one may begin with another."""
        return sorted({form for forms in self._secrets.values() for form in forms}, key=len, reverse=True)

    def _without(self, secrets: list[str], value: Any) -> Any:
        if isinstance(value, Mapping):
            return {self._without(secrets, key): self._without(secrets, item) for key, item in value.items()}
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
        if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
            target: Any = self._root
            for part in unquote(reference).split("/")[1:]:
                target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
            self._add(target, depth + 1)
        for combined in ("anyOf", "oneOf", "allOf"):
            for each in schema.get(combined) or ():
                self._add(each, depth + 1)
        for branch in ("if", "then", "else"):
            self._add(schema.get(branch), depth + 1)
        tied = schema.get("dependentSchemas")
        for each in tied.values() if isinstance(tied, Mapping) else ():
            self._add(each, depth + 1)

    @property
    def says_secret(self) -> bool:
        return any(is_secret_schema(schema) for schema in self._schemas)

    def member(self, name: str) -> _Schema | None:
        found: list[Any] = []
        for schema in self._schemas:
            properties, patterns = schema.get("properties"), schema.get("patternProperties")
            others = schema.get("additionalProperties")
            found.append(properties.get(name, others) if isinstance(properties, Mapping) else others)
            found += patterns.values() if isinstance(patterns, Mapping) else ()
        return self._joined(found)

    def item(self, at: int) -> _Schema | None:
        found: list[Any] = []
        for schema in self._schemas:
            first = schema.get("prefixItems")
            found.append(first[at] if isinstance(first, list) and at < len(first) else schema.get("items"))
        return self._joined(found)

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
    text = _IN_TEXT.sub(lambda match: f"{match[match.lastindex or 0]}{' ' if match[1] else ''}{MASKED}", text)
    return _KNOWN_FORMS.sub(MASKED, text)


def _is_pair(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], str)


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms in which a secret is repeated: as it is, in JSON, in a URL, and in base64."""
    yield secret
    data = secret.encode(errors="replace")
    in_json = dumps(data.decode()).decode()[1:-1]
    yield in_json
    yield dumps(in_json).decode()[1:-1]  # JSON in a string of JSON
    yield quote(data, safe="")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode().rstrip("=")
