"""Attrs class ↔ JSON object in one revision: functions that cattrs generates, and what they leave out.

cattrs' functions deal with the fields that the revision has. Around them: unknown fields are
kept, what the revision requires is there, `resultType` is what the class says.
Used by `converters`, which registers the two factories.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import attrs
from cattrs import BaseConverter, override
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from trimcp.codec.renames import WireField, wire_fields
from trimcp.codec.shapes import shape_structure_hook, shape_unstructure_hook
from trimcp.codec.strict import Refused, StructureHook
from trimcp.types.fields import ABSENT
from trimcp.types.revisions import Revision

RESULT_TYPE = "resultType"

UnstructureHook = Callable[[Any], dict[str, Any]]


@attrs.frozen
class ClassHooks:
    """Makes the hooks of all classes for one revision."""

    revision: Revision

    def structure_hook(self, cls: Any, converter: BaseConverter) -> StructureHook:
        """JSON object → instance of the class."""
        order = self.revision.order
        fields = [field for field in wire_fields(cls) if field.spec.exists_in(order)]
        overrides = {field.name: self._incoming(field, converter) for field in fields}
        overrides.update(_omitted(cls, overrides))
        generated = make_dict_structure_fn(
            cls,
            converter,
            _cattrs_use_linecache=False,
            _cattrs_detailed_validation=converter.detailed_validation,
            **overrides,
        )
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
            # Only the fields that are in none of the revision's are looked at one by one.
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
            # A missing one means `complete`, says basic/index of 2026-07-28.
            if result_type and value.get(RESULT_TYPE, "complete") != result_type:
                raise Refused(f'expected "{result_type}"', (RESULT_TYPE,))
            return built

        return structure_and_check

    def unstructure_hook(self, cls: Any, converter: BaseConverter) -> UnstructureHook:
        """Instance of the class → JSON object."""
        order = self.revision.order
        fields = [field for field in wire_fields(cls) if field.spec.exists_in(order)]
        overrides = {field.name: self._outgoing(field, converter) for field in fields}
        overrides.update(_omitted(cls, overrides))
        generated = make_dict_unstructure_fn(cls, converter, _cattrs_use_linecache=False, **overrides)
        droppable = tuple(f.wire for f in fields if f.spec.shape in ("structured", "output_schema"))
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

    def _incoming(self, field: WireField, converter: BaseConverter) -> Any:
        if field.spec.shape is not None:
            hook = shape_structure_hook(field.spec.shape, self.revision, converter)
        else:
            hook = converter.get_structure_hook(field.type)
        return override(rename=field.wire, struct_hook=hook)

    def _outgoing(self, field: WireField, converter: BaseConverter) -> Any:
        hook: Any = None
        if field.spec.shape is not None:
            hook = shape_unstructure_hook(field.spec.shape, self.revision, converter)
        elif _holds_objects(field.type):
            hook = converter.get_unstructure_hook(field.type)
        return override(rename=field.wire, unstruct_hook=hook or identity, omit_if_default=field.optional)


def _omitted(cls: Any, kept: dict[str, Any]) -> dict[str, Any]:
    return {attribute.name: override(omit=True) for attribute in attrs.fields(cls) if attribute.name not in kept}


def _holds_objects(declared: Any) -> bool:
    """Whether values of the type hold instances of our classes; all others are JSON values already."""
    return attrs.has(declared) or any(_holds_objects(argument) for argument in get_args(declared))


def _climb(refused: Refused, instance: Any, fields: list[WireField]) -> None:
    """Extend the path of a refusal by the field that holds the object in which it happened.

    The generated code does not say which field it was at. An object is found by its identity.
    """
    for field in fields:
        if refused.subject is not None and getattr(instance, field.name) is refused.subject:
            refused.climb(field.wire, instance)
            return
    refused.subject = instance
