"""attrs class ↔ JSON object in one revision: functions that cattrs generates, and checks around them.

`wire_fields` derives the names on the wire (camelCase) and the types without `None`; no other file
does. The generated functions handle the fields that the revision has. Around them, the hooks keep
unknown fields, check required ones, and read and write `resultType`. `converters` registers them.
"""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin

import attrs
from cattrs import BaseConverter, override
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from trimcp.codec.strict import EXACT, Refused, StructureHook, raw_structure_hook, raw_unstructure_hook
from trimcp.types.fields import ABSENT, Absent, SpecField, spec_of
from trimcp.types.revisions import Revision

EXTRA = "extra"
"""The attribute that holds the fields that a revision does not have."""


@attrs.frozen(eq=False, repr=False)
class WireField:
    """Holds one field of a wire type."""

    name: str
    """The attribute."""
    wire: str
    """The name of the property in the JSON object."""
    type: Any
    """The type of its value, where the field is present."""
    optional: bool
    """Whether its default, `None` or `ABSENT`, keeps it off the wire."""
    spec: SpecField


def wire_name(attribute: str) -> str:
    """Return the name on the wire: `structuredContent` of `structured_content`, `_meta` of `meta`."""
    if attribute == "meta":
        return "_meta"
    first, *others = attribute.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in others)


@functools.cache
def wire_fields(cls: type) -> tuple[WireField, ...]:
    """Return the fields of a wire type without `extra`, in the order of the class."""
    attrs.resolve_types(cls)
    return tuple(_wire_field(attribute) for attribute in attrs.fields(cls) if attribute.name != EXTRA)


def _wire_field(attribute: attrs.Attribute[Any]) -> WireField:
    spec = spec_of(attribute)
    optional = attribute.default is None or isinstance(attribute.default, Absent)
    return WireField(
        attribute.name,
        spec.wire_name or wire_name(attribute.name),
        _without(type(attribute.default), attribute.type) if optional else attribute.type,
        optional,
        spec,
    )


def _without(unwanted: type, declared: Any) -> Any:
    """Return a union without the type of the default of a missing value."""
    if get_origin(declared) not in (types.UnionType, Union):
        return declared
    return functools.reduce(operator.or_, (member for member in get_args(declared) if member is not unwanted))


RESULT_TYPE = "resultType"

UnstructureHook = Callable[[Any], dict[str, Any]]


@attrs.frozen(eq=False, repr=False)
class ClassHooks:
    """Makes the hooks of all classes for one revision."""

    revision: Revision

    def structure_hook(self, cls: Any, converter: BaseConverter) -> StructureHook:
        """Return the function from a JSON object to an instance of the class."""
        order = self.revision.order
        fields = [field for field in wire_fields(cls) if field.spec.exists_in(order)]
        hooks = {field.name: self._incoming(field, converter) for field in fields}
        is_ours = _may_be_set(cls) and not converter.detailed_validation
        generated = _generated(cls, fields, hooks) if is_ours else _by_cattrs(cls, fields, hooks, converter)
        required = frozenset(f.wire for f in fields if f.spec.required_in(order) and f.spec.fill is ABSENT)
        filled = tuple(
            (f.wire, f.name, f.spec.fill) for f in fields if f.spec.required_in(order) and f.wire not in required
        )
        result_type = self._result_type(cls)
        known = frozenset(f.wire for f in fields) | ({RESULT_TYPE} if result_type else set())

        def structure(value: Any, _: Any = None) -> Any:
            if type(value) is not dict:
                raise Refused("expected object")
            built = generated(value, cls)
            # Only fields that the revision does not have are looked at one by one.
            if not known.issuperset(value):
                built.extra = {name: entry for name, entry in value.items() if name not in known}
            return built

        if not (required or filled or result_type):
            return structure

        def structure_and_check(value: Any, _: Any = None) -> Any:
            built = structure(value)
            for name in required:
                if name not in value:
                    raise Refused("required property missing", (name,))
            for wire, name, fill in filled:
                if wire not in value:
                    setattr(built, name, fill)
            # A missing resultType means `complete` (basic/index of 2026-07-28).
            if result_type and value.get(RESULT_TYPE, "complete") != result_type:
                raise Refused(f'expected "{result_type}"', (RESULT_TYPE,))
            return built

        return structure_and_check

    def unstructure_hook(self, cls: Any, converter: BaseConverter) -> UnstructureHook:
        """Return the function from an instance of the class to a JSON object."""
        order = self.revision.order
        fields = [field for field in wire_fields(cls) if field.spec.exists_in(order)]
        overrides = {field.name: self._outgoing(field, converter) for field in fields}
        overrides.update(_omitted(cls, overrides))
        generated = make_dict_unstructure_fn(cls, converter, _cattrs_use_linecache=False, **overrides)
        droppable = tuple(f.wire for f in fields if f.spec.check in ("structured", "output_schema"))
        required = tuple((f.wire, f.spec.fill) for f in fields if f.optional and f.spec.required_in(order))
        result_type = self._result_type(cls)

        def unstructure(instance: Any) -> dict[str, Any]:
            try:
                value = generated(instance)
            except Refused as refused:
                _climb(refused, instance, fields)
                raise
            if instance.extra:
                value = {**instance.extra, **value}
            if result_type is not None:
                value[RESULT_TYPE] = result_type
            return value

        if not (required or (droppable and not self.revision.structured_any)):
            return unstructure

        def unstructure_and_check(instance: Any) -> dict[str, Any]:
            value = unstructure(instance)
            for name in droppable:
                if value.get(name) is ABSENT:
                    del value[name]
            for name, fill in required:
                if name not in value:
                    if fill is ABSENT:
                        raise Refused("required property missing", (name,), instance)
                    value[name] = fill
            return value

        return unstructure_and_check

    def _result_type(self, cls: Any) -> str | None:
        result_type: str | None = getattr(cls, "result_type", None)
        return result_type if self.revision.result_type else None

    def _incoming(self, field: WireField, converter: BaseConverter) -> StructureHook:
        if field.spec.check is not None:
            hook: StructureHook = raw_structure_hook(field.spec.check, self.revision, converter)
        elif field.optional and _holds_objects(field.type):
            hook = _on_first_use(converter.get_structure_hook, field.type)
        else:
            hook = converter.get_structure_hook(field.type)
        if converter.detailed_validation and self._may_be_null(field):
            hook = _or_null(hook)
        return hook

    def _may_be_null(self, field: WireField) -> bool:
        """Tell whether null is taken for a missing field, where the schema has no null.

        Only the detailed converter takes it, so values without such a null cost nothing.
        """
        takes_none = field.optional and field.spec.check not in ("ttl", "structured")
        return takes_none and not field.spec.required_in(self.revision.order)

    def _outgoing(self, field: WireField, converter: BaseConverter) -> Any:
        hook: Any = None
        if field.spec.check is not None:
            hook = raw_unstructure_hook(field.spec.check, self.revision, converter)
        elif _holds_objects(field.type):
            find = converter.get_unstructure_hook
            hook = _on_first_use(find, field.type) if field.optional else find(field.type)
        return override(rename=field.wire, unstruct_hook=hook or identity, omit_if_default=field.optional)


def _on_first_use(find: Callable[[Any], Any], declared: Any) -> Any:
    """Return a hook that is made when the first value arrives: most optional objects never come."""
    made: Any = None

    def hook(value: Any, *cls: Any) -> Any:
        nonlocal made
        if made is None:
            made = find(declared)
        return made(value, *cls)

    return hook


def _may_be_set(cls: Any) -> bool:
    """Whether a field may be set after `__init__` in place of being given to it. Programs may have other classes."""
    hooked = ("__attrs_init__", "__attrs_post_init__")
    if cls.__setattr__ is not object.__setattr__ or any(hasattr(cls, name) for name in hooked):
        return False
    return all(map(_is_only_set, attrs.fields(cls)))


def _is_only_set(attribute: attrs.Attribute[Any]) -> bool:
    makes_default_of_others = getattr(attribute.default, "takes_self", False)
    is_checked = attribute.validator is not None or attribute.converter is not None
    return attribute.init and not is_checked and not makes_default_of_others


def _by_cattrs(
    cls: Any, fields: list[WireField], hooks: dict[str, StructureHook], converter: BaseConverter
) -> StructureHook:
    """Let cattrs compile the function that makes an instance of a class: for errors with paths, and other classes."""
    overrides: dict[str, Any] = {
        field.name: override(rename=field.wire, struct_hook=hooks[field.name]) for field in fields
    }
    overrides |= _omitted(cls, overrides)
    return make_dict_structure_fn(
        cls,
        converter,
        _cattrs_use_linecache=False,
        _cattrs_detailed_validation=converter.detailed_validation,
        **overrides,
    )


def _generated(cls: Any, fields: list[WireField], hooks: dict[str, StructureHook]) -> StructureHook:
    """Compile the function that makes an instance of a class, which costs less than that of cattrs.

    It calls `__init__` with the required fields alone, and then sets the others that are present.
    """
    space: dict[str, Any] = {"cls": cls}
    arguments, lines = [], []
    for at, field in enumerate(fields):
        attribute = getattr(attrs.fields(cls), field.name)
        space |= {f"hook{at}": hooks[field.name], f"type{at}": field.type}
        read, exact = f"value[{field.wire!r}]", EXACT.get(hooks[field.name])
        if exact is None:
            read = f"hook{at}({read}, type{at})"
        else:  # the check of the hook in line, without its call
            read = f"found if type(found := {read}) is {exact} else hook{at}(found)"
        if attribute.default is attrs.NOTHING:
            arguments.append(f"{attribute.alias}=({read})" if attribute.kw_only else f"({read})")
        else:
            lines.append(f"    if {field.wire!r} in value:\n        built.{field.name} = {read}\n")
    made = f"    built = cls({', '.join(arguments)})\n"
    source = f"def structure(value, _=None):\n{made}{''.join(lines)}    return built\n"
    exec(compile(source, f"<structure {cls.__qualname__}>", "exec"), space)  # noqa: S102 - names of attributes alone
    generated: StructureHook = space["structure"]
    return generated


def _or_null(hook: StructureHook) -> StructureHook:
    def structure(value: Any, cls: Any = None) -> Any:
        return None if value is None else hook(value, cls)

    return structure


def _omitted(cls: Any, kept: dict[str, Any]) -> dict[str, Any]:
    return {attribute.name: override(omit=True) for attribute in attrs.fields(cls) if attribute.name not in kept}


def _holds_objects(declared: Any) -> bool:
    """Tell whether values of the type hold instances of attrs classes; all others are JSON already."""
    return attrs.has(declared) or any(_holds_objects(argument) for argument in get_args(declared))


def _climb(refused: Refused, instance: Any, fields: list[WireField]) -> None:
    """Put the name of the field that holds the refused object before the path of the refusal.

    The generated code does not tell the field, so the object is found by its identity.
    """
    for field in fields:
        if refused.subject is not None and getattr(instance, field.name) is refused.subject:
            refused.climb(field.wire, instance)
            return
    refused.subject = instance
