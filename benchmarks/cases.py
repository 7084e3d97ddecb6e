"""The kinds of work: a request for each, and a check of its answer."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import attrs

from benchmarks.messages import Era, request_template

TEXT_BYTES: Final = 2**20 // 21 * 21
BLOB_BYTES: Final = 2**20
REPORTS: Final = 100

ORDER: Final[dict[str, Any]] = {
    "customer": "Ada Lovelace",
    "street": "St James's Square",
    "city": "London",
    "number": 12,
    "floor": 2,
    "weight": 4.5,
    "discount": 0.05,
    "express": True,
    "notes": ["ring twice", "leave it at the door"],
    "codes": [4, 8, 15, 16, 23, 42],
    "lines": [
        {"name": f"item {number}", "count": number, "price": number / 4, "tags": ["red", "round"]}
        for number in range(20)
    ],
}

Check = Callable[[dict[str, Any]], bool]


@attrs.frozen
class Case:
    """One kind of work. `many` is the number in flight in the second load."""

    name: str
    tool: str
    check: Check
    arguments: dict[str, Any] = attrs.field(factory=dict)
    progress: bool = False
    many: int = 32

    @property
    def request(self) -> tuple[str, dict[str, Any]]:
        """Its method and params."""
        if self.tool == "blob":
            return "resources/read", {"uri": "data://blob"}
        return "tools/call", {"name": self.tool, "arguments": self.arguments}

    def template(self, era: Era) -> bytes:
        """The request, for a driver of `driven`."""
        method, params = self.request
        return request_template(era, method, params, progress=self.progress)


def _gives(value: object) -> Check:
    return lambda result: bool(result["structuredContent"] == {"result": value})


def _gives_listing(result: dict[str, Any]) -> bool:
    listing = result["structuredContent"]
    last = {"name": "item 99", "count": 99, "price": 24.75, "active": False, "tags": ["red", "round"]}
    return bool(len(listing["items"]) == listing["total"] == 100 and listing["items"][-1] == last)


CASES: Final = (
    Case("add", "add", _gives(3), {"a": 1, "b": 2}),
    Case("a tool that waits", "wait", _gives(3)),
    Case("1 MiB of text", "text", lambda result: len(result["content"][0]["text"]) == TEXT_BYTES, many=4),
    Case(
        "1 MiB blob", "blob", lambda result: len(base64.b64decode(result["contents"][0]["blob"])) == BLOB_BYTES, many=4
    ),
    Case("100 progress reports", "progress", _gives(REPORTS), progress=True, many=8),
    Case("100 objects", "objects", _gives_listing),
    Case("100 pydantic models", "models", _gives_listing),
    Case("nested arguments", "nested", _gives(20), ORDER),
)
