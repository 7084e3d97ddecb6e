"""Released programs that run on node speak to the server of tests/conformance over HTTP, behind both doors.

The TypeScript SDK's client by a small program beside this file, and the Inspector's command line.
Both are of the legacy era.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.serving import DOORS, serving
from tests.interop.everything import (
    ASKING,
    CONTENT,
    FAILING,
    LOGGED,
    PLAIN,
    PROMPTS,
    RESOURCES,
    TEMPLATE,
    TOOLS,
    filled_in,
)
from tests.interop.node_peers import INSPECTOR, package
from tests.process.children import PATIENCE

pytestmark = pytest.mark.interop

SDK: Final = ("@modelcontextprotocol/sdk", "1.32.2")
PROGRAM: Final = Path(__file__).with_name("typescript_client.mjs")
FREE_TEXT: Final = ("username", "email", "name", "color", "context", "ok")
"""Fields of forms for which nothing is offered to choose from."""


@pytest.fixture(scope="module", params=DOORS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with serving(request.param) as found:
        yield found


def ran(*command: str) -> Any:
    """The JSON that a program prints."""
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["streamable", "sse"])
def test_the_typescript_client_uses_everything(url: str, kind: str) -> None:
    node, folder = package(*SDK)
    asking = {**PLAIN, **ASKING}
    plan = {
        "tools": {name: asking[name][0] if name in asking else {} for name in (*asking, *CONTENT, *FAILING)},
        "resources": [*RESOURCES, "test://none"],
        "prompts": {name: arguments for name, (arguments, _) in PROMPTS.items()},
        "answers": filled_in({"properties": {name: {"type": "string"} for name in FREE_TEXT}}),
        "told": 3,
    }
    where = url if kind == "streamable" else url.removesuffix("/mcp") + "/sse"
    found = ran(node, str(PROGRAM), str(folder), kind, where, json.dumps(plan))

    assert found["server"] == "everything"
    assert found["version"] == ("2025-11-25" if kind == "streamable" else None)
    assert set(found["listed"]) == TOOLS
    contents = {name: found["tools"].pop(name)["content"] for name in CONTENT}
    assert {name: [kind for kind in kinds if kind != "text"] for name, kinds in CONTENT.items()} == {
        name: [kind for kind in content if kind in CONTENT[name]] for name, content in contents.items()
    }
    assert found["tools"] == {
        **{name: {"content": [text], "failed": False} for name, (_, text) in asking.items()},
        **{name: {"content": [text], "failed": True} for name, text in FAILING.items()},
    }
    assert found["asked"] == 21  # three tools ask more than once, one nothing; and one prompt asks
    refused = found["resources"].pop("test://none")
    assert refused["code"] == -32002
    assert found["resources"] == RESOURCES
    assert found["templates"] == [TEMPLATE]
    assert found["prompts"] == {name: messages for name, (_, messages) in PROMPTS.items()}
    assert found["completed"] == ["testValue1", "testing"]
    assert [text for text in found["logged"] if text in LOGGED] == LOGGED
    assert sorted(found["told"]) == [
        "notifications/prompts/list_changed",
        "notifications/resources/updated",
        "notifications/tools/list_changed",
    ]
    assert found["progress"] in ([0, 50], [0, 50, 100])
    assert found["given_up"]
    assert found["many"] == 20
    assert found["methods"].count("DELETE") == (1 if kind == "streamable" else 0)


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_the_inspector_lists_calls_reads_and_gets(url: str, kind: str) -> None:
    program, folder = package(*INSPECTOR)
    where = url if kind == "http" else url.removesuffix("/mcp") + "/sse"

    def inspect(*arguments: str) -> Any:
        cli = str(folder / "cli" / "build" / "cli.js")
        return ran(program, cli, "--cli", where, "--transport", kind, *arguments)

    assert {tool["name"] for tool in inspect("--method", "tools/list")["tools"]} == TOOLS
    called = inspect("--method", "tools/call", "--tool-name", "test_structured_content", "--tool-arg", "city=Ulm")
    assert called["structuredContent"] == {"city": "Ulm", "unit": "celsius"}
    read = inspect("--method", "resources/read", "--uri", "test://static-text")
    assert read["contents"][0]["uri"] == "test://static-text"
    got = inspect("--method", "prompts/get", "--prompt-name", "test_simple_prompt")
    assert got["messages"][0]["content"]["text"] == "This is a simple prompt for testing."
