"""The problems of a JSON value as messages by which a model corrects itself: `expected integer @ $.days`.

`explain` makes them of the errors of the validator library. They hold what the author of the schema
wrote (types, bounds, options), and no values of the checked data except names of properties. The
messages of the library are used where they are clear; added are paths, missing and unexpected
properties, and the choice among alternatives (`anyOf`, `oneOf`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from trimcp.schema.exact_json import encode

_OPTIONS_LISTED: Final = 20
_TEXT_LENGTH: Final = 120
_NAME_LENGTH: Final = 64
_ALTERNATIVES_LISTED: Final = 4
_BRACKETS: Final = (("array", ("[", "]")), ("object", ("{", "}")))
_NESTING: Final = 3
"""Levels of nested alternatives that are explained."""


def path_text(path: Iterable[str | int]) -> str:
    """Write a path: `["days", 0]` as `$.days[0]`; long names are cut."""
    parts = ["$"]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            name = _cut(step, _NAME_LENGTH)
            parts.append(f".{name}" if name.isidentifier() else f"[{_json(name)}]")
    return "".join(parts)


def at(words: str, path: Iterable[str | int]) -> str:
    """Write a problem with its path: `expected integer @ $.days`."""
    return f"{words} @ {path_text(path)}"


def explain(errors: Iterable[Any], *, most: int) -> list[str]:
    """Return the first `most` problems of the validator's errors, without repetition."""
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
        return [at(f"invalid property name: {inner}", path)]
    if kind in _LIBRARY_TEXTS:
        return [at(_cut(error.message, _TEXT_LENGTH), path)]
    if kind == "type":
        return [at(_types(details["types"], error.instance), path)]
    own_text = _OWN_TEXTS.get(kind)
    return [at(own_text(details) if own_text is not None else f"must satisfy the schema's `{kind}`", path)]


def _alternatives(error: Any, branches: list[list[Any]], nesting: int) -> list[str]:
    """Explain the alternative that was meant; without one, name the types of all."""
    path = list(error.instance_path)
    if all(not branch for branch in branches) or (error.kind.name == "oneOf" and any(not b for b in branches)):
        return [at("must fit exactly one of the alternatives, but fits several", path)]
    meant = [branch for branch in branches if not _is_other_type(branch, path)]
    if len(meant) > 1 and (distinct := [b for b in meant if not _is_other_constant(b, path)]):
        meant = distinct
    if len(meant) == 1 and nesting:
        return [problem for inner in meant[0] for problem in _problems_of(inner, nesting - 1)]
    if not meant:
        types: dict[str, None] = {}
        for branch in branches:
            for inner in branch:
                if inner.kind.name == "type" and list(inner.instance_path) == path:
                    types.update(dict.fromkeys(inner.kind.as_dict()["types"]))
        return [at(_types(types, error.instance), path)]
    if not nesting:
        return [at(f"must fit one of {len(branches)} alternatives", path)]
    messages = [_problems_of(_decisive(branch), nesting - 1)[0] for branch in meant[:_ALTERNATIVES_LISTED]]
    where = {problem.rpartition(" @ ")[2] for problem in messages}
    if len(where) == 1:
        messages = [problem.rpartition(" @ ")[0] for problem in messages]
    more = ", or another alternative" if len(meant) > _ALTERNATIVES_LISTED else ""
    words = f"fits none of the alternatives: {'; or '.join(dict.fromkeys(messages))}{more}"
    return [f"{words} @ {where.pop()}" if len(where) == 1 else at(words, path)]


def _decisive(branch: list[Any]) -> Any:
    """Return the error that best explains why a branch does not fit: a different tag, if there is one."""
    return next((error for error in branch if error.kind.name == "const"), branch[0])


def _is_other_type(branch: list[Any], path: list[str | int]) -> bool:
    return any(error.kind.name == "type" and list(error.instance_path) == path for error in branch)


def _is_other_constant(branch: list[Any], path: list[str | int]) -> bool:
    """Tell whether a tag right below belongs to another alternative."""
    return any(error.kind.name == "const" and list(error.instance_path)[:-1] == path for error in branch)


def _json(value: Any) -> str:
    return encode(value).decode()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _types(types: Collection[str], value: Any) -> str:
    words = f"expected {' or '.join(sorted(types, key=lambda name: name == 'null'))}"
    # Some clients and models send a list or an object as the text of it.
    text = value.strip() if isinstance(value, str) else ""
    for meant, brackets in _BRACKETS:
        if meant in types and (text[:1], text[-1:]) == brackets:
            return f"{words}, got a string: send the {meant} itself"
    return words


def _options(details: dict[str, Any]) -> str:
    options = [_cut(_json(option), _TEXT_LENGTH) for option in details["options"]]
    more = ", …" if len(options) > _OPTIONS_LISTED else ""
    return f"expected one of {', '.join(options[:_OPTIONS_LISTED])}{more}"


_OWN_TEXTS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "enum": _options,
    "const": lambda details: f"expected {_cut(_json(details['expected_value']), _TEXT_LENGTH)}",
    "contains": lambda _: "an item that the schema's `contains` asks for is missing",
    "falseSchema": lambda _: "no value is allowed here",
}
"""Messages that are clearer than those of the library, or shorter."""
_LIBRARY_TEXTS: Final = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format", "pattern"),
        *("minLength", "maxLength", "minItems", "maxItems", "additionalItems", "uniqueItems", "unevaluatedItems"),
        *("minProperties", "maxProperties", "contentEncoding", "contentMediaType"),
    }
)
"""Keywords whose messages are those of the library. The messages of the others may be long, or hold data."""
