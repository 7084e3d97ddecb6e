"""Builds the cattrs converters of a revision: a fast one, and a slower one that explains errors.

cattrs generates the hooks of a class when they are first needed. `payloads` owns the converters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import attrs
from cattrs import BaseConverter, Converter

from trimcp.codec.classes import ClassHooks
from trimcp.codec.strict import Refused, origin_is, register_strict_hooks
from trimcp.codec.unions import UnionHooks, is_one_or_several, is_union_of_classes
from trimcp.types.revisions import Revision


def build_converter(revision: Revision, *, detailed: bool) -> Converter:
    """Build a converter for the types of one revision.

    Args:
        revision: decides on fields, methods and content blocks.
        detailed: whether its errors have paths and messages; it takes about three times as long.
    """
    converter = Converter(detailed_validation=detailed)
    register_strict_hooks(converter)
    classes = ClassHooks(revision)
    unions = UnionHooks(revision)
    # cattrs asks the factory registered last first.
    for predicate, incoming, outgoing in (
        (attrs.has, classes.structure_hook, classes.unstructure_hook),
        (is_union_of_classes, unions.structure_hook, unions.unstructure_hook),
        (is_one_or_several, unions.one_or_several_structure_hook, unions.one_or_several_unstructure_hook),
    ):
        converter.register_structure_hook_factory(predicate, incoming)
        converter.register_unstructure_hook_factory(predicate, outgoing)
    converter.register_unstructure_hook_factory(origin_is(list), _list_out)
    converter.register_unstructure_hook_factory(origin_is(dict), _dict_out)
    return converter


def _list_out(cls: Any, converter: BaseConverter) -> Callable[[Any], Any]:
    item_hook = converter.get_unstructure_hook(get_args(cls)[0])

    def array(items: Any) -> Any:
        try:
            return [item_hook(item) for item in items]
        except Refused as refused:
            _climb(refused, enumerate(items), items)
            raise

    return array


def _dict_out(cls: Any, converter: BaseConverter) -> Callable[[Any], Any]:
    member_hook = converter.get_unstructure_hook(get_args(cls)[1])

    def mapping(members: Any) -> Any:
        try:
            return {name: member_hook(member) for name, member in members.items()}
        except Refused as refused:
            _climb(refused, members.items(), members)
            raise

    return mapping


def _climb(refused: Refused, entries: Any, subject: Any) -> None:
    """Put the index, or name, of the refused object before the path of the refusal."""
    for step, entry in entries:
        if entry is refused.subject:
            refused.climb(step, subject)
            return
