"""What released clients find when they use all of tests/conformance/everything_server.py: the same for each of them.

Also how a user would answer what that server asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.process.children import ROOT

SERVER: Final = ROOT / "tests" / "conformance" / "everything_server.py"
ENVIRONMENT: Final = {"PYTHONPATH": str(ROOT)}

PLAIN: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "test_simple_text": ({}, "This is a simple text response for testing."),
    "test_tool_with_logging": ({}, "Tool with logging executed"),
    "test_logging_tool": ({}, "Logged, if that was wanted"),
    "test_tool_with_progress": ({}, "Tool with progress executed"),
    "json_schema_2020_12_tool": (
        {"name": "Ada", "address": {"city": "Ulm"}, "contactMethod": "phone", "phone": "1"},
        "Ada of Ulm, by phone: 1",
    ),
    "test_x_mcp_header": ({"region": "south"}, "Region: south"),
    "test_structured_content": ({"city": "Ulm"}, '{"city":"Ulm","unit":"celsius"}'),
    "test_trigger_tool_change": ({}, "The list of tools has changed"),
    "test_trigger_prompt_change": ({}, "The list of prompts has changed"),
    "test_trigger_resource_update": ({}, "test://watched-resource has changed"),
    "test_reconnection": ({}, "Reconnection test completed"),
}
"""Tools that ask nothing: arguments, and the text they answer with."""
CONTENT: Final[dict[str, list[str]]] = {
    "test_image_content": ["image"],
    "test_audio_content": ["audio"],
    "test_embedded_resource": ["resource"],
    "test_multiple_content_types": ["text", "image", "resource"],
}
"""Tools that answer with something other than text."""
FAILING: Final = {"test_error_handling": "This tool intentionally returns an error for testing"}
ASKING: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "test_sampling": ({"prompt": "Hello"}, "LLM response: heard Hello"),
    "test_elicitation": (
        {"message": "Who?"},
        'User response: action=accept, content={"username": "ada", "email": "ada@example.com"}',
    ),
    "test_elicitation_sep1034_defaults": (
        {},
        (
            'Elicitation completed: action=accept, content={"name": "John Doe", "age": 30, "score": 95.5, '
            '"status": "active", "verified": true}'
        ),
    ),
    "test_elicitation_sep1330_enums": (
        {},
        (
            'Elicitation completed: action=accept, content={"untitledSingle": "option1", "titledSingle": "value1", '
            '"legacyEnum": "opt1", "untitledMulti": ["option1"], "titledMulti": ["value1"]}'
        ),
    ),
    "test_url_elicitation": ({}, "The user's answer: accept"),
    "test_roots": ({}, "Roots: file:///home/ada"),
    "test_missing_capability": ({}, "The client can sample"),
    "test_streaming_elicitation": ({}, 'action=accept, content={"ok": true}'),
    "test_input_required_result_elicitation": ({}, "Hello, Ada!"),
    "test_input_required_result_sampling": ({}, "heard What is the capital of France?"),
    "test_input_required_result_list_roots": ({}, "home: file:///home/ada"),
    "test_input_required_result_request_state": ({}, "state-ok, accept"),
    "test_input_required_result_multiple_inputs": ({}, "heard Generate a greeting Ada, 1 roots"),
    "test_input_required_result_multi_round": ({}, "Ada likes green"),
    "test_input_required_result_tampered_state": ({}, "accept"),
    "test_input_required_result_capabilities": (
        {},
        (
            '{"user_name": {"action": "accept", "data": {"name": "Ada"}}, "greeting": "heard Generate a greeting", '
            '"client_roots": ["file:///home/ada"]}'
        ),
    ),
}
"""Tools that ask: arguments, and the text they answer with once they know."""
JOBS: Final = {
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
}
"""Tools of the tasks extension, which most of these clients do not know."""

TOOLS: Final = {*PLAIN, *CONTENT, *FAILING, *ASKING, *JOBS}

LOGGED: Final = ["Tool execution started", "Tool processing data", "Tool execution completed"]
"""What `test_tool_with_logging` logs."""

RESOURCES: Final = {
    "test://static-text": "text/plain",
    "test://static-binary": "image/png",
    "test://watched-resource": "text/plain",
}
TEMPLATE: Final = "test://template/{id}/data"
PROMPTS: Final[dict[str, tuple[dict[str, str], list[str]]]] = {
    "test_simple_prompt": ({}, ["This is a simple prompt for testing."]),
    "test_prompt_with_arguments": ({"arg1": "a", "arg2": "b"}, ["Prompt with arguments: arg1='a', arg2='b'"]),
    "test_prompt_with_embedded_resource": (
        {"resourceUri": "test://example"},
        ["resource", "Please process the embedded resource above."],
    ),
    "test_prompt_with_image": ({}, ["image", "Please analyze the image above."]),
    "test_input_required_result_prompt": ({}, ["Use this context: a test"]),
}
"""Arguments, and of each message the text, or the kind of content that is none."""

_SAID: Final = {
    "username": "ada",
    "email": "ada@example.com",
    "name": "Ada",
    "color": "green",
    "context": "a test",
    "ok": True,
}


def filled_in(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a user fills into a form: what is there already, the first of what is offered, or what Ada says."""
    return {name: _field(name, field) for name, field in schema["properties"].items()}


def _field(name: str, field: Mapping[str, Any]) -> Any:
    if "default" in field:
        return field["default"]
    if field["type"] == "array":
        return [_field(name, field["items"] | {"type": "string"})]
    for titled in ("oneOf", "anyOf"):
        if titled in field:
            return field[titled][0]["const"]
    return field["enum"][0] if "enum" in field else _SAID[name]


def kinds_or_texts(contents: list[Any]) -> list[str]:
    """Of each content block its text, or else its kind."""
    return [block.text if block.type == "text" else block.type for block in contents]
