"""Results of tools whose structured content is JSON text: to all other code, results like any other."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import orjson
import pytest

from trimcp.codec.encoded_results import EncodedToolResult
from trimcp.codec.envelope import encode_result
from trimcp.codec.revisions import codec_for
from trimcp.types.content import TextContent
from trimcp.types.revisions import BY_VERSION, REVISIONS, Revision
from trimcp.types.tools import CallToolResult

JSON = b'{"a":[1,"\xc3\xa4"]}'
DATA = {"a": [1, "ä"]}
LATEST = BY_VERSION["2026-07-28"]


def encoded() -> EncodedToolResult:
    return EncodedToolResult.of(JSON, JSON.decode(), None)


def plain() -> CallToolResult:
    return CallToolResult([TextContent(JSON.decode())], {"a": [1, "ä"]})


def frame_of(result: CallToolResult, revision: Revision = LATEST) -> bytes:
    return encode_result(1, codec_for(revision).result_encoder("tools/call")(result))


@pytest.mark.parametrize("revision", REVISIONS, ids=lambda revision: revision.version)
def test_it_leaves_as_the_same_bytes(revision: Revision) -> None:
    assert frame_of(encoded(), revision) == frame_of(plain(), revision)
    for json, value in ((b"[1,2]", [1, 2]), (b'"\xc3\xa4\\n"', "ä\n"), (b"3", 3)):
        text = value if isinstance(value, str) else json.decode()
        wrapped = EncodedToolResult.of(json, text, "result")
        assert frame_of(wrapped, revision) == frame_of(CallToolResult([TextContent(text)], {"result": value}), revision)


def test_its_structured_content_reads_as_data() -> None:
    result = encoded()
    assert isinstance(result, CallToolResult)
    assert result.structured_content == DATA
    assert result.structured_content is result.structured_content
    assert repr(encoded()) == repr(plain()).replace("CallToolResult", "EncodedToolResult")
    assert attrs.asdict(encoded()) == attrs.asdict(plain())
    assert codec_for(LATEST).unstructure(encoded()) == codec_for(LATEST).unstructure(plain())
    with pytest.raises(AttributeError):
        result.no_such_thing  # type: ignore[attr-defined]  # noqa: B018


def test_it_equals_a_result_with_the_same_content() -> None:
    assert encoded() == plain()
    assert plain() == encoded()
    assert encoded() == encoded()
    assert encoded() != CallToolResult(plain().content, {"a": []})
    assert encoded() != attrs.evolve(plain(), is_error=True)
    assert encoded() != 3
    with pytest.raises(TypeError):
        hash(encoded())


@pytest.mark.parametrize(
    "change",
    [
        lambda result: setattr(result, "structured_content", {"b": 1}),
        lambda result: result.structured_content["a"].append(2),
        lambda result: result.structured_content.update(b=1),
        lambda result: result.content.append(TextContent("more")),
        lambda result: result.content.clear(),
        lambda result: setattr(result.content[0], "text", "other"),
        lambda result: setattr(result, "content", [TextContent("other")]),
        lambda result: setattr(result, "is_error", True),
        lambda result: setattr(result, "meta", {"m": 1}),
        lambda result: result.extra.update(more=1),
    ],
)
@pytest.mark.parametrize("looked_at", [False, True])
def test_what_middleware_changes_is_sent(change: Any, looked_at: bool) -> None:
    ours, theirs = encoded(), plain()
    if looked_at:
        assert ours.structured_content
    change(ours)
    change(theirs)
    assert frame_of(ours) == frame_of(theirs)


def test_a_string_that_was_replaced_is_sent_as_it_is_now() -> None:
    result = EncodedToolResult.of(b'"a\\nb"', "a\nb", "result")
    assert isinstance(result.content[0], TextContent)
    result.content[0].text = "other"
    sent = orjson.loads(frame_of(result))["result"]
    assert sent["content"] == [{"type": "text", "text": "other"}]
    assert sent["structuredContent"] == {"result": "a\nb"}


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda result: pickle.loads(pickle.dumps(result)),
        lambda result: attrs.evolve(result, meta={"m": 1}),
        lambda result: attrs.evolve(result, structured_content={"b": 1}),
    ],
)
def test_copies_are_whole(copied: Any) -> None:
    assert frame_of(copied(encoded())) == frame_of(copied(plain()))
