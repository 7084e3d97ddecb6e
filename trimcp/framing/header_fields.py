"""Header fields as programs read them: text, by names in any case. Both ends of HTTP hand them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class HeaderFields(Mapping[str, str]):
    """A read-only view of header fields, text to text; a name finds its field in any case.

    Iteration gives the names in lower case. The repr shows names alone, since values may be secret.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        """`fields`: by their names in lower case, in Latin-1."""
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        value = self._fields.get(name.lower().encode("latin-1", "replace"))
        if value is None:
            raise KeyError(name)
        return value.decode("latin-1")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower().encode("latin-1", "replace") in self._fields

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"HeaderFields({', '.join(self)})"
