"""Unions of classes: which class a JSON object is, by looking at it.

A row for each union names its members, the first revision that has each, and the function that
chooses one. Rows hold names of classes, so that unused unions are never imported; the classes come
from the union itself when a hook is made. `converters` registers the hooks.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Final, Union, get_args, get_origin

import attrs
from cattrs import BaseConverter

from trimcp.codec.strict import Refused, StructureHook
from trimcp.types.revisions import R2025_03_26, R2025_06_18, R2025_11_25, R2026_07_28, Revision

Choose = Callable[[dict[str, Any], int], str]
"""Returns the name of the class of an object, in the revision of that order; or raises `Refused`."""


@attrs.frozen(eq=False, repr=False)
class Row:
    """Holds one union."""

    noun: str
    """The name of its members, for problems."""
    choose: Choose
    members: dict[str, int]
    """Class → order of the first revision in which the union has it."""
    has_text: bool = False
    """Whether a member that the revision lacks is written as text that says so. Else it is refused."""


def _by_tag(name: str, classes: dict[str, str]) -> Choose:
    """Choose by the value of a string property."""

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
    if mode == "form" or order < R2025_11_25:
        return "ElicitRequestFormParams"
    if mode == "url":
        return "ElicitRequestURLParams"
    raise Refused('expected "form" or "url"', ("mode",))


def _input_response(value: dict[str, Any], _: int) -> str:
    # Answers have no tag, since the side that asked knows the question. Here the properties decide.
    if "action" in value:
        return "ElicitResult"
    if "roots" in value:
        return "ListRootsResult"
    return "CreateMessageResult"


def _form_property(value: dict[str, Any], order: int) -> str:
    kind = value.get("type")
    if kind == "string":
        if "enum" in value:
            titled = "enumNames" in value or order < R2025_11_25
            return "LegacyTitledEnumSchema" if titled else "UntitledSingleSelectEnumSchema"
        return "TitledSingleSelectEnumSchema" if "oneOf" in value and order >= R2025_11_25 else "StringSchema"
    if kind == "array" and order >= R2025_11_25:
        items = value.get("items")
        titled = type(items) is dict and "anyOf" in items
        return "TitledMultiSelectEnumSchema" if titled else "UntitledMultiSelectEnumSchema"
    if kind == "number" or kind == "integer":
        return "NumberSchema"
    if kind == "boolean":
        return "BooleanSchema"
    raise Refused("expected a property type that forms allow: string, number, integer, boolean or array", ("type",))


_SINGLE_SELECT: Final = {
    "UntitledSingleSelectEnumSchema": R2025_06_18,
    "TitledSingleSelectEnumSchema": R2025_11_25,
}
_MULTI_SELECT: Final = {
    "UntitledMultiSelectEnumSchema": R2025_11_25,
    "TitledMultiSelectEnumSchema": R2025_11_25,
}
_ENUM: Final = {**_SINGLE_SELECT, **_MULTI_SELECT, "LegacyTitledEnumSchema": R2025_06_18}

# fmt: off
ROWS: Final = (
    Row("content block", _by_tag("type", {
        "text": "TextContent", "image": "ImageContent", "audio": "AudioContent",
        "resource_link": "ResourceLink", "resource": "EmbeddedResource",
    }), {
        "TextContent": 0, "ImageContent": 0, "AudioContent": R2025_03_26,
        "ResourceLink": R2025_06_18, "EmbeddedResource": 0,
    }, has_text=True),
    Row("content block of a conversation", _by_tag("type", {
        "text": "TextContent", "image": "ImageContent", "audio": "AudioContent",
        "tool_use": "ToolUseContent", "tool_result": "ToolResultContent",
    }), {
        "TextContent": 0, "ImageContent": 0, "AudioContent": R2025_03_26,
        "ToolUseContent": R2025_11_25, "ToolResultContent": R2025_11_25,
    }),
    Row("content of a resource", _resource_contents, {"TextResourceContents": 0, "BlobResourceContents": 0}),
    Row("reference", _by_tag("type", {
        "ref/prompt": "PromptReference", "ref/resource": "ResourceTemplateReference",
    }), {"PromptReference": 0, "ResourceTemplateReference": 0}),
    Row("mode of elicitation", _elicitation_mode, {
        "ElicitRequestFormParams": R2025_06_18, "ElicitRequestURLParams": R2025_11_25,
    }),
    Row("input request", _by_tag("method", {
        "sampling/createMessage": "CreateMessageRequest", "roots/list": "ListRootsRequest",
        "elicitation/create": "ElicitRequest",
    }), {"CreateMessageRequest": R2026_07_28, "ListRootsRequest": R2026_07_28, "ElicitRequest": R2026_07_28}),
    Row("input response", _input_response, {"CreateMessageResult": 0, "ListRootsResult": 0, "ElicitResult": 0}),
    Row("single choice", _form_property, _SINGLE_SELECT),
    Row("multiple choice", _form_property, _MULTI_SELECT),
    Row("choice", _form_property, _ENUM),
    Row("property of a form", _form_property, {
        "StringSchema": R2025_06_18, "NumberSchema": R2025_06_18, "BooleanSchema": R2025_06_18, **_ENUM,
    }),
)
# fmt: on

_BY_MEMBERS: Final = {frozenset(row.members): row for row in ROWS}


def is_union_of_classes(declared: Any) -> bool:
    """Tell whether a type is a union of attrs classes."""
    return _is_union(declared) and all(attrs.has(member) for member in get_args(declared))


def is_one_or_several(declared: Any) -> bool:
    """Tell whether a type is that of sampling content: a block, or a list of blocks."""
    return _is_union(declared) and any(get_origin(member) is list for member in get_args(declared))


def _is_union(declared: Any) -> bool:
    return get_origin(declared) in (types.UnionType, Union)


class _Hooks(dict[Any, Any]):
    """Holds hooks by class, made on first use: most programs use one or two members."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> Any:
        hook = self[key] = self._make(key)
        return hook


@attrs.frozen(eq=False, repr=False)
class UnionHooks:
    """Makes the hooks of all unions for one revision."""

    revision: Revision

    def structure_hook(self, declared: Any, converter: BaseConverter) -> StructureHook:
        """Return the function from a JSON object to an instance of its member."""
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
        """Return the function from an instance of a member to a JSON object."""
        row, classes = _row_and_classes(declared)

        def make(cls: Any) -> Callable[[Any], Any]:
            for name, since in row.members.items():
                if issubclass(cls, classes[name]) and since <= self.revision.order:
                    hook: Callable[[Any], Any] = converter.get_unstructure_hook(classes[name])
                    return hook

            def refuse(instance: Any) -> Any:
                words = f"{cls.__name__} is not a {row.noun} of {self.revision.version}"
                raise Refused(words, subject=instance)

            def describe(instance: Any) -> Any:
                kind = getattr(instance, "mime_type", None) or cls.__name__
                where = getattr(instance, "uri", None)
                words = f"{kind} at {where}" if where else kind
                return {"type": "text", "text": f"[{words}: {self.revision.version} has no content of this kind]"}

            is_later = any(issubclass(cls, classes[name]) for name in row.members)
            return describe if row.has_text and is_later else refuse

        hooks = _Hooks(make)
        return lambda instance: hooks[type(instance)](instance)

    def one_or_several_structure_hook(self, declared: Any, converter: BaseConverter) -> StructureHook:
        """Return the function for a block or (from 2025-11-25 on) a list of blocks."""
        several = next(member for member in get_args(declared) if get_origin(member) is list)
        block_hook = converter.get_structure_hook(get_args(several)[0])
        list_hook = converter.get_structure_hook(several)

        def structure(value: Any, _: Any = None) -> Any:
            if type(value) is list and self.revision.order >= R2025_11_25:
                return list_hook(value, several)
            return block_hook(value, None)

        return structure

    def one_or_several_unstructure_hook(self, declared: Any, converter: BaseConverter) -> Callable[[Any], Any]:
        """Return the reverse; a revision without lists gets a list of one block as that block, and refuses several."""
        several = next(member for member in get_args(declared) if get_origin(member) is list)
        block_hook = converter.get_unstructure_hook(get_args(several)[0])
        list_hook = converter.get_unstructure_hook(several)

        def unstructure(content: Any) -> Any:
            if type(content) is not list:
                return block_hook(content)
            if self.revision.order >= R2025_11_25:
                return list_hook(content)
            if len(content) == 1:
                return list_hook(content)[0]
            raise Refused(f"expected one content block: {self.revision.version} has no lists of them", subject=content)

        return unstructure


def _row_and_classes(declared: Any) -> tuple[Row, dict[str, Any]]:
    classes = {member.__name__: member for member in get_args(declared)}
    return _BY_MEMBERS[frozenset(classes)], classes
