"""Hooks that check JSON values and convert nothing: a string is a string, or it is refused.

cattrs' own hooks would make 5 of "5", 1 of True and a list of "abc". `register_strict_hooks` puts
those of this file first in every converter. The second part checks values that stay raw JSON
(schemas, structured content, answers of a form, `_meta`): a field names its check by
`spec(check=...)`, and the revision decides its rules. The full check of a tool's schema, and of
values against it, is in `trimcp.schema.validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args, get_origin

from cattrs import BaseConverter
from cattrs.cols import list_structure_factory
from cattrs.gen import make_mapping_structure_fn
from orjson import Fragment

from trimcp.types.fields import ABSENT, RawCheck
from trimcp.types.metadata import PROGRESS_TOKEN
from trimcp.types.revisions import Revision

StructureHook = Callable[[Any, Any], Any]


class Refused(Exception):
    """A value does not fit; the codec turns it into a problem of an `InvalidPayload`.

    Attributes:
        words: the expected value.
        steps: the path below the value that the hook was given.
        subject: while encoding, the object that was refused; see `climb`.
    """

    def __init__(self, words: str, steps: tuple[str | int, ...] = (), subject: Any = None) -> None:
        super().__init__(words, steps)
        self.words: str = words
        self.steps: tuple[str | int, ...] = steps
        self.subject: Any = subject

    def climb(self, step: str | int, subject: Any) -> None:
        """Extend the path outwards: `subject` holds the refused object at `step`."""
        self.steps = (step, *self.steps)
        self.subject = subject


def text(value: Any, _: Any = None) -> str:
    """Check that a value is a JSON string."""
    if type(value) is str:
        return value
    raise Refused("expected string")


def integer(value: Any, _: Any = None) -> int:
    """Check that a value is a JSON integer; 1.0 and true are not."""
    if type(value) is int:
        return value
    raise Refused("expected integer")


def number(value: Any, _: Any = None) -> int | float:
    """Check that a value is a JSON number; integers stay integers."""
    if type(value) is float or type(value) is int:
        return value
    raise Refused("expected number")


def boolean(value: Any, _: Any = None) -> bool:
    """Check that a value is `true` or `false`."""
    if type(value) is bool:
        return value
    raise Refused("expected boolean")


def identifier(value: Any, _: Any = None) -> int | str:
    """Check that a value is a request id or progress token; it keeps its JSON type: 7 is not "7"."""
    if type(value) is int or type(value) is str:
        return value
    raise Refused("expected string or integer")


def json_object(value: Any, _: Any = None) -> dict[str, Any]:
    """Check that a value is a JSON object, which stays as it is."""
    if type(value) is dict:
        return value
    raise Refused("expected object")


EXACT: Final[Mapping[StructureHook, str]] = {text: "str", integer: "int", boolean: "bool", json_object: "dict"}
"""The hooks that check for one class alone, and its name."""


def register_strict_hooks(converter: BaseConverter) -> None:
    """Make a converter refuse the values that it would convert."""
    converter.register_structure_hook(str, text)
    converter.register_structure_hook(int, integer)
    converter.register_structure_hook(float, number)
    converter.register_structure_hook(bool, boolean)
    converter.register_structure_hook_func(lambda cls: cls == int | str, identifier)
    converter.register_structure_hook_factory(origin_is(Literal), _literal)
    converter.register_structure_hook_factory(origin_is(list), _list_of)
    converter.register_structure_hook_factory(origin_is(dict), _dict_of)


def origin_is(origin: Any) -> Callable[[Any], bool]:
    """Return a predicate for cattrs: whether a type is `origin[...]`."""
    return lambda cls: get_origin(cls) is origin


def _literal(cls: Any) -> StructureHook:
    allowed = frozenset(get_args(cls))
    words = "expected " + " or ".join(f'"{name}"' for name in get_args(cls))

    def literal(value: Any, _: Any = None) -> Any:
        # The type first: a list cannot be looked up in a set.
        if type(value) is str and value in allowed:
            return value
        raise Refused(words)

    return literal


def _list_of(cls: Any, converter: BaseConverter) -> StructureHook:
    items = list_structure_factory(cls, converter)

    def array(value: Any, _: Any = None) -> Any:
        if type(value) is list:
            return items(value, cls)
        raise Refused("expected array")

    return array


def _dict_of(cls: Any, converter: BaseConverter) -> StructureHook:
    if get_args(cls)[1] is Any:
        return json_object
    members = make_mapping_structure_fn(cls, converter, detailed_validation=converter.detailed_validation)

    def mapping(value: Any, _: Any = None) -> Any:
        if type(value) is dict:
            return members(value, cls)
        raise Refused("expected object")

    return mapping


def raw_structure_hook(check: RawCheck, revision: Revision, converter: BaseConverter) -> StructureHook:
    """Return the check of an incoming value."""
    if check == "input_schema":
        return _schema_with_properties if not revision.structured_any else _object_schema
    if check == "output_schema":
        return _schema_with_properties if not revision.structured_any else _schema
    if check == "structured":
        return _anything if revision.structured_any else json_object
    if check == "request_meta":
        return _request_meta
    if check == "elicited":
        return _elicited
    if check == "ttl":
        return _ttl
    return _form_schema(converter)


def raw_unstructure_hook(check: RawCheck, revision: Revision, converter: BaseConverter) -> Callable[[Any], Any] | None:
    """Return the check of an outgoing value; None without one.

    The check returns `ABSENT` for an optional value that the revision has no form for.
    """
    if check == "output_schema" and not revision.structured_any:
        return _object_schema_or_absent
    if check == "structured" and not revision.structured_any:
        return _object_or_absent
    if check == "requested_schema":
        return _form_schema_out(converter, revision)
    return None


def _anything(value: Any, _: Any = None) -> Any:
    return value


def _schema(value: Any, _: Any = None) -> dict[str, Any]:
    schema = json_object(value)
    if type(schema.get("$schema", "")) is not str:
        raise Refused("expected string", ("$schema",))
    return schema


def _object_schema(value: Any, _: Any = None) -> dict[str, Any]:
    schema = _schema(value)
    if schema.get("type") != "object":
        raise Refused('expected "object"', ("type",))
    return schema


def _schema_with_properties(value: Any, _: Any = None) -> dict[str, Any]:
    """Check an object schema as the legacy revisions define it, with the form of its properties."""
    schema = _object_schema(value)
    properties = schema.get("properties", {})
    if type(properties) is not dict:
        raise Refused("expected object", ("properties",))
    for name, inner in properties.items():
        if type(inner) is not dict:
            raise Refused("expected object", ("properties", name))
    required = schema.get("required", [])
    if type(required) is not list:
        raise Refused("expected array", ("required",))
    for index, name in enumerate(required):
        if type(name) is not str:
            raise Refused("expected string", ("required", index))
    return schema


def _request_meta(value: Any, _: Any = None) -> dict[str, Any]:
    meta = json_object(value)
    if PROGRESS_TOKEN in meta:
        try:
            identifier(meta[PROGRESS_TOKEN])
        except Refused as refused:
            raise Refused(refused.words, (PROGRESS_TOKEN,)) from None
    return meta


def _elicited(value: Any, _: Any = None) -> dict[str, Any]:
    content = json_object(value)
    for name, entry in content.items():
        # The specification does not allow null, but clients send it for an empty field; the schema of
        # the form decides on it later.
        if entry is None or type(entry) in (str, int, float, bool):
            continue
        if type(entry) is not list:
            raise Refused("expected string, number, boolean or array", (name,))
        for index, item in enumerate(entry):
            try:
                text(item)
            except Refused as refused:
                raise Refused(refused.words, (name, index)) from None
    return content


def _ttl(value: Any, _: Any = None) -> int:
    # A negative one is ignored, not refused (server/utilities/caching).
    return max(0, integer(value))


def _form_schema(converter: BaseConverter) -> Callable[..., dict[str, Any]]:
    def form_schema(value: Any, _: Any = None) -> dict[str, Any]:
        # Imported on use: few programs use forms, and the classes take long to make.
        from trimcp.types.elicitation_schemas import ElicitRequestedSchema

        converter.get_structure_hook(ElicitRequestedSchema)(value, ElicitRequestedSchema)
        return json_object(value)

    return form_schema


def _form_schema_out(converter: BaseConverter, revision: Revision) -> Callable[[Any], dict[str, Any]]:
    check_form = _form_schema(converter)

    def form_schema(value: Any) -> dict[str, Any]:
        try:
            return check_form(value)
        except (Refused, KeyError):
            raise Refused(f"expected the schema of a form of {revision.version}", subject=value) from None

    return form_schema


def _object_schema_or_absent(value: Any) -> Any:
    return value if type(value) is dict and value.get("type") == "object" else ABSENT


def _object_or_absent(value: Any) -> Any:
    # A fragment is the text of an object; other values are put into an object, see `encoded_results`.
    return value if type(value) is dict or type(value) is Fragment else ABSENT
