"""Objects into JSON params and results: what a revision lacks, what it requires, what is refused."""

from typing import Any

import pytest

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload
from trimcp.types import (
    ABSENT,
    BY_VERSION,
    LATEST,
    LATEST_LEGACY,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    CompleteRequestParams,
    CompletionArgument,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateTaskResult,
    ElicitationCapability,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    EmbeddedResource,
    Icon,
    Implementation,
    InputRequiredResult,
    ListToolsResult,
    LoggingMessageNotificationParams,
    PromptReference,
    ReadResourceResult,
    ResourceLink,
    SamplingMessage,
    Task,
    TaskMetadata,
    TextContent,
    TextResourceContents,
    Tool,
    ToolUseContent,
)

MODERN = codec_for(LATEST)
LEGACY = codec_for(LATEST_LEGACY)
OLDEST = codec_for(BY_VERSION["2024-11-05"])


def problems(encode: Any, value: Any) -> list[str]:
    with pytest.raises(InvalidPayload) as caught:
        encode(value)
    return caught.value.problems


def test_what_is_not_set_is_left_out_and_what_is_null_is_not() -> None:
    encode = MODERN.result_encoder("tools/call")
    assert encode(CallToolResult([TextContent("x")])) == {
        "content": [{"text": "x", "type": "text"}],
        "resultType": "complete",
    }
    assert encode(CallToolResult([], None, is_error=False)) == {
        "content": [],
        "structuredContent": None,
        "isError": False,
        "resultType": "complete",
    }
    message = LoggingMessageNotificationParams("info", None)
    assert LEGACY.params_encoder("notifications/message")(message) == {"level": "info", "data": None}


def test_fields_that_the_revision_lacks_are_dropped() -> None:
    tool = Tool("t", {"type": "object"}, title="T", output_schema={"type": "object"}, icons=[Icon("data:,")])
    assert OLDEST.unstructure(tool) == {"name": "t", "inputSchema": {"type": "object"}}
    assert codec_for(BY_VERSION["2025-06-18"]).unstructure(tool) == {
        "name": "t",
        "inputSchema": {"type": "object"},
        "title": "T",
        "outputSchema": {"type": "object"},
    }
    params = CallToolRequestParams("x", task=TaskMetadata(5), request_state="s")
    assert LEGACY.params_encoder("tools/call")(params) == {"name": "x", "task": {"ttl": 5}}
    assert MODERN.params_encoder("tools/call")(params) == {"name": "x", "requestState": "s"}
    capabilities = ClientCapabilities(elicitation=ElicitationCapability(form={}), extensions={"a/b": {}})
    assert OLDEST.unstructure(capabilities) == {}
    assert codec_for(BY_VERSION["2025-06-18"]).unstructure(capabilities) == {"elicitation": {}}


def test_unknown_fields_go_out_but_never_over_known_ones() -> None:
    result = CallToolResult([], extra={"content": "no", "resultType": "no", "colour": "red"})
    assert MODERN.result_encoder("tools/call")(result) == {"content": [], "resultType": "complete", "colour": "red"}


def test_what_only_the_modern_era_can_say_is_left_out_before() -> None:
    encode = LEGACY.result_encoder("tools/call")
    for value in (5, None, [1], "x", ABSENT):
        assert encode(CallToolResult([], value)) == {"content": []}
    assert encode(CallToolResult([], {"a": 1})) == {"content": [], "structuredContent": {"a": 1}}
    assert LEGACY.unstructure(Tool("t", {"type": "object"}, output_schema={"type": "string"})) == {
        "name": "t",
        "inputSchema": {"type": "object"},
    }
    assert MODERN.result_encoder("tools/call")(CallToolResult([], 5))["structuredContent"] == 5


def test_caching_hints_are_added_where_they_are_required() -> None:
    assert MODERN.result_encoder("tools/list")(ListToolsResult([])) == {
        "tools": [],
        "ttlMs": 0,
        "cacheScope": "private",
        "resultType": "complete",
    }
    known = ReadResourceResult([TextResourceContents("a:b", "x")], ttl_ms=5, cache_scope="public")
    assert MODERN.result_encoder("resources/read")(known)["ttlMs"] == 5
    assert LEGACY.result_encoder("resources/read")(known) == {"contents": [{"uri": "a:b", "text": "x"}]}


def test_a_content_block_that_the_revision_lacks_is_text_that_says_so() -> None:
    result = CallToolResult([TextContent("x"), AudioContent("aGk=", "audio/wav")])
    text = "[audio/wav: 2024-11-05 has no content of this kind]"
    assert OLDEST.result_encoder("tools/call")(result)["content"][1] == {"type": "text", "text": text}
    link = CallToolResult([ResourceLink("a:b", "x")])
    text = "[ResourceLink at a:b: 2025-03-26 has no content of this kind]"
    assert codec_for(BY_VERSION["2025-03-26"]).unstructure(link)["content"] == [{"type": "text", "text": text}]
    assert LEGACY.unstructure(link)["content"][0]["type"] == "resource_link"
    tool_use: Any = ToolUseContent("1", "x", {})
    assert problems(LEGACY.unstructure, CallToolResult([tool_use]))[0].startswith(
        "ToolUseContent is not a content block"
    )


def test_a_result_may_be_what_the_decoder_gives() -> None:
    encode = MODERN.result_encoder("tools/call")
    question = ElicitRequest(ElicitRequestFormParams("m", {"type": "object", "properties": {}}))
    assert encode(InputRequiredResult({"a": question}, "s")) == {
        "inputRequests": {
            "a": {
                "method": "elicitation/create",
                "params": {"message": "m", "requestedSchema": {"type": "object", "properties": {}}},
            }
        },
        "requestState": "s",
        "resultType": "input_required",
    }
    task = CreateTaskResult(Task("1", "working", "t", "t", None))
    assert LEGACY.result_encoder("tools/call")(task)["task"]["ttl"] is None
    assert problems(encode, task) == ["expected CallToolResult, found CreateTaskResult @ $"]
    assert problems(MODERN.result_encoder("tools/list"), InputRequiredResult()) == [
        "expected ListToolsResult, found InputRequiredResult @ $"
    ]
    assert problems(encode, {"content": []}) == ["expected CallToolResult, found dict @ $"]


def test_a_subclass_goes_out_as_what_it_is_a_kind_of() -> None:
    class Greeting(TextContent):
        pass

    class Reply(CallToolResult):
        pass

    encode = LEGACY.result_encoder("tools/call")
    assert encode(Reply([Greeting("hi")])) == {"content": [{"text": "hi", "type": "text"}]}


def test_a_union_of_params_goes_out_by_its_class() -> None:
    encode = LEGACY.params_encoder("elicitation/create")
    page = ElicitRequestURLParams("m", "https://example.com", "1")
    assert encode(page) == {"message": "m", "url": "https://example.com", "elicitationId": "1", "mode": "url"}
    assert problems(encode, ElicitRequestURLParams("m", "https://example.com")) == [
        "required property missing @ $.elicitationId"
    ]
    older = codec_for(BY_VERSION["2025-06-18"]).params_encoder("elicitation/create")
    assert problems(older, page) == ["ElicitRequestURLParams is not a mode of elicitation of 2025-06-18 @ $"]
    assert problems(encode, "page") == ["expected ElicitRequestFormParams or ElicitRequestURLParams, found str @ $"]


def test_a_form_that_the_revision_cannot_draw_is_refused() -> None:
    choices = {"type": "array", "items": {"type": "string", "enum": ["a"]}}
    params = ElicitRequestFormParams("m", {"type": "object", "properties": {"p": choices}})
    assert LEGACY.params_encoder("elicitation/create")(params)["requestedSchema"] == params.requested_schema
    older = codec_for(BY_VERSION["2025-06-18"])
    assert problems(older.params_encoder("elicitation/create"), params) == [
        "expected the schema of a form of 2025-06-18 @ $.requestedSchema"
    ]
    asked = InputRequiredResult({"q": ElicitRequest(ElicitRequestFormParams("m", {"type": "object"}))})
    assert problems(MODERN.result_encoder("tools/call"), asked) == [
        "expected the schema of a form of 2026-07-28 @ $.inputRequests.q.params.requestedSchema"
    ]


def test_several_blocks_of_a_conversation_need_a_revision_that_has_them() -> None:
    one = SamplingMessage("user", [TextContent("x")])
    several = SamplingMessage("user", [TextContent("x"), TextContent("y")])
    assert LEGACY.unstructure(one)["content"] == [{"text": "x", "type": "text"}]
    older = codec_for(BY_VERSION["2025-06-18"])
    assert older.unstructure(one)["content"] == {"text": "x", "type": "text"}
    request = CreateMessageRequestParams([one, several], 5)
    assert problems(older.params_encoder("sampling/createMessage"), request) == [
        "expected one content block: 2025-06-18 has no lists of them @ $.messages[1].content"
    ]
    assert MODERN.unstructure(CreateMessageRequest(request))["params"]["maxTokens"] == 5


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (CallToolResult(None), "CallToolResult holds a value of a wrong type @ $"),  # type: ignore[arg-type]
        (CallToolResult("hi"), "str is not a content block of 2026-07-28 @ $.content[0]"),  # type: ignore[arg-type]
        (CallToolResult([{"type": "text"}]), "dict is not a content block of 2026-07-28 @ $.content[0]"),  # type: ignore[list-item]
        (
            CallToolResult([EmbeddedResource("hi")]),  # type: ignore[arg-type]
            "str is not a content of a resource of 2026-07-28 @ $.content[0].resource",
        ),
    ],
)
def test_an_object_that_was_built_wrongly_is_refused(result: CallToolResult, problem: str) -> None:
    assert problems(MODERN.result_encoder("tools/call"), result) == [problem]


def test_blocks_that_can_be_gone_through_only_once_are_refused_without_their_place() -> None:
    blocks: Any = (block for block in [TextContent("x"), ToolUseContent("1", "x", {})])
    assert problems(OLDEST.result_encoder("tools/call"), CallToolResult(blocks)) == [
        "ToolUseContent is not a content block of 2024-11-05 @ $"
    ]


def test_names_on_the_wire_are_those_of_the_specification() -> None:
    params = CompleteRequestParams(PromptReference("p"), CompletionArgument("a", "v"), meta={"progressToken": 1})
    assert LEGACY.params_encoder("completion/complete")(params) == {
        "_meta": {"progressToken": 1},
        "ref": {"name": "p", "type": "ref/prompt"},
        "argument": {"name": "a", "value": "v"},
    }
    program = Implementation("n", "1", website_url="https://example.com")
    assert LEGACY.unstructure(program) == {"name": "n", "version": "1", "websiteUrl": "https://example.com"}
