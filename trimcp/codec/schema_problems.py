"""What is wrong with a JSON value, in words short enough for a model to correct itself by.

Turns the errors of the schema validator into strings `what was expected @ $.where`. What the
schema's author wrote (types, bounds, options) is in them; values of the checked data never are,
except names of properties, since the path needs them. `validation.SchemaValidator` calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson

_OPTIONS_SHOWN: Final = 20
_TEXT_SHOWN: Final = 120
_NAME_SHOWN: Final = 64
_ALTERNATIVES_SHOWN: Final = 4
_NESTING: Final = 3
"""How deep alternatives within alternatives are explained."""


def path_text(path: Iterable[str | int]) -> str:
    """`["days", 0]` as `$.days[0]`; long names are cut."""
    parts = ["$"]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            name = _cut(step, _NAME_SHOWN)
            parts.append(f".{name}" if name.isidentifier() else f"[{_json(name)}]")
    return "".join(parts)


def at(words: str, path: Iterable[str | int]) -> str:
    """One problem: `expected integer @ $.days`."""
    return f"{words} @ {path_text(path)}"


def explain(errors: Iterable[Any], *, most: int) -> list[str]:
    """The first `most` problems that the validator's errors amount to, without repetition."""
    problems: dict[str, None] = {}
    for error in errors:
        for problem in _problems_of(error, _NESTING):
            problems[problem] = None
            if len(problems) >= most:
                return list(problems)
    return list(problems)


def _problems_of(error: Any, nesting: int) -> list[str]:
    kind: str = error.kind.name
    path: Sequence[str | int] = error.instance_path
    details: dict[str, Any] = error.kind.as_dict()
    if kind == "required":
        return [at("required property missing", [*path, details["property"]])]
    if kind in ("additionalProperties", "unevaluatedProperties"):
        return [at("unexpected property", [*path, name]) for name in details["unexpected"]]
    if kind in ("anyOf", "oneOf") and (branches := details.get("context")):
        return _alternatives(error, branches, nesting)
    if kind == "propertyNames":
        inner: str = _problems_of(details["error"], nesting)[0].rpartition(" @ ")[0]
        return [at(f"a property's name is refused: {inner}", path)]
    wording = _WORDINGS.get(kind)
    return [at(wording(details) if wording is not None else f"must satisfy the schema's `{kind}`", path)]


def _alternatives(error: Any, branches: list[list[Any]], nesting: int) -> list[str]:
    """Of several alternatives, explain the one that was meant; name all types if none was."""
    path = list(error.instance_path)
    if all(not branch for branch in branches) or (error.kind.name == "oneOf" and any(not b for b in branches)):
        return [at("must fit exactly one of the alternatives, and fits several", path)]
    meant = [branch for branch in branches if not _is_other_type(branch, path)]
    if len(meant) > 1 and (told_apart := [b for b in meant if not _is_other_constant(b, path)]):
        meant = told_apart
    if len(meant) == 1 and nesting:
        return [problem for inner in meant[0] for problem in _problems_of(inner, nesting - 1)]
    if not meant:
        types: dict[str, None] = {}
        for branch in branches:
            for inner in branch:
                if inner.kind.name == "type" and list(inner.instance_path) == path:
                    types.update(dict.fromkeys(inner.kind.as_dict()["types"]))
        return [at(_types(types), path)]
    if not nesting:
        return [at(f"must fit one of {len(branches)} alternatives", path)]
    told = [_problems_of(_telling(branch), nesting - 1)[0] for branch in meant[:_ALTERNATIVES_SHOWN]]
    where = {problem.rpartition(" @ ")[2] for problem in told}
    if len(where) == 1:
        told = [problem.rpartition(" @ ")[0] for problem in told]
    more = ", or another alternative" if len(meant) > _ALTERNATIVES_SHOWN else ""
    words = f"fits none of the alternatives: {'; or '.join(dict.fromkeys(told))}{more}"
    return [f"{words} @ {where.pop()}" if len(where) == 1 else at(words, path)]


def _telling(branch: list[Any]) -> Any:
    """The error that best says why the branch was not taken: a tag that differs, if one does."""
    return next((error for error in branch if error.kind.name == "const"), branch[0])


def _is_other_type(branch: list[Any], path: list[str | int]) -> bool:
    return any(error.kind.name == "type" and list(error.instance_path) == path for error in branch)


def _is_other_constant(branch: list[Any], path: list[str | int]) -> bool:
    """Whether a tag right below says that the value is of another alternative."""
    return any(error.kind.name == "const" and list(error.instance_path)[:-1] == path for error in branch)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _count(words: str, noun: str, limit: int) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"must have {words} {limit} {noun if limit == 1 else plural}"


def _types(types: Iterable[str]) -> str:
    return f"expected {' or '.join(sorted(types, key=lambda name: name == 'null'))}"


def _options(details: dict[str, Any]) -> str:
    options = [_cut(_json(option), _TEXT_SHOWN) for option in details["options"]]
    more = ", …" if len(options) > _OPTIONS_SHOWN else ""
    return f"expected one of {', '.join(options[:_OPTIONS_SHOWN])}{more}"


_WORDINGS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "type": lambda details: _types(details["types"]),
    "enum": _options,
    "const": lambda details: f"expected {_cut(_json(details['expected_value']), _TEXT_SHOWN)}",
    "minimum": lambda details: f"must be >= {details['limit']}",
    "maximum": lambda details: f"must be <= {details['limit']}",
    "exclusiveMinimum": lambda details: f"must be > {details['limit']}",
    "exclusiveMaximum": lambda details: f"must be < {details['limit']}",
    "multipleOf": lambda details: f"must be a multiple of {details['multiple_of']}",
    "minLength": lambda details: _count("at least", "character", details["limit"]),
    "maxLength": lambda details: _count("at most", "character", details["limit"]),
    "minItems": lambda details: _count("at least", "item", details["limit"]),
    "maxItems": lambda details: _count("at most", "item", details["limit"]),
    "additionalItems": lambda details: _count("at most", "item", details["limit"]),
    "unevaluatedItems": lambda _: "has items that are not allowed",  # the library names their values
    "minProperties": lambda details: _count("at least", "property", details["limit"]),
    "maxProperties": lambda details: _count("at most", "property", details["limit"]),
    "uniqueItems": lambda _: "items must be different from each other",
    "contains": lambda _: "an item that the schema's `contains` asks for is missing",
    "pattern": lambda details: f"must match the pattern {_cut(str(details.get('pattern')), _TEXT_SHOWN)}",
    "format": lambda details: f"expected a string in the format {details['format']}",
    "contentEncoding": lambda details: f"must be encoded as {details['content_encoding']}",
    "contentMediaType": lambda details: f"must be of the media type {details['content_media_type']}",
    "falseSchema": lambda _: "nothing is allowed here",
    "not": lambda _: "must not fit the schema's `not`",
}
