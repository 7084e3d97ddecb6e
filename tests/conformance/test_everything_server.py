"""What the conformance suite looks for in the server under test, looked at by hand: lines over stdio."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from tests.process.children import META, ROOT, Child, child, initialize

SERVER = [sys.executable, str(ROOT / "tests" / "conformance" / "everything_server.py")]
CAPABILITIES = {"sampling": {}, "elicitation": {}, "roots": {"listChanged": True}}
ALICE = {"action": "accept", "content": {"name": "Alice"}}
OK = {"action": "accept", "content": {"ok": True}}
SAID = {
    "role": "assistant",
    "content": {"type": "text", "text": "Paris"},
    "model": "test-model",
    "stopReason": "endTurn",
}
ROOTS = {"roots": [{"uri": "file:///test/root", "name": "Test Root"}]}


class Suite:
    """The suite's side of 2026-07-28: every request by itself."""

    def __init__(self, server: Child) -> None:
        self._server = server
        self._id = 100

    async def ask(self, method: str, params: dict[str, Any], capabilities: Any = None) -> Any:
        """The result, or the error."""
        self._id += 1
        declared = CAPABILITIES if capabilities is None else capabilities
        meta = {**META, "io.modelcontextprotocol/clientCapabilities": declared}
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": {**params, "_meta": meta}}
        await self._server.send(message)
        answer = await self._server.receive()
        assert answer["id"] == self._id
        return answer.get("result", answer.get("error"))

    async def call(self, tool: str, capabilities: Any = None, **round_: Any) -> Any:
        """One round of a call without arguments."""
        name = "test_input_required_result_" + tool
        return await self.ask("tools/call", {"name": name, "arguments": {}, **round_}, capabilities)


def answered(result: Any, **answers: Any) -> dict[str, Any]:
    """The next round."""
    assert result["resultType"] == "input_required"
    assert result["inputRequests"].keys() == answers.keys()
    return {"inputResponses": answers, "requestState": result["requestState"]}


async def test_the_lists_are_as_the_suite_wants_them() -> None:
    async with child(SERVER) as server:
        suite = Suite(server)
        lists = [await suite.ask("tools/list", {}) for _ in range(3)]
        assert lists[0] == lists[1] == lists[2]
        tools = {tool["name"]: tool for tool in lists[0]["tools"]}
        assert next(iter(tools)) == "test_simple_text"
        for name, tool in tools.items():
            assert re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", name)
            assert tool["description"]
        schema = tools["json_schema_2020_12_tool"]["inputSchema"]
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["$defs"]["address"]["$anchor"] == "addressDef"
        assert {"allOf", "if", "then", "else"} <= schema.keys()
        assert schema["additionalProperties"] is False
        assert tools["test_x_mcp_header"]["inputSchema"]["properties"]["region"]["x-mcp-header"] == "Region"
        for prompt in (await suite.ask("prompts/list", {}))["prompts"]:
            assert prompt["description"]
        for resource in (await suite.ask("resources/list", {}))["resources"]:
            assert resource["name"]
            assert resource["description"]
            assert resource["mimeType"]
        capabilities = (await suite.ask("server/discover", {}))["capabilities"]
        assert capabilities["tools"]["listChanged"] is True
        assert capabilities["prompts"]["listChanged"] is True
        assert capabilities["resources"]["subscribe"] is True
        assert "completions" in capabilities


async def test_the_rounds_are_as_the_suite_wants_them() -> None:
    async with child(SERVER) as server:
        suite = Suite(server)
        first = await suite.call("elicitation")
        assert (await suite.call("elicitation", **answered(first, user_name=ALICE)))["content"][0][
            "text"
        ] == "Hello, Alice!"
        first = await suite.call("sampling")
        assert (await suite.call("sampling", **answered(first, capital_question=SAID)))["content"][0]["text"] == "Paris"
        first = await suite.call("list_roots")
        last = await suite.call("list_roots", **answered(first, client_roots=ROOTS))
        assert "file:///test/root" in last["content"][0]["text"]
        first = await suite.call("request_state")
        assert "state-ok" in (await suite.call("request_state", **answered(first, confirm=OK)))["content"][0]["text"]
        first = await suite.call("multiple_inputs")
        last = await suite.call(
            "multiple_inputs", **answered(first, user_name=ALICE, greeting=SAID, client_roots=ROOTS)
        )
        assert last["resultType"] == "complete"
        one = await suite.call("multi_round")
        two = await suite.call("multi_round", **answered(one, step1=ALICE))
        assert one["requestState"] != two["requestState"]
        blue = {"action": "accept", "content": {"color": "blue"}}
        assert (await suite.call("multi_round", **answered(two, step2=blue)))["resultType"] == "complete"
        prompt = {"name": "test_input_required_result_prompt"}
        first = await suite.ask("prompts/get", prompt)
        context = {"action": "accept", "content": {"context": "test context"}}
        assert (await suite.ask("prompts/get", {**prompt, **answered(first, user_context=context)}))["messages"]


async def test_what_a_client_gets_wrong_is_answered_as_the_suite_wants_it() -> None:
    async with child(SERVER) as server:
        suite = Suite(server)
        first = await suite.call("tampered_state")
        round_ = answered(first, confirm=OK)
        assert (await suite.call("tampered_state", **{**round_, "requestState": round_["requestState"] + "-TAMPERED"}))[
            "code"
        ] == -32602
        first = await suite.call("capabilities", {"sampling": {}})
        assert {question["method"] for question in first["inputRequests"].values()} == {"sampling/createMessage"}
        # Answers of which nothing was asked before: there is no state to bring back.
        assert (await suite.call("elicitation", inputResponses={"wrong_key": ALICE}))["resultType"] == "input_required"
        more = {"user_name": ALICE, "unknown_extra_key": OK, "another_unexpected": OK}
        assert (await suite.call("elicitation", inputResponses=more))["resultType"] == "complete"
        assert (await suite.call("elicitation", inputResponses={"user_name": 12345}))["code"] == -32602
        assert (await suite.call("elicitation", inputResponses=None))["resultType"] == "input_required"
        refused = await suite.ask("tools/call", {"name": "test_missing_capability"}, {})
        assert (refused["code"], refused["data"]) == (-32021, {"requiredCapabilities": {"sampling": {}}})
        uri = "test://nonexistent-resource-for-conformance-testing"
        missing = await suite.ask("resources/read", {"uri": uri})
        assert (missing["code"], missing["data"]["uri"]) == (-32602, uri)
        for method in ("initialize", "ping", "logging/setLevel", "resources/subscribe", "unknown/method"):
            assert (await suite.ask(method, {}))["code"] == -32601


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
async def test_forms_of_a_legacy_session_are_to_the_letter(version: str) -> None:
    async with child(SERVER) as server:
        hello, ready = initialize(version)
        hello["params"]["capabilities"] = {"sampling": {}, "elicitation": {}}
        await server.send(hello)
        assert (await server.receive())["result"]["protocolVersion"] == version
        await server.send(ready)

        async def ask(method: str, params: dict[str, Any]) -> Any:
            await server.send({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            return await server.receive()

        assert (await ask("ping", {}))["result"] == {}
        assert (await ask("logging/setLevel", {"level": "info"}))["result"] == {}
        assert (await ask("resources/subscribe", {"uri": "test://watched-resource"}))["result"] == {}
        question = await ask("tools/call", {"name": "test_elicitation_sep1034_defaults"})
        properties = question["params"]["requestedSchema"]["properties"]
        assert {name: (field["type"], field["default"]) for name, field in properties.items()} == {
            "name": ("string", "John Doe"),
            "age": ("integer", 30),
            "score": ("number", 95.5),
            "status": ("string", "active"),
            "verified": ("boolean", True),
        }
        assert properties["status"]["enum"] == ["active", "inactive", "pending"]
        await server.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})
        assert (await server.receive())["result"]["content"]
        question = await ask("tools/call", {"name": "test_elicitation_sep1330_enums"})
        if version == "2025-06-18":  # it knows no choice of several
            assert question["error"]["code"] == -32600
            return
        fields = question["params"]["requestedSchema"]["properties"]
        assert fields["untitledSingle"].keys() == {"type", "enum"}
        assert fields["titledSingle"]["oneOf"][0] == {"const": "value1", "title": "First Option"}
        assert len(fields["legacyEnum"]["enum"]) == len(fields["legacyEnum"]["enumNames"]) == 3
        assert fields["untitledMulti"]["items"].keys() == {"type", "enum"}
        assert fields["titledMulti"]["items"]["anyOf"][0] == {"const": "value1", "title": "First Choice"}
        chosen = {"untitledSingle": "option1", "titledSingle": "value1", "legacyEnum": "opt1"}
        content = {**chosen, "untitledMulti": ["option1", "option2"], "titledMulti": ["value1", "value2"]}
        await server.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": content}})
        assert "value2" in (await server.receive())["result"]["content"][0]["text"]
