"""The tools of the server under test, unchanged, in every revision that has what they need."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import trio

import trimcp
from tests.interop.everything import ASKING, CONTENT, ENVIRONMENT, PLAIN, PROMPTS, SERVER, filled_in
from tests.process.children import PATIENCE
from trimcp.types import CreateMessageRequestParams, ElicitRequestFormParams, ElicitRequestURLParams, Root, TextContent
from trimcp.types.revisions import REVISIONS

FORMS = "2025-06-18"
SINCE = {
    "test_audio_content": "2025-03-26",
    "test_url_elicitation": "2025-11-25",
    "test_elicitation_sep1330_enums": "2025-11-25",  # several options may be chosen
    **{
        tool: FORMS
        for tool in ASKING
        if tool
        not in (
            "test_sampling",
            "test_roots",
            "test_missing_capability",
            "test_input_required_result_sampling",
            "test_input_required_result_list_roots",
            "test_input_required_result_capabilities",
            "test_url_elicitation",
            "test_elicitation_sep1330_enums",
        )
    },
    "test_input_required_result_prompt": FORMS,
}
"""The first revision that has what a tool or a prompt needs, if not all of them have."""
WITHOUT_FORMS = '{"greeting": "heard Generate a greeting", "client_roots": ["file:///home/ada"]}'


async def think(params: CreateMessageRequestParams) -> str:
    assert isinstance(params.messages[0].content, TextContent)
    return f"heard {params.messages[0].content.text}"


async def fill_in(params: ElicitRequestFormParams) -> dict[str, Any]:
    return filled_in(params.requested_schema)


async def visit(params: ElicitRequestURLParams) -> bool:
    return True


@pytest.mark.parametrize("version", [revision.version for revision in REVISIONS])
async def test_every_tool_and_prompt_does_what_the_revision_has_and_refuses_the_rest(version: str) -> None:
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(
            [sys.executable, str(SERVER)],
            revision=version,
            env=ENVIRONMENT,
            on_stderr=lambda line: None,
            sampling=think,
            elicitation=fill_in,
            visit=visit,
            roots=[Root("file:///home/ada", "home")],
        ) as client:
            for name, (arguments, expected) in {**PLAIN, **ASKING}.items():
                if version < SINCE.get(name, ""):
                    assert await is_refused(client, name, arguments), name
                    continue
                if name == "test_input_required_result_capabilities" and version < FORMS:
                    expected = WITHOUT_FORMS
                assert (await client.call_tool(name, arguments)).text == expected, name
            for name, kinds in CONTENT.items():
                if version < SINCE.get(name, ""):  # a kind that the revision lacks is told in text
                    found = {block.type for block in (await client.call_tool(name)).content}
                    assert found <= {"text", "image", "resource"}, name
                else:
                    assert [block.type for block in (await client.call_tool(name)).content] == kinds
            for name, (texts, messages) in PROMPTS.items():
                if version < SINCE.get(name, ""):
                    with pytest.raises(trimcp.RequestFailed):
                        await client.get_prompt(name, texts)
                else:
                    assert len((await client.get_prompt(name, texts)).messages) == len(messages)


async def is_refused(client: trimcp.Client, tool: str, arguments: dict[str, Any]) -> bool:
    """Whether a call ends in an error, of either kind."""
    try:
        return (await client.call_tool(tool, arguments)).is_error
    except trimcp.RequestFailed:
        return True
