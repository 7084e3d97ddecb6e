"""Measures large arguments and results, from JSON text to the function and back.

    python -m benchmarks.large_payloads [--only NAME] [--rounds 5] [--against CHECKOUT]

Each case is all that is done to the bytes of one call: text to value, message, params and keyword
arguments for arguments; shaping, encoding and JSON text for results. With `--against`, the same
cases are run with another checkout of trimcp as well, in turns, and compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypedDict

import attrs
import msgspec
import orjson
import pydantic

from trimcp.codec.envelope import encode_result, read_message
from trimcp.codec.jsontext import loads
from trimcp.codec.revisions import codec_for
from trimcp.server.invocation.media import Image
from trimcp.server.invocation.resource_contents import TextResourceContents, _blob
from trimcp.server.invocation.signature import MISSING, inspect_function
from trimcp.server.invocation.tool_arguments import ArgumentBinder
from trimcp.server.invocation.tool_results import ToolResultConverter
from trimcp.types.resources import ReadResourceResult
from trimcp.types.revisions import BY_VERSION

CHECKOUT: Final = Path(__file__).parent.parent
CODEC: Final = codec_for(BY_VERSION["2025-11-25"])
OBJECTS: Final = 100
NESTED: Final = 20
MEGABYTE: Final = 1 << 20
SECONDS: Final = 0.04
"""Seconds of one measurement, at least; the least of five counts."""


@dataclasses.dataclass
class Place:
    city: str
    zip: str
    lat: float
    lon: float


@dataclasses.dataclass
class Item:
    id: int
    name: str
    price: float
    active: bool
    tags: list[str]
    place: Place
    note: str | None = None


@dataclasses.dataclass(slots=True)
class SlottedPlace:
    city: str
    zip: str
    lat: float
    lon: float


@dataclasses.dataclass(slots=True)
class SlottedItem:
    id: int
    name: str
    price: float
    active: bool
    tags: list[str]
    place: SlottedPlace
    note: str | None = None


@dataclasses.dataclass
class DatedItem:
    id: int
    name: str
    made: datetime.datetime
    place: Place


@attrs.define
class AttrsPlace:
    city: str
    zip: str
    lat: float
    lon: float


@attrs.define
class AttrsItem:
    id: int
    name: str
    price: float
    active: bool
    tags: list[str]
    place: AttrsPlace
    note: str | None = None


class DictPlace(TypedDict):
    city: str
    zip: str
    lat: float
    lon: float


class DictItem(TypedDict):
    id: int
    name: str
    price: float
    active: bool
    tags: list[str]
    place: DictPlace
    note: str | None


class PydanticPlace(pydantic.BaseModel):
    city: str
    zip: str
    lat: float
    lon: float


class PydanticItem(pydantic.BaseModel):
    id: int
    name: str
    price: float
    active: bool
    tags: list[str]
    place: PydanticPlace
    note: str | None = None


class StructPlace(msgspec.Struct):
    city: str
    zip: str
    lat: float
    lon: float


class StructItem(msgspec.Struct):
    id: int
    name: str
    price: float
    active: bool
    tags: list[str]
    place: StructPlace
    note: str | None = None


KINDS: Final[dict[str, tuple[Any, Any]]] = {
    "dataclass": (Item, Place),
    "slotted dataclass": (SlottedItem, SlottedPlace),
    "attrs": (AttrsItem, AttrsPlace),
    "TypedDict": (DictItem, DictPlace),
    "pydantic": (PydanticItem, PydanticPlace),
    "msgspec": (StructItem, StructPlace),
}


def items(kind: str, count: int) -> list[Any]:
    """A number of objects of one kind, each with an object and a list in it."""
    item, place = KINDS[kind]
    return [
        item(
            id=number,
            name=f"item {number}",
            price=number * 1.25,
            active=number % 2 == 0,
            tags=["new", "green", "sale"],
            place=place(city="Bern", zip="3000", lat=46.948, lon=7.4474),
            note=None,
        )
        for number in range(count)
    ]


def answering(returns: Any, value: Any) -> Callable[[], bytes]:
    """Return a function that makes the answer of a tool from its value."""
    converter = ToolResultConverter(returns, owner="measured()")
    encode = CODEC.result_encoder("tools/call")
    return lambda: encode_result(4711, encode(converter.convert(value)))


def reading(result: Callable[[], Any]) -> Callable[[], bytes]:
    """A function that makes the answer of a resource that was read."""
    encode = CODEC.result_encoder("resources/read")
    return lambda: encode_result(4711, encode(ReadResourceResult([result()])))


def binding(kind: str) -> Callable[[], dict[str, Any]]:
    """A function that makes the keyword arguments of a call: ten arguments, one with twenty objects."""

    def order(
        customer: str, street: str, city: str, zip: str, count: int, weight: float, express: bool, items: Any,
        labels: list[str], note: str | None = None,
    ) -> None: ...  # fmt: skip

    order.__annotations__["items"] = list[KINDS[kind][0]]
    binder = ArgumentBinder(inspect_function(order, injected=lambda annotation: False))
    decode = CODEC.params_decoder("tools/call")
    arguments = {
        "customer": "Somebody", "street": "Some Street 5", "city": "Bern", "zip": "3000", "count": 20, "weight": 12.5,
        "express": True, "items": orjson.loads(orjson.dumps(items("TypedDict", NESTED))), "labels": ["a", "b"],
        "note": "ring twice",
    }  # fmt: skip
    params = {"name": "order", "arguments": arguments}
    frame = orjson.dumps({"jsonrpc": "2.0", "id": 4711, "method": "tools/call", "params": params})

    def bind() -> dict[str, Any]:
        message: Any = read_message(loads(frame))
        return binder.bind(decode(message.params).arguments)

    return bind


def cases() -> dict[str, Callable[[], Any]]:
    """All cases, by name."""
    dated = [
        DatedItem(number, f"item {number}", datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC),
                  Place("Bern", "3000", 46.948, 7.4474))
        for number in range(OBJECTS)
    ]  # fmt: skip
    prose = ('A line of "text", as people write it, with a path C:\\temp.\n' * (MEGABYTE // 58))[:MEGABYTE]
    plain = "abcdefghijklmno " * (MEGABYTE // 16)
    foreign = "Ein Öl ☀ " * (MEGABYTE // 12)
    data = os.urandom(MEGABYTE)
    png = b"\x89PNG\r\n\x1a\n" + data
    found: dict[str, Callable[[], Any]] = {}
    for kind, (item, place) in KINDS.items():
        found[f"result: {OBJECTS} objects, {kind}"] = answering(list[item], items(kind, OBJECTS))
        found[f"result: 1 object, {kind}"] = answering(
            place, items(kind, 1)[0]["place"] if kind == "TypedDict" else items(kind, 1)[0].place
        )
    found[f"result: {OBJECTS} objects, dates"] = answering(list[DatedItem], dated)
    found[f"result: {OBJECTS} objects, no schema"] = answering(MISSING, items("dataclass", OBJECTS))
    for kind in KINDS:
        found[f"arguments: 10, {NESTED} objects, {kind}"] = binding(kind)
    answer = answering(list[Item], items("dataclass", OBJECTS))()
    found[f"reading: {OBJECTS} objects"] = lambda: loads(answer)
    code = orjson.dumps({"text": ('if (a[i] == "{x}") { f(b[3]); }\n' * (MEGABYTE // 32))})
    found["reading: 1 MB of code"] = lambda: loads(code)
    found["result: 1 MB text, plain"] = answering(str, plain)
    found["result: 1 MB text, prose"] = answering(str, prose)
    found["result: 1 MB text, not ASCII"] = answering(str, foreign)
    found["result: 1 MB text, no schema"] = answering(MISSING, prose)
    found["result: 1 MB image"] = answering(MISSING, Image(png))
    found["resource: 1 MB text"] = reading(lambda: TextResourceContents("file:///a", prose, "text/plain"))
    found["resource: 1 MB blob"] = reading(lambda: _blob("file:///a", data, "application/octet-stream"))
    return found


def microseconds(call: Callable[[], Any]) -> float:
    """The least of five measurements, in processor time, which other load affects little."""
    call()
    began = time.process_time()
    call()
    count = max(1, int(SECONDS / 5 / max(time.process_time() - began, 1e-7)))
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(count):
            call()
        best = min(best, (time.process_time() - began) / count)
    return best * 1e6


def in_another_process(checkout: Path, only: str) -> dict[str, float]:
    """The figures of one checkout."""
    env = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, __file__, "--json", "--only", only]
    asked = subprocess.run(command, env=env, capture_output=True, check=True, cwd=checkout)
    figures: dict[str, float] = json.loads(asked.stdout)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="WORDS", help="only the cases whose name has these words")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--json", action="store_true", help="one round in this process, as JSON")
    options = parser.parse_args()
    if options.json:
        print(json.dumps({name: microseconds(call) for name, call in cases().items() if options.only in name}))
        return
    checkouts = [CHECKOUT] + ([options.against] if options.against else [])
    rounds = [[in_another_process(checkout, options.only) for checkout in checkouts] for _ in range(options.rounds)]
    for name in rounds[0][0]:
        ours = min(figures[0][name] for figures in rounds)
        line = f"{name:45} {ours:9.1f} µs"
        if options.against:
            theirs = min(figures[1][name] for figures in rounds)
            ratios = sorted(figures[1][name] / figures[0][name] for figures in rounds)
            line += f"   there {theirs:9.1f} µs   {ratios[len(ratios) // 2]:5.2f} x as fast"
        print(line)


if __name__ == "__main__":
    main()
