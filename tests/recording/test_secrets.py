"""No recording has a secret, whatever says that it is one; and what a replay needs stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.recording.vault import CANARY, recorded, vault
from trimcp.recording.secrets import SessionSecrets
from trimcp.view.masking import MASKED

ERAS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])


def request(method: str, params: dict[str, Any], id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def result(value: dict[str, Any], id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": value}


@ERAS
async def test_names_and_schemas_say_what_is_secret(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "session.ndjson"

    async def use(client: Any) -> None:
        await client.list_tools()
        await client.call_tool("unlock", {"password": CANARY})
        whispered = {"hint": f"{CANARY}-hint", "inner": {"motto": f"{CANARY}-motto"}}
        assert CANARY in (await client.call_tool("whisper", whispered)).text

    recording = await recorded(path, vault(), revision, use)
    assert CANARY not in path.read_text()
    answers = [entry.message["result"] for entry in recording.entries if entry.kind == "result"]
    texts = [answer["content"][0]["text"] for answer in answers if "content" in answer]
    assert texts == [f"{MASKED} opens nothing", f"{MASKED} and {MASKED}"]


async def test_a_server_knows_its_schemas_without_a_list(tmp_path: Path) -> None:
    import trimcp

    path, server = tmp_path / "session.ndjson", vault()
    with server.record(path):
        async with trimcp.connect(server) as client:
            await client.call_tool("whisper", {"hint": f"{CANARY}-1", "inner": {"motto": f"{CANARY}-2"}})
    assert CANARY not in path.read_text()
    assert '"whisper"' in path.read_text()


FORM = {"type": "object", "properties": {"code": {"type": "string", "format": "password"}}}


def test_the_schema_of_a_form_covers_its_answer_in_both_eras() -> None:
    secrets = SessionSecrets()
    secrets.masked("server", request("elicitation/create", {"message": "?", "requestedSchema": FORM}))
    answer = secrets.masked("client", result({"action": "accept", "content": {"code": "opensesame"}}))
    assert answer["result"]["content"] == {"code": MASKED}

    secrets = SessionSecrets()
    asked = {"form": {"method": "elicitation/create", "params": {"message": "?", "requestedSchema": FORM}}}
    state = f"answers so far: {CANARY}"
    secrets.masked("client", request("tools/call", {"name": "x"}))
    got = secrets.masked(
        "server", result({"resultType": "input_required", "inputRequests": asked, "requestState": state})
    )
    given = {"form": {"action": "accept", "content": {"code": "opensesame"}}}
    again = secrets.masked(
        "client", request("tools/call", {"name": "x", "inputResponses": given, "requestState": state}, 2)
    )
    assert again["params"]["inputResponses"]["form"]["content"] == {"code": MASKED}
    # The state is opaque, and the same label at both places.
    assert got["result"]["requestState"] == again["params"]["requestState"] == "state-1"
    said = secrets.masked("server", result({"content": [{"type": "text", "text": "opensesame it is"}]}, 2))
    assert said["result"]["content"][0]["text"] == f"{MASKED} it is"


def test_what_a_replay_needs_is_not_masked_by_a_secret_that_is_also_a_word_of_the_protocol() -> None:
    secrets = SessionSecrets()
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "progressToken": 2026}
    call = request("tools/call", {"name": "call", "arguments": {"token": 2026, "password": "call"}, "_meta": meta})
    masked = secrets.masked("client", call)
    assert masked["method"] == "tools/call"
    assert masked["params"]["name"] == "call"
    assert masked["params"]["_meta"] == meta
    assert masked["params"]["arguments"] == {"token": MASKED, "password": MASKED}


def test_batches_errors_and_lines_that_are_no_message_are_masked_too() -> None:
    secrets = SessionSecrets()
    (masked, _) = secrets.masked("client", [request("x", {"api_key": CANARY}), {"neither": 1}])
    assert masked["params"] == {"api_key": MASKED}
    error = {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": f"no {CANARY}", "data": {"secret": CANARY}}}
    assert CANARY not in str(secrets.masked("server", error))
    assert secrets.unreadable(f"Listening with token={CANARY}".encode()) == f"Listening with token={MASKED}"
    assert secrets.unreadable(f'{{"arguments": {{"hint": "{CANARY}"'.encode()).startswith("broken JSON of ")


@pytest.mark.parametrize("value", [None, 7, "text", [], {"params": []}, {"method": 3, "params": 4, "id": []}])
def test_messages_of_any_kind_are_taken(value: Any) -> None:
    assert SessionSecrets().masked("client", value) == value
