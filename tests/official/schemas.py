"""The official JSON Schemas of MCP, from wherever they are to be had.

Either from the directory of the specification that lies beside the checkout, if it does, or out
of the released conformance suite, whose bundle holds those of four revisions; it is fetched once
by npm, with whatever registry the user's npm is set to, and kept in the user's cache.
2024-11-05 is in no released package.
"""

import functools
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.node import CACHE, Unavailable, node_and_npm, run

PACKAGE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
BESIDE = Path(__file__).parents[3] / "shared" / "spec" / "schema"
KEPT = CACHE / "conformance-0.2.0-alpha.12"
EXTRACT = Path(__file__).with_name("extract_schemas.mjs")

RELEASED = {
    # A definition that came with the revision tells the schemas of the bundle apart, newest first.
    "2026-07-28": "DiscoverRequest",
    "2025-11-25": "Task",
    "2025-06-18": "ElicitRequest",
    "2025-03-26": "AudioContent",
}


def definitions(version: str) -> dict[str, Any]:
    """The definitions of a revision's schema; skips the test if there is no way to get them."""
    try:
        schema = beside(version) if (BESIDE / version).is_dir() else released(version)
    except Unavailable as why:
        pytest.skip(str(why))
    return definitions_in(schema)


def definitions_in(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema.get("$defs") or schema["definitions"]
    return found


@functools.cache
def beside(version: str) -> dict[str, Any]:
    """The schema in the directory beside the checkout."""
    path = BESIDE / version / "schema.json"
    if not path.is_file():
        raise Unavailable("the specification is not beside the checkout")
    schema: dict[str, Any] = json.loads(path.read_bytes())
    return schema


def released(version: str) -> dict[str, Any]:
    """The schema in the released conformance suite."""
    if version not in RELEASED:
        raise Unavailable(f"no released package holds the schema of {version}")
    return _amended(version, _bundled()[version])


def _amended(version: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The released schema with what the specification mended after that release."""
    amended: dict[str, Any] = json.loads(json.dumps(schema))
    found = definitions_in(amended)
    if version in ("2025-06-18", "2025-11-25"):
        # The changelog of 2026-07-28, "Other schema changes": the generator had made integers of numbers.
        for entry in found["NumberSchema"]["properties"].values():
            if entry["type"] == "integer":
                entry["type"] = "number"
    if version == "2026-07-28":
        old, new = "SubscriptionsListenResultMeta", "SubscriptionsListenResultMetaObject"
        found[new] = found.pop(old)
        found["SubscriptionsListenResult"]["properties"]["_meta"]["$ref"] = f"#/$defs/{new}"
        response = json.dumps(found["CompleteResultResponse"]).replace("/CompleteResult", "/SubscriptionsListenResult")
        found["SubscriptionsListenResultResponse"] = json.loads(response)
    return amended


def _bundled() -> dict[str, Any]:
    found = _bundled_or_why_not()
    if isinstance(found, Unavailable):
        raise found
    return found


@functools.cache
def _bundled_or_why_not() -> dict[str, Any] | Unavailable:
    """The schemas of the bundle by version; a failure is kept as well, so that npm is asked but once."""
    kept = KEPT / "schemas.json"
    if not kept.is_file():
        try:
            found = json.loads(_extract())
        except Unavailable as why:
            return why
        by_version = {version: _with_definition(found, mark, version) for version, mark in RELEASED.items()}
        temporary = KEPT / f"schemas.{os.getpid()}.json"
        temporary.write_text(json.dumps(by_version))
        temporary.replace(kept)
    schemas: dict[str, Any] = json.loads(kept.read_text())
    return schemas


def _with_definition(schemas: list[Any], mark: str, version: str) -> Any:
    newer = [RELEASED[other] for other in RELEASED if other > version]
    (schema,) = (
        schema
        for schema in schemas
        if mark in definitions_in(schema) and not any(other in definitions_in(schema) for other in newer)
    )
    return schema


def _extract() -> bytes:
    node, npm = node_and_npm()
    KEPT.mkdir(parents=True, exist_ok=True)
    bundle = KEPT / "package" / "dist" / "index.js"
    if not bundle.is_file():
        archive = run(*npm, "pack", PACKAGE, "--silent", "--pack-destination", str(KEPT)).decode().split()[-1]
        with tarfile.open(KEPT / Path(archive).name) as packed:
            packed.extractall(KEPT, filter="data")
    return run(node, str(EXTRACT), str(bundle))


def spec_examples(version: str) -> dict[str, list[tuple[str, Any]]]:
    """The examples that the specification gives, by definition: their names and values."""
    root = BESIDE / version / "examples"
    return {
        folder.name: [(path.stem, json.loads(path.read_bytes())) for path in sorted(folder.glob("*.json"))]
        for folder in sorted(root.glob("*"))
    }
