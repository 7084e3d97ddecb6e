"""`NAME=VALUE` on the command line, converted to JSON by the schema of a tool.

    count=3             by the schema: an integer, a string, ...
    tags=a tags=b       given more than once, or once: the items of an array
    where:={"x": 1}     JSON, independent of the schema
    text=@notes.txt     the content of the file; @- is stdin; @@x is the text @x

Nothing is guessed: a value that is not of the type in the schema is refused here, before anything is
sent. The bounds in the schema are left to the server.
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
    """Parse the arguments of a tool call.

    Args:
        words: `NAME=VALUE` and `NAME:=JSON`.
        schema: the tool's input schema.
        whole: arguments as one JSON object (or `@FILE`); the words add to it.

    Raises:
        UsageError: a word has another form, a value does not fit, or the schema has no such argument.
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
    """Parse arguments whose values are all strings, as those of prompts are.

    Raises:
        UsageError: a word is not `NAME=VALUE`, or a name is given twice.
    """
    texts: dict[str, str] = {}
    for word in words:
        name, _, value = split(word)
        if name in texts:
            raise UsageError(f"{name} is given more than once")
        texts[name] = from_file(value)
    return texts


def split(word: str) -> tuple[str, bool, str]:
    """Split a word into its name, whether JSON follows, and the value.

    Raises:
        UsageError: the word is not `NAME=VALUE`.
    """
    name, equals, value = word.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":") if is_json else name
    if not equals or not name:
        raise UsageError(f"{word!r} is not an argument: write NAME=VALUE, or NAME:=JSON")
    return name, is_json, value


def from_file(text: str) -> str:
    """Return the content of the file that a value names, or the value itself.

    Raises:
        UsageError: the file cannot be read, or is not UTF-8 text.
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
    """Suggest a known name, as the end of an error message."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if names else "; there are none"


# --- by the schema --------------------------------------------------------------------


def resolve(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow the references of a schema within its root; an empty schema where they lead nowhere."""
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
    """Return the alternatives of a schema, without references; the schema itself where it has none."""
    schema = resolve(schema, root)
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            return [resolve(each, root) for each in schema[key]]
    return [schema]


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the JSON types that one alternative names."""
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
        raise UsageError(f"{name} is given more than once, but is not an array")
    value = _fitting(text, choices)
    if value is _MISFIT:
        raise UsageError(f"{name} must be {_wanted(choices)}, not {_short(text)}")
    return value


def _fitting(text: str, choices: Sequence[Mapping[str, Any]]) -> Any:
    """Convert a text to the first type that it is a form of; a string type comes last."""
    for choice in choices:
        listed = choice.get("enum", [choice["const"]] if "const" in choice else None)
        if isinstance(listed, list):
            for each in listed:
                if each == text if isinstance(each, str) else _is_json_of(text, each):
                    return each
    open_ones = [each for each in choices if "enum" not in each and "const" not in each]
    kinds = {kind for each in open_ones for kind in types_of(each) or ["string"]}
    for kind in TYPES:
        # The text "null" stays a string where one is allowed: NAME:=null means null.
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


def _wanted(choices: Sequence[Mapping[str, Any]]) -> str:
    wanted: list[str] = []
    for choice in choices:
        if isinstance(choice.get("enum"), list):
            wanted += map(str, choice["enum"])
        elif "const" in choice:
            wanted.append(str(choice["const"]))
        else:
            wanted += [
                {"object": "an object as JSON", "array": "an array"}.get(kind, kind) for kind in types_of(choice)
            ]
    return " or ".join(wanted) or "something else"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _json(name: str, text: str) -> Any:
    try:
        return loads(text.encode())
    except InvalidJson as exc:
        raise UsageError(f"the value of {name}:= is not JSON: {exc}") from exc


def _whole(text: str) -> dict[str, Any]:
    try:
        value = loads(from_file(text).encode())
    except InvalidJson as exc:
        raise UsageError(f"--json-args is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise UsageError("--json-args must be a JSON object")
    return value
