"""Which class a JSON object is where several may stand: content blocks, resource contents, references, questions.

A row for each union names its members, the revision that brought each, and the function that
chooses one by looking at the object. Rows hold names of classes, not classes, so that a union
nobody uses is never imported; the classes come out of the union itself when a hook is made.
`converters` registers them.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Final, Union, get_args, get_origin

import attrs
from cattrs import BaseConverter

from trimcp.codec.strict import Refused, StructureHook
from trimcp.types.revisions import Revision

Choose = Callable[[dict[str, Any], int], str]
"""The name of the class for an object, in the revision of that order; raises `Refused` where there is none."""

_R2025_03_26: Final = 1
_R2025_06_18: Final = 2
_R2025_11_25: Final = 3
_R2026_07_28: Final = 4


@attrs.frozen
class Row:
    """One union."""

    noun: str
    """What its members are, for problems."""
    choose: Choose
    members: dict[str, int]
    """Class → order of the first revision that has it there."""


def _by_tag(name: str, classes: dict[str, str]) -> Choose:
    """Choose by a property that is a string."""

    def choose(value: dict[str, Any], _: int) -> str:
        tag = value.get(name)
        # The type first: a list cannot be looked up in a dict.
        if type(tag) is str and tag in classes:
            return classes[tag]
        words = "expected one of " + ", ".join(f'"{known}"' for known in classes)
        raise Refused(words if name in value else "required property missing", (name,))

    return choose


def _resource_contents(value: dict[str, Any], _: int) -> str:
    if "text" in value:
        return "TextResourceContents"
    if "blob" in value:
        return "BlobResourceContents"
    raise Refused('expected a property "text" or "blob"')


def _elicitation_mode(value: dict[str, Any], order: int) -> str:
    mode = value.get("mode", "form")
    if mode == "form" or order < _R2025_11_25:
        return "ElicitRequestFormParams"
    if mode == "url":
        return "ElicitRequestURLParams"
    raise Refused('expected "form" or "url"', ("mode",))


def _input_response(value: dict[str, Any], _: int) -> str:
    # Answers carry no tag: whoever asked knows what it asked for. Without that knowledge, by shape.
    if "action" in value:
        return "ElicitResult"
    if "roots" in value:
        return "ListRootsResult"
    return "CreateMessageResult"


def _form_property(value: dict[str, Any], order: int) -> str:
    kind = value.get("type")
    if kind == "string":
        if "enum" in value:
            titled = "enumNames" in value or order < _R2025_11_25
            return "LegacyTitledEnumSchema" if titled else "UntitledSingleSelectEnumSchema"
        return "TitledSingleSelectEnumSchema" if "oneOf" in value and order >= _R2025_11_25 else "StringSchema"
    if kind == "array" and order >= _R2025_11_25:
        items = value.get("items")
        titled = type(items) is dict and "anyOf" in items
        return "TitledMultiSelectEnumSchema" if titled else "UntitledMultiSelectEnumSchema"
    if kind == "number" or kind == "integer":
        return "NumberSchema"
    if kind == "boolean":
        return "BooleanSchema"
    raise Refused("expected the type of a property that a form can ask for", ("type",))


_SINGLE_SELECT: Final = {
    "UntitledSingleSelectEnumSchema": _R2025_06_18,
    "TitledSingleSelectEnumSchema": _R2025_11_25,
}
_MULTI_SELECT: Final = {
    "UntitledMultiSelectEnumSchema": _R2025_11_25,
    "TitledMultiSelectEnumSchema": _R2025_11_25,
}
_ENUM: Final = {**_SINGLE_SELECT, **_MULTI_SELECT, "LegacyTitledEnumSchema": _R2025_06_18}

ROWS: Final = (
    Row(
        "content block",
        _by_tag(
            "type",
            {
                "text": "TextContent",
                "image": "ImageContent",
                "audio": "AudioContent",
                "resource_link": "ResourceLink",
                "resource": "EmbeddedResource",
            },
        ),
        {
            "TextContent": 0,
            "ImageContent": 0,
            "AudioContent": _R2025_03_26,
            "ResourceLink": _R2025_06_18,
            "EmbeddedResource": 0,
        },
    ),
    Row(
        "content block of a conversation",
        _by_tag(
            "type",
            {
                "text": "TextContent",
                "image": "ImageContent",
                "audio": "AudioContent",
                "tool_use": "ToolUseContent",
                "tool_result": "ToolResultContent",
            },
        ),
        {
            "TextContent": 0,
            "ImageContent": 0,
            "AudioContent": _R2025_03_26,
            "ToolUseContent": _R2025_11_25,
            "ToolResultContent": _R2025_11_25,
        },
    ),
    Row("content of a resource", _resource_contents, {"TextResourceContents": 0, "BlobResourceContents": 0}),
    Row(
        "reference",
        _by_tag("type", {"ref/prompt": "PromptReference", "ref/resource": "ResourceTemplateReference"}),
        {"PromptReference": 0, "ResourceTemplateReference": 0},
    ),
    Row(
        "mode of elicitation",
        _elicitation_mode,
        {"ElicitRequestFormParams": _R2025_06_18, "ElicitRequestURLParams": _R2025_11_25},
    ),
    Row(
        "input request",
        _by_tag(
            "method",
            {
                "sampling/createMessage": "CreateMessageRequest",
                "roots/list": "ListRootsRequest",
                "elicitation/create": "ElicitRequest",
            },
        ),
        {
            "CreateMessageRequest": _R2026_07_28,
            "ListRootsRequest": _R2026_07_28,
            "ElicitRequest": _R2026_07_28,
        },
    ),
    Row("input response", _input_response, {"CreateMessageResult": 0, "ListRootsResult": 0, "ElicitResult": 0}),
    Row("single choice", _form_property, _SINGLE_SELECT),
    Row("multiple choice", _form_property, _MULTI_SELECT),
    Row("choice", _form_property, _ENUM),
    Row(
        "property of a form",
        _form_property,
        {
            "StringSchema": _R2025_06_18,
            "NumberSchema": _R2025_06_18,
            "BooleanSchema": _R2025_06_18,
            **_ENUM,
        },
    ),
)

_BY_MEMBERS: Final = {frozenset(row.members): row for row in ROWS}


def is_union_of_classes(declared: Any) -> bool:
    """Whether hooks for the type are made here."""
    return _is_union(declared) and all(attrs.has(member) for member in get_args(declared))


def is_one_or_several(declared: Any) -> bool:
    """Whether the type is that of content in a conversation: a block, or a list of blocks."""
    return _is_union(declared) and any(get_origin(member) is list for member in get_args(declared))


def _is_union(declared: Any) -> bool:
    return get_origin(declared) in (types.UnionType, Union)


class _Hooks(dict[Any, Any]):
    """Hooks by class, made when they are first needed: most programs use one or two members."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> Any:
        hook = self[key] = self._make(key)
        return hook


@attrs.frozen
class UnionHooks:
    """Makes the hooks of all unions for one revision."""

    revision: Revision

    def structure_hook(self, declared: Any, converter: BaseConverter) -> StructureHook:
        """JSON object → instance of the member that it is."""
        row, classes = _row_and_classes(declared)
        order = self.revision.order

        def make(name: str) -> StructureHook:
            if row.members.get(name, order + 1) > order:

                def refuse(_: Any, __: Any) -> Any:
                    raise Refused(f"expected a {row.noun} of {self.revision.version}")

                return refuse
            return converter.get_structure_hook(classes[name])

        hooks = _Hooks(make)
        choose = row.choose

        def structure(value: Any, _: Any = None) -> Any:
            if type(value) is dict:
                return hooks[choose(value, order)](value, None)
            raise Refused("expected object")

        return structure

    def unstructure_hook(self, declared: Any, converter: BaseConverter) -> Callable[[Any], Any]:
        """Instance of a member → JSON object."""
        row, classes = _row_and_classes(declared)

        def make(cls: Any) -> Callable[[Any], Any]:
            for name, since in row.members.items():
                if issubclass(cls, classes[name]) and since <= self.revision.order:
                    hook: Callable[[Any], Any] = converter.get_unstructure_hook(classes[name])
                    return hook

            def refuse(instance: Any) -> Any:
                words = f"{cls.__name__} is no {row.noun} of {self.revision.version}"
                raise Refused(words, subject=instance)

            return refuse

        hooks = _Hooks(make)
        return lambda instance: hooks[type(instance)](instance)

    def one_or_several_structure_hook(self, declared: Any, converter: BaseConverter) -> StructureHook:
        """A block or (from 2025-11-25 on) a list of blocks."""
        several = next(member for member in get_args(declared) if get_origin(member) is list)
        block_hook = converter.get_structure_hook(get_args(several)[0])
        list_hook = converter.get_structure_hook(several)

        def structure(value: Any, _: Any = None) -> Any:
            if type(value) is list and self.revision.order >= _R2025_11_25:
                return list_hook(value, several)
            return block_hook(value, None)

        return structure

    def one_or_several_unstructure_hook(self, declared: Any, converter: BaseConverter) -> Callable[[Any], Any]:
        """A list of one block is that block to a revision without lists; several have no form there."""
        several = next(member for member in get_args(declared) if get_origin(member) is list)
        block_hook = converter.get_unstructure_hook(get_args(several)[0])
        list_hook = converter.get_unstructure_hook(several)

        def unstructure(content: Any) -> Any:
            if type(content) is not list:
                return block_hook(content)
            if self.revision.order >= _R2025_11_25:
                return list_hook(content)
            if len(content) == 1:
                return list_hook(content)[0]
            raise Refused(f"expected one content block, which is all that {self.revision.version} has", subject=content)

        return unstructure


def _row_and_classes(declared: Any) -> tuple[Row, dict[str, Any]]:
    classes = {member.__name__: member for member in get_args(declared)}
    return _BY_MEMBERS[frozenset(classes)], classes
