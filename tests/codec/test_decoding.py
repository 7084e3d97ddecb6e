"""JSON params and results into objects: strictness, paths, unknown fields, revisions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.test_jsontext import JSON
from trimcp.codec.payloads import MAX_PROBLEMS
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import InvalidPayload, InvalidResult, UsageError
from trimcp.types import (
    ABSENT,
    BY_VERSION,
    LATEST,
    LATEST_LEGACY,
    REVISIONS,
    AudioContent,
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    CreateTaskResult,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    EmbeddedResource,
    InputRequiredResult,
    InputResponse,
    ListRootsRequest,
    ListToolsResult,
    ProgressNotificationParams,
    RequestParams,
    Result,
    TextContent,
    TextResourceContents,
    Tool,
)

MODERN = codec_for(LATEST)
LEGACY = codec_for(LATEST_LEGACY)
OLDEST = codec_for(BY_VERSION["2024-11-05"])


def problems(decode: Any, value: Any) -> list[str]:
    with pytest.raises(InvalidPayload) as caught:
        decode(value)
    return caught.value.problems


def test_params_become_an_object() -> None:
    decode = LEGACY.params_decoder("tools/call")
    assert decode({"name": "add", "arguments": {"a": 1}}) == CallToolRequestParams("add", {"a": 1})
    assert decode({"name": "add"}).arguments is None


def test_missing_params_are_empty_ones() -> None:
    assert LEGACY.params_decoder("tools/list")(None) == LEGACY.params_decoder("tools/list")({})
    assert LEGACY.params_decoder("ping")(None) == RequestParams()
    assert problems(LEGACY.params_decoder("tools/call"), None) == ["required property missing @ $.name"]


@given(JSON)
def test_any_json_value_is_decoded_or_an_invalid_payload(value: Any) -> None:
    for codec in (MODERN, LEGACY, OLDEST):
        for cls in (CallToolRequestParams, CallToolResult, ClientCapabilities, Tool):
            try:
                codec.structure(value, cls)
            except InvalidPayload as error:
                found = error.problems
                assert found
                assert all(" @ $" in problem for problem in found)


PROGRESS = MODERN.params_decoder("notifications/progress")


@given(st.one_of(st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), st.text(), st.none()))
def test_nothing_is_coerced(value: Any) -> None:
    def taken(**fields: Any) -> bool:
        try:
            decoded = PROGRESS({"progressToken": "t", "progress": 1, **fields})
        except InvalidPayload:
            return False
        assert all(type(getattr(decoded, names[name])) is type(value) for name in fields)
        return True

    names = {"progressToken": "progress_token", "progress": "progress", "message": "message"}
    assert taken(progressToken=value) is (type(value) in (int, str))
    assert taken(progress=value) is (type(value) in (int, float))
    assert value is None or taken(message=value) is (type(value) is str)
    boolean = {"content": [], "isError": value}
    if type(value) is bool:
        assert MODERN.structure(boolean, CallToolResult).is_error is value
    elif value is not None:  # null is a missing field, see test_nulls
        assert problems(MODERN.result_decoder("tools/call"), boolean) == ["expected boolean @ $.isError"]


def test_a_whole_number_may_stand_for_a_fraction_but_not_the_other_way() -> None:
    assert type(PROGRESS({"progressToken": 1, "progress": 2}).progress) is int
    decode = MODERN.result_decoder("completion/complete")
    assert problems(decode, {"completion": {"values": [], "total": 1.0}}) == ["expected integer @ $.completion.total"]


def test_all_problems_are_named_with_their_paths_and_without_values() -> None:
    value = {
        "content": [
            {"type": "text"},
            {"type": "secret"},
            {"type": "image", "data": 1, "mimeType": "secret", "annotations": {"audience": ["user", "secret"]}},
            {"type": ["secret"], "text": "secret"},
            "secret",
            {"text": "secret"},
        ],
        "isError": "secret",
    }
    found = problems(LEGACY.result_decoder("tools/call"), value)
    known = '"text", "image", "audio", "resource_link", "resource"'
    assert found == [
        "required property missing @ $.content[0].text",
        f"expected one of {known} @ $.content[1].type",
        "expected string @ $.content[2].data",
        'expected "user" or "assistant" @ $.content[2].annotations.audience[1]',
        f"expected one of {known} @ $.content[3].type",
        "expected object @ $.content[4]",
        "required property missing @ $.content[5].type",
        "expected boolean @ $.isError",
    ]
    assert "secret" not in str(found)


def test_the_number_of_problems_is_bounded() -> None:
    found = problems(LEGACY.result_decoder("tools/call"), {"content": list(range(1000))})
    assert len(found) == MAX_PROBLEMS


def test_paths_lead_through_objects_by_name() -> None:
    value = {"capabilities": {"experimental": {"odd name": 5}}, "clientInfo": {}, "protocolVersion": "x"}
    assert problems(LEGACY.params_decoder("initialize"), value) == [
        'expected object @ $.capabilities.experimental["odd name"]',
        "required property missing @ $.clientInfo.name",
        "required property missing @ $.clientInfo.version",
    ]


def test_the_progress_token_of_a_request_is_an_id() -> None:
    decode = LEGACY.params_decoder("tools/call")
    assert problems(decode, {"name": "x", "_meta": {"progressToken": True}}) == [
        "expected string or integer @ $._meta.progressToken"
    ]
    assert decode({"name": "x", "_meta": {"progressToken": 7, "other": 1}}).meta == {"progressToken": 7, "other": 1}


def test_an_unknown_field_survives() -> None:
    value = {"name": "x", "inputSchema": {"type": "object"}, "colour": "red", "annotations": {"title": "X", "mood": 1}}
    tool = LEGACY.structure(value, Tool)
    assert tool.extra == {"colour": "red"}
    assert tool.annotations is not None
    assert tool.annotations.extra == {"mood": 1}
    assert LEGACY.unstructure(tool) == value


def test_a_field_of_another_revision_is_an_unknown_one() -> None:
    value = {"content": [], "structuredContent": 5}
    old = OLDEST.structure(value, CallToolResult)
    assert old.structured_content is ABSENT
    assert old.extra == {"structuredContent": 5}
    assert OLDEST.unstructure(old) == value
    assert problems(LEGACY.result_decoder("tools/call"), value) == ["expected object @ $.structuredContent"]
    assert MODERN.structure(value, CallToolResult).structured_content == 5


def test_null_structured_content_is_not_absent_in_the_modern_era() -> None:
    decode = MODERN.result_decoder("tools/call")
    assert decode({"content": [], "structuredContent": None}).structured_content is None
    assert decode({"content": []}).structured_content is ABSENT


def test_content_blocks_are_those_of_the_revision() -> None:
    audio = {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}
    assert problems(OLDEST.result_decoder("tools/call"), {"content": [audio]}) == [
        "expected a content block of 2024-11-05 @ $.content[0]"
    ]
    newer = codec_for(BY_VERSION["2025-03-26"])
    assert newer.result_decoder("tools/call")({"content": [audio]}).content == [AudioContent("aGk=", "audio/wav")]
    tool_use = {"type": "tool_use", "id": "1", "name": "x", "input": {}}
    assert problems(LEGACY.result_decoder("tools/call"), {"content": [tool_use]})[0].endswith("$.content[0].type")


def test_resource_contents_are_told_apart_by_what_they_hold() -> None:
    decode = LEGACY.result_decoder("resources/read")
    contents = [{"uri": "a:b", "text": "x"}, {"uri": "a:b", "blob": "aGk="}]
    assert decode({"contents": contents}).contents == [
        TextResourceContents("a:b", "x"),
        BlobResourceContents("a:b", "aGk="),
    ]
    assert problems(decode, {"contents": [{"uri": "a:b"}]}) == ['expected a property "text" or "blob" @ $.contents[0]']


def test_elicitation_is_told_apart_by_its_mode() -> None:
    decode = LEGACY.params_decoder("elicitation/create")
    form = {"message": "m", "requestedSchema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    assert type(decode(form)) is ElicitRequestFormParams
    assert type(decode({**form, "mode": "form"})) is ElicitRequestFormParams
    page = {"mode": "url", "message": "m", "url": "https://example.com", "elicitationId": "1"}
    assert type(decode(page)) is ElicitRequestURLParams
    assert problems(decode, {**form, "mode": "mail"}) == ['expected "form" or "url" @ $.mode']
    old = codec_for(BY_VERSION["2025-06-18"]).params_decoder("elicitation/create")({**form, "mode": "mail"})
    assert old.extra == {"mode": "mail"}


@pytest.mark.parametrize(
    ("property", "version", "problem"),
    [
        (
            {"type": "object"},
            "2025-11-25",
            "expected a property type that forms allow: string, number, integer, boolean or array @ {}.type",
        ),
        ({"type": "string", "enum": [1]}, "2025-11-25", "expected string @ {}.enum[0]"),
        ({"type": "array", "items": {"type": "string", "enum": "a"}}, "2025-11-25", "expected array @ {}.items.enum"),
        (
            {"type": "array", "items": {"anyOf": [{"const": "a"}]}},
            "2025-11-25",
            "required property missing @ {}.items.anyOf[0].title",
        ),
        (
            {"type": "array", "items": {"anyOf": []}},
            "2025-06-18",
            "expected a property type that forms allow: string, number, integer, boolean or array @ {}.type",
        ),
    ],
)
def test_a_form_asks_for_flat_properties_only(property: Any, version: str, problem: str) -> None:
    decode = codec_for(BY_VERSION[version]).params_decoder("elicitation/create")
    value = {"message": "m", "requestedSchema": {"type": "object", "properties": {"p": property}}}
    assert problems(decode, value) == [problem.format("$.requestedSchema.properties.p")]


def test_answers_of_a_form_are_flat() -> None:
    decode = LEGACY.result_decoder("elicitation/create")
    content = {"a": "x", "b": 1, "c": 0.5, "d": True, "e": ["x"], "f": None}
    assert decode({"action": "accept", "content": content}).content == content
    assert problems(decode, {"action": "accept", "content": {"a": {}}}) == [
        "expected string, number, boolean or array @ $.content.a"
    ]
    assert problems(decode, {"action": "accept", "content": {"a": ["x", 1]}}) == ["expected string @ $.content.a[1]"]


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ([], "expected object @ {}"),
        ({}, 'expected "object" @ {}.type'),
        ({"type": "string"}, 'expected "object" @ {}.type'),
        ({"type": "object", "$schema": 1}, 'expected string @ {}["$schema"]'),
        ({"type": "object", "properties": []}, "expected object @ {}.properties"),
        ({"type": "object", "properties": {"a": True}}, "expected object @ {}.properties.a"),
        ({"type": "object", "required": "a"}, "expected array @ {}.required"),
        ({"type": "object", "required": ["a", 1]}, "expected string @ {}.required[1]"),
    ],
)
def test_a_tool_of_the_legacy_era_has_object_schemas(schema: Any, problem: str) -> None:
    tool = {"name": "t", "inputSchema": {"type": "object"}, "outputSchema": {"type": "object"}}
    decode = LEGACY.result_decoder("tools/list")
    for field in ("inputSchema", "outputSchema"):
        assert problems(decode, {"tools": [{**tool, field: schema}]}) == [problem.format(f"$.tools[0].{field}")]


def test_a_tool_of_the_modern_era_may_return_anything_but_takes_an_object() -> None:
    decode = MODERN.result_decoder("tools/list")
    tool = {
        "name": "t",
        "inputSchema": {"type": "object", "properties": {"a": True}},
        "outputSchema": {"type": "string"},
    }
    assert decode({"tools": [tool]}).tools[0].output_schema == {"type": "string"}
    assert problems(decode, {"tools": [{**tool, "inputSchema": {}}]}) == [
        'expected "object" @ $.tools[0].inputSchema.type'
    ]


def test_result_type_decides_what_a_modern_result_is() -> None:
    decode = MODERN.result_decoder("tools/call")
    assert type(decode({"content": []})) is CallToolResult
    complete = decode({"content": [], "resultType": "complete"})
    assert complete == CallToolResult([])
    asked = decode(
        {
            "resultType": "input_required",
            "requestState": "s",
            "inputRequests": {
                "r": {"method": "roots/list"},
                "m": {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}},
            },
        }
    )
    assert asked == InputRequiredResult(
        {"r": ListRootsRequest(), "m": CreateMessageRequest(CreateMessageRequestParams([], 1))}, "s"
    )
    unknown: Any
    for unknown in ("task", 5, None, []):
        with pytest.raises(InvalidResult) as caught:
            decode({"content": [], "resultType": unknown})
        assert caught.value.problems == ['expected "complete" or "input_required" @ $.resultType']
    assert problems(MODERN.result_decoder("tools/list"), {"tools": [], "resultType": "input_required"}) == [
        'expected "complete" @ $.resultType'
    ]
    assert problems(decode, {"resultType": "input_required", "inputRequests": {"a": {"method": "ping"}}}) == [
        'expected one of "sampling/createMessage", "roots/list", "elicitation/create" @ $.inputRequests.a.method'
    ]


def test_result_type_is_an_unknown_field_of_the_legacy_era() -> None:
    assert LEGACY.result_decoder("tools/call")({"content": [], "resultType": "x"}).extra == {"resultType": "x"}


def test_caching_hints_have_safe_defaults() -> None:
    decode = MODERN.result_decoder("tools/list")
    assert decode({"tools": []}) == ListToolsResult([], ttl_ms=0, cache_scope="private")
    assert decode({"tools": [], "ttlMs": -5}).ttl_ms == 0
    assert decode({"tools": [], "ttlMs": 5, "cacheScope": "public"}) == ListToolsResult(
        [], ttl_ms=5, cache_scope="public"
    )
    assert problems(decode, {"tools": [], "ttlMs": "5"}) == ["expected integer @ $.ttlMs"]
    assert LEGACY.result_decoder("tools/list")({"tools": []}).ttl_ms is None


def test_a_method_that_may_be_a_task_may_give_one() -> None:
    task = {"taskId": "1", "status": "working", "createdAt": "t", "lastUpdatedAt": "t", "ttl": None}
    created = LEGACY.result_decoder("tools/call")({"task": task})
    assert type(created) is CreateTaskResult
    assert created.task.ttl is None
    assert LEGACY.result_decoder("tools/call")({"content": [], "task": task}).extra == {"task": task}
    assert problems(LEGACY.result_decoder("tools/call"), {"task": {}})[0].endswith("$.task.taskId")
    older = codec_for(BY_VERSION["2025-06-18"])
    assert problems(older.result_decoder("tools/call"), {"task": task}) == ["required property missing @ $.content"]


def test_content_of_a_conversation_is_a_block_or_from_some_revision_on_several() -> None:
    message = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "x"}}
    several = {**message, "content": [message["content"]]}
    assert LEGACY.structure(message, CreateMessageResult).content == TextContent("x")
    assert LEGACY.structure(several, CreateMessageResult).content == [TextContent("x")]
    older = codec_for(BY_VERSION["2025-06-18"]).result_decoder("sampling/createMessage")
    assert problems(older, several) == ["expected object @ $.content"]


def test_input_responses_stay_raw_until_somebody_knows_the_question() -> None:
    answer = {"action": "accept"}
    params = MODERN.params_decoder("tools/call")({"name": "x", "inputResponses": {"a": answer}})
    assert params.input_responses == {"a": answer}
    assert problems(MODERN.params_decoder("tools/call"), {"name": "x", "inputResponses": {"a": 1}}) == [
        "expected object @ $.inputResponses.a"
    ]
    assert MODERN.structure(answer, InputResponse).action == "accept"  # type: ignore[arg-type]


def test_a_block_within_a_block_has_its_path() -> None:
    value = {"content": [{"type": "resource", "resource": {"uri": 5, "text": "x"}}]}
    assert problems(LEGACY.result_decoder("tools/call"), value) == ["expected string @ $.content[0].resource.uri"]
    good = {"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "x"}}]}
    assert LEGACY.structure(good, CallToolResult).content == [EmbeddedResource(TextResourceContents("a:b", "x"))]


@pytest.mark.parametrize("make", ["params_decoder", "params_encoder", "result_decoder", "result_encoder"])
def test_a_method_that_the_revision_has_not_is_a_mistake_of_the_caller(make: str) -> None:
    with pytest.raises(UsageError, match="2026-07-28 has no method ping"):
        getattr(MODERN, make)("ping")
    if make.startswith("result"):
        with pytest.raises(UsageError, match="notification"):
            getattr(MODERN, make)("notifications/progress")


def test_codecs_and_what_they_make_are_kept() -> None:
    for revision in REVISIONS:
        codec = codec_for(revision)
        assert isinstance(codec, RevisionCodec)
        assert codec is codec_for(revision)
        assert codec.params_decoder("tools/call") is codec.params_decoder("tools/call")
        assert codec.result_encoder("tools/call") is codec.result_encoder("tools/call")


def test_a_result_that_says_nothing_is_one() -> None:
    assert LEGACY.result_decoder("ping")({}) == Result()
    assert PROGRESS({"progressToken": 1, "progress": 1}) == ProgressNotificationParams(1, 1)
