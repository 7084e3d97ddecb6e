"""Content in lists of anything, and the text of single values."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import pathlib
import typing
import uuid
from typing import Annotated, Any

import pytest

from tests.server.invocation.test_tool_results import BLOCK, EMBEDDED, LINK, PNG, Color, converter, texts
from trimcp.server.invocation.media import Image
from trimcp.server.invocation.signature import MISSING
from trimcp.types.content import TextContent
from trimcp.types.fields import ABSENT
from trimcp.types.tools import CallToolResult


@pytest.mark.parametrize(
    "annotation",
    [
        MISSING,
        list,
        list[Any],
        tuple,
        tuple[Any, ...],
        list[object],
        typing.Sequence,
        typing.Sequence[Any],
        typing.Iterable,
        list | None,
        Annotated[list[Any], "parts"],
    ],
)
def test_content_in_a_list_of_anything_is_content(annotation: Any) -> None:
    made = converter(annotation)
    assert made.output_schema is None
    for value in (["a", BLOCK, Image(PNG), 3], (LINK,), [EMBEDDED]):
        result = made.convert(value)
        assert result == converter().convert(value)
        assert result.structured_content is ABSENT
    assert made.convert(Image(PNG)).content == [Image(PNG).to_content()]
    data = made.convert([1, {"a": datetime.date(2026, 1, 31)}])
    assert data.content == [TextContent('[1,{"a":"2026-01-31"}]')]
    assert data.structured_content in (ABSENT, {"result": [1, {"a": "2026-01-31"}]})
    assert (data.structured_content is ABSENT) is (annotation is MISSING)
    whole = CallToolResult([BLOCK])
    assert made.convert(whole) is whole


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC), "2026-01-31T12:00:00+00:00"),
        (datetime.time(12), "12:00:00"),
        (datetime.timedelta(days=1), "P1D"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.50"), "1.50"),
        (Color.RED, "red"),
        (pathlib.PurePosixPath("/a"), "/a"),
        (ipaddress.IPv4Address("192.0.2.1"), "192.0.2.1"),
        (b"a", "YQ=="),
    ],
)
def test_a_value_has_one_text_with_and_without_a_hint(value: Any, text: str) -> None:
    for annotation in (MISSING, Any, type(value)):
        assert texts(converter(annotation).convert(value)) == [text]
    assert texts(converter().convert([BLOCK, value])) == ["block", text]
