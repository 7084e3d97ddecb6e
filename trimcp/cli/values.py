"""`NAME=VALUE` on the command line, made into JSON by the schema of a tool.

    count=3             by the schema: an integer, a text, ... as it asks for
    tags=a tags=b       given more than once, or once: the items of an array
    where:={"x": 1}     JSON, whatever the schema says
    text=@notes.txt     what is in the file; @- is stdin; @@x is the text @x

Nothing is guessed: a value that is not of the type that the schema asks for is refused here, before
anything is sent. Whether it is within the schema's bounds is the server's business.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import UsageError

TYPES: Final = ("object", "array", "boolean", "integer", "number", "null", "string")
BOOLEANS: Final = {"true": True, "yes": True, "false": False, "no": False}
_INTEGER: Final = re.compile(r"[+-]?\d+")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MISFIT: Final = object()
_DEEPEST: Final = 16
"""References in a row that are followed."""


def arguments_of(words: Sequence[str], schema: Mapping[str, Any], whole: str | None = None) -> dict[str, Any]:
    """The arguments of a call.

    Args:
        words: `NAME=VALUE` and `NAME:=JSON`.
        schema: the tool's input schema.
        whole: all arguments as one JSON object (or `@FILE`), which the words add to.

    Raises:
        UsageError: a word is neither, a value does not fit, or the schema has no such argument.
    """
    arguments: dict[str, Any] = {} if whole is None else _whole(whole)
    texts: dict[str, list[str]] = {}
    for word in words:
        name, is_json, value = split(word)
        if is_json:
            arguments[name] = _json(name, from_file(value))
        else:
            texts.setdefault(name, []).append(value)
    known = _properties(schema, schema)
    for name, values in texts.items():
        if name in arguments:
            raise UsageError(f"{name} is given more than once")
        if name not in known and known and not _takes_more(schema):
            raise UsageError(f"there is no argument {name}{did_you_mean(name, known)}")
        arguments[name] = _value(name, values, known.get(name, {}), schema)
    return arguments


def texts_of(words: Sequence[str]) -> dict[str, str]:
    """The same where all values are texts, as those of prompts are.

    Raises:
        UsageError: a word is no `NAME=VALUE`, or a name comes twice.
    """
    texts: dict[str, str] = {}
    for word in words:
        name, _, value = split(word)
        if name in texts:
            raise UsageError(f"{name} is given more than once")
        texts[name] = from_file(value)
    return texts


def split(word: str) -> tuple[str, bool, str]:
    """The name, whether JSON follows, and the value.

    Raises:
        UsageError: it is no `NAME=VALUE`.
    """
    name, equals, value = word.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":") if is_json else name
    if not equals or not name:
        raise UsageError(f"{word!r} is no argument: write NAME=VALUE, or NAME:=JSON")
    return name, is_json, value


def from_file(text: str) -> str:
    """What a value is, where it says that it is in a file.

    Raises:
        UsageError: the file cannot be read, or is no text.
    """
    if not text.startswith("@"):
        return text
    if text.startswith("@@"):
        return text[1:]
    path = text[1:]
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot read {path or 'a file without a name'}: {exc}") from exc


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What might have been meant, to follow a complaint about a name."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if names else "; there are none"


# --- by the schema --------------------------------------------------------------------


def resolve(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema behind its references to other parts of the same one; an empty one where that leads nowhere."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        found: Any = root if reference.startswith("#") else None
        for part in reference.split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        schema = found
    return {}


def alternatives(schema: Any, root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schemas of which one must hold, without references: itself, where it leaves no choice."""
    schema = resolve(schema, root)
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            return [resolve(each, root) for each in schema[key]]
    return [schema]


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """The JSON types that one alternative allows; empty where it does not say."""
    given = schema.get("type")
    named = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return [each for each in named if each in TYPES]


def _properties(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    known = dict(properties) if isinstance(properties, Mapping) else {}
    for part in schema.get("allOf", ()) if isinstance(schema.get("allOf"), list) else ():
        known |= _properties(resolve(part, root), root)
    return known


def _takes_more(schema: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") is not False or "patternProperties" in schema


def _value(name: str, texts: Sequence[str], schema: Any, root: Mapping[str, Any]) -> Any:
    choices = alternatives(schema, root)
    array = next((each for each in choices if "array" in types_of(each)), None)
    text = from_file(texts[0])
    if array is not None and (len(texts) > 1 or not text.lstrip().startswith("[")):
        if len(texts) == 1 and len(choices) > 1:
            value = _fitting(text, [each for each in choices if each is not array])
            if value is not _MISFIT:
                return value
        return [_value(name, [each], array.get("items", {}), root) for each in texts]
    if len(texts) > 1:
        raise UsageError(f"{name} is given more than once, and is no array")
    value = _fitting(text, choices)
    if value is _MISFIT:
        raise UsageError(f"{name} must be {_asked(choices)}, which {_short(text)} is not")
    return value


def _fitting(text: str, choices: Sequence[Mapping[str, Any]]) -> Any:
    """What the text stands for. Where it may be a text, it is one, unless it is written as what else it may be."""
    for choice in choices:
        listed = choice.get("enum", [choice["const"]] if "const" in choice else None)
        if isinstance(listed, list):
            for each in listed:
                if each == text if isinstance(each, str) else _is_json_of(text, each):
                    return each
    open_ones = [each for each in choices if "enum" not in each and "const" not in each]
    kinds = {kind for each in open_ones for kind in types_of(each) or ["string"]}
    for kind in TYPES:
        # A text that happens to read "null" stays one: NAME:=null says the other.
        if kind in kinds and not (kind == "null" and "string" in kinds):
            value = _read(text, kind)
            if value is not _MISFIT:
                return value
    return _MISFIT


def _is_json_of(text: str, value: Any) -> bool:
    try:
        read = loads(text.encode())
    except InvalidJson:
        return False
    return type(read) is type(value) and bool(read == value)


def _read(text: str, kind: str) -> Any:
    match kind:
        case "string":
            return text
        case "boolean":
            return BOOLEANS.get(text.lower(), _MISFIT)
        case "integer":
            return int(text) if _INTEGER.fullmatch(text) else _MISFIT
        case "number":
            return float(text) if _NUMBER.fullmatch(text) else _MISFIT
        case "null":
            return None if text == "null" else _MISFIT
    try:
        value = loads(text.encode())
    except InvalidJson:
        return _MISFIT
    return value if isinstance(value, dict if kind == "object" else list) else _MISFIT


def _asked(choices: Sequence[Mapping[str, Any]]) -> str:
    said: list[str] = []
    for choice in choices:
        if isinstance(choice.get("enum"), list):
            said += map(str, choice["enum"])
        elif "const" in choice:
            said.append(str(choice["const"]))
        else:
            said += [{"object": "an object as JSON", "array": "an array"}.get(kind, kind) for kind in types_of(choice)]
    return " or ".join(said) or "something else"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _json(name: str, text: str) -> Any:
    try:
        return loads(text.encode())
    except InvalidJson as exc:
        raise UsageError(f"{name}:= is no JSON: {exc}") from exc


def _whole(text: str) -> dict[str, Any]:
    try:
        value = loads(from_file(text).encode())
    except InvalidJson as exc:
        raise UsageError(f"--json-args is no JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise UsageError("--json-args must be an object")
    return value
