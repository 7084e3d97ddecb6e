"""`Header`: a parameter of a tool that clients mirror into a header field.

Owns the mark in a type hint and what it does to the schema of its parameter. Which schemas may have
such a mark, and what goes into the field, is in `framing.header_params`. `constraints` reads the
mark, `server.schema` puts it in its place.
"""

from __future__ import annotations

from typing import Any, Final, final

from trimcp.errors import UsageError
from trimcp.framing.header_params import KEYWORD, is_header_name

_NULL: Final = {"type": "null"}


@final
class Header:
    """`Annotated[str, Header("Region")]`: clients send this parameter of a tool as a header as well.

    Over HTTP, in 2026-07-28, a call then has a header `Mcp-Param-Region`, by which proxies can route
    it without reading its body; trimcp refuses a call whose header and body differ. Everywhere else
    it means nothing. The parameter is a string, an integer or a boolean; it may be optional, but the
    published schema has no null: a client leaves it out. Mark nothing secret: what lies between reads it.

    See server/tools, "x-mcp-header".
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """
        Args:
            name: what comes behind `Mcp-Param-`; two parameters of a tool must differ in more than case.

        Raises:
            UsageError: no header can have that name.
        """
        if not is_header_name(name):
            raise UsageError(
                f"{name!r} is no name for a header: it takes letters, digits, and ! # $ % & ' * + - . ^ _ ` | ~"
            )
        self.name = name

    def __repr__(self) -> str:
        return f"Header({self.name!r})"


def with_mark_in_place(schema: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The schema of a parameter as clients want it where it is marked: one type, said beside the mark, and no null.

    A schema without a mark, and one that cannot be so, is returned as it is.
    """
    alternatives = schema.get("anyOf", ())
    others = [inner for inner in alternatives if inner != _NULL]
    if len(others) == 1 and len(alternatives) == 2 and (KEYWORD in schema or KEYWORD in others[0]):
        schema = {**others[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
    if KEYWORD not in schema:
        return schema
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [one for one in kind if one != "null"]
        return {**schema, "type": kinds[0]} if len(kinds) == 1 else schema
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if kind is None and "type" in definitions.get(name, ()):
        return {**schema, "type": definitions[name]["type"]}  # of an enumeration
    return schema
